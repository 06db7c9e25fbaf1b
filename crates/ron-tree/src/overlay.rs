//! Lays one tree over another, and puts single values at a path.

use crate::{Body, Error, Form, Tree, Word};

impl Tree {
    /// Lays `above` over this tree: fields merge, everything else is replaced.
    ///
    /// A call with another name replaces the whole call, since its fields mean something else,
    /// and `None` takes an entry out of a map.
    pub fn overlay(&mut self, above: Tree) {
        match (&mut self.form, above.form) {
            (Form::Map(below), Form::Map(above)) => overlay_entries(below, above),
            (Form::Call(old, Body::Fields(below)), Form::Call(new, Body::Fields(above)))
                if new.is_none() || old.as_ref().map(|w| &w.text) == new.as_ref().map(|w| &w.text) =>
            {
                overlay_fields(below, above);
            }
            (_, form) => *self = Tree { form, span: above.span },
        }
    }

    /// Lays `value` over what is at a path of fields and text keys, adding the last field if it is not there.
    pub fn set(&mut self, path: &[Word], value: Tree) -> Result<(), Error> {
        let [head, rest @ ..] = path else {
            self.overlay(value);
            return Ok(());
        };
        if self.field(&head.text).is_none() && (!rest.is_empty() || !self.takes_fields()) {
            return Err(self.unknown(head));
        }
        if let Some(inner) = self.field_mut(&head.text) {
            return inner.set(rest, value);
        }
        match &mut self.form {
            Form::Call(_, Body::Fields(fields)) => fields.push((head.clone(), value)),
            Form::Call(_, body) => *body = Body::Fields(vec![(head.clone(), value)]),
            _ => {}
        }
        Ok(())
    }

    /// The error that no field or key is named so.
    pub fn unknown(&self, name: &Word) -> Error {
        let known: Vec<&str> = match &self.form {
            Form::Map(entries) => entries.iter().filter_map(|(key, _)| key.text()).collect(),
            _ => self.fields().iter().map(|(key, _)| key.text.as_str()).collect(),
        };
        let what = match self.form {
            Form::Map(_) | Form::Call(..) if self.bare().is_none() => {
                format!("there is no `{}` here", name.text)
            }
            _ => format!("`{self}` has no fields to set"),
        };
        Error::new(what).at(name.span).suggest(&name.text, &known)
    }
}

fn overlay_entries(below: &mut Vec<(Tree, Tree)>, above: Vec<(Tree, Tree)>) {
    for (key, value) in above {
        let at = below.iter().position(|(k, _)| k.text().is_some() && k.text() == key.text());
        match (at, value.name().map(|name| name.text.as_str())) {
            (Some(at), Some("None")) => drop(below.remove(at)),
            (Some(at), _) => below[at].1.overlay(value),
            (None, _) => below.push((key, value)),
        }
    }
}

fn overlay_fields(below: &mut Vec<(Word, Tree)>, above: Vec<(Word, Tree)>) {
    for (key, value) in above {
        match below.iter_mut().find(|(k, _)| k.text == key.text) {
            Some((_, old)) => old.overlay(value),
            None => below.push((key, value)),
        }
    }
}
