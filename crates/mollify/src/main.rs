//! Trains and samples diffusion models from RON pipelines.

use std::process::ExitCode;

fn main() -> ExitCode {
    mollify::main(&[&mollify::plugin])
}
