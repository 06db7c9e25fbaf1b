//! A deserialiser that answers every question with a small value, and notes what was asked.

use std::fmt::{self, Display, Formatter};

use bevy_ecs::entity::Entity;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use crate::outline::{Field, Outline};

/// Why a probe could not go on.
#[derive(Debug)]
pub(crate) struct Unknown {
    pub(crate) missing: Option<&'static str>,
}

impl Display for Unknown {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a probe can only guess")
    }
}

impl std::error::Error for Unknown {}

impl de::Error for Unknown {
    fn custom<T: Display>(_: T) -> Self {
        Self { missing: None }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field) }
    }
}

/// Where to write what is learnt.
pub(crate) enum Note<'a> {
    Nothing,
    /// The outermost struct.
    Struct(&'a mut Outline),
    /// The type of one of its fields.
    Form(&'a mut String),
}

pub(crate) struct Probe<'a> {
    /// How many types this one is inside of; a type may contain itself.
    depth: usize,
    note: Note<'a>,
    /// Answer for these fields only.
    only: Option<&'a [&'static str]>,
}

impl<'a> Probe<'a> {
    /// A probe of a whole struct that answers for these of its fields, or for all.
    pub(crate) fn new(note: Note<'a>, only: Option<&'a [&'static str]>) -> Self {
        Self { depth: 0, note, only }
    }

    fn say(&mut self, text: &str) {
        if let Note::Form(form) = &mut self.note {
            form.push_str(text);
        }
    }

    /// A probe of something inside, whose type is not of interest.
    fn inner(&self) -> Probe<'static> {
        Probe { depth: self.depth + 1, note: Note::Nothing, only: None }
    }

    fn ask<'de, V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        if self.depth > 8 {
            return Err(Unknown { missing: None });
        }
        visitor.visit_map(Ask { probe: self, fields: fields.iter(), at: "" })
    }
}

macro_rules! answer {
    ($($method:ident $text:literal $visit:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
            self.say($text);
            visitor.$visit($value)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Probe<'_> {
    type Error = Unknown;

    answer! {
        deserialize_bool "bool" visit_bool false;
        deserialize_i8 "integer" visit_i8 1;
        deserialize_i16 "integer" visit_i16 1;
        deserialize_i32 "integer" visit_i32 1;
        deserialize_i64 "integer" visit_i64 1;
        deserialize_u8 "count" visit_u8 1;
        deserialize_u16 "count" visit_u16 1;
        deserialize_u32 "count" visit_u32 1;
        deserialize_u64 "count" visit_u64 1;
        deserialize_f32 "number" visit_f32 1.0;
        deserialize_f64 "number" visit_f64 1.0;
        deserialize_char "character" visit_char '1';
        deserialize_str "text" visit_str "1";
        deserialize_string "text" visit_str "1";
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        self.say(name);
        if let Note::Struct(outline) = &mut self.note {
            outline.name = name;
            // Those that cannot be asked about, because one before them has no answer, are at least named.
            outline.fields =
                fields.iter().map(|name| Field { name, form: String::new(), optional: false }).collect();
        }
        self.ask(fields, visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        self.say(name);
        if let Note::Struct(outline) = self.note {
            outline.name = name;
        }
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        match name.split_once(':') {
            Some(("wire", port)) => self.say(&format!("← {port}")),
            Some(("wires", port)) => self.say(&format!("← {port}, one or a list")),
            Some(("past", port)) => self.say(&format!("⇠ {port}")),
            Some(("file", _)) => {
                self.say("file");
                return visitor.visit_newtype_struct(self.inner());
            }
            _ => return visitor.visit_newtype_struct(self),
        }
        visitor.visit_u64(Entity::PLACEHOLDER.to_bits())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unknown> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
        self.say("list of ");
        visitor.visit_seq(Repeat { probe: self, left: 1 })
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, length: usize, visitor: V) -> Result<V::Value, Unknown> {
        self.say(&format!("{length} × "));
        visitor.visit_seq(Repeat { probe: self, left: length })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
        self.say("map");
        self.inner().ask(&[], visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        self.say(&variants.join(" | "));
        visitor.visit_enum(First { probe: self.inner(), name: variants.first().copied().unwrap_or_default() })
    }

    fn deserialize_any<V: Visitor<'de>>(mut self, _: V) -> Result<V::Value, Unknown> {
        self.say("anything");
        Err(Unknown { missing: None })
    }

    serde::forward_to_deserialize_any! { i128 u128 bytes byte_buf unit identifier ignored_any }
}

/// The fields of a struct, one after the other.
struct Ask<'a> {
    probe: Probe<'a>,
    fields: std::slice::Iter<'static, &'static str>,
    at: &'static str,
}

impl<'de> de::MapAccess<'de> for Ask<'_> {
    type Error = Unknown;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unknown> {
        let only = self.probe.only;
        let Some(field) = self.fields.find(|field| only.is_none_or(|only| only.contains(field))) else {
            return Ok(None);
        };
        self.at = field;
        seed.deserialize((*field).into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unknown> {
        let mut inner = self.probe.inner();
        if let Note::Struct(outline) = &mut self.probe.note {
            let field = outline.fields.iter_mut().find(|field| field.name == self.at);
            inner.note = field.map_or(Note::Nothing, |field| Note::Form(&mut field.form));
            return seed.deserialize(inner);
        }
        seed.deserialize(inner)
    }
}

/// The same value a few times.
struct Repeat<'a> {
    probe: Probe<'a>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Repeat<'_> {
    type Error = Unknown;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unknown> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let note = std::mem::replace(&mut self.probe.note, Note::Nothing);
        seed.deserialize(Probe { note, ..self.probe.inner() }).map(Some)
    }
}

/// The first choice of an enum.
struct First<'a> {
    probe: Probe<'a>,
    name: &'static str,
}

impl<'de, 'a> de::EnumAccess<'de> for First<'a> {
    type Error = Unknown;
    type Variant = Probe<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Probe<'a>), Unknown> {
        Ok((seed.deserialize(self.name.into_deserializer())?, self.probe))
    }
}

impl<'de> de::VariantAccess<'de> for Probe<'_> {
    type Error = Unknown;

    fn unit_variant(self) -> Result<(), Unknown> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Unknown> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Unknown> {
        visitor.visit_seq(Repeat { probe: self, left: length })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        self.ask(fields, visitor)
    }
}
