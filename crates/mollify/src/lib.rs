#![doc = include_str!("../README.md")]

mod adopt;
mod args;
mod commands;
mod device;
mod explanation;
mod goal;
mod interrupt;
mod json_lines;
mod metrics_file;
mod notes;
mod plan;
mod problem;
pub mod profile;
mod progress;
mod resume;
mod run_folder;
mod snapshot_file;
mod statistics;
mod stderr;
mod values;
mod world;

use std::process::ExitCode;

use clap::Parser;
use pipeline::{Engine, Plugin};

use crate::commands::Ending;

pub use pipeline::port;
pub use values::{Numbers, Values};
pub use {pipeline, ports, tensor};

/// The exit code of a run that Ctrl-C ended, as shells have it.
const INTERRUPTED: u8 = 130;

/// What most kinds of nodes are written with.
pub mod prelude {
    pub use pipeline::{
        Engine, Inputs, Metric, Mistake, Node, Past, Read, Shape, Shapes, This, Unfinished, Wire,
    };
    pub use ports::{Compute, Denoised, Images};
}

/// Every kind of node that mollify comes with.
pub fn plugin(engine: &mut Engine) {
    ports::plugin(engine);
    data::plugin(engine);
    augment::plugin(engine);
    denoise::plugin(engine);
    sampler::plugin(engine);
    train::plugin(engine);
    metrics::plugin(engine);
    plots::plugin(engine);
    values::plugin(engine);
}

/// The command line, with the kinds of nodes that `plugins` teach.
///
/// The exit code is 0 if all went well, 1 for an error, 2 for a command line that makes no sense, 130
/// for a run that was interrupted.
pub fn main(plugins: &[&dyn Plugin]) -> ExitCode {
    device::keep_drivers_quiet();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // If the message cannot be shown there is nobody to show that to.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match commands::execute(args.command, plugins) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(problem) => {
            problem.show();
            ExitCode::FAILURE
        }
    }
}
