//! What people read while something runs.

use std::fmt::Display;
use std::io::{Write, stderr};

/// Writes a line to the error stream. A stream that nobody reads any more, as behind `2>&1 | head`, ends no run.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}
