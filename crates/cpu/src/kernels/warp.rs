//! Images read between their pixels, each at places of its own.

use std::ops::Range;

use super::pointer::Parts;
use crate::{Kernel, Pool, Simd};

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

/// Rows of the result that one copy of an image with its margins serves.
const BAND: usize = 32;

/// Pixels of a margin that are copied; beyond them they are looked up one by one.
const MARGIN: i32 = 8;

/// Numbers in the widest vector.
const MOST_LANES: usize = 16;

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
    let (level, out) = (pool.level(), Parts::new(out));
    let (phases, bands) = (Phases::new(warp.taps), height.div_ceil(BAND));
    pool.run(n * bands, |task, scratch| {
        let (sample, rows) = (task / bands, task % bands * BAND..(task % bands * BAND + BAND).min(height));
        let places = &places[sample * PLACES..][..PLACES];
        let columns = Axis::new(w, [places[6], places[8]], &phases);
        let lines = Axis::new(h, [places[7], places[9]], &phases);
        let x = &x[sample * h * w * c..][..h * w * c];
        let stride = columns.padded.len() * c;
        let [padded, window] = scratch.take([lines.padded.len() * stride + 2 * MOST_LANES, lines.seen() * c]);
        pad(x, c, [&lines, &columns], padded);
        // SAFETY: one task per band of rows.
        let out = unsafe { out.range((sample * height + rows.start) * width * c, rows.len() * width * c) };
        let first = rows.start as f32 - (height as f32 - 1.0) / 2.0;
        level.run(Rows { places, first, width, channels: c, stride, lines, columns, padded, window, out });
    });
}

/// Copies an image with its margins, as far as axes keep them.
fn pad(x: &[f32], c: usize, [lines, columns]: [&Axis; 2], padded: &mut [f32]) {
    let (line, stride) = (columns.size as usize * c, columns.padded.len() * c);
    for (y, to) in lines.padded.clone().zip(padded.chunks_exact_mut(stride)) {
        let from = &x[lines.reflected(y) * line..][..line];
        for (x, to) in columns.padded.clone().zip(to.chunks_exact_mut(c)) {
            to.copy_from_slice(&from[columns.reflected(x) * c..][..c]);
        }
    }
}

/// A band of rows of the result.
struct Rows<'a> {
    places: &'a [f32],
    /// The first row, from the centre.
    first: f32,
    width: usize,
    channels: usize,
    /// From one line of the padded image to the next, in elements.
    stride: usize,
    lines: Axis<'a>,
    columns: Axis<'a>,
    padded: &'a [f32],
    /// What the columns that are seen hold, each over all rows.
    window: &'a mut [f32],
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Rows { places, first, width, channels, stride, mut lines, mut columns, padded, window, out } =
            self;
        let left = width as f32 / 2.0 - 0.5;
        for (to, out) in out.chunks_exact_mut(channels).enumerate() {
            let (u, v) = ((to % width) as f32 - left, first + (to / width) as f32);
            columns.look(places[0] * u + places[1] * v + places[2]);
            lines.look(places[3] * u + places[4] * v + places[5]);
            out.fill(0.0);
            match columns.in_a_row && window.len() <= 2 * S::LANES {
                true => in_registers(s, [&lines, &columns], channels, stride, padded, window),
                false => one_by_one([&lines, &columns], channels, stride, padded, window),
            }
            for (by, window) in columns.weights.iter().zip(window.chunks_exact(channels)) {
                out.iter_mut().zip(window).for_each(|(out, window)| *out += by * window);
            }
        }
    }
}

/// Sums a small window over its lines, and what lies beyond its columns as well.
#[inline(always)]
fn in_registers<S: Simd>(
    s: S,
    [lines, columns]: [&Axis; 2],
    channels: usize,
    stride: usize,
    padded: &[f32],
    window: &mut [f32],
) {
    let mut sums = [s.splat(0.0); 2];
    for (line, by) in lines.at.iter().zip(&lines.weights) {
        let from = &padded[line * stride + columns.at[0] * channels..][..2 * S::LANES];
        let by = s.splat(*by);
        sums = [s.fma(s.read(from, 0), by, sums[0]), s.fma(s.read(from, S::LANES), by, sums[1])];
    }
    s.write(window, 0, sums[0]);
    if window.len() > S::LANES {
        s.write(window, S::LANES, sums[1]);
    }
}

/// Sums any window over its lines.
#[inline(always)]
fn one_by_one(
    [lines, columns]: [&Axis; 2],
    channels: usize,
    stride: usize,
    padded: &[f32],
    window: &mut [f32],
) {
    window.fill(0.0);
    for (line, by) in lines.at.iter().zip(&lines.weights) {
        for (column, window) in columns.at.iter().zip(window.chunks_exact_mut(channels)) {
            let pixel = &padded[line * stride + column * channels..][..channels];
            pixel.iter().zip(window).for_each(|(x, window)| *window = by.mul_add(*x, *window));
        }
    }
}

/// The taps that see the pixels around a place of the doubled image, from the first one on: at even and odd places, for
/// the place itself and for the next.
struct Phases([[Vec<f32>; 2]; 2]);

impl Phases {
    fn new(taps: &[f32]) -> Self {
        let tap = |at: usize| taps.get(at).copied().unwrap_or(0.0);
        let seen = |from: usize| (0..=taps.len() / 2).map(move |pixel| tap((2 * pixel).wrapping_add(from)));
        let next = |from: usize| seen(from.wrapping_sub(1)).collect();
        Phases([0, 1].map(|from| [seen(from).collect(), next(from)]))
    }
}

/// Rows or columns of an image, with the margins over which it is reflected.
struct Axis<'a> {
    size: i32,
    margins: [i32; 2],
    phases: &'a Phases,
    doubled: bool,
    /// The pixels that are copied with the image.
    padded: Range<i32>,
    /// Which of the copied pixels are seen.
    at: Vec<usize>,
    /// Whether they lie one after another.
    in_a_row: bool,
    weights: Vec<f32>,
}

impl<'a> Axis<'a> {
    fn new(size: usize, margins: [f32; 2], phases: &'a Phases) -> Self {
        let margins = margins.map(|margin| margin.clamp(0.0, FARTHEST) as i32);
        let pixels = phases.0[0][0].len();
        let (doubled, seen) = (pixels > 1, pixels.max(2));
        let (at, weights) = (vec![0; seen], vec![0.0; seen]);
        // What lies beyond a margin counts as zero, but is read with what does not.
        let [before, after] = margins.map(|margin| margin.min(MARGIN) + seen as i32);
        let (size, padded) = (size as i32, -before..size as i32 + after);
        Axis { size, margins, phases, doubled, padded, at, in_a_row: false, weights }
    }

    /// How many pixels are seen at a place.
    fn seen(&self) -> usize {
        self.weights.len()
    }

    /// Looks at a place, counted from the centre.
    #[inline(always)]
    fn look(&mut self, from_centre: f32) {
        let scale = if self.doubled { 2 } else { 1 };
        let centre = (scale * self.size - 1) as f32 / 2.0;
        let place = from_centre.clamp(-FARTHEST, FARTHEST) + centre;
        let part = place - place.floor();
        let at = place.floor() as i32;
        let [low, high] = [-self.margins[0], self.size + self.margins[1]];
        let within = |at: i32| at >= scale * low && at < scale * high;
        let two = [(at, 1.0 - part), (at + 1, part)].map(|(at, by)| if within(at) { by } else { 0.0 });
        let seen = self.at.len() as i32;
        let mut first = at;
        if self.doubled {
            let half = seen - 1;
            first = (at - half + 1) >> 1;
            let [now, next] = &self.phases.0[(2 * first - at + half) as usize];
            let taps = now.iter().zip(next);
            self.weights.iter_mut().zip(taps).for_each(|(by, taps)| *by = two[0] * taps.0 + two[1] * taps.1);
            if first < low || first + seen > high {
                let beyond = |pixel: i32| pixel < low || pixel >= high;
                let outside = (0..seen).filter(|pixel| beyond(first + pixel));
                outside.for_each(|pixel| self.weights[pixel as usize] = 0.0);
            }
        } else {
            self.weights.copy_from_slice(&two);
        }
        self.in_a_row = first >= self.padded.start && first + seen <= self.padded.end;
        for pixel in 0..self.at.len() {
            let at = first + pixel as i32;
            let copied = if self.padded.contains(&at) { at } else { self.reflected(at) as i32 };
            self.at[pixel] = (copied - self.padded.start) as usize;
        }
    }

    fn reflected(&self, at: i32) -> usize {
        if at >= 0 && at < self.size {
            return at as usize;
        }
        let period = (2 * self.size - 2).max(1);
        let at = at.rem_euclid(period);
        at.min(period - at) as usize
    }
}
