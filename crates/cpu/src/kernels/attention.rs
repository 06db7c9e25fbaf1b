//! Attention over the pixels of an image, softmax and all, and its gradient.
//!
//! `qkv [n, pixels, 3 c]` holds q, k and v, each head by head. A task takes a head of a sample; its weights
//! `[pixels, pixels]` stay in the task's working memory and are computed again on the way back.

use super::gemm::{Finish, Output, Product, View};
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
    fn check(&self, qkv: &[f32], out: &[f32]) {
        assert!(self.c.is_multiple_of(self.heads), "the heads of {self:?}");
        let pixels = self.n * self.pixels;
        assert_eq!(
            [qkv.len(), out.len()],
            [pixels * 3 * self.c, pixels * self.c],
            "q, k, v and output of {self:?}"
        );
    }

    fn depth(&self) -> usize {
        self.c / self.heads
    }

    fn scale(&self) -> f32 {
        1.0 / (self.depth() as f32).sqrt()
    }
}

/// `out[n, pixels, c] = softmax(q kᵀ / √depth) v` for every head of `depth = c / heads` channels.
pub fn attention(pool: &mut Pool, shape: Attention, qkv: &[f32], out: &mut [f32]) {
    shape.check(qkv, out);
    let (level, out) = (pool.level(), Parts::new(out));
    pool.run(shape.n * shape.heads, |task, scratch| {
        let head = Head { shape, qkv, sample: task / shape.heads, head: task % shape.heads };
        head.forward(level, out, scratch);
    });
}

/// `dqkv` for the gradient `dy[n, pixels, c]` of [`attention`]'s output.
pub fn attention_gradient(pool: &mut Pool, shape: Attention, qkv: &[f32], dy: &[f32], dqkv: &mut [f32]) {
    shape.check(qkv, dy);
    shape.check(dqkv, dy);
    let (level, dqkv) = (pool.level(), Parts::new(dqkv));
    pool.run(shape.n * shape.heads, |task, scratch| {
        let head = Head { shape, qkv, sample: task / shape.heads, head: task % shape.heads };
        head.gradient(level, dy, dqkv, scratch);
    });
}

#[derive(Clone, Copy)]
struct Head<'a> {
    shape: Attention,
    qkv: &'a [f32],
    sample: usize,
    head: usize,
}

impl<'a> Head<'a> {
    /// Where q (0), k (1) or v (2) of this head begins.
    fn start(&self, part: usize) -> usize {
        let Attention { pixels, c, .. } = self.shape;
        self.sample * pixels * 3 * c + part * c + self.head * self.shape.depth()
    }

    /// q, k or v as `[pixels, depth]`.
    fn part(&self, part: usize) -> View<'a> {
        View::rows(&self.qkv[self.start(part)..], 3 * self.shape.c, 0)
    }

    /// Where this head's output begins.
    fn out(&self) -> usize {
        self.sample * self.shape.pixels * self.shape.c + self.head * self.shape.depth()
    }

    /// Writes the weights `[pixels, pixels]`.
    fn weights(&self, level: Level, weights: &mut [f32], room: &mut [f32]) {
        let (pixels, depth) = (self.shape.pixels, self.shape.depth());
        let to = Output { values: Parts::new(weights), start: 0, row: pixels };
        let (q, k) = (self.part(0), self.part(1).transposed());
        multiply(level, [pixels, pixels, depth], q, k, self.shape.scale(), to, room);
        level.run(softmax::Forward { len: pixels, rows: weights });
    }

    fn room(&self, level: Level) -> usize {
        let (pixels, depth) = (self.shape.pixels, self.shape.depth());
        Product::room(level, pixels.max(depth))
    }

    fn forward(&self, level: Level, out: Parts<f32>, scratch: &mut Scratch) {
        let (pixels, depth) = (self.shape.pixels, self.shape.depth());
        let [weights, room] = scratch.take([pixels * pixels, self.room(level)]);
        self.weights(level, weights, room);
        let to = Output { values: out, start: self.out(), row: self.shape.c };
        multiply(level, [pixels, depth, pixels], View::rows(weights, pixels, 0), self.part(2), 1.0, to, room);
    }

    fn gradient(&self, level: Level, dy: &[f32], dqkv: Parts<f32>, scratch: &mut Scratch) {
        let (pixels, depth, scale) = (self.shape.pixels, self.shape.depth(), self.shape.scale());
        let [weights, logits, room] = scratch.take([pixels * pixels, pixels * pixels, self.room(level)]);
        let part = |part| Output { values: dqkv, start: self.start(part), row: 3 * self.shape.c };
        let (tall, square) = ([pixels, depth, pixels], [pixels, pixels, depth]);
        let dy = View::rows(&dy[self.out()..], self.shape.c, 0);
        self.weights(level, weights, room);
        multiply(level, tall, View::rows(weights, pixels, 0).transposed(), dy, 1.0, part(2), room);
        let to = Output { values: Parts::new(logits), start: 0, row: pixels };
        multiply(level, square, dy, self.part(2).transposed(), 1.0, to, room);
        level.run(softmax::Gradient { len: pixels, y: weights, rows: logits, scale });
        let dl = View::rows(logits, pixels, 0);
        multiply(level, tall, dl, self.part(1), 1.0, part(0), room);
        multiply(level, tall, dl.transposed(), self.part(0), 1.0, part(1), room);
    }
}

/// A whole product on this thread, times a constant.
fn multiply(level: Level, [m, n, k]: [usize; 3], a: View, b: View, scale: f32, to: Output, room: &mut [f32]) {
    let panels = [0, n.div_ceil(2 * level.lanes())];
    Product { n, k, a, b, finish: Finish::Scale(scale), to, rows: [0, m], panels }.run(level, room);
}
