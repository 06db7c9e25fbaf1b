//! A number with all that it depends on: without that it says nothing.

use std::fmt::{self, Display, Formatter};

use ports::{Cell, SideBySide, Table};
use serde::{Deserialize, Serialize};

use crate::{Estimate, FeatureNetwork};

/// Where a set of images comes from, and what looked at it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// How many images there are.
    pub n: usize,
    /// What features are called: `SqueezeNet512@64`.
    pub network: String,
    /// What tells the weights of that network from others.
    pub digest: String,
    pub resize: String,
    /// The seeds of generated images, such as `0-9999`; empty where there are none.
    pub seeds: String,
    /// What tells the weights that generated them from others; empty where that is unknown.
    pub weights: String,
    /// How many evaluations of networks an image took; 0 where that is unknown.
    pub nfe: usize,
}

/// What one metric says of a set of images against another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub metric: String,
    pub value: f64,
    pub standard_error: Option<f64>,
    pub of: Origin,
    /// How many images it was held against.
    pub against: Option<u64>,
}

impl Origin {
    /// Images that a network has looked at.
    pub fn seen_by(network: &FeatureNetwork, n: usize) -> Self {
        let digest = network.digest().to_owned();
        Self { n, network: network.name(), digest, resize: network.resize(), ..Self::default() }
    }

    /// # Errors
    /// If other weights or another size made the features of the other set.
    pub fn expect_same_network(&self, other: &Self) -> Result<(), String> {
        let told = |origin: &Self| format!("{} {} ({})", origin.network, origin.digest, origin.resize);
        if (&self.network, &self.digest, &self.resize) == (&other.network, &other.digest, &other.resize) {
            return Ok(());
        }
        Err(format!("features of {} cannot be compared with those of {}", told(self), told(other)))
    }
}

impl Score {
    pub fn new(metric: impl Into<String>, value: f64, of: Origin, against: Option<u64>) -> Self {
        Self { metric: metric.into(), value, standard_error: None, of, against }
    }

    pub fn estimate(metric: &str, estimate: Estimate, of: Origin, against: Option<u64>) -> Self {
        Self { standard_error: Some(estimate.error), ..Self::new(metric, estimate.value, of, against) }
    }

    /// Refuses to let two scores stand side by side that do not mean the same.
    ///
    /// # Errors
    /// If they are other metrics, of different numbers of images, or of features of different networks.
    pub fn expect_comparable(&self, other: &Self) -> Result<(), String> {
        let mut scores = SideBySide::default();
        scores.add(&Self::table([self]), "one set")?;
        scores.add(&Self::table([other]), "another")
    }

    /// A table of scores, a row each.
    pub fn table<'a>(scores: impl IntoIterator<Item = &'a Self>) -> Table {
        let mut table = Table::new([
            "metric",
            "value",
            "standard_error",
            "n",
            "nfe",
            "against",
            "network",
            "digest",
            "resize",
            "seeds",
            "weights",
        ]);
        for score in scores {
            let Origin { n, network, digest, resize, seeds, weights, nfe } = &score.of;
            let error = score.standard_error.unwrap_or(f64::NAN);
            let numbers = [score.value, error, *n as f64, *nfe as f64];
            let words = [&count(score.against), network, digest, resize, seeds, weights];
            let numbers = numbers.into_iter().map(Cell::Number);
            let words = words.into_iter().map(|word| Cell::from(word.as_str()));
            table.push([Cell::from(score.metric.as_str())].into_iter().chain(numbers).chain(words).collect());
        }
        table
    }
}

/// `FD-SqueezeNet512@64 12.3: n 5000 against 1797, network … , resize …, seeds …, weights …`.
impl Display for Score {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.6}", self.metric, self.value)?;
        if let Some(error) = self.standard_error {
            write!(f, " ± {error:.6}")?;
        }
        let Origin { n, network, digest, resize, seeds, weights, nfe } = &self.of;
        let told = |word: &str| if word.is_empty() { "unknown".to_owned() } else { word.to_owned() };
        write!(
            f,
            ": n {n} against {}, network {network} {digest}, resize {resize}, seeds {}, weights {}",
            count(self.against),
            told(seeds),
            told(weights)
        )?;
        if *nfe > 0 { write!(f, ", NFE {nfe}") } else { Ok(()) }
    }
}

fn count(images: Option<u64>) -> String {
    images.map_or("unknown".to_owned(), |count| count.to_string())
}

/// Numbers as ranges: `0-99,105`.
pub fn ranges(numbers: impl IntoIterator<Item = u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): &(u64, u64)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(n: usize) -> Score {
        Score::new("FD", 1.5, Origin { n, network: "SqueezeNet512@64".into(), ..Origin::default() }, Some(70))
    }

    #[test]
    fn scores_of_different_numbers_of_images_are_not_comparable() {
        assert_eq!(score(50).expect_comparable(&score(50)), Ok(()));
        let refused = score(50).expect_comparable(&score(60)).expect_err("other numbers of images");
        assert!(refused.contains("n 50") && refused.contains("n 60"), "{refused}");
        let other = Score { against: Some(71), ..score(50) };
        assert!(score(50).expect_comparable(&other).is_err());
        let mut other = score(50);
        other.of.digest = "0".into();
        assert!(score(50).expect_comparable(&other).is_err());
    }

    #[test]
    fn seeds_are_told_as_ranges() {
        assert_eq!(ranges([0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges([]), "");
    }
}
