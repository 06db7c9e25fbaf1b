//! `cargo xtask bench dispatch`: what a dispatch costs the host.

use serde_json::Value;

use super::options::Options;
use super::{ours, output_of};

/// What is aimed at: microseconds of a dispatch, dispatches of a training step, submissions of a tick.
const TARGETS: [f64; 3] = [1.0, 800.0, 1.0];

pub(crate) fn dispatch(options: &Options) -> Result<(), String> {
    let device = if options.on_gpu() { options.device.as_str() } else { "gpu" };
    let mut command = ours();
    command.args(["--mode", "dispatch", "--device", device, "--seconds", &options.seconds.to_string()]);
    let printed = output_of(command)?;
    let line = printed.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(line).map_err(|error| format!("`{line}` is no JSON: {error}"))?;
    let number = |name: &str, at: usize| {
        let found = value.get(name).and_then(|found| found.get(at).or(Some(found))?.as_f64());
        found.ok_or(format!("`{line}` has no `{name}`"))
    };
    let [recording, submitting] = ["recording_us", "submitting_us"];
    let both = |at: usize| Ok::<_, String>(number(recording, at)? + number(submitting, at)?);
    println!(
        "\non {}, a chain of {} tiny layers",
        value["device"].as_str().unwrap_or("?"),
        value["dispatches"]
    );
    println!("{:44} {:>8} {:>8} {:>8}", "", "median", "least", "aim");
    let row = |what: &str, name: &str| {
        println!("{what:44} {:8.3} {:8.3}", number(name, 0)?, number(name, 1)?);
        Ok::<(), String>(())
    };
    row("us a dispatch: recording", recording)?;
    row("us a dispatch: handing over", submitting)?;
    println!("{:44} {:8.3} {:8.3} {:8.1}", "us a dispatch: both", both(0)?, both(1)?, TARGETS[0]);
    for (what, name, target) in [
        ("dispatches of a training step of DDPM++", "step_dispatches", TARGETS[1]),
        ("submissions of it", "step_submissions", TARGETS[2]),
    ] {
        println!("{what:44} {:8} {:8} {target:8}", number(name, 0)?, "");
    }
    Ok(())
}
