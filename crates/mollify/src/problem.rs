//! What ends a command without success, in the words that the user reads.

use std::io::{self, IsTerminal, Write};

use crate::stderr::say;
use pipeline::{Error, Failure, Report};

/// Everything that is wrong.
#[derive(Debug, Default)]
pub(crate) struct Problem(Vec<Report>);

impl Problem {
    /// Something that is wrong with no line of a pipeline.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Error::new(what).into()
    }

    pub(crate) fn add(&mut self, problem: Problem) {
        self.0.extend(problem.0);
    }

    /// Fine if nothing was added.
    pub(crate) fn or_ok(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Prints it all to the standard error.
    pub(crate) fn show(&self) {
        let colours = io::stderr().is_terminal();
        let drawn: Vec<String> = self.0.iter().map(|report| report.draw(colours)).collect();
        say(drawn.join("\n\n"));
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Report { errors: vec![error], sources: Default::default() }.into()
    }
}

impl From<Report> for Problem {
    fn from(report: Report) -> Self {
        Self(vec![report])
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        failure.report.into()
    }
}

impl From<checkpoint::Error> for Problem {
    fn from(error: checkpoint::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<tensor::Error> for Problem {
    fn from(error: tensor::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Prints a result to the standard output; a reader that has had enough (`| head`) is no problem.
pub(crate) fn print(text: &str) -> Result<(), Problem> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Problem::new(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}
