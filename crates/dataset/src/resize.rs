//! Lanczos resampling of bytes, to the bit as Pillow does it: one pass a direction, weights in fixed point.

use std::collections::HashMap;
use std::f64::consts::PI;

use crate::picture::{Format, Picture};

/// Half the width of the Lanczos window, in pixels of the smaller picture.
const LOBES: f64 = 3.0;
/// A weight of one is this power of two: 32 bits less 8 of a pixel and 2 for sums that overshoot.
const PRECISION: u32 = 32 - 8 - 2;

/// Resizes pictures; keeps the weights of the sizes that it has met.
#[derive(Default)]
pub struct Lanczos {
    known: HashMap<(usize, usize), Vec<Window>>,
}

/// Which pixels make one new pixel, and how much of each.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

impl Lanczos {
    /// Scales to `width` and `height` pixels: rows first, rounded to bytes, then columns.
    pub fn resize(&mut self, picture: Picture, width: usize, height: usize) -> Picture {
        let Format { width: old_width, height: old_height, channels } = picture.format;
        let mut bytes = picture.bytes;
        if width != old_width {
            let windows = self.windows(old_width, width);
            bytes =
                bytes.chunks(old_width * channels).flat_map(|row| squeeze(row, windows, channels)).collect();
        }
        if height != old_height {
            bytes = squeeze(&bytes, self.windows(old_height, height), width * channels);
        }
        Picture { format: Format { width, height, channels }, bytes }
    }

    fn windows(&mut self, from: usize, to: usize) -> &[Window] {
        // A folder of pictures of every size would fill the memory with windows.
        if self.known.len() > 64 {
            self.known.clear();
        }
        self.known.entry((from, to)).or_insert_with(|| (0..to).map(|place| window(from, to, place)).collect())
    }
}

/// New groups of `stride` bytes, each a weighted sum of old ones.
fn squeeze(old: &[u8], windows: &[Window], stride: usize) -> Vec<u8> {
    let mut new = Vec::with_capacity(windows.len() * stride);
    for Window { first, weights } in windows {
        for lane in 0..stride {
            let groups = old[first * stride + lane..].iter().step_by(stride);
            let sum: i32 = groups.zip(weights).map(|(byte, weight)| i32::from(*byte) * weight).sum();
            new.push(((sum + (1 << (PRECISION - 1))) >> PRECISION).clamp(0, 255) as u8);
        }
    }
    new
}

fn window(from: usize, to: usize, place: usize) -> Window {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let reach = LOBES * stretch;
    let centre = (place as f64 + 0.5) * scale;
    let first = (centre - reach + 0.5).max(0.0) as usize;
    let end = ((centre + reach + 0.5) as usize).min(from);
    let weights: Vec<f64> =
        (first..end).map(|x| lanczos((x as f64 - centre + 0.5) * (1.0 / stretch))).collect();
    let sum: f64 = weights.iter().sum();
    let fixed = |weight: f64| (weight / sum * f64::from(1 << PRECISION)).round() as i32;
    Window { first, weights: weights.into_iter().map(fixed).collect() }
}

fn lanczos(x: f64) -> f64 {
    if (-LOBES..LOBES).contains(&x) { sinc(x) * sinc(x / LOBES) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}
