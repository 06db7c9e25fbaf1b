//! Attention over the pixels of an image, softmax and all, and its gradient.
//!
//! `qkv [n, pixels, 3 c]` holds q, k and v, each head by head. A head's weights stay in a task's working memory and are
//! computed again on the way back. They lie there a row for each key and a column for each query, so that what softmax
//! takes over the keys of a query is vertical: a vector holds as many queries.

use std::ops::Range;

use super::column::{ColumnMut, Place};
use super::gemm::{Finish, Output, Panel, View};
use super::numbers::{Numbers, NumbersMut, SharedNumbers};
use super::pack::Panels;
use super::pointer::Parts;
use super::softmax;
use crate::{Kernel, Level, Pool, Scratch, Simd};

/// The shape of an attention: `c` channels in all heads together.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    pub n: usize,
    pub pixels: usize,
    pub c: usize,
    pub heads: usize,
}

impl Attention {
    fn check(&self, qkv: usize, out: usize) {
        assert!(self.c.is_multiple_of(self.heads), "the heads of {self:?}");
        let pixels = self.n * self.pixels;
        assert_eq!([qkv, out], [pixels * 3 * self.c, pixels * self.c], "q, k, v and output of {self:?}");
    }

    fn depth(&self) -> usize {
        self.c / self.heads
    }

    fn scale(&self) -> f32 {
        1.0 / (self.depth() as f32).sqrt()
    }
}

/// `out[n, pixels, c] = softmax(q kᵀ / √depth) v` for every head of `depth = c / heads` channels.
pub fn attention<'a>(
    pool: &mut Pool,
    shape: Attention,
    qkv: impl Into<Numbers<'a>>,
    out: impl Into<NumbersMut<'a>>,
) {
    let (qkv, out) = (qkv.into(), out.into());
    shape.check(qkv.len(), out.len());
    let (level, out) = (pool.level(), out.share());
    let (heads, panels) = (shape.n * shape.heads, shape.pixels.div_ceil(2 * level.lanes()));
    let parts = pool.threads().div_ceil(heads.max(1)).min(panels);
    pool.run(heads * parts, |task, scratch| {
        let (head, part) = (task / parts, task % parts);
        let queries = part * panels / parts..(part + 1) * panels / parts;
        Head::new(shape, qkv, head).forward(level, out, queries, scratch);
    });
}

/// `dqkv` for the gradient `dy[n, pixels, c]` of [`attention`]'s output.
pub fn attention_gradient<'a>(
    pool: &mut Pool,
    shape: Attention,
    qkv: impl Into<Numbers<'a>>,
    dy: impl Into<Numbers<'a>>,
    dqkv: impl Into<NumbersMut<'a>>,
) {
    let (qkv, dy, dqkv) = (qkv.into(), dy.into(), dqkv.into());
    shape.check(qkv.len(), dy.len());
    shape.check(dqkv.len(), dy.len());
    let (level, dqkv) = (pool.level(), dqkv.share());
    pool.run(shape.n * shape.heads, |head, scratch| {
        Head::new(shape, qkv, head).gradient(level, dy, dqkv, scratch);
    });
}

/// A head of a sample.
#[derive(Clone, Copy)]
struct Head<'a> {
    shape: Attention,
    qkv: Numbers<'a>,
    sample: usize,
    head: usize,
}

/// Where a head's q, k and v lie as `[pixels, depth]`, or its output.
#[derive(Clone, Copy)]
struct Lines<T> {
    values: T,
    start: usize,
    /// From one pixel to the next.
    row: usize,
    /// From q to k, and from k to v.
    part: usize,
}

impl<'a> Lines<&'a [f32]> {
    /// q (0), k (1) or v (2).
    #[inline(always)]
    fn view(&self, part: usize) -> View<'a> {
        View::rows(&self.values[self.start + part * self.part..], self.row, 0)
    }
}

impl<'a> Lines<SharedNumbers<'a>> {
    /// q (0), k (1) or v (2), from a pixel on.
    #[inline(always)]
    fn output(&self, part: usize, pixel: usize) -> Output<'a> {
        let start = self.start + part * self.part + pixel * self.row;
        Output { values: self.values, start, row: self.row }
    }
}

impl<'a> Head<'a> {
    fn new(shape: Attention, qkv: Numbers<'a>, head: usize) -> Self {
        Head { shape, qkv, sample: head / shape.heads, head: head % shape.heads }
    }

    /// Where this head lies in tensors of `parts` times as many channels as the output.
    fn lines<T>(&self, values: T, parts: usize) -> Lines<T> {
        let Attention { pixels, c, .. } = self.shape;
        let start = self.sample * pixels * parts * c + self.head * self.shape.depth();
        Lines { values, start, row: parts * c, part: c }
    }

    /// Floats of a head alone.
    fn len(&self, parts: usize) -> usize {
        self.shape.pixels * parts * self.shape.depth()
    }

    /// A head's numbers in 32 bits: where they are, or in `room`.
    fn widened<'r>(
        &self,
        level: Level,
        numbers: Numbers<'r>,
        parts: usize,
        room: &'r mut [f32],
    ) -> Lines<&'r [f32]> {
        let from = self.lines(numbers, parts);
        if let Numbers::F32(values) = numbers {
            return self.lines(values, parts);
        }
        let depth = self.shape.depth();
        for (at, to) in room.chunks_exact_mut(depth).enumerate() {
            let start = from.start + at / parts * from.row + at % parts * from.part;
            numbers.range(start, to.len()).copy_to(level, NumbersMut::F32(to));
        }
        Lines { values: room, start: 0, row: parts * depth, part: depth }
    }

    fn forward(&self, level: Level, out: SharedNumbers, queries: Range<usize>, scratch: &mut Scratch) {
        let (pixels, depth, width) = (self.shape.pixels, self.shape.depth(), 2 * level.lanes());
        let packed = pixels * depth.next_multiple_of(level.lanes());
        let [turned, weights, values, qkv] =
            scratch.take([depth * width, pixels * width, packed, self.len(3)]);
        let (qkv, out) = (self.widened(level, self.qkv, 3, qkv), self.lines(out, 1));
        level.run(Forward { shape: self.shape, qkv, out, queries, turned, weights, values });
    }

    fn gradient(&self, level: Level, dy: Numbers, dqkv: SharedNumbers, scratch: &mut Scratch) {
        let (pixels, depth, width) = (self.shape.pixels, self.shape.depth(), 2 * level.lanes());
        let packed = pixels * depth.next_multiple_of(level.lanes());
        let square = pixels * weights_row(pixels, level.lanes());
        let [turned, weights, slopes, room, qkv, dy_room] =
            scratch.take([depth * width, square, square, packed, self.len(3), self.len(1)]);
        let (qkv, dqkv) = (self.widened(level, self.qkv, 3, qkv), self.lines(dqkv, 3));
        let dy = self.widened(level, dy, 1, dy_room);
        level.run(Gradient { shape: self.shape, qkv, dy, dqkv, turned, weights, slopes, room });
    }
}

/// Floats from one key's weights to the next's: not a power of two, as those share few places of a cache.
fn weights_row(queries: usize, lanes: usize) -> usize {
    queries.next_multiple_of(lanes) + 16
}

/// The output of some panels of queries of a head.
struct Forward<'a> {
    shape: Attention,
    qkv: Lines<&'a [f32]>,
    out: Lines<SharedNumbers<'a>>,
    /// Panels.
    queries: Range<usize>,
    /// `[channel][query of the panel]`
    turned: &'a mut [f32],
    /// `[key][query of the panel]`
    weights: &'a mut [f32],
    /// For v, packed.
    values: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { shape, qkv, out, queries, turned, weights, values } = self;
        let (pixels, panels) = (shape.pixels, Panels { channels: shape.pixels, lanes: S::LANES });
        let values = Packed::new(s, shape, qkv.view(2), values);
        for panel in queries {
            let (first, row) = (panels.start(panel), panels.vectors(panel) * S::LANES);
            across(s, shape, panel, [qkv.view(1), qkv.view(0)], turned, output(weights, 0, row));
            let mut shares = [0.0; 32];
            for j in (0..row).step_by(S::LANES) {
                let place = Place { first: j, step: row, len: S::LANES, pixels };
                let mut column = ColumnMut::new(s, &mut *weights, place);
                let sum = softmax::exponentials(s, &mut column, pixels, shape.scale());
                s.write(&mut shares, j, s.recip(sum));
            }
            let (weights, finish) = (View::rows(weights, row, 0).transposed(), Finish::Rows(&shares));
            values.multiply(s, weights, finish, out.output(0, first), panels.real(panel));
        }
    }
}

/// The gradient of a head.
struct Gradient<'a> {
    shape: Attention,
    qkv: Lines<&'a [f32]>,
    dy: Lines<&'a [f32]>,
    dqkv: Lines<SharedNumbers<'a>>,
    /// `[channel][query of the panel]`
    turned: &'a mut [f32],
    /// `[key][query]`
    weights: &'a mut [f32],
    /// The gradient of the weights, then of what softmax was taken of: `[key][query]`.
    slopes: &'a mut [f32],
    /// For k, then q, then dy, packed.
    room: &'a mut [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Gradient { shape, qkv, dy, dqkv, turned, weights, slopes, room } = self;
        let (pixels, panels) = (shape.pixels, Panels { channels: shape.pixels, lanes: S::LANES });
        let (row, whole) = (weights_row(pixels, S::LANES), Finish::Scale(1.0));
        let k = Packed::new(s, shape, qkv.view(1), &mut *room);
        for panel in 0..panels.count() {
            let (first, width) = (panels.start(panel), panels.vectors(panel) * S::LANES);
            across(s, shape, panel, [qkv.view(1), qkv.view(0)], turned, output(weights, first, row));
            across(s, shape, panel, [qkv.view(2), dy.view(0)], turned, output(slopes, first, row));
            for first in (first..first + width).step_by(S::LANES) {
                let place = Place { first, step: row, len: S::LANES, pixels };
                let mut weights = ColumnMut::new(s, &mut *weights, place);
                let mut slopes = ColumnMut::new(s, &mut *slopes, place);
                softmax::slopes(s, [&mut weights, &mut slopes], pixels, shape.scale());
            }
            let slopes = View::rows(&slopes[first..], row, 0).transposed();
            k.multiply(s, slopes, whole, dqkv.output(0, first), panels.real(panel));
        }
        let q = Packed::new(s, shape, qkv.view(0), &mut *room);
        q.multiply(s, View::rows(slopes, row, 0), whole, dqkv.output(1, 0), pixels);
        let packed_dy = Packed::new(s, shape, dy.view(0), room);
        packed_dy.multiply(s, View::rows(weights, row, 0), whole, dqkv.output(2, 0), pixels);
    }
}

/// Where products go in working memory.
#[inline(always)]
fn output(values: &mut [f32], start: usize, row: usize) -> Output<'_> {
    Output { values: SharedNumbers::F32(Parts::new(values)), start, row }
}

/// The products of every pixel on the left with a panel of pixels on the right, both `[pixels, depth]`.
#[inline(always)]
fn across<S: Simd>(
    s: S,
    shape: Attention,
    panel: usize,
    [left, right]: [View; 2],
    turned: &mut [f32],
    to: Output,
) {
    let panels = Panels { channels: shape.pixels, lanes: S::LANES };
    let width = panels.vectors(panel) * S::LANES;
    let turned = &mut turned[..shape.depth() * width];
    right.transposed().pack(s, panels, panel, turned);
    let size = [shape.pixels, width, shape.depth()];
    Panel { a: left, right: turned, finish: Finish::Scale(1.0), to, size }.run(s);
}

/// The right side `[pixels, depth]` of a product: its panels one after the other.
struct Packed<'a> {
    shape: Attention,
    values: &'a [f32],
}

impl<'a> Packed<'a> {
    #[inline(always)]
    fn new<S: Simd>(s: S, shape: Attention, from: View, room: &'a mut [f32]) -> Self {
        let panels = Panels { channels: shape.depth(), lanes: S::LANES };
        for (panel, to) in room.chunks_mut((2 * S::LANES * shape.pixels).max(1)).enumerate() {
            from.pack(s, panels, panel, to);
        }
        Packed { shape, values: room }
    }

    /// `to = finish(left · self)` for a left side `[rows, pixels]`.
    #[inline(always)]
    fn multiply<S: Simd>(&self, s: S, left: View, finish: Finish, to: Output, rows: usize) {
        let Attention { pixels, .. } = self.shape;
        let panels = Panels { channels: self.shape.depth(), lanes: S::LANES };
        for (panel, right) in self.values.chunks((2 * S::LANES * pixels).max(1)).enumerate() {
            let to = Output { start: to.start + panels.start(panel), ..to };
            Panel { a: left, right, finish, to, size: [rows, panels.real(panel), pixels] }.run(s);
        }
    }
}
