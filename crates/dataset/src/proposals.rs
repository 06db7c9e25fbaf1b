//! What the statistics of a data set say about the settings of a training run.

use crate::stats::Stats;

/// What the paper's settings were found for: data of this deviation, pictures of up to this many pixels a side.
const PAPER_STD: f64 = 0.5;
const PAPER_SIDE: f64 = 64.0;
const PAPER_MEAN: f64 = -1.2;
const PAPER_NOISE_STD: f64 = 1.2;

/// A setting with its value and the reason for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// As pipelines call it.
    pub setting: &'static str,
    pub value: f64,
    pub reason: String,
}

/// Proposes `sigma_data`, mean and deviation of ln(sigma) in training, and the largest sigma of sampling.
pub fn proposals(stats: &Stats) -> Vec<Proposal> {
    let std = stats.overall.std;
    let side = ((stats.format.width * stats.format.height) as f64).sqrt();
    let scaled = (std.max(1e-3) / PAPER_STD).ln();
    let larger = (side / PAPER_SIDE).max(1.0).ln();
    vec![
        Proposal { setting: "sigma_data", value: round(std, 2), reason: sigma_data_reason(stats) },
        Proposal {
            setting: "mean",
            value: round(PAPER_MEAN + scaled + larger, 1),
            reason: format!(
                "{PAPER_MEAN} in the paper for sigma_data {PAPER_STD}; {scaled:+.2} as noise matters beside the data{}",
                if larger > 0.0 {
                    format!(
                        ", {larger:+.2} as neighbours in pictures of {side:.0} pixels a side average more of it out"
                    )
                } else {
                    String::new()
                }
            ),
        },
        Proposal {
            setting: "std",
            value: PAPER_NOISE_STD,
            reason: format!(
                "as in the paper; covers sigma from {:.2e} to {:.1} with 95 %",
                (PAPER_MEAN + scaled + larger - 1.96 * PAPER_NOISE_STD).exp(),
                (PAPER_MEAN + scaled + larger + 1.96 * PAPER_NOISE_STD).exp()
            ),
        },
        Proposal {
            setting: "sigma_max",
            value: round_up(stats.largest_distance.max(10.0 * std)),
            reason: format!(
                "the largest distance among {} pictures is {:.1}: noise of that size forgets which one it was",
                stats.compared, stats.largest_distance
            ),
        },
    ]
}

fn sigma_data_reason(stats: &Stats) -> String {
    let stds = stats.channels.iter().map(|channel| channel.std);
    let (least, most) =
        stds.fold((f64::INFINITY, 0.0f64), |(least, most), std| (least.min(std), most.max(std)));
    let base = format!("the standard deviation of all pixels, {:.4}", stats.overall.std);
    if most > 1.25 * least {
        let each: Vec<_> = stats.channels.iter().map(|channel| format!("{:.2}", channel.std)).collect();
        return format!("{base}; channels differ by more than 25 %, so [{}] may be better", each.join(", "));
    }
    base
}

fn round(value: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (value * unit).round() / unit
}

/// Up to two digits.
fn round_up(value: f64) -> f64 {
    let unit = 10f64.powf(value.log10().floor() - 1.0);
    ((value / unit).ceil() * unit * 1e6).round() / 1e6
}
