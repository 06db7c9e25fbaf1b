//! mollify with spirals.

use std::process::ExitCode;

fn main() -> ExitCode {
    mollify::main(&[&mollify::plugin, &spiral::plugin])
}
