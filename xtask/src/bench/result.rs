//! What was measured, and how it is shown.

use serde_json::Value;

use super::{Job, over};

/// One measurement.
pub(crate) struct Measured {
    pub(crate) median_ms: f64,
    pub(crate) images_per_s: f64,
    pub(crate) peak_mib: f64,
    /// How many cores other processes used meanwhile.
    pub(crate) other_cores: f64,
}

impl Measured {
    /// Reads the last line that a measuring process printed, which is JSON.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text.lines().last()?).ok()?;
        let number = |name: &str| value.get(name)?.as_f64();
        Some(Self {
            median_ms: number("median_ms")?,
            images_per_s: number("images_per_s")?,
            peak_mib: number("peak_mib")?,
            other_cores: number("other_cores").unwrap_or(0.0),
        })
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n => (values[(n - 1) / 2] + values[n / 2]) / 2.0,
    }
}

/// Markdown, for `docs/performance.md`.
pub(crate) fn heading(peer: bool) -> String {
    let columns = "| network | what | batch | ms | images/s | peak MiB |";
    let rule = "|---|---|--:|--:|--:|--:|";
    match peer {
        false => format!("{columns}\n{rule}"),
        true => format!("{columns} peer ms | peer MiB | **peer time / ours** |\n{rule}--:|--:|--:|"),
    }
}

pub(crate) fn row(job: &Job, ours: &[Measured], peers: &[Measured]) -> String {
    let Job { config, mode, batch } = job;
    let ms = over(ours, |measured| measured.median_ms);
    let rate = over(ours, |measured| measured.images_per_s);
    let peak = over(ours, |measured| measured.peak_mib);
    let row = format!("| {config} | {mode} | {batch} | {ms:.1} | {rate:.1} | {peak:.0} |");
    if peers.is_empty() {
        return row;
    }
    let peer_ms = over(peers, |measured| measured.median_ms);
    let peer_peak = over(peers, |measured| measured.peak_mib);
    // Of each round by itself, since both halves of a round saw the machine in the same mood.
    let ratio = median(ours.iter().zip(peers).map(|(ours, peer)| peer.median_ms / ours.median_ms).collect());
    format!("{row} {peer_ms:.1} | {peer_peak:.0} | **{ratio:.2}** |")
}
