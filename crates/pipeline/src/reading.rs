//! Reads the settings of one node, and the names of other nodes in them.

use std::cell::RefCell;
use std::path::Path;

use bevy_ecs::prelude::*;
use ron_tree::{Error, Form, Links, Reader, Span, Tree, Word};

use crate::engine::{Engine, Insert};
use crate::order::Line;
use crate::wire::either;
use crate::{Pipeline, setting};

/// Reads a node's settings. To find all mistakes, a field that is wrong is left out and the rest is read again.
pub(crate) fn read(
    engine: &Engine,
    names: &Names,
    mut tree: Tree,
    errors: &mut Vec<Error>,
) -> Option<Insert> {
    let Some(name) = tree.name().cloned() else {
        let what = format!("expected a kind of node, like `Kind(field: value)`, found `{tree}`");
        errors.push(Error::new(what).at(tree.span));
        return None;
    };
    let Some(kind) = engine.kinds.get(name.text.as_str()) else {
        let known: Vec<&str> = engine.kinds.keys().copied().collect();
        let what = format!("no kind of node is called `{}`", name.text);
        errors.push(Error::new(what).at(name.span).suggest(&name.text, &known));
        return None;
    };
    let whole = tree.span;
    let mut left_out: Vec<String> = Vec::new();
    loop {
        names.edges.borrow_mut().clear();
        let error = match (kind.fill)(Reader::new(&tree, names)) {
            Ok(insert) => return Some(insert).filter(|_| left_out.is_empty()),
            Err(error) => error,
        };
        if is_missing(&error, &left_out) {
            return None;
        }
        let at = error.span.unwrap_or(whole);
        let wrong = |(key, value): &&(Word, Tree)| key.span.contains(at) || value.span.contains(at);
        let field = tree.fields().iter().find(wrong).map(|(key, _)| key.text.clone());
        // A given name that is unknown was reported when the pipeline was opened.
        if errors.iter().all(|old| old.span != Some(at)) {
            let error = explain(error, &name, whole);
            left_out.extend(error.help.as_ref().and_then(|help| meant(help)));
            errors.push(names.ask_for_quotes(error));
        }
        left_out.push(tree.take(&field?)?.0.text);
    }
}

/// Whether a field is only missing because it, or what was meant to be it, has been left out.
fn is_missing(error: &Error, left_out: &[String]) -> bool {
    left_out.iter().any(|field| error.what == format!("missing field `{field}`"))
}

/// The name that a "did you mean" suggests.
fn meant(help: &str) -> Option<String> {
    help.strip_prefix("did you mean `")?.strip_suffix("`?").map(str::to_owned)
}

/// Says which node is meant, where the mistake's own place does not.
fn explain(mut error: Error, kind: &Word, node: Span) -> Error {
    if let Some(field) = error.what.strip_prefix("no field ") {
        error.what = format!("`{}` has no field {field}", kind.text);
    }
    match error.span {
        Some(span) if !node.contains(span) => error.note(kind.span, "read by this node"),
        _ => error,
    }
}

/// Resolves the names of nodes while settings are read, and notes every edge.
pub(crate) struct Names<'a> {
    engine: &'a Engine,
    pipeline: &'a Pipeline,
    entities: &'a [Entity],
    /// The node whose settings are read.
    to: Entity,
    edges: RefCell<Vec<Line>>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        pipeline: &'a Pipeline,
        entities: &'a [Entity],
        to: Entity,
    ) -> Self {
        Self { engine, pipeline, entities, to, edges: RefCell::default() }
    }

    pub(crate) fn into_edges(self) -> Vec<Line> {
        self.edges.into_inner()
    }

    /// On a command line, a text easily loses its quotes.
    fn ask_for_quotes(&self, error: Error) -> Error {
        let sources = &self.pipeline.sources;
        let set = error.span.filter(|span| sources.name(span.source) == setting::SOURCE);
        match set.and_then(|span| sources.text(span.source).split_once('=')) {
            Some((path, text)) if error.what.starts_with("expected text") => {
                error.help(setting::quote(path, text))
            }
            _ => error,
        }
    }

    /// Says which nodes of the pipeline make that port.
    pub(crate) fn makers(&self, port: &'static str) -> String {
        let makes = |(_, tree): &&(Word, Tree)| either(port).any(|port| self.makes(tree, port));
        let nodes = self.pipeline.nodes.iter().filter(makes).map(|(word, _)| format!("`{}`", word.text));
        let nodes: Vec<String> = nodes.collect();
        match nodes.as_slice() {
            [] => format!("no node of this pipeline makes {port}"),
            [node] => format!("{node} makes {port}"),
            nodes => format!("these make {port}: {}", nodes.join(", ")),
        }
    }

    fn makes(&self, tree: &Tree, port: &str) -> bool {
        let kind = tree.name().and_then(|name| self.engine.kinds.get(name.text.as_str()));
        kind.zip(self.engine.ports.get(port)).is_some_and(|(kind, id)| kind.values.contains(id))
    }

    fn resolve(&self, text: &str, port: Option<&'static str>, past: bool, span: Span) -> Result<u64, Error> {
        let Some(at) = self.pipeline.nodes.iter().position(|(word, _)| word.text == text) else {
            let known: Vec<&str> = self.pipeline.nodes.iter().map(|(word, _)| word.text.as_str()).collect();
            let mut error = Error::new(format!("no node is named `{text}`")).at(span).suggest(text, &known);
            if let (Some(port), Some(help)) = (port, &error.help)
                && help.starts_with("known")
            {
                error.help = Some(self.makers(port));
            }
            return Err(error);
        };
        let from = self.entities[at];
        let tree = &self.pipeline.nodes[at].1;
        let port = port.map(|port| either(port).find(|port| self.makes(tree, port)).unwrap_or(port));
        self.edges.borrow_mut().push(Line { from, to: self.to, name: text.to_owned(), port, past, span });
        Ok(from.to_bits())
    }
}

impl Links for Names<'_> {
    fn link(&self, token: &'static str, tree: &Tree) -> Option<Result<u64, Error>> {
        let (sort, port) = token.split_once(':')?;
        let port = Some(port).filter(|port| !port.is_empty());
        match (sort, tree.text()) {
            // Only checked here; the text itself is read as usual.
            ("file", Some(file)) if !Path::new(file).exists() => {
                Some(Err(Error::new(format!("there is no file `{file}`")).at(tree.span)))
            }
            ("wire" | "wires" | "past", Some(text)) => {
                Some(self.resolve(text, port, sort == "past", tree.span))
            }
            // Each of the list is a wire.
            ("wires", None) if matches!(tree.form, Form::List(_)) => None,
            ("wire" | "wires" | "past", None) => {
                let what = format!("expected the name of a node, found `{tree}`");
                let error = Error::new(what).at(tree.name().map_or(tree.span, |name| name.span));
                Some(Err(
                    error.help(port.map_or("names stand in quotes".to_owned(), |port| self.makers(port)))
                ))
            }
            _ => None,
        }
    }
}
