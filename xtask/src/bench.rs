//! `cargo xtask bench`: how fast mollify is and how much memory it takes, beside PyTorch if wanted.

mod augment;
mod dispatch;
mod options;
mod result;

use std::process::{Command, Stdio};

use options::{Options, Peer};
use result::{Measured, median};

use crate::chores::{cargo, root, run, shown, target};

/// Networks, with the batches that they are measured with on a CPU and on a GPU.
const CONFIGS: [(&str, u32, u32); 3] = [("small32", 16, 512), ("cifar10", 4, 256), ("tiny8", 64, 1024)];
const MODES: [&str; 3] = ["forward", "train", "sample"];
/// A share of the cores that others may use without being warned about.
const QUIET: f64 = 0.1;
const DISTURBED: &str =
    "\nwarning: other processes were using the cores meanwhile, so these numbers are not worth quoting";

pub(crate) fn bench(args: &[&str]) -> Result<(), String> {
    let (what, args): (fn(&Options) -> _, _) = match args {
        ["dispatch", rest @ ..] => (dispatch::dispatch, rest),
        ["augment", rest @ ..] => (augment::augment, rest),
        _ => (measure, args),
    };
    let Some(options) = Options::read(args)? else {
        print!("{}", options::HELP);
        return Ok(());
    };
    run(cargo(&["build", "--release", "--package", "mollify", "--example", "bench"]))?;
    what(&options)
}

/// The program that measures.
fn ours() -> Command {
    Command::new(target().join("release/examples/bench"))
}

fn measure(options: &Options) -> Result<(), String> {
    println!("\n{}", result::heading(options.peer.is_some()));
    let mut disturbed = false;
    for (config, on_cpu, on_gpu) in
        CONFIGS.into_iter().filter(|(config, ..)| options.configs.contains(config))
    {
        let batch = options.batch.unwrap_or(if options.on_gpu() { on_gpu } else { on_cpu });
        for mode in MODES.into_iter().filter(|mode| options.modes.contains(mode)) {
            let job = Job { config, mode, batch };
            let (ours, peers) = job.measure(options)?;
            disturbed |=
                !options.on_gpu() && ours.iter().chain(&peers).any(|measured| measured.other_cores > QUIET);
            println!("{}", result::row(&job, &ours, &peers));
        }
    }
    if disturbed {
        println!("{DISTURBED}");
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
        let (mut mine, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            mine.push(self.ask_ours(options)?);
            if let Some(Peer { python }) = &options.peer {
                let mut peer = Command::new(python);
                peer.arg(root().join("bench/bench.py"));
                peer.args(["--device", if options.on_gpu() { "cuda" } else { "cpu" }]);
                peer.args(options.precision.of_peer());
                peers.push(self.ask(options, peer)?);
            }
        }
        Ok((mine, peers))
    }

    fn ask_ours(&self, options: &Options) -> Result<Measured, String> {
        let mut own = ours();
        own.args(["--device", &options.device, "--precision", options.precision.name()]);
        own.args(options.profile.then_some("--profile"));
        self.ask(options, own)
    }

    /// Runs one measurement in a process of its own, so that its peak memory is its own.
    fn ask(&self, options: &Options, mut command: Command) -> Result<Measured, String> {
        let seconds = options.seconds / f64::from(options.rounds);
        command.args(["--config", self.config, "--mode", self.mode]);
        command.args(["--batch", &self.batch.to_string(), "--seconds", &seconds.to_string()]);
        command.args(["--threads", &options.threads.to_string()]);
        let Job { config, mode, .. } = self;
        let printed = output_of(command)?;
        Measured::read(&printed).ok_or(format!("`{config} {mode}` printed no measurement"))
    }
}

/// What a command printed, if it succeeded.
fn output_of(mut command: Command) -> Result<String, String> {
    let shown = shown(&command);
    command.stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("`{shown}` failed: {}", output.status)),
    }
}

/// The median of what a measurement says, over its rounds.
pub(crate) fn over(rounds: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    median(rounds.iter().map(of).collect())
}
