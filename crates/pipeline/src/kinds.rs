//! The manual of every kind of node, from what the kinds say about themselves.

use std::fmt::Write;

use bevy_ecs::component::ComponentId;
use ron_tree::{Error, Report};

use crate::engine::Kind;
use crate::outline::Field;
use crate::{Constant, Engine, Pure, Unfinished};

impl Engine {
    /// Every kind of node: what it makes, its fields and what they take.
    ///
    /// `← Images` is the name of a node that makes `Images`, `⇠ Images` the same for last tick's value.
    pub fn kinds(&self) -> String {
        let mut out = String::new();
        for (name, kind) in &self.kinds {
            let doc = kind.doc.lines().next().unwrap_or_default();
            let dash = if doc.is_empty() { "" } else { " — " };
            writeln!(out, "{name} → {}{dash}{doc}", self.makes(kind)).unwrap();
            for field in &kind.outline.fields {
                writeln!(out, "    {}", line(field)).unwrap();
            }
        }
        out
    }

    /// The whole page of one kind.
    pub fn kind(&self, name: &str) -> Result<String, Report> {
        let Some(kind) = self.kinds.get(name) else {
            let known: Vec<&str> = self.kinds.keys().copied().collect();
            let error = Error::new(format!("no kind of node is called `{name}`")).suggest(name, &known);
            return Err(Report { errors: vec![error], sources: Default::default() });
        };
        let mut out = format!("{name} → {}\n", self.makes(kind));
        if !kind.doc.is_empty() {
            writeln!(out, "\n{}", kind.doc).unwrap();
        }
        if self.requires::<Constant>(kind) {
            out.push_str("\nIt runs once.\n");
        }
        if self.requires::<Pure>(kind) {
            out.push_str("\nIts value follows from what it reads and nothing else.\n");
        }
        if self.requires::<Unfinished>(kind) {
            out.push_str("\nThe run goes on until it has finished.\n");
        }
        if !kind.outline.fields.is_empty() {
            out.push_str("\nFields:\n");
        }
        for field in &kind.outline.fields {
            let doc = kind.docs.iter().find(|(name, _)| *name == field.name);
            let doc = doc.map_or_else(String::new, |(_, doc)| format!(" — {doc}"));
            writeln!(out, "    {}{doc}", line(field)).unwrap();
        }
        Ok(out)
    }

    /// The ports that a kind makes, in words.
    pub(crate) fn makes(&self, kind: &Kind) -> String {
        let port = |id: &ComponentId| self.ports.iter().find(|(_, port)| *port == id).map(|(name, _)| *name);
        let ports: Vec<&str> = kind.values.iter().filter_map(port).collect();
        if ports.is_empty() { "nothing to read".to_owned() } else { ports.join(" and ") }
    }

    fn requires<T: bevy_ecs::component::Component>(&self, kind: &Kind) -> bool {
        let required = self.world.components().get_info(kind.settings).map(|info| info.required_components());
        let id = self.world.component_id::<T>();
        required.zip(id).is_some_and(|(required, id)| required.iter_ids().any(|other| other == id))
    }
}

fn line(field: &Field) -> String {
    let optional = if field.optional { " (optional)" } else { "" };
    format!("{}: {}{optional}", field.name, field.form)
}
