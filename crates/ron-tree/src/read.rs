//! Reads typed settings out of a tree through serde, with the tree's places in every error.

use serde::de::{self, DeserializeSeed, Error as _, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use crate::{Body, Error, Form, Literal, Span, Tree, Word};

/// Resolves names that stand for something outside the tree, such as other nodes.
///
/// A type asks to be linked by deserialising a newtype struct whose name a `Links` knows.
pub trait Links {
    /// What the value means, `None` if `token` is none of this resolver's.
    fn link(&self, token: &'static str, tree: &Tree) -> Option<Result<u64, Error>>;
}

/// For settings that name nothing.
pub struct NoLinks;

impl Links for NoLinks {
    fn link(&self, _: &'static str, _: &Tree) -> Option<Result<u64, Error>> {
        None
    }
}

/// Reads typed settings out of a [`Tree`].
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    tree: &'a Tree,
    links: &'a dyn Links,
    /// The tree is a variant of an enum, whose name is not that of the struct in it.
    variant: bool,
}

impl<'a> Reader<'a> {
    /// A reader of a tree whose links `links` resolves.
    pub fn new(tree: &'a Tree, links: &'a dyn Links) -> Self {
        Self { tree, links, variant: false }
    }

    fn child(self, tree: &'a Tree) -> Self {
        Reader::new(tree, self.links)
    }

    /// The place that stands for the whole value: its name, if it has one.
    fn place(self) -> Span {
        self.tree.name().map_or(self.tree.span, |name| name.span)
    }

    fn wrong(self, expected: &dyn Expected) -> Error {
        let found = match &self.tree.form {
            Form::Literal(literal) => format!("`{literal}`"),
            Form::List(_) => "a list".to_owned(),
            Form::Map(_) => "a map".to_owned(),
            Form::Call(Some(name), _) => format!("`{}`", name.text),
            Form::Call(None, _) => "parentheses".to_owned(),
        };
        Error::invalid_type(Unexpected::Other(&found), expected).at(self.place())
    }

    fn read_fields<'de, V: Visitor<'de>>(
        self,
        fields: &'a [(Word, Tree)],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Fields { reader: self, rest: fields.iter(), value: None })
    }

    fn read_items<'de, V: Visitor<'de>>(self, items: &'a [Tree], visitor: V) -> Result<V::Value, Error> {
        let mut rest = items.iter();
        let value = visitor.visit_seq(Items { reader: self, rest: &mut rest })?;
        match rest.next() {
            None => Ok(value),
            Some(extra) => {
                let expected = items.len() - rest.len() - 1;
                Err(Error::new(format!("expected {expected} values, found {}", items.len())).at(extra.span))
            }
        }
    }
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.tree.form {
            Form::Literal(Literal::Bool(v)) => visitor.visit_bool(*v),
            Form::Literal(Literal::Int(v)) => match (u64::try_from(*v), i64::try_from(*v)) {
                (Ok(v), _) => visitor.visit_u64(v),
                (_, Ok(v)) => visitor.visit_i64(v),
                _ => visitor.visit_i128(*v),
            },
            Form::Literal(Literal::Float(v)) => visitor.visit_f64(*v),
            Form::Literal(Literal::Text(v)) => visitor.visit_str(v),
            Form::Literal(Literal::Char(v)) => visitor.visit_char(*v),
            Form::List(items) | Form::Call(None, Body::Items(items)) => self.read_items(items, visitor),
            Form::Map(entries) => {
                visitor.visit_map(Entries { reader: self, rest: entries.iter(), value: None })
            }
            _ => Err(self.wrong(&visitor)),
        }
        .map_err(|e| e.at(self.tree.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.tree.form {
            Form::Call(Some(name), Body::None) if name.text == "None" => visitor.visit_none(),
            Form::Call(Some(name), Body::Items(items)) if name.text == "Some" && items.len() == 1 => {
                visitor.visit_some(self.child(&items[0]))
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.tree.name().is_some() {
            return visitor.visit_enum(self).map_err(|e| e.at(self.place()));
        }
        let error = self.wrong(&list("one of", variants).as_str());
        Err(match self.tree.text() {
            Some(text) if variants.contains(&text) => error.help(format!("write `{text}` without quotes")),
            _ => error,
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Some(link) = self.links.link(name, self.tree) {
            return visitor.visit_u64(link.map_err(|e| e.at(self.tree.span))?);
        }
        match &self.tree.form {
            Form::Call(_, Body::Items(items)) if items.len() == 1 => {
                visitor.visit_newtype_struct(self.child(&items[0]))
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Some(other) = self.tree.name().filter(|word| !self.variant && word.text != name) {
            return Err(Error::new(format!("expected `{name}`, found `{}`", other.text)).at(other.span));
        }
        let help = list("its fields are", fields);
        match &self.tree.form {
            Form::Call(_, Body::None) => self.read_fields(&[], visitor),
            Form::Call(_, Body::Fields(fields)) => self.read_fields(fields, visitor),
            _ => Err(Error::new(format!("`{name}` takes named fields, like `{name}(field: value)`"))
                .help(help.clone())),
        }
        // A missing field has no place of its own, so blame the name rather than the whole body.
        .map_err(|e| if e.span.is_none() { e.at(self.place()).help(help) } else { e })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.tree.form {
            Form::Call(_, Body::Items(items)) => {
                self.read_items(items, visitor).map_err(|e| e.at(self.place()))
            }
            _ => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.tree.form {
            Form::Call(Some(word), _) if word.text != name => Err(self.wrong(&visitor)),
            Form::Call(_, Body::None) => visitor.visit_unit(),
            Form::Call(_, Body::Fields(fields)) => match fields.first() {
                None => visitor.visit_unit(),
                Some((field, _)) => Err(Error::new(format!("`{name}` has no fields")).at(field.span)),
            },
            _ => Err(Error::new(format!("`{name}` has no fields")).at(self.place())),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit seq tuple map identifier
    }
}

impl<'de> de::EnumAccess<'de> for Reader<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let word = self.tree.name().ok_or_else(|| Error::new("expected a name").at(self.tree.span))?;
        let variant =
            seed.deserialize(word.text.as_str().into_deserializer()).map_err(|e: Error| e.at(word.span))?;
        Ok((variant, Reader { variant: true, ..self }))
    }
}

impl<'de> de::VariantAccess<'de> for Reader<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match (&self.tree.form, self.tree.name()) {
            (Form::Call(_, Body::None), _) | (_, None) => Ok(()),
            (_, Some(name)) => {
                Err(Error::new(format!("`{}` takes nothing in parentheses", name.text)).at(self.tree.span))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        match &self.tree.form {
            Form::Call(_, Body::Items(items)) if items.len() == 1 => seed.deserialize(self.child(&items[0])),
            _ => seed.deserialize(self),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        match &self.tree.form {
            Form::Call(_, Body::Items(items)) => self.read_items(items, visitor),
            _ => Err(Error::new(format!("expected {length} values in parentheses")).at(self.tree.span)),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.tree.form {
            Form::Call(_, Body::None) => self.read_fields(&[], visitor),
            Form::Call(_, Body::Fields(fields)) => self.read_fields(fields, visitor),
            _ => Err(Error::new("expected named fields in parentheses")),
        }
        .map_err(|e| {
            if e.span.is_none() { e.at(self.place()).help(list("its fields are", names)) } else { e }
        })
    }
}

struct Items<'a, 'b> {
    reader: Reader<'a>,
    rest: &'b mut std::slice::Iter<'a, Tree>,
}

impl<'de> de::SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let reader = self.reader;
        let read = |item| seed.deserialize(reader.child(item)).map_err(|e: Error| e.at(item.span));
        self.rest.next().map(read).transpose()
    }
}

struct Fields<'a> {
    reader: Reader<'a>,
    rest: std::slice::Iter<'a, (Word, Tree)>,
    value: Option<&'a Tree>,
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(key.text.as_str().into_deserializer()).map(Some).map_err(|e: Error| e.at(key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.value.take().expect("a key comes before its value");
        seed.deserialize(self.reader.child(value)).map_err(|e| e.at(value.span))
    }
}

struct Entries<'a> {
    reader: Reader<'a>,
    rest: std::slice::Iter<'a, (Tree, Tree)>,
    value: Option<&'a Tree>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(self.reader.child(key)).map(Some).map_err(|e| e.at(key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.value.take().expect("a key comes before its value");
        seed.deserialize(self.reader.child(value)).map_err(|e| e.at(value.span))
    }
}

fn list(what: &str, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("{what} {}", names.join(", "))
}
