//! Attention over the pixels of an image, softmax and all, and its gradient.
//!
//! `qkv [n, pixels, 3 c]` holds q, k and v, each head by head. A task takes a head of a sample; its weights
//! `[pixels, pixels]` stay in the task's working memory and are computed again on the way back.

use super::gemm::{Finish, Output, Product, View};
use super::numbers::{Numbers, NumbersMut, SharedNumbers};
use super::pointer::Parts;
use super::softmax;
use crate::{Level, Pool, Scratch};

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
    pool.run(shape.n * shape.heads, |task, scratch| {
        let head = Head { shape, qkv, sample: task / shape.heads, head: task % shape.heads };
        head.forward(level, out, scratch);
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
    pool.run(shape.n * shape.heads, |task, scratch| {
        let head = Head { shape, qkv, sample: task / shape.heads, head: task % shape.heads };
        head.gradient(level, dy, dqkv, scratch);
    });
}

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
    fn view(&self, part: usize) -> View<'a> {
        View::rows(&self.values[self.start + part * self.part..], self.row, 0)
    }
}

impl<'a> Lines<Parts<'a, f32>> {
    /// q (0), k (1) or v (2).
    fn output(&self, part: usize) -> Output<'a> {
        Output { values: self.values, start: self.start + part * self.part, row: self.row }
    }
}

impl Head<'_> {
    /// Where this head lies in tensors of `parts` times as many channels as the output.
    fn lines<T>(&self, values: T, parts: usize) -> Lines<T> {
        let Attention { pixels, c, .. } = self.shape;
        let start = self.sample * pixels * parts * c + self.head * self.shape.depth();
        Lines { values, start, row: parts * c, part: c }
    }

    /// As [`Head::lines`], alone in working memory.
    fn alone<T>(&self, values: T, parts: usize) -> Lines<T> {
        let depth = self.shape.depth();
        Lines { values, start: 0, row: parts * depth, part: depth }
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
        for (at, to) in room.chunks_exact_mut(self.shape.depth()).enumerate() {
            let start = from.start + at / parts * from.row + at % parts * from.part;
            numbers.range(start, to.len()).copy_to(level, NumbersMut::F32(to));
        }
        self.alone(room, parts)
    }

    /// Lets `fill` write a head's numbers in 32 bits: where they belong, or in `room`, which is then rounded.
    fn filled(
        &self,
        level: Level,
        numbers: SharedNumbers,
        parts: usize,
        room: &mut [f32],
        fill: impl FnOnce(Lines<Parts<f32>>),
    ) {
        if let SharedNumbers::F32(values) = numbers {
            return fill(self.lines(values, parts));
        }
        fill(self.alone(Parts::new(room), parts));
        let to = self.lines(numbers, parts);
        for (at, from) in room.chunks_exact(self.shape.depth()).enumerate() {
            let start = to.start + at / parts * to.row + at % parts * to.part;
            // SAFETY: a row of this task's head.
            Numbers::F32(from).copy_to(level, unsafe { numbers.range(start, from.len()) });
        }
    }

    /// Writes the weights `[pixels, pixels]`.
    fn weights(&self, level: Level, qkv: Lines<&[f32]>, weights: &mut [f32], room: &mut [f32]) {
        let (pixels, depth) = (self.shape.pixels, self.shape.depth());
        let to = Output { values: Parts::new(weights), start: 0, row: pixels };
        let (q, k) = (qkv.view(0), qkv.view(1).transposed());
        multiply(level, [pixels, pixels, depth], q, k, self.shape.scale(), to, room);
        level.run(softmax::Forward { len: pixels, rows: weights });
    }

    fn room(&self, level: Level) -> usize {
        let (pixels, depth) = (self.shape.pixels, self.shape.depth());
        Product::room(level, pixels.max(depth))
    }

    fn forward(&self, level: Level, out: SharedNumbers, scratch: &mut Scratch) {
        let (pixels, depth) = (self.shape.pixels, self.shape.depth());
        let [weights, room, qkv, rounded] =
            scratch.take([pixels * pixels, self.room(level), self.len(3), self.len(1)]);
        let qkv = self.widened(level, self.qkv, 3, qkv);
        self.weights(level, qkv, weights, room);
        self.filled(level, out, 1, rounded, |out| {
            let weights = View::rows(weights, pixels, 0);
            multiply(level, [pixels, depth, pixels], weights, qkv.view(2), 1.0, out.output(0), room);
        });
    }

    fn gradient(&self, level: Level, dy: Numbers, dqkv: SharedNumbers, scratch: &mut Scratch) {
        let (pixels, depth, scale) = (self.shape.pixels, self.shape.depth(), self.shape.scale());
        let square = pixels * pixels;
        let [weights, logits, room, qkv, dy_room, rounded] =
            scratch.take([square, square, self.room(level), self.len(3), self.len(1), self.len(3)]);
        let (tall, square) = ([pixels, depth, pixels], [pixels, pixels, depth]);
        let qkv = self.widened(level, self.qkv, 3, qkv);
        let dy = self.widened(level, dy, 1, dy_room).view(0);
        self.weights(level, qkv, weights, room);
        self.filled(level, dqkv, 3, rounded, |dqkv| {
            let turned = View::rows(weights, pixels, 0).transposed();
            multiply(level, tall, turned, dy, 1.0, dqkv.output(2), room);
            let to = Output { values: Parts::new(logits), start: 0, row: pixels };
            multiply(level, square, dy, qkv.view(2).transposed(), 1.0, to, room);
            level.run(softmax::Gradient { len: pixels, y: weights, rows: logits, scale });
            let dl = View::rows(logits, pixels, 0);
            multiply(level, tall, dl, qkv.view(1), 1.0, dqkv.output(0), room);
            multiply(level, tall, dl.transposed(), qkv.view(0), 1.0, dqkv.output(1), room);
        });
    }
}

/// A whole product on this thread, times a constant.
fn multiply(level: Level, [m, n, k]: [usize; 3], a: View, b: View, scale: f32, to: Output, room: &mut [f32]) {
    let panels = [0, n.div_ceil(2 * level.lanes())];
    Product { n, k, a, b, finish: Finish::Scale(scale), to, rows: [0, m], panels }.run(level, room);
}
