//! `--profile`: what each kernel took.

use std::fmt::Write;

use tensor::{Times, Work};

/// A line for each kernel, the longest first, and one for all; rates where the device knows what a kernel does.
pub fn table(times: &[(String, Times)]) -> String {
    let seconds = times.iter().map(|(_, times)| times.seconds).sum();
    let width = times.iter().map(|(label, _)| label.len()).max().unwrap_or(0).max("kernel".len());
    let mut text = format!(
        "{:width$} {:>9} {:>11} {:>10} {:>6} {:>8} {:>6}\n",
        "kernel", "calls", "ms", "ms a call", "share", "GFLOP/s", "GB/s"
    );
    let all = Times { calls: times.iter().map(|(_, times)| times.calls).sum(), seconds, work: work(times) };
    for (label, times) in times.iter().map(|(label, times)| (label.as_str(), times)).chain([("all", &all)]) {
        let (ms, share) = (1e3 * times.seconds, 100.0 * times.seconds / seconds.max(f64::MIN_POSITIVE));
        let each = ms / times.calls.max(1) as f64;
        let rate = |of: fn(&Work) -> f64| match times.work {
            Some(work) if of(&work) > 0.0 => format!("{:.1}", 1e-9 * of(&work) / times.seconds),
            _ => String::new(),
        };
        let [flops, bytes] = [rate(|work| work.flops), rate(|work| work.bytes)];
        let line = format!(
            "{label:width$} {:>9} {ms:>11.2} {each:>10.4} {share:>5.1}% {flops:>8} {bytes:>6}",
            times.calls
        );
        writeln!(text, "{}", line.trim_end()).expect("strings take all");
    }
    text
}

/// What all kernels did together, if every one is known.
fn work(times: &[(String, Times)]) -> Option<Work> {
    times.iter().try_fold(Work::default(), |all, (_, times)| {
        let work = times.work?;
        Some(Work { flops: all.flops + work.flops, bytes: all.bytes + work.bytes })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_calls_times_and_shares() {
        let times = [("conv 9".to_owned(), 3, 0.006), ("matmul".to_owned(), 2, 0.002)];
        let times = times.map(|(label, calls, seconds)| (label, Times { calls, seconds, work: None }));
        let text = table(&times);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = text.lines().map(words).collect();
        assert_eq!(lines[1], ["conv", "9", "3", "6.00", "2.0000", "75.0%"]);
        assert_eq!(lines[3], ["all", "5", "8.00", "1.6000", "100.0%"]);
        let work = Some(Work { flops: 3e9, bytes: 1e9 });
        let text = table(&[("conv".to_owned(), Times { calls: 1, seconds: 0.01, work })]);
        assert!(text.lines().nth(1).is_some_and(|line| line.ends_with(" 300.0  100.0")), "{text}");
        assert!(table(&[]).contains("all"), "a run without kernels has a table as well");
    }
}
