//! Images read between their pixels.

use super::view::{View, build};
use crate::{Resample, Warp};

pub fn warp(x: View<4>, places: View<2>, warp: &Warp) -> Vec<f64> {
    let [n, h, w, c] = x.sizes;
    let [height, width] = warp.size;
    build([n, height, width, c], |[n, i, j, c]| {
        let place = |at: usize| places.at([n, at]);
        let (u, v) = (j as f64 - (width as f64 - 1.0) / 2.0, i as f64 - (height as f64 - 1.0) / 2.0);
        let columns = Axis { size: w, before: place(6), after: place(8) };
        let rows = Axis { size: h, before: place(7), after: place(9) };
        let columns = columns.seen(place(0) * u + place(1) * v + place(2), warp);
        let rows = rows.seen(place(3) * u + place(4) * v + place(5), warp);
        let along = |row: usize| -> f64 { columns.iter().map(|(j, by)| by * x.at([n, row, *j, c])).sum() };
        rows.iter().map(|(row, by)| by * along(*row)).sum()
    })
}

/// Rows or columns of an image, with the margins over which it is reflected.
struct Axis {
    size: usize,
    before: f64,
    after: f64,
}

impl Axis {
    /// The pixels that are seen at a place, and their weights.
    fn seen(&self, from_centre: f64, warp: &Warp) -> Vec<(usize, f64)> {
        let scale = if warp.doubled.is_some() { 2.0 } else { 1.0 };
        let place =
            from_centre.clamp(-Warp::FARTHEST, Warp::FARTHEST) + (scale * self.size as f64 - 1.0) / 2.0;
        let first = place.floor();
        let part = place - first;
        let inside = |at: f64| at >= -scale * self.before && at < scale * (self.size as f64 + self.after);
        let two = [(first, 1.0 - part), (first + 1.0, part)].into_iter().filter(|(at, _)| inside(*at));
        two.flat_map(|(at, by)| self.pixel(at as isize, by, warp)).collect()
    }

    /// What makes one pixel of the image, or of the doubled one.
    fn pixel(&self, at: isize, by: f64, warp: &Warp) -> Vec<(usize, f64)> {
        let Some(taps) = &warp.doubled else { return vec![(self.reflected(at), by)] };
        let (up, sum) = (Resample::up(taps), taps.iter().sum::<f64>());
        let seen = taps.iter().enumerate().filter_map(|(tap, weight)| {
            let from = up.source(at, tap)?;
            let inside = from as f64 >= -self.before && (from as f64) < self.size as f64 + self.after;
            inside.then(|| (self.reflected(from), by * 2.0 * weight / sum))
        });
        seen.collect()
    }

    fn reflected(&self, at: isize) -> usize {
        let period = (2 * self.size as isize - 2).max(1);
        let at = at.rem_euclid(period);
        at.min(period - at) as usize
    }
}
