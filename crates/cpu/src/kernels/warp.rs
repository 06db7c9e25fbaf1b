//! Images read between their pixels, each at places of its own.

use super::pointer::Parts;
use crate::Pool;

/// What [`warp`] makes: see `tensor::Warp`.
#[derive(Clone, Copy, Debug)]
pub struct Warp<'a> {
    /// Height and width of the result.
    pub size: [usize; 2],
    /// The filter that doubles the image first, its taps divided by half their sum; none to read the image itself.
    pub taps: &'a [f32],
}

/// The numbers of a row of `places`.
const PLACES: usize = tensor::Warp::PLACES;
const FARTHEST: f32 = tensor::Warp::FARTHEST as f32;

/// `out[n, height, width, c]` from `x[n, h, w, c]`, read at `places[n, 10]`.
pub fn warp(
    pool: &mut Pool,
    [n, h, w, c]: [usize; 4],
    warp: Warp,
    x: &[f32],
    places: &[f32],
    out: &mut [f32],
) {
    let [height, width] = warp.size;
    assert_eq!([x.len(), out.len()], [n * h * w * c, n * height * width * c], "images in and out");
    let out = Parts::new(out);
    pool.run(n * height, |task, _| {
        let sample = task / height;
        let x = &x[sample * h * w * c..][..h * w * c];
        let place = &places[sample * PLACES..][..PLACES];
        // SAFETY: one task per row of the result.
        let out = unsafe { out.range(task * width * c, width * c) };
        let mut columns = Axis::new(w, c, [place[6], place[8]], warp.taps);
        let mut rows = Axis::new(h, w * c, [place[7], place[9]], warp.taps);
        let v = (task % height) as f32 - (height as f32 - 1.0) / 2.0;
        for (to, out) in out.chunks_exact_mut(c).enumerate() {
            let u = to as f32 - (width as f32 - 1.0) / 2.0;
            columns.look(place[0] * u + place[1] * v + place[2]);
            rows.look(place[3] * u + place[4] * v + place[5]);
            match c {
                3 => gather::<3>(x, &rows, &columns, 0, out),
                _ => (0..c).for_each(|at| gather::<1>(x, &rows, &columns, at, &mut out[at..])),
            }
        }
    });
}

/// `C` channels of one pixel.
#[inline(always)]
fn gather<const C: usize>(x: &[f32], rows: &Axis, columns: &Axis, channel: usize, out: &mut [f32]) {
    let mut sum = [0.0; C];
    for (row, by) in rows.seen.iter().filter(|(_, by)| *by != 0.0) {
        let mut along = [0.0; C];
        for (column, by) in &columns.seen {
            let from = &x[row + column + channel..][..C];
            (0..C).for_each(|at| along[at] += by * from[at]);
        }
        (0..C).for_each(|at| sum[at] += by * along[at]);
    }
    out[..C].copy_from_slice(&sum);
}

/// Rows or columns of an image, with the margins over which it is reflected.
struct Axis<'a> {
    size: i32,
    /// From one to the next, in elements.
    stride: usize,
    margins: [i32; 2],
    taps: &'a [f32],
    /// Where the pixels lie that are seen, and their weights.
    seen: Vec<(usize, f32)>,
}

impl<'a> Axis<'a> {
    fn new(size: usize, stride: usize, margins: [f32; 2], taps: &'a [f32]) -> Self {
        let margins = margins.map(|margin| margin.clamp(0.0, FARTHEST) as i32);
        let seen = vec![(0, 0.0); taps.len() / 2 + 1 + usize::from(taps.is_empty())];
        Axis { size: size as i32, stride, margins, taps, seen }
    }

    /// Looks at a place, counted from the centre.
    #[inline(always)]
    fn look(&mut self, from_centre: f32) {
        let scale = if self.taps.is_empty() { 1 } else { 2 };
        let centre = (scale * self.size - 1) as f32 / 2.0;
        let place = from_centre.clamp(-FARTHEST, FARTHEST) + centre;
        let part = place - place.floor();
        let at = place.floor() as i32;
        let within = |at: i32| at >= -scale * self.margins[0] && at < scale * (self.size + self.margins[1]);
        let two = [(at, 1.0 - part), (at + 1, part)].map(|(at, by)| if within(at) { by } else { 0.0 });
        let half = self.taps.len() as i32 / 2;
        let first = if scale == 1 { at } else { (at - half + 1) >> 1 };
        for seen in 0..self.seen.len() {
            let pixel = first + seen as i32;
            let weight = match scale {
                1 => two[seen],
                _ => {
                    let tap = (2 * pixel - at + half) as usize;
                    let tap_at = |tap: usize| self.taps.get(tap).copied().unwrap_or(0.0);
                    let seen = pixel >= -self.margins[0] && pixel < self.size + self.margins[1];
                    if seen { two[0] * tap_at(tap) + two[1] * tap_at(tap.wrapping_sub(1)) } else { 0.0 }
                }
            };
            self.seen[seen] = (self.reflected(pixel) * self.stride, weight);
        }
    }

    #[inline(always)]
    fn reflected(&self, at: i32) -> usize {
        if at >= 0 && at < self.size {
            return at as usize;
        }
        let period = (2 * self.size - 2).max(1);
        let at = at.rem_euclid(period);
        at.min(period - at) as usize
    }
}
