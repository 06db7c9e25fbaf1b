//! Replaces given names by their values.

use crate::{Body, Error, Form, Tree, Word};

impl Tree {
    /// Replaces every bare lower-case word by what `given` says it is, and notes those it does not know.
    pub fn fill(&mut self, given: &[(Word, Tree)], errors: &mut Vec<Error>) {
        if let Some(word) = self.bare() {
            match given.iter().find(|(key, _)| key.text == word.text) {
                Some((_, value)) => *self = value.clone(),
                None => {
                    let known: Vec<&str> = given.iter().map(|(key, _)| key.text.as_str()).collect();
                    let what = format!("nothing named `{}` is given", word.text);
                    errors.push(
                        Error::new(what).at(word.span).suggest(&word.text, &known).help("text needs quotes"),
                    );
                }
            }
            return;
        }
        match &mut self.form {
            Form::List(items) | Form::Call(_, Body::Items(items)) => {
                items.iter_mut().for_each(|item| item.fill(given, errors));
            }
            Form::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.fill(given, errors)),
            Form::Call(_, Body::Fields(fields)) => {
                fields.iter_mut().for_each(|(_, value)| value.fill(given, errors))
            }
            _ => {}
        }
    }
}
