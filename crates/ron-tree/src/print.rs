//! Prints a tree as plain RON on one line.

use std::fmt::{self, Display, Formatter};

use crate::{Body, Form, Literal, Tree};

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Literal(literal) => literal.fmt(f),
            Form::List(items) => list(f, ["[", "]"], items, |f, item| item.fmt(f)),
            Form::Map(entries) => list(f, ["{", "}"], entries, |f, (key, value)| write!(f, "{key}: {value}")),
            Form::Call(name, body) => {
                if let Some(name) = name {
                    f.write_str(&name.text)?;
                }
                match body {
                    Body::None => Ok(()),
                    Body::Items(items) => list(f, ["(", ")"], items, |f, item| item.fmt(f)),
                    Body::Fields(fields) => {
                        list(f, ["(", ")"], fields, |f, (key, value)| write!(f, "{}: {value}", key.text))
                    }
                }
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Bool(v) => write!(f, "{v}"),
            Literal::Int(v) => write!(f, "{v}"),
            Literal::Float(v) => write!(f, "{v:?}"),
            Literal::Text(v) => write!(f, "{v:?}"),
            Literal::Char(v) => write!(f, "{v:?}"),
        }
    }
}

fn list<T>(
    f: &mut Formatter<'_>,
    [open, close]: [&str; 2],
    items: &[T],
    each: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_str(open)?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        each(f, item)?;
    }
    f.write_str(close)
}
