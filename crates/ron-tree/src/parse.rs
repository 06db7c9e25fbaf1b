//! Reads RON into a [`Tree`], one bracket inside the other.

use crate::{Body, Error, Form, Literal, Sources, Span, Tree, Word};

/// How many brackets may stand inside one another.
const DEPTH: usize = 64;

/// Reads a source, from byte `at` on, as a single RON value.
pub fn parse(sources: &Sources, source: u16, at: usize) -> Result<Tree, Error> {
    let mut parser = Parser { text: sources.text(source), at, source, depth: 0 };
    let tree = parser.value()?;
    parser.space()?;
    match parser.peek() {
        None => Ok(tree),
        Some(_) => Err(parser.wrong("the end of the text")),
    }
}

pub(crate) struct Parser<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
    pub(crate) source: u16,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Tree, Error> {
        self.space()?;
        let start = self.at;
        let form = match self.peek() {
            Some('[') => Form::List(self.items('[', ']', Self::value)?),
            Some('{') => Form::Map(self.entries()?),
            Some('(') => Form::Call(None, self.body()?),
            Some('"') => self.string()?,
            Some('r') if self.rest()[1..].trim_start_matches('#').starts_with('"') => self.raw_string()?,
            Some('\'') => self.character()?,
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => self.number()?,
            Some(c) if c.is_alphabetic() || c == '_' => self.named()?,
            Some('#') => {
                return Err(self.wrong("a value").help("`#![enable(…)]` is not needed here, take it out"));
            }
            _ => return Err(self.wrong("a value")),
        };
        Ok(Tree { form, span: self.span(start) })
    }

    /// A word: `true`, `inf`, a name, or a name with parentheses.
    fn named(&mut self) -> Result<Form, Error> {
        let name = self.word()?;
        match name.text.as_str() {
            "true" => return Ok(Form::Literal(Literal::Bool(true))),
            "false" => return Ok(Form::Literal(Literal::Bool(false))),
            "inf" => return Ok(Form::Literal(Literal::Float(f64::INFINITY))),
            "NaN" => return Ok(Form::Literal(Literal::Float(f64::NAN))),
            _ => {}
        }
        let after = self.at;
        self.space()?;
        if self.peek() == Some('(') {
            return Ok(Form::Call(Some(name), self.body()?));
        }
        self.at = after;
        Ok(Form::Call(Some(name), Body::None))
    }

    /// What stands between parentheses: `field: value` pairs or plain values.
    fn body(&mut self) -> Result<Body, Error> {
        if self.keyed()? {
            let fields = self.items('(', ')', |parser| {
                let key = parser.word()?;
                parser.expect(':')?;
                Ok((key, parser.value()?))
            })?;
            self.distinct(fields.iter().map(|(key, _)| (key.text.as_str(), key.span)))?;
            return Ok(Body::Fields(fields));
        }
        let items = self.items('(', ')', Self::value)?;
        Ok(if items.is_empty() { Body::Fields(Vec::new()) } else { Body::Items(items) })
    }

    /// Looks ahead whether `name:` follows the opening parenthesis.
    fn keyed(&mut self) -> Result<bool, Error> {
        let start = self.at;
        self.at += 1;
        self.space()?;
        let keyed = self.peek().is_some_and(|c| c.is_alphabetic() || c == '_') && {
            self.word()?;
            self.space()?;
            self.peek() == Some(':')
        };
        self.at = start;
        Ok(keyed)
    }

    fn entries(&mut self) -> Result<Vec<(Tree, Tree)>, Error> {
        let entries = self.items('{', '}', |parser| {
            let key = parser.value()?;
            parser.expect(':')?;
            Ok((key, parser.value()?))
        })?;
        self.distinct(entries.iter().filter_map(|(key, _)| Some((key.text()?, key.span))))?;
        Ok(entries)
    }

    fn distinct<'b>(&self, names: impl Iterator<Item = (&'b str, Span)>) -> Result<(), Error> {
        let mut seen: Vec<(&str, Span)> = Vec::new();
        for (name, span) in names {
            if let Some((_, first)) = seen.iter().find(|(old, _)| *old == name) {
                return Err(Error::new(format!("`{name}` stands here twice"))
                    .at(span)
                    .note(*first, "the first is here"));
            }
            seen.push((name, span));
        }
        Ok(())
    }

    fn items<T>(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let opened = Span::new(self.source, self.at, self.at + 1);
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::new(format!("more than {DEPTH} brackets stand inside one another")).at(opened));
        }
        let mut items = Vec::new();
        loop {
            self.space()?;
            match self.peek() {
                Some(c) if c == close => break,
                None | Some(')' | ']' | '}') => return Err(self.unclosed(open, close, opened)),
                _ => items.push(item(self)?),
            }
            self.space()?;
            match self.peek() {
                Some(',') => self.at += 1,
                Some(c) if c == close => break,
                None | Some(')' | ']' | '}') => return Err(self.unclosed(open, close, opened)),
                _ => return Err(self.wrong(&format!("`,` or `{close}`"))),
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(items)
    }

    fn unclosed(&self, open: char, close: char, opened: Span) -> Error {
        let error = Error::new(format!("this `{open}` is never closed")).at(opened);
        match self.peek() {
            None => error.help(format!("put a `{close}` at the end of its contents")),
            Some(found) => {
                let here = Span::new(self.source, self.at, self.at + 1);
                error.note(here, format!("expected `{close}` before this `{found}`"))
            }
        }
    }

    fn word(&mut self) -> Result<Word, Error> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if end == 0 || rest.starts_with(|c: char| c.is_numeric()) {
            return Err(self.wrong("a name"));
        }
        let start = self.at;
        self.at += end;
        Ok(Word { text: rest[..end].to_owned(), span: self.span(start) })
    }

    /// Skips white space and comments.
    fn space(&mut self) -> Result<(), Error> {
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            if self.rest().starts_with("//") {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else if self.rest().starts_with("/*") {
                self.block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Skips `/* … */`, which may hold others.
    fn block_comment(&mut self) -> Result<(), Error> {
        let opened = Span::new(self.source, self.at, self.at + 2);
        let mut depth = 0;
        loop {
            let rest = self.rest();
            let Some(at) = rest.find("/*").into_iter().chain(rest.find("*/")).min() else {
                return Err(Error::new("this comment is never closed")
                    .at(opened)
                    .help("put `*/` at its end"));
            };
            depth = if rest[at..].starts_with("/*") { depth + 1 } else { depth - 1 };
            self.at += at + 2;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn expect(&mut self, c: char) -> Result<(), Error> {
        self.space()?;
        if self.peek() != Some(c) {
            return Err(self.wrong(&format!("`{c}`")));
        }
        self.at += c.len_utf8();
        Ok(())
    }

    /// Something else stands here than was expected.
    fn wrong(&self, expected: &str) -> Error {
        let rest = self.rest();
        let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let length = word.max(rest.chars().next().map_or(0, char::len_utf8));
        let found = match &rest[..length] {
            "" => "the end of the text".to_owned(),
            found => format!("`{found}`"),
        };
        let span = Span::new(self.source, self.at, self.at + length);
        Error::new(format!("expected {expected}, found {found}")).at(span)
    }

    pub(crate) fn advance(&mut self, length: usize) -> (usize, &'a str) {
        let start = self.at;
        self.at += length;
        (start, &self.text[start..self.at])
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn span(&self, start: usize) -> Span {
        Span::new(self.source, start, self.at)
    }
}
