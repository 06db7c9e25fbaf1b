//! Pixels times weights: what direct convolutions are.

use std::array::from_fn;

use crate::kernels::band::Pixels;
use crate::kernels::column::Place;
use crate::kernels::numbers::SharedNumbers;
use crate::kernels::pack::Panels;
use crate::kernels::store::Store;
use crate::kernels::tile::{Registers, products};
use crate::{Kernel, Simd};

/// Where results go: samples and their pixels one after the other.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    pub store: &'a Store<'a>,
    pub numbers: SharedNumbers<'a>,
    /// The first sample and, of all, the first pixel.
    pub sample: usize,
    pub pixel: usize,
}

/// The results of some pixels for a panel of channels.
pub(super) struct Product<'a> {
    pub pixels: Pixels<'a>,
    /// Rows of taps, a line apart, and the numbers of a row.
    pub depth: [usize; 2],
    /// Those of the panel: `[row of taps][number of the row][channel of the panel]`.
    pub weights: &'a [f32],
    pub panels: Panels,
    pub panel: usize,
    pub output: Output<'a>,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.pixels.samples * self.pixels.count() == 0 {
            return;
        }
        let ([rows, depth], vectors) = (self.depth, self.panels.vectors(self.panel));
        assert!(
            self.pixels.last(rows) + depth <= self.pixels.values.len(),
            "pixels outside of what was loaded"
        );
        assert!(self.weights.len() >= rows * depth * vectors * S::LANES, "too few weights");
        match (S::ROWS, vectors) {
            (8, 2) => self.samples::<S, 8, 2>(s),
            (8, _) => self.samples::<S, 8, 1>(s),
            (_, 2) => self.samples::<S, 4, 2>(s),
            _ => self.samples::<S, 4, 1>(s),
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn samples<S: Simd, const Q: usize, const N: usize>(&self, s: S) {
        let Output { store, numbers, sample, pixel } = self.output;
        let (count, cout) = (self.pixels.count(), self.panels.channels);
        let (channel, real) = (self.panels.start(self.panel), self.panels.real(self.panel));
        for index in 0..self.pixels.samples {
            let shift = store.shift::<S, N>(s, sample + index, cout, channel..channel + real);
            let places: [Place; N] = from_fn(|j| Place {
                first: (pixel + index * count) * cout + channel + j * S::LANES,
                step: cout,
                len: (real - j * S::LANES).min(S::LANES),
                pixels: count,
            });
            let added = places.map(|place| store.added(s, place));
            // SAFETY: pixels of this task and channels of this panel, which no other task has.
            let mut out = places.map(|place| unsafe { numbers.column(s, place) });
            let mut walk = Walk::new(&self.pixels, index);
            for first in (0..count).step_by(Q) {
                let mut acc = [[[s.splat(0.0); N]; 1]; Q];
                // SAFETY: asserted in `run`.
                unsafe { self.sum(s, walk.next(), &mut acc) };
                // Over `take` the sums leave their registers.
                for (q, [sums]) in acc.iter().enumerate() {
                    if first + q < count {
                        for j in 0..N {
                            store.write(s, [sums[j], shift[j]], added[j], first + q, &mut out[j]);
                        }
                    }
                }
            }
        }
    }

    /// Adds all products of some pixels, in the order of the weights.
    #[inline(always)]
    unsafe fn sum<S: Simd, const Q: usize, const N: usize>(
        &self,
        s: S,
        from: [*const f32; Q],
        acc: &mut Registers<S, Q, 1, N>,
    ) {
        let [rows, depth] = self.depth;
        for row in 0..rows {
            let from = from.map(|from| from.wrapping_add(row * self.pixels.steps[1]));
            let weights = self.weights[row * depth * N * S::LANES..].as_ptr();
            // SAFETY: the caller's promise.
            unsafe { products::<S, Q, 1, N, 0>(s, depth, (from, 1), weights, acc) };
        }
    }
}

/// The pixels of a sample, one after the other.
struct Walk {
    at: *const f32,
    /// Pixels that are left of the line, and lines that are left behind it.
    left: [usize; 2],
    width: usize,
    /// Numbers from one pixel to the next, in a line and to the next line.
    steps: [usize; 2],
}

impl Walk {
    #[inline(always)]
    fn new(pixels: &Pixels, sample: usize) -> Self {
        let Pixels { values, size: [lines, width], steps, .. } = *pixels;
        let turn = steps[1].wrapping_sub((width - 1) * steps[2]);
        Walk {
            at: values[sample * steps[0]..].as_ptr(),
            left: [width - 1, lines - 1],
            width,
            steps: [steps[2], turn],
        }
    }

    /// The next few; the last is repeated past the end.
    #[inline(always)]
    fn next<const Q: usize>(&mut self) -> [*const f32; Q] {
        let mut pixels = [self.at; Q];
        for pixel in &mut pixels {
            *pixel = self.at;
            let [pixels, lines] = &mut self.left;
            if *pixels > 0 {
                *pixels -= 1;
                self.at = self.at.wrapping_add(self.steps[0]);
            } else if *lines > 0 {
                (*pixels, *lines) = (self.width - 1, *lines - 1);
                self.at = self.at.wrapping_add(self.steps[1]);
            }
        }
        pixels
    }
}
