//! Learns a struct's name, its fields, their types and which of them may be left out, by asking serde to read it.

use serde::de::DeserializeOwned;

use crate::probe::{Note, Probe, Unknown};

/// What a kind's settings look like in RON.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outline {
    pub(crate) name: &'static str,
    pub(crate) fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// Its type, in words.
    pub(crate) form: String,
    pub(crate) optional: bool,
}

/// Reads `T` from a deserialiser that notes every question and answers with small values.
pub(crate) fn outline<T: DeserializeOwned>() -> Outline {
    let mut outline = Outline::default();
    let _ = T::deserialize(Probe::new(Note::Struct(&mut outline), None));
    if outline.name.is_empty() {
        outline.name = std::any::type_name::<T>().rsplit("::").next().unwrap_or("?");
    }
    let mut required: Vec<&'static str> = Vec::new();
    let complete = loop {
        match T::deserialize(Probe::new(Note::Nothing, Some(&required))) {
            Err(Unknown { missing: Some(field) }) if !required.contains(&field) => required.push(field),
            result => break result.is_ok(),
        }
    };
    for field in &mut outline.fields {
        field.optional = complete && !required.contains(&field.name);
    }
    outline
}
