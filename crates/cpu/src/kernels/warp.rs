//! Images read between their pixels, each at places of its own.

use super::pointer::Parts;
use crate::{Kernel, Pool, Scratch, Simd};

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
    let (level, out) = (pool.level(), Parts::new(out));
    let phases = Phases::new(warp.taps);
    pool.run(n * height, |task, scratch| {
        let sample = task / height;
        let x = &x[sample * h * w * c..][..h * w * c];
        let places = &places[sample * PLACES..][..PLACES];
        // SAFETY: one task per row of the result.
        let out = unsafe { out.range(task * width * c, width * c) };
        let columns = Axis::new(w, c, [places[6], places[8]], &phases);
        let rows = Axis::new(h, w * c, [places[7], places[9]], &phases);
        let v = (task % height) as f32 - (height as f32 - 1.0) / 2.0;
        level.run(Row { x, places, v, channels: c, rows, columns, out, scratch });
    });
}

/// A row of the result.
struct Row<'a, 'b> {
    x: &'a [f32],
    places: &'a [f32],
    /// From the centre.
    v: f32,
    channels: usize,
    rows: Axis<'a>,
    columns: Axis<'a>,
    out: &'a mut [f32],
    scratch: &'b mut Scratch,
}

impl Kernel for Row<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Row { x, places, v, channels, mut rows, mut columns, out, scratch } = self;
        // What the columns that are seen hold, each over all rows.
        let [window] = scratch.take([columns.weights.len() * channels]);
        let first = (out.len() / channels) as f32 / 2.0 - 0.5;
        for (to, out) in out.chunks_exact_mut(channels).enumerate() {
            let u = to as f32 - first;
            columns.look(places[0] * u + places[1] * v + places[2]);
            rows.look(places[3] * u + places[4] * v + places[5]);
            window.fill(0.0);
            for (row, by) in rows.at.iter().zip(&rows.weights) {
                let line = &x[*row..][..x.len() / rows.size as usize];
                match columns.in_a_row {
                    true => add(s, *by, &line[columns.at[0]..][..window.len()], window),
                    false => {
                        for (column, window) in columns.at.iter().zip(window.chunks_exact_mut(channels)) {
                            let pixel = &line[*column..][..channels];
                            pixel.iter().zip(window).for_each(|(x, window)| *window += by * x);
                        }
                    }
                }
            }
            out.fill(0.0);
            for (by, window) in columns.weights.iter().zip(window.chunks_exact(channels)) {
                out.iter_mut().zip(window).for_each(|(out, window)| *out += by * window);
            }
        }
    }
}

#[inline(always)]
fn add<S: Simd>(s: S, weight: f32, x: &[f32], out: &mut [f32]) {
    for i in (0..out.len()).step_by(S::LANES) {
        s.write(out, i, s.fma(s.read(x, i), s.splat(weight), s.read(out, i)));
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
    /// From one to the next, in elements.
    stride: usize,
    margins: [i32; 2],
    phases: &'a Phases,
    doubled: bool,
    /// Where the pixels lie that are seen.
    at: Vec<usize>,
    /// Whether they lie one after another.
    in_a_row: bool,
    weights: Vec<f32>,
}

impl<'a> Axis<'a> {
    fn new(size: usize, stride: usize, margins: [f32; 2], phases: &'a Phases) -> Self {
        let margins = margins.map(|margin| margin.clamp(0.0, FARTHEST) as i32);
        let pixels = phases.0[0][0].len();
        let (doubled, seen) = (pixels > 1, pixels.max(2));
        let (at, weights) = (vec![0; seen], vec![0.0; seen]);
        Axis { size: size as i32, stride, margins, phases, doubled, at, in_a_row: false, weights }
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
        self.in_a_row = first >= 0 && first + seen <= self.size;
        for pixel in 0..self.at.len() {
            self.at[pixel] = self.reflected(first + pixel as i32) * self.stride;
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
