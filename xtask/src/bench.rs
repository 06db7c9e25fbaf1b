//! `cargo xtask bench`: how fast mollify is and how much memory it takes, beside PyTorch if wanted.

mod options;
mod result;

use std::process::{Command, Stdio};

use options::{Options, Peer};
use result::{Measured, median};

use crate::chores::{cargo, root, run, shown, target};

/// Networks, with the batch that they are measured with.
const CONFIGS: [(&str, u32); 3] = [("small32", 16), ("cifar10", 4), ("tiny8", 64)];
const MODES: [&str; 3] = ["forward", "train", "sample"];
/// A share of the cores that others may use without being warned about.
const QUIET: f64 = 0.1;

pub(crate) fn bench(args: &[&str]) -> Result<(), String> {
    let Some(options) = Options::read(args)? else {
        print!("{}", options::HELP);
        return Ok(());
    };
    run(cargo(&["build", "--release", "--package", "mollify", "--example", "bench"]))?;
    println!("\n{}", result::heading(options.peer.is_some()));
    let mut disturbed = false;
    for (config, batch) in CONFIGS.into_iter().filter(|(config, _)| options.configs.contains(config)) {
        for mode in MODES.into_iter().filter(|mode| options.modes.contains(mode)) {
            let job = Job { config, mode, batch };
            let (ours, peers) = job.measure(&options)?;
            disturbed |= ours.iter().chain(&peers).any(|measured| measured.other_cores > QUIET);
            println!("{}", result::row(&job, &ours, &peers));
        }
    }
    if disturbed {
        println!(
            "\nwarning: other processes were using the cores meanwhile, so these numbers are not worth quoting"
        );
    }
    Ok(())
}

/// One thing to measure.
pub(crate) struct Job {
    pub(crate) config: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) batch: u32,
}

impl Job {
    /// Measures ours and the peer in turns, so that both see the machine in the same moods.
    fn measure(&self, options: &Options) -> Result<(Vec<Measured>, Vec<Measured>), String> {
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            ours.push(self.ask(options, Command::new(target().join("release/examples/bench")))?);
            if let Some(Peer { python }) = &options.peer {
                let mut peer = Command::new(python);
                peer.arg(root().join("bench/bench.py")).args(["--device", "cpu"]);
                peers.push(self.ask(options, peer)?);
            }
        }
        Ok((ours, peers))
    }

    /// Runs one measurement in a process of its own, so that its peak memory is its own.
    fn ask(&self, options: &Options, mut command: Command) -> Result<Measured, String> {
        let seconds = options.seconds / f64::from(options.rounds);
        command.args(["--config", self.config, "--mode", self.mode]);
        command.args(["--batch", &self.batch.to_string(), "--seconds", &seconds.to_string()]);
        command.args(["--threads", &options.threads.to_string()]);
        command.stderr(Stdio::inherit());
        let shown = shown(&command);
        let output = command.output().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
        if !output.status.success() {
            return Err(format!("`{shown}` failed: {}", output.status));
        }
        Measured::read(&String::from_utf8_lossy(&output.stdout))
            .ok_or(format!("`{shown}` printed no measurement"))
    }
}

/// The median of what a measurement says, over its rounds.
pub(crate) fn over(rounds: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    median(rounds.iter().map(of).collect())
}
