//! Precision and recall of generated images (Kynkäänniemi et al. 2019).

use crate::Rows;
use crate::distances::for_each_image;

/// How many generated images lie among real ones, and how many real ones among generated ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionRecall {
    pub precision: f64,
    pub recall: f64,
}

/// The share of images of each set that lie in the manifold of the other: the balls around its images that reach to
/// their `neighbours`-th nearest one. The paper takes 3.
///
/// # Errors
/// If a set has no more images than that, or the sets are of two networks.
pub fn precision_recall(generated: &Rows, real: &Rows, neighbours: usize) -> Result<PrecisionRecall, String> {
    generated.expect_as_wide_as(real)?;
    let fewest = generated.count().min(real.count());
    if neighbours == 0 || fewest <= neighbours {
        return Err(format!("{fewest} images in a set have no {neighbours} neighbours"));
    }
    let precision = covered(generated, real, neighbours);
    Ok(PrecisionRecall { precision, recall: covered(real, generated, neighbours) })
}

/// The share of images that lie in the manifold of others.
fn covered(images: &Rows, manifold: &Rows, neighbours: usize) -> f64 {
    let radii = radii(manifold, neighbours);
    let mut inside = 0;
    for_each_image(images, manifold, |_, distances| {
        inside += usize::from(distances.iter().zip(&radii).any(|(distance, radius)| distance <= radius));
    });
    inside as f64 / images.count() as f64
}

/// The squared distance of each image to its k-th nearest other one.
fn radii(rows: &Rows, neighbours: usize) -> Vec<f64> {
    let mut radii = Vec::with_capacity(rows.count());
    for_each_image(rows, rows, |image, distances| {
        let mut others = distances.to_vec();
        others.swap_remove(image);
        radii.push(*others.select_nth_unstable_by(neighbours - 1, f64::total_cmp).1);
    });
    radii
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(places: &[f32]) -> Rows {
        Rows::new(1, places.to_vec())
    }

    #[test]
    fn a_set_that_shows_one_mode_of_two_is_precise_and_recalls_half() -> Result<(), String> {
        let real = line(&[0.0, 0.1, 0.2, 0.3, 9.0, 9.1, 9.2, 9.3]);
        let generated = line(&[0.05, 0.15, 0.25, 0.28]);
        let found = precision_recall(&generated, &real, 3)?;
        assert_eq!(found, PrecisionRecall { precision: 1.0, recall: 0.5 });
        let found = precision_recall(&real, &generated, 3)?;
        assert_eq!(found, PrecisionRecall { precision: 0.5, recall: 1.0 });
        Ok(())
    }

    #[test]
    fn an_image_is_not_its_own_neighbour() -> Result<(), String> {
        assert_eq!(radii(&line(&[0.0, 1.0, 3.0, 7.0]), 1), [1.0, 1.0, 4.0, 16.0]);
        assert!(precision_recall(&line(&[0.0, 1.0]), &line(&[0.0, 1.0, 2.0]), 2).is_err());
        Ok(())
    }
}
