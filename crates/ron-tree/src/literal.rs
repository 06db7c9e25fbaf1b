//! Finds where literals end. What they mean, the `ron` crate says.

use crate::parse::Parser;
use crate::{Error, Form, Literal, Span};

impl Parser<'_> {
    pub(crate) fn number(&mut self) -> Result<Form, Error> {
        let rest = self.rest();
        let hex = rest.trim_start_matches(['+', '-']).starts_with("0x");
        let mut sign = true;
        let part = |c: char| {
            let part = c.is_alphanumeric() || matches!(c, '.' | '_') || sign && matches!(c, '+' | '-');
            sign = !hex && matches!(c, 'e' | 'E');
            part
        };
        let (start, text) = self.advance(rest.len() - rest.trim_start_matches(part).len());
        // The narrowest reading that `ron` accepts, so that whole numbers stay exact.
        if let Ok(v) = ron::from_str::<u64>(text) {
            return Ok(Form::Literal(Literal::Int(v.into())));
        }
        if let Ok(v) = ron::from_str::<i64>(text) {
            return Ok(Form::Literal(Literal::Int(v.into())));
        }
        match ron::from_str::<f64>(text) {
            Ok(v) => Ok(Form::Literal(Literal::Float(v))),
            Err(_) => Err(Error::new(format!("`{text}` is not a number")).at(self.span(start))),
        }
    }

    pub(crate) fn string(&mut self) -> Result<Form, Error> {
        let mut escaped = false;
        let end = self.rest()[1..].find(|c| {
            let end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            end
        });
        self.text_until(end.map(|at| at + 2), "\"")
    }

    pub(crate) fn raw_string(&mut self) -> Result<Form, Error> {
        let raw = &self.rest()[1..];
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let close = format!("\"{}", "#".repeat(hashes));
        let start = 1 + hashes + 1;
        self.text_until(self.rest()[start..].find(&close).map(|at| start + at + close.len()), &close)
    }

    fn text_until(&mut self, end: Option<usize>, close: &str) -> Result<Form, Error> {
        let Some(end) = end else {
            let opened = Span::new(self.source, self.at, self.at + 1);
            return Err(Error::new("this text is never closed")
                .at(opened)
                .help(format!("put a `{close}` at its end")));
        };
        let (start, text) = self.advance(end);
        let read = ron::from_str::<String>(text);
        read.map(|text| Form::Literal(Literal::Text(text))).map_err(|e| self.inside(start, &e))
    }

    pub(crate) fn character(&mut self) -> Result<Form, Error> {
        let rest = self.rest();
        let from = if rest.starts_with("'\\") { 3 } else { 2 };
        let length: usize = rest.chars().take(from).map(char::len_utf8).sum();
        let end = rest[length..].find('\'').map_or(length, |at| length + at + 1);
        let (start, text) = self.advance(end);
        match ron::from_str::<char>(text) {
            Ok(c) => Ok(Form::Literal(Literal::Char(c))),
            Err(_) => {
                let opened = Span::new(self.source, start, start + 1);
                Err(Error::new("a character is one sign between `'` and `'`")
                    .at(opened)
                    .help("text needs `\"`"))
            }
        }
    }

    /// What `ron` found wrong within the text that starts at byte `start`.
    fn inside(&self, start: usize, error: &ron::error::SpannedError) -> Error {
        let text = &self.text[start..self.at];
        let line: usize = text.split_inclusive('\n').take(error.span.end.line - 1).map(str::len).sum();
        let before: usize = text[line..].chars().take(error.span.end.col - 1).map(char::len_utf8).sum();
        // `ron` stops behind the sign that is wrong.
        let wrong = text[..line + before].char_indices().next_back().map_or(0, |(at, _)| at);
        let what = error.code.to_string();
        let what = what.replacen(|c: char| c.is_uppercase(), &what[..1].to_lowercase(), 1);
        let error = Error::new(what).at(Span::new(self.source, start + wrong, start + line + before));
        error.help("a backslash is `\\\\`; in `r\"raw text\"` it stands for itself")
    }
}
