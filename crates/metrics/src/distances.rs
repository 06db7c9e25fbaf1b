//! Distances of all images of two sets in the space of features.

use nalgebra::DMatrix;

use crate::Rows;

/// Images whose distances are worked out together, so that memory does not grow with their number squared.
const TOGETHER: usize = 512;

/// For each image of `rows` in turn, `fold` sees its number and its squared distances to all images of `others`.
pub(crate) fn for_each_image(rows: &Rows, others: &Rows, mut fold: impl FnMut(usize, &[f64])) {
    let others = others.columns();
    let other_norms: Vec<f64> = others.column_iter().map(|column| column.norm_squared()).collect();
    let turned = others.transpose();
    for start in (0..rows.count()).step_by(TOGETHER) {
        let some = rows.pick(start..rows.count().min(start + TOGETHER)).columns();
        // A column an image of `rows`, a row an image of `others`.
        let mut distances: DMatrix<f64> = &turned * &some;
        for (at, mut column) in distances.column_iter_mut().enumerate() {
            let norm = some.column(at).norm_squared();
            let squared =
                |(product, other): (&mut f64, &f64)| *product = (norm + other - 2.0 * *product).max(0.0);
            column.iter_mut().zip(&other_norms).for_each(squared);
            fold(start + at, column.as_slice());
        }
    }
}

/// The distance of each image of `rows` to the nearest of `others`.
pub(crate) fn nearest(rows: &Rows, others: &Rows) -> Vec<f64> {
    let mut nearest = Vec::with_capacity(rows.count());
    for_each_image(rows, others, |_, distances| {
        nearest.push(distances.iter().copied().fold(f64::INFINITY, f64::min).sqrt());
    });
    nearest
}
