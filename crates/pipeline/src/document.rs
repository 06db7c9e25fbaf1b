//! Pipeline files: bases, given names, settings and sweeps worked into one list of nodes.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use bevy_ecs::prelude::*;
use ron_tree::{Body, Error, Form, Report, Sources, Span, Tree, Word, nearest};

use crate::base::{load, stack};
use crate::{setting, sweep};

const FIELDS: [&str; 5] = ["about", "base", "given", "nodes", "sweep"];

/// A pipeline file with its base, settings and given values worked in. A wired world has it as a resource.
#[derive(Resource, Clone, Debug)]
pub struct Pipeline {
    /// Every file and setting it was read from.
    pub sources: Sources,
    /// What it is for, in its own words.
    pub about: String,
    /// The nodes in file order: name and `Kind(field: value)`.
    pub nodes: Vec<(Word, Tree)>,
    /// Paths to vary, and what to put there.
    pub sweep: Vec<(String, Vec<Tree>)>,
    /// What is wrong but leaves the rest readable, so that wiring reports it together with what it finds itself.
    pub(crate) mistakes: Vec<Error>,
}

impl Pipeline {
    /// Reads `path` and everything it is based on, then applies settings: `name=value` or `node.field=value`.
    ///
    /// Fails on what makes the file unreadable; [`Engine::wire`](crate::Engine::wire) reports everything else.
    pub fn open(path: impl AsRef<Path>, settings: &[&str]) -> Result<Self, Report> {
        let mut sources = Sources::default();
        let tree = load(path.as_ref(), None, &mut Vec::new(), &mut sources);
        Self::finish(tree, settings, sources)
    }

    /// Reads a text as if it stood in the file `name`, which need not be there.
    pub fn read(name: &str, text: &str, settings: &[&str]) -> Result<Self, Report> {
        let mut sources = Sources::default();
        let tree = stack(Path::new(name), text, &mut Vec::new(), &mut sources);
        Self::finish(tree, settings, sources)
    }

    fn finish(tree: Result<Tree, Error>, settings: &[&str], mut sources: Sources) -> Result<Self, Report> {
        let mut tree = match tree {
            Ok(tree) => tree,
            Err(error) => return Err(Report { errors: vec![error], sources }),
        };
        let mut mistakes = Vec::new();
        check(&tree, &mut mistakes);
        check_given(&tree, &mut mistakes);
        unused(&tree, &mut mistakes);
        for setting in settings {
            mistakes.extend(setting::apply(&mut tree, setting, &mut sources).err());
        }
        let about = tree.field("about").and_then(Tree::text).unwrap_or_default().to_owned();
        let sweep = tree.take("sweep").map(|(_, sweep)| sweep::read(&tree, &sweep, &mut mistakes));
        let nodes = nodes(&mut tree, &sources, &mut mistakes);
        Ok(Self { sources, about, nodes, sweep: sweep.unwrap_or_default(), mistakes })
    }
}

/// A file has known fields only, and each of them holds what it should.
fn check(tree: &Tree, mistakes: &mut Vec<Error>) {
    let Form::Call(None, Body::Fields(fields)) = &tree.form else {
        let span = tree.name().map_or(Span { end: tree.span.start + 1, ..tree.span }, |name| name.span);
        let error = Error::new("a pipeline is a list of fields in parentheses").at(span);
        return mistakes.push(error.help("it looks like `(nodes: {\"name\": Kind(field: value)})`"));
    };
    for (key, value) in fields {
        let looks = match (key.text.as_str(), &value.form) {
            ("about", _) if value.text().is_none() => "is text in quotes",
            ("given", form) if !matches!(form, Form::Call(None, Body::Fields(_))) => {
                "looks like `(steps: 18)`"
            }
            ("nodes", form) if !matches!(form, Form::Map(_)) => "looks like `{\"name\": Kind(field: value)}`",
            (known, _) if FIELDS.contains(&known) => continue,
            (unknown, _) => {
                let error = Error::new(format!("a pipeline has no field `{unknown}`")).at(key.span);
                mistakes.push(error.suggest(unknown, &FIELDS));
                continue;
            }
        };
        mistakes.push(Error::new(format!("`{}` {looks}, found `{value}`", key.text)).at(value.span));
    }
    if tree.field("nodes").is_none() {
        let error = Error::new("a pipeline needs `nodes`").at(Span { end: tree.span.start + 1, ..tree.span });
        mistakes.push(error.help("add `nodes: {\"name\": Kind(field: value)}`"));
    }
}

/// Given values are plain RON under lower-case names.
fn check_given(tree: &Tree, mistakes: &mut Vec<Error>) {
    for (name, value) in tree.field("given").map_or(&[][..], Tree::fields) {
        if !name.text.starts_with(|c: char| c.is_lowercase() || c == '_') {
            let what = format!("the given name `{}` has to start with a lower-case letter", name.text);
            mistakes.push(Error::new(what).at(name.span).help("upper-case words are kinds and choices"));
        }
        value.walk(&mut |part| {
            if let Some(word) = part.bare() {
                let error =
                    Error::new(format!("`{}` is a given value made of a name", word.text)).at(word.span);
                mistakes.push(error.help("given values are plain RON; text needs quotes"));
            }
        });
    }
}

/// Every name that the file itself gives has to be used, since an unused one is most likely misspelt.
///
/// Those of a base may be unused, because the file on top can take nodes out.
fn unused(tree: &Tree, mistakes: &mut Vec<Error>) {
    let mut used: Vec<&str> = Vec::new();
    if let Some(nodes) = tree.field("nodes") {
        nodes.walk(&mut |part| used.extend(part.bare().map(|word| word.text.as_str())));
    }
    let given = tree.field("given").map_or(&[][..], Tree::fields);
    let lacking: Vec<&str> =
        used.iter().copied().filter(|name| given.iter().all(|(known, _)| known.text != *name)).collect();
    for (name, _) in given {
        let mine = name.span.source == 0 && mistakes.iter().all(|old| old.span != Some(name.span));
        if mine && !used.contains(&name.text.as_str()) {
            let help = match nearest(&name.text, &lacking) {
                Some(lacking) => format!("a node uses `{lacking}`, which is not given"),
                None => "take it out, or use its name in a node".to_owned(),
            };
            mistakes.push(
                Error::new(format!("`{}` is given but never used", name.text)).at(name.span).help(help),
            );
        }
    }
}

/// Takes the nodes out of the tree, with given names replaced by their values.
fn nodes(tree: &mut Tree, sources: &Sources, mistakes: &mut Vec<Error>) -> Vec<(Word, Tree)> {
    let given = tree.field("given").map(|given| given.fields().to_vec()).unwrap_or_default();
    let Some((_, Tree { form: Form::Map(entries), .. })) = tree.take("nodes") else { return Vec::new() };
    let mut nodes = Vec::new();
    for (key, mut node) in entries {
        match node_name(&key, &node) {
            Ok(name) => {
                let before = mistakes.len();
                node.fill(&given, mistakes);
                mistakes[before..].iter_mut().for_each(|error| ask_for_quotes(error, sources));
                nodes.push((name, node));
            }
            Err(error) => mistakes.push(error),
        }
    }
    nodes
}

fn node_name(key: &Tree, node: &Tree) -> Result<Word, Error> {
    let error = match key.text() {
        None => Error::new(format!("a node's name stands in quotes, found `{key}`")),
        Some(text) if node.name().is_some_and(|name| name.text == "None") => {
            Error::new(format!("there is no `{text}` to take out"))
                .help("`None` takes out a node of the base")
        }
        Some("") => Error::new("a node needs a name"),
        Some(text) => match text.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_'))) {
            None => return Ok(Word { text: text.to_owned(), span: key.span }),
            Some(sign) => Error::new(format!("a node's name cannot have `{sign}` in it"))
                .help("letters, digits, `-` and `_` are fine"),
        },
    };
    Err(error.at(key.span))
}

/// On a command line, an unknown name is most likely a text that lost its quotes.
fn ask_for_quotes(error: &mut Error, sources: &Sources) {
    let Some(span) = error.span.filter(|span| sources.name(span.source) == setting::SOURCE) else { return };
    if !error.help.as_ref().is_some_and(|help| help.starts_with("did you mean"))
        && let Some((path, text)) = sources.text(span.source).split_once('=')
    {
        error.help = Some(setting::quote(path, text));
    }
}

/// Prints a pipeline file that needs no other: without base, given names and sweep.
impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "(\n    about: {:?},\n    nodes: {{", self.about)?;
        for (name, tree) in &self.nodes {
            writeln!(f, "        {:?}: {tree},", name.text)?;
        }
        f.write_str("    },\n)\n")
    }
}
