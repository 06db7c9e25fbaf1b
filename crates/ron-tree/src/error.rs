//! Mistakes with their places, drawn the way rustc draws them.

use std::fmt::{self, Display, Formatter};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::{Sources, Span};

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// One sentence: what is there, and what was expected.
    pub what: String,
    /// The place to change.
    pub span: Option<Span>,
    /// A word or two beside the place.
    pub label: Option<String>,
    /// Other places that explain the mistake.
    pub notes: Vec<(Span, String)>,
    /// The next step to take.
    pub help: Option<String>,
}

impl Error {
    /// A mistake without a place yet.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), span: None, label: None, notes: Vec::new(), help: None }
    }

    /// Says where, unless something closer to the mistake already did.
    pub fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// Writes `label` beside the place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label.get_or_insert(label.into());
        self
    }

    /// Shows another place that explains the mistake.
    pub fn note(mut self, span: Span, label: impl Into<String>) -> Self {
        self.notes.push((span, label.into()));
        self
    }

    /// Says what to do, unless that has been said.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.get_or_insert(help.into());
        self
    }

    /// Offers the known name nearest to `wrong`, or lists them all.
    pub fn suggest<S: AsRef<str>>(self, wrong: &str, known: &[S]) -> Self {
        match nearest(wrong, known) {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None if known.is_empty() => self,
            None => {
                let names: Vec<String> = known.iter().map(|name| format!("`{}`", name.as_ref())).collect();
                self.help(format!("known here: {}", names.join(", ")))
            }
        }
    }
}

/// The known name that is so like `wrong` that it was most likely meant.
pub fn nearest<'a, S: AsRef<str>>(wrong: &str, known: &'a [S]) -> Option<&'a str> {
    let near = |name: &&str| distance(wrong, name) <= name.len().max(wrong.len()) / 3;
    known.iter().map(AsRef::as_ref).filter(near).min_by_key(|name| distance(wrong, name))
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {}

/// Everything wrong at once. Its [`Display`] is rustc's form without colours.
#[derive(Clone, Debug)]
pub struct Report {
    pub errors: Vec<Error>,
    pub sources: Sources,
}

impl Report {
    /// Draws every error under its place, with colours for a terminal or without.
    pub fn draw(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let drawn = self.errors.iter().map(|error| renderer.render(&[self.group(error)]));
        drawn.collect::<Vec<String>>().join("\n\n")
    }

    fn group<'a>(&'a self, error: &'a Error) -> Group<'a> {
        let title = Level::ERROR.primary_title(error.what.as_str());
        let mut group = title.elements(self.snippets(error));
        if let Some(help) = &error.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        group
    }

    /// One snippet for each source that the error touches, the place to change first.
    fn snippets<'a>(&'a self, error: &'a Error) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let primary = error.span.iter().map(|span| (*span, AnnotationKind::Primary, error.label.as_deref()));
        let notes =
            error.notes.iter().map(|(span, label)| (*span, AnnotationKind::Context, Some(label.as_str())));
        let places: Vec<_> = primary.chain(notes).collect();
        let mut sources: Vec<u16> = Vec::new();
        for (span, ..) in &places {
            if !sources.contains(&span.source) {
                sources.push(span.source);
            }
        }
        let snippet = |source: u16| {
            let here = places.iter().filter(move |(span, ..)| span.source == source);
            let marks = here.map(|(span, kind, label)| kind.span(self.range(*span)).label(*label));
            Snippet::source(self.sources.text(source)).path(self.sources.name(source)).annotations(marks)
        };
        sources.into_iter().map(snippet).collect()
    }

    /// A span within its text, cut at the end of its first line.
    fn range(&self, span: Span) -> std::ops::Range<usize> {
        let text = self.sources.text(span.source);
        let start = (span.start as usize).min(text.len());
        let end = (span.end as usize).clamp(start, text.len());
        start..text[start..end].find('\n').map_or(end, |line| start + line)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.draw(false))
    }
}

impl std::error::Error for Report {}

/// Edits needed to turn one name into the other; swapping two neighbours is one edit.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut d = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            if i == 0 || j == 0 {
                d[i][j] = i + j;
                continue;
            }
            let change = d[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            d[i][j] = change.min(d[i - 1][j] + 1).min(d[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                d[i][j] = d[i][j].min(d[i - 2][j - 2] + 1);
            }
        }
    }
    d[a.len()][b.len()]
}
