//! Whether generated images are copies: their nearest training images against those of images held out.

use crate::Rows;
use crate::distances::nearest;
use crate::kernel_distance::Estimate;

/// How near generated images are to those of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memorisation {
    /// The median distance of a generated image to the nearest training image.
    pub generated: f64,
    /// The same of images that training has not seen.
    pub held_out: f64,
    /// How often a generated image is nearer than one that was held out: 0.5 where nothing is memorised, 1 for copies.
    pub nearer: Estimate,
}

/// Compares the distances of generated and held-out images to their nearest training images.
///
/// # Errors
/// If a set has fewer than two images, or the sets are of two networks.
pub fn memorisation(generated: &Rows, training: &Rows, held_out: &Rows) -> Result<Memorisation, String> {
    for rows in [generated, held_out] {
        rows.expect_as_wide_as(training)?;
    }
    if let Some(few) = [generated, training, held_out].iter().find(|rows| rows.count() < 2) {
        return Err(format!("a set has {} images, expected at least 2", few.count()));
    }
    let [mut generated, mut held_out] = [generated, held_out].map(|rows| nearest(rows, training));
    generated.sort_by(f64::total_cmp);
    held_out.sort_by(f64::total_cmp);
    let nearer = nearer(&generated, &held_out);
    Ok(Memorisation { generated: median(&generated), held_out: median(&held_out), nearer })
}

/// P(a < b) + P(a = b) / 2 of sorted numbers, with the standard error of its two samples (DeLong et al. 1988).
fn nearer(a: &[f64], b: &[f64]) -> Estimate {
    let above = |numbers: &[f64], than: f64| {
        let up_to = numbers.partition_point(|number| *number <= than);
        let below = numbers.partition_point(|number| *number < than);
        (numbers.len() - up_to) as f64 + (up_to - below) as f64 / 2.0
    };
    let of_a: Vec<f64> = a.iter().map(|distance| above(b, *distance) / b.len() as f64).collect();
    let of_b: Vec<f64> = b.iter().map(|distance| 1.0 - above(a, *distance) / a.len() as f64).collect();
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
    let variance = |shares: &[f64]| {
        let (n, mean) = (shares.len() as f64, mean(shares));
        shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / (n * (n - 1.0))
    };
    Estimate { value: mean(&of_a), error: (variance(&of_a) + variance(&of_b)).sqrt() }
}

fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[half - 1] + sorted[half]) / 2.0 } else { sorted[half] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(places: impl Iterator<Item = f32>) -> Rows {
        Rows::new(1, places.collect())
    }

    #[test]
    fn copies_are_nearer_than_what_was_held_out() -> Result<(), String> {
        let training = || line((0..50).map(|i| i as f32));
        let held_out = line((0..50).map(|i| i as f32 + 0.25));
        let copies = memorisation(&training(), &training(), &held_out)?;
        assert_eq!((copies.generated, copies.held_out), (0.0, 0.25));
        assert_eq!(copies.nearer, Estimate { value: 1.0, error: 0.0 });
        let honest = memorisation(&held_out, &training(), &held_out)?;
        assert_eq!(honest.nearer.value, 0.5);
        Ok(())
    }

    #[test]
    fn ties_count_half() {
        let found = nearer(&[1.0, 2.0], &[1.0, 3.0]);
        assert_eq!(found.value, (0.5 + 1.0 + 0.0 + 1.0) / 4.0);
        assert!(found.error > 0.0);
    }
}
