//! What serde finds wrong with settings, in plain words.

use serde::de::{self, Expected, Unexpected};

use crate::Error;

impl de::Error for Error {
    fn custom<T: std::fmt::Display>(what: T) -> Self {
        Error::new(what.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Error::new(format!("no field `{field}`")).suggest(field, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Error::new(format!("no choice `{variant}`")).suggest(variant, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Error::new(format!("missing field `{field}`"))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Str(text) => format!("`{text:?}`"),
            Unexpected::Unsigned(v) => format!("`{v}`"),
            Unexpected::Signed(v) => format!("`{v}`"),
            Unexpected::Float(v) => format!("`{v:?}`"),
            Unexpected::Bool(v) => format!("`{v}`"),
            Unexpected::Char(v) => format!("`{v:?}`"),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a map".to_owned(),
            other => other.to_string(),
        };
        Error::new(format!("expected {}, found {found}", plain(&expected.to_string())))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let count = expected.split(' ').find(|word| word.parse::<usize>().is_ok());
        let expected = count.map_or_else(|| plain(&expected), |count| format!("{count} values"));
        Error::new(format!("expected {expected}, found {length}"))
    }
}

/// Rust's names of types in plain words.
fn plain(expected: &str) -> String {
    let words = match expected {
        "f32" | "f64" => "a number",
        "usize" | "u64" => "a whole number from 0",
        "u32" => "a whole number from 0 to 4294967295",
        "u16" => "a whole number from 0 to 65535",
        "u8" => "a whole number from 0 to 255",
        "isize" | "i64" => "a whole number",
        "i32" => "a whole number of at most 31 bits",
        "i16" => "a whole number from -32768 to 32767",
        "i8" => "a whole number from -128 to 127",
        "a boolean" => "`true` or `false`",
        "a string" | "a borrowed string" => "text in quotes",
        "a sequence" => "a list",
        other => {
            let name =
                ["struct ", "unit struct ", "tuple struct "].iter().find_map(|sort| other.strip_prefix(sort));
            return name.map_or_else(|| other.to_owned(), |name| format!("`{name}`"));
        }
    };
    words.to_owned()
}
