//! The commands, a file each.

mod check;
mod dataset;
mod devices;
mod explain;
mod import;
mod info;
mod kinds;
mod run;
mod score;
mod snapshot;

use pipeline::Plugin;

use crate::args::Command;
use crate::problem::Problem;

/// How a command ended without a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    /// The user ended it.
    Interrupted,
}

pub(crate) fn execute(command: Command, plugins: &[&dyn Plugin]) -> Result<Ending, Problem> {
    let done = |result: Result<(), Problem>| result.map(|()| Ending::Done);
    match command {
        Command::Run(args) => run::run(&args, plugins),
        Command::Check { files, settings, mermaid, device } => {
            done(check::check(&files, &settings.settings, mermaid, device.as_ref(), plugins))
        }
        Command::Explain { file, settings } => done(explain::explain(&file, &settings.settings, plugins)),
        Command::Dataset(args) => done(dataset::dataset(args)),
        Command::Score(args) => done(score::score(&args)),
        Command::Kinds { kind } => done(kinds::kinds(kind.as_deref(), plugins)),
        Command::Info { file } => done(info::info(&file)),
        Command::Devices => done(devices::devices()),
        Command::Import { file, out, ema, images } => {
            done(import::import(&file, &out, ema.as_deref(), images))
        }
        Command::Snapshot { files, check, settings, hardware } => {
            done(snapshot::snapshot(&files, check, &settings.settings, &hardware, plugins))
        }
    }
}
