//! `--profile`: what each kernel took.

use std::fmt::Write;

use gpu::{Gpu, Times};
use pipeline::Error;

use crate::device::Opened;
use crate::problem::{Problem, print};

/// Takes the time of every kernel from now on.
pub(crate) fn start(opened: &Opened) -> Result<(), Problem> {
    let Some(gpu) = &opened.gpu else {
        return Err(Error::new(format!(
            "`--profile` takes the times of a GPU's kernels, and this run computes on {}",
            opened.machine.0.name()
        ))
        .help(
            "leave it out, or take `--device gpu`; for the CPU, \
             `cargo run --release -p mollify-cpu --example roofline` prints the rate of each kernel",
        )
        .into());
    };
    Ok(gpu.profile()?)
}

/// Prints what the kernels took.
pub(crate) fn show(gpu: &Gpu) -> Result<(), Problem> {
    print(&table(&gpu.times()?))
}

/// A line for each kernel, the longest first, and one for all.
fn table(times: &[(String, Times)]) -> String {
    let all = times.iter().fold(Times::default(), |all, (_, times)| Times {
        calls: all.calls + times.calls,
        seconds: all.seconds + times.seconds,
    });
    let width = times.iter().map(|(label, _)| label.len()).max().unwrap_or(0).max("kernel".len());
    let mut text =
        format!("{:width$} {:>9} {:>11} {:>10} {:>6}\n", "kernel", "calls", "ms", "ms a call", "share");
    let rows = times.iter().map(|(label, times)| (label.as_str(), times)).chain([("all", &all)]);
    for (label, Times { calls, seconds }) in rows {
        let (ms, share) = (1e3 * seconds, 100.0 * seconds / all.seconds.max(f64::MIN_POSITIVE));
        let each = ms / (*calls).max(1) as f64;
        writeln!(text, "{label:width$} {calls:>9} {ms:>11.2} {each:>10.4} {share:>5.1}%")
            .expect("strings take all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_calls_times_and_shares() {
        let times = [("conv 9".to_owned(), 3, 0.006), ("matmul".to_owned(), 2, 0.002)];
        let times = times.map(|(label, calls, seconds)| (label, Times { calls, seconds }));
        let text = table(&times);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = text.lines().map(words).collect();
        assert_eq!(lines[1], ["conv", "9", "3", "6.00", "2.0000", "75.0%"]);
        assert_eq!(lines[3], ["all", "5", "8.00", "1.6000", "100.0%"]);
        assert!(table(&[]).contains("all"), "a run without kernels has a table as well");
    }
}
