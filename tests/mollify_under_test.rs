//! The product's binary, where tests of this package find it.

use std::process::ExitCode;

fn main() -> ExitCode {
    mollify::main(&[&mollify::plugin])
}
