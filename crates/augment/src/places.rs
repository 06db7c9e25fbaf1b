//! Where the pixels of augmented images come from: rows of places for [`Warp`].

use serde::Deserialize;
use tensor::Warp;

use crate::matrix::{Matrix, apply, product, rotation, scaling, translation};
use crate::{Drawn, Transforms};

/// Places of one image.
pub type Places = [f64; Warp::PLACES];

/// The low-pass filter of the wavelet sym6.
pub const SYM6: [f64; 12] = [
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
];

/// Half of half the filter's taps: how far it reaches in the image's own pixels.
const REACH: f64 = 3.0;

/// How far the reflection of an image goes on around it before there are zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub enum Margins {
    /// As far as the image itself needs: what an image becomes does not depend on its batch.
    #[default]
    Own,
    /// As far as any image of the batch needs, as in the paper's code: its numbers, but they depend on the batch where
    /// images are made much smaller.
    Batch,
}

/// Flips, quarter turns and shifts by whole pixels, over an endless reflection.
pub(crate) fn moves(drawn: &Drawn, of: &Transforms, size: [usize; 2]) -> Places {
    let sign = |flips: bool| if flips { -1.0 } else { 1.0 };
    let turn = drawn.turn;
    let fx = sign(drawn.flips[0] != 0.0) * sign(turn == 1.0 || turn == 2.0);
    let fy = sign(drawn.flips[1] != 0.0) * sign(turn == 2.0 || turn == 3.0);
    let [tx, ty] = drawn.whole_shift(of, size);
    let all = Warp::FARTHEST;
    match turn == 1.0 || turn == 3.0 {
        false => [fx, 0.0, -fx * tx, 0.0, fy, fy * ty, all, all, all, all],
        true => [0.0, fx, fx * ty, fy, 0.0, -fy * tx, all, all, all, all],
    }
}

/// The composed affine map of every image, for images doubled by a filter and results of twice the size and ten more.
pub(crate) fn warps(drawn: &[Drawn], of: &Transforms, size: [usize; 2], margins: Margins) -> Vec<Places> {
    let maps: Vec<Matrix> = drawn.iter().map(|drawn| map(drawn, of, size)).collect();
    let shared = (margins == Margins::Batch).then(|| needs(&maps, size));
    let places = |map: &Matrix| {
        let margins = shared.unwrap_or_else(|| needs(std::slice::from_ref(map), size));
        // A pixel of the image is the middle of four of the doubled image.
        let steps =
            [translation(-0.5, -0.5), scaling(2.0, 2.0), *map, scaling(0.5, 0.5), translation(0.5, 0.5)];
        let [[a, b, x], [c, d, y], _] = product(&steps);
        let [left, top, right, bottom] = margins;
        [a, b, x, c, d, y, left, top, right, bottom]
    };
    maps.iter().map(places).collect()
}

/// From a place in the result to a place in the image, both in pixels from the centre.
fn map(drawn: &Drawn, of: &Transforms, [h, w]: [usize; 2]) -> Matrix {
    let scale = (drawn.scale * of.scale_std).exp2();
    let stretch = (drawn.stretch * of.aniso_std).exp2();
    let std = of.translate_frac_std;
    let (x, y) = (drawn.shift[0] * w as f64 * std, drawn.shift[1] * h as f64 * std);
    product(&[
        scaling(1.0 / scale, 1.0 / scale),
        rotation(drawn.angle),
        rotation(-drawn.stretch_angle),
        scaling(1.0 / stretch, stretch),
        rotation(drawn.stretch_angle),
        translation(-x, -y),
    ])
}

/// How far left, up, right and down any of the maps looks out of the image, filter included, but never beyond one
/// reflection.
fn needs(maps: &[Matrix], [h, w]: [usize; 2]) -> [f64; 4] {
    let (cx, cy) = ((w as f64 - 1.0) / 2.0, (h as f64 - 1.0) / 2.0);
    let mut reached = [f64::NEG_INFINITY; 4];
    for map in maps {
        for (x, y) in [(-cx, -cy), (cx, -cy), (cx, cy), (-cx, cy)] {
            let [x, y] = apply(map, x, y);
            for (side, value) in reached.iter_mut().zip([-x, -y, x, y]) {
                *side = side.max(value);
            }
        }
    }
    let half = [cx, cy, cx, cy];
    std::array::from_fn(|side| {
        (reached[side] + 2.0 * REACH - half[side]).max(0.0).min(2.0 * half[side]).ceil()
    })
}
