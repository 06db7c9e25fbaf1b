//! What happens to colours, as one affine map of red, green and blue.

use crate::matrix::{ColourMatrix, product};
use crate::{Drawn, Transforms};

/// An affine map of `channels` colours, a row an input and the offset last: `[channels + 1, channels]`.
///
/// For one channel, all three colours are that one, and the result is their mean.
pub(crate) fn colours(drawn: &Drawn, of: &Transforms, channels: usize) -> Vec<f64> {
    let map = map(drawn, of);
    if channels == 1 {
        let mean = |column: usize| (map[0][column] + map[1][column] + map[2][column]) / 3.0;
        return vec![mean(0) + mean(1) + mean(2), mean(3)];
    }
    (0..4).flat_map(|column| (0..3).map(move |row| map[row][column])).collect()
}

fn map(drawn: &Drawn, of: &Transforms) -> ColourMatrix {
    let grey = |along: f64, across: f64, turn: f64| along_grey(along, across, turn);
    let contrast = (drawn.contrast * of.contrast_std).exp2();
    let saturation = (drawn.saturation * of.saturation_std).exp2();
    product(&[
        grey(1.0, saturation, 0.0),
        grey(1.0, 1.0, drawn.hue),
        grey(1.0 - 2.0 * drawn.lumaflip, 1.0, 0.0),
        grey(contrast, contrast, 0.0),
        brighter(drawn.brightness * of.brightness_std),
    ])
}

fn brighter(by: f64) -> ColourMatrix {
    [[1.0, 0.0, 0.0, by], [0.0, 1.0, 0.0, by], [0.0, 0.0, 1.0, by], [0.0, 0.0, 0.0, 1.0]]
}

/// Stretches colours along the axis of greys and across it, and turns them around it.
fn along_grey(along: f64, across: f64, turn: f64) -> ColourMatrix {
    let (sin, cos) = turn.sin_cos();
    let entry = |row: usize, column: usize| -> f64 {
        let same = f64::from(row == column);
        // The cross product with the axis: +1 where the column follows the row's other neighbour.
        let cross = match (column + 3 - row) % 3 {
            1 => -1.0,
            2 => 1.0,
            _ => 0.0,
        };
        along / 3.0 + across * (cos * (same - 1.0 / 3.0) + sin * cross / 3.0f64.sqrt())
    };
    std::array::from_fn(|row| {
        std::array::from_fn(|column| match (row, column) {
            (3, 3) => 1.0,
            (3, _) | (_, 3) => 0.0,
            _ => entry(row, column),
        })
    })
}
