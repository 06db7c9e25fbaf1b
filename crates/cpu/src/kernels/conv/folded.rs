//! 3x3 convolutions to few channels, which would leave most lanes of a vector empty.
//!
//! Each pixel is multiplied with the weights of all taps, as by a 1x1 convolution to nine times the channels; then the
//! nine products that meet in a pixel are added.

use std::ops::Range;

use super::Conv;
use super::product::{Output, Product};
use crate::kernels::band::Band;
use crate::kernels::column::Place;
use crate::kernels::cut::Cut;
use crate::kernels::load::{BLOCK, Load};
use crate::kernels::norm::Written;
use crate::kernels::numbers::{NumbersMut, SharedNumbers};
use crate::kernels::pack::{Direct, Panels, Weights, run_with};
use crate::kernels::store::Store;
use crate::{Kernel, Level, Pool, Scratch, Simd};

pub(super) fn suits(weights: &Weights) -> bool {
    let (cin, cout) = weights.channels();
    weights.taps == 9 && cin >= BLOCK && cout < BLOCK
}

/// `out = store(load(x) * weights)`, for what [`suits`].
pub(super) fn run(
    pool: &mut Pool,
    shape: Conv,
    load: &Load,
    weights: Weights,
    store: &Store,
    out: NumbersMut,
) {
    let (cin, channels) = weights.channels();
    let values: Vec<f32> = (0..weights.values.len())
        .map(|i| {
            let (from, tap, to) = (i / (9 * channels), i / channels % 9, i % channels);
            match weights.turned {
                true => weights.values[((8 - tap) * channels + to) * cin + from],
                false => weights.values[(tap * cin + from) * channels + to],
            }
        })
        .collect();
    let weights = Weights { values: &values, taps: 1, cin, cout: 9 * channels, turned: false };
    let (mut workers, shared) = pool.split();
    let level = workers.level;
    let panels = Panels { channels, lanes: level.lanes() };
    let cut = Cut::new(shape, cin, panels, 1, workers.threads());
    let (packing, out) = (Direct { weights, level }, out.share());
    let written = Written { shape, channels, out, statistics: store.statistics };
    run_with(&packing, (&mut workers, shared), (cut.tasks(), false), |index, packed, scratch| {
        Task { shape, load, weights, packed, store, out, cut, index }.run(level, scratch);
        written.after_task(level, cut, index, scratch);
    });
    written.after_all(&mut workers, cut);
}

/// One task: some samples or a band.
struct Task<'a> {
    shape: Conv,
    load: &'a Load<'a>,
    /// As of a 1x1 convolution.
    weights: Weights<'a>,
    packed: &'a [f32],
    store: &'a Store<'a>,
    out: SharedNumbers<'a>,
    cut: Cut,
    index: usize,
}

impl Task<'_> {
    fn run(&self, level: Level, scratch: &mut Scratch) {
        let Conv { h, w, .. } = self.shape;
        let (samples, [top, bottom], _) = self.cut.task(self.index, self.shape);
        let rows = [top.saturating_sub(1), (bottom + 1).min(h)];
        let channels = self.weights.cin;
        let band = Band { samples, rows, border: 0, size: [h, w], channels, step: channels };
        let count = band.samples.len() * (rows[1] - rows[0]) * w;
        let [to, room, sums] = scratch.take([band.len(), self.load.row_len(w), count * self.weights.cout]);
        let pixels = band.pixels(level, self.load, to, room);
        let (panels, depth) = (self.weights.panels(level.lanes()), [1, channels]);
        for panel in 0..panels.count() {
            let weights = &self.packed[panel * channels * 2 * level.lanes()..];
            let numbers = NumbersMut::from(&mut *sums).share();
            let output = Output { store: &Store::plain(), numbers, sample: 0, pixel: 0 };
            level.run(Product { pixels, depth, weights, panels, panel, output });
        }
        level.run(Fold { task: self, band: &band, rows: [top, bottom], sums });
    }
}

/// Adds the products that meet in each pixel of some rows.
struct Fold<'a> {
    task: &'a Task<'a>,
    band: &'a Band,
    rows: [usize; 2],
    /// `[pixel of the band][tap][channel]`
    sums: &'a [f32],
}

impl Kernel for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for index in 0..self.band.samples.len() {
            for y in self.rows[0]..self.rows[1] {
                for first in (0..self.channels()).step_by(S::LANES) {
                    self.row(s, [index, y], first..(first + S::LANES).min(self.channels()));
                }
            }
        }
    }
}

impl Fold<'_> {
    fn channels(&self) -> usize {
        self.task.weights.cout / 9
    }

    /// A vector of channels of a row of the band's sample `index`.
    #[inline(always)]
    fn row<S: Simd>(&self, s: S, [index, y]: [usize; 2], channels: Range<usize>) {
        let (Task { store, out, .. }, [h, w], step) = (self.task, self.band.size, self.channels());
        let (sample, height) = (self.band.samples.start + index, self.band.rows[1] - self.band.rows[0]);
        let first = (sample * h + y) * w * step + channels.start;
        let place = Place { first, step, len: channels.len(), pixels: w };
        let [shift] = store.shift::<S, 1>(s, sample, step, channels.clone());
        // SAFETY: a row of this task, which no other has.
        let (added, mut to) = (store.added(s, place), unsafe { out.column(s, place) });
        for x in 0..w {
            let mut sum = s.splat(0.0);
            for tap in 0..9 {
                let (row, column) = (y + tap / 3, x + tap % 3);
                if (1..=h).contains(&row) && (1..=w).contains(&column) {
                    let pixel = (index * height + row - 1 - self.band.rows[0]) * w + column - 1;
                    let products = &self.sums[(pixel * 9 + tap) * step..][channels.clone()];
                    sum = s.add(sum, s.read(products, 0));
                }
            }
            store.write(s, [sum, shift], added, x, &mut to);
        }
    }
}
