//! The shape of RON: values, each with the place it was read from.

use crate::Span;

/// A RON value that knows where it stands.
#[derive(Clone, Debug)]
pub struct Tree {
    pub form: Form,
    pub span: Span,
}

/// What a value is made of.
#[derive(Clone, Debug)]
pub enum Form {
    /// `true`, `42`, `1e-3`, `"text"`, `'c'`.
    Literal(Literal),
    /// `[a, b]`.
    List(Vec<Tree>),
    /// `{key: value}`.
    Map(Vec<(Tree, Tree)>),
    /// `Name`, `Name(field: value)`, `Name(a, b)`, and the same without a name.
    Call(Option<Word>, Body),
}

/// What stands in the parentheses of a call.
#[derive(Clone, Debug)]
pub enum Body {
    /// There are no parentheses.
    None,
    /// `(a, b)`.
    Items(Vec<Tree>),
    /// `(field: value)`, and `()`.
    Fields(Vec<(Word, Tree)>),
}

/// A value without parts.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Bool(bool),
    /// Anything that fits in an `i64` or a `u64`.
    Int(i128),
    Float(f64),
    Text(String),
    Char(char),
}

/// A name and where it stands.
#[derive(Clone, Debug)]
pub struct Word {
    pub text: String,
    pub span: Span,
}

impl Tree {
    /// The name in front of the parentheses, if any.
    pub fn name(&self) -> Option<&Word> {
        match &self.form {
            Form::Call(name, _) => name.as_ref(),
            _ => None,
        }
    }

    /// The text of a string literal.
    pub fn text(&self) -> Option<&str> {
        match &self.form {
            Form::Literal(Literal::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The name, if this is a bare lower-case word, which stands for a given value.
    pub fn bare(&self) -> Option<&Word> {
        match &self.form {
            Form::Call(Some(word), Body::None) => {
                Some(word).filter(|word| word.text.starts_with(|c: char| c.is_lowercase() || c == '_'))
            }
            _ => None,
        }
    }

    /// The fields in the parentheses, with their names.
    pub fn fields(&self) -> &[(Word, Tree)] {
        match &self.form {
            Form::Call(_, Body::Fields(fields)) => fields,
            _ => &[],
        }
    }

    /// Whether fields can be added: to `Name(…)` and `Name`, but not to a given name.
    pub fn takes_fields(&self) -> bool {
        match &self.form {
            Form::Call(_, Body::Fields(_)) => true,
            Form::Call(_, Body::None) => self.bare().is_none(),
            _ => false,
        }
    }

    /// The value of a field, or of a text key of a map.
    pub fn field(&self, name: &str) -> Option<&Tree> {
        match &self.form {
            Form::Map(entries) => {
                entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
            }
            _ => self.fields().iter().find(|(key, _)| key.text == name).map(|(_, value)| value),
        }
    }

    /// The value of a field, or of a text key of a map, to be changed.
    pub fn field_mut(&mut self, name: &str) -> Option<&mut Tree> {
        match &mut self.form {
            Form::Map(entries) => {
                entries.iter_mut().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
            }
            Form::Call(_, Body::Fields(fields)) => {
                fields.iter_mut().find(|(key, _)| key.text == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Takes a field out of the tree.
    pub fn take(&mut self, name: &str) -> Option<(Word, Tree)> {
        match &mut self.form {
            Form::Call(_, Body::Fields(fields)) => {
                let at = fields.iter().position(|(key, _)| key.text == name)?;
                Some(fields.remove(at))
            }
            _ => None,
        }
    }

    /// The value that a dotted path leads to, as far as the path goes: fields by name, items by number.
    pub fn nearest(&self, path: &str) -> &Tree {
        let mut at = self;
        for part in path.split('.') {
            let item = match &at.form {
                Form::List(items) | Form::Call(_, Body::Items(items)) => {
                    part.parse::<usize>().ok().and_then(|i| items.get(i))
                }
                _ => at.field(part),
            };
            let Some(item) = item else { break };
            at = item;
        }
        at
    }

    /// Calls `visit` on this value and on every value inside it.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Tree)) {
        visit(self);
        match &self.form {
            Form::Literal(_) | Form::Call(_, Body::None) => {}
            Form::List(items) | Form::Call(_, Body::Items(items)) => {
                items.iter().for_each(|item| item.walk(visit))
            }
            Form::Call(_, Body::Fields(fields)) => fields.iter().for_each(|(_, value)| value.walk(visit)),
            Form::Map(entries) => entries.iter().for_each(|(key, value)| {
                key.walk(visit);
                value.walk(visit);
            }),
        }
    }
}
