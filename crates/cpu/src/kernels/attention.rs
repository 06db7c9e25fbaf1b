//! Attention over the pixels of an image, softmax and all, and its gradient.
//!
//! `qkv [n, pixels, 3 c]` holds q, k and v, each head by head. A task takes a head of a sample; its weights
//! `[pixels, pixels]` stay in the task's working memory and are computed again on the way back.

use super::gemm::{Finish, Output, Product, View, multiply, room};
use super::pointer::Parts;
use super::softmax;
use crate::{Kernel, Pool, Scratch, Simd};

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
        level.run(Forward { head, out, scratch });
    });
}

/// `dqkv` for the gradient `dy[n, pixels, c]` of [`attention`]'s output.
pub fn attention_gradient(pool: &mut Pool, shape: Attention, qkv: &[f32], dy: &[f32], dqkv: &mut [f32]) {
    shape.check(qkv, dy);
    shape.check(dqkv, dy);
    let (level, dqkv) = (pool.level(), Parts::new(dqkv));
    pool.run(shape.n * shape.heads, |task, scratch| {
        let head = Head { shape, qkv, sample: task / shape.heads, head: task % shape.heads };
        level.run(Gradient { head, dy, dqkv, scratch });
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
    #[inline(always)]
    fn weights<S: Simd>(&self, s: S, weights: &mut [f32], room: &mut [f32]) {
        let (pixels, depth) = (self.shape.pixels, self.shape.depth());
        let to = Output { values: Parts::new(weights), start: 0, row: pixels };
        let (q, k) = (self.part(0), self.part(1).transposed());
        whole(s, [pixels, pixels, depth], q, k, Finish::Scale(self.shape.scale()), to, room);
        softmax::forward(s, pixels, weights);
    }

    #[inline(always)]
    fn room<S: Simd>(&self, s: S) -> usize {
        let (pixels, depth) = (self.shape.pixels, self.shape.depth());
        room(s, pixels, pixels.max(depth))
    }
}

/// A whole product on this thread.
#[inline(always)]
fn whole<S: Simd>(
    s: S,
    [m, n, k]: [usize; 3],
    a: View,
    b: View,
    finish: Finish,
    to: Output,
    room: &mut [f32],
) {
    let panels = [0, n.div_ceil(2 * S::LANES)];
    multiply(s, Product { n, k, a, b, finish, to, rows: [0, m], panels }, room);
}

struct Forward<'a, 'b> {
    head: Head<'a>,
    out: Parts<'a, f32>,
    scratch: &'b mut Scratch,
}

impl Kernel for Forward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { head, out, scratch } = self;
        let (pixels, depth) = (head.shape.pixels, head.shape.depth());
        let [weights, room] = scratch.take([pixels * pixels, head.room(s)]);
        head.weights(s, weights, room);
        let to = Output { values: out, start: head.out(), row: head.shape.c };
        let weights = View::rows(weights, pixels, 0);
        whole(s, [pixels, depth, pixels], weights, head.part(2), Finish::Scale(1.0), to, room);
    }
}

struct Gradient<'a, 'b> {
    head: Head<'a>,
    dy: &'a [f32],
    dqkv: Parts<'a, f32>,
    scratch: &'b mut Scratch,
}

impl Kernel for Gradient<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Gradient { head, dy, dqkv, scratch } = self;
        let (pixels, depth, scale) = (head.shape.pixels, head.shape.depth(), head.shape.scale());
        let [weights, logits, room] = scratch.take([pixels * pixels, pixels * pixels, head.room(s)]);
        let part = |part| Output { values: dqkv, start: head.start(part), row: 3 * head.shape.c };
        let dy = View::rows(&dy[head.out()..], head.shape.c, 0);
        head.weights(s, weights, room);
        let w = View::rows(weights, pixels, 0);
        whole(s, [pixels, depth, pixels], w.transposed(), dy, Finish::Scale(1.0), part(2), room);
        let to = Output { values: Parts::new(logits), start: 0, row: pixels };
        let v = head.part(2).transposed();
        whole(s, [pixels, pixels, depth], dy, v, Finish::Scale(1.0), to, room);
        softmax::gradient(s, pixels, weights, logits, scale);
        let dl = View::rows(logits, pixels, 0);
        whole(s, [pixels, depth, pixels], dl, head.part(1), Finish::Scale(1.0), part(0), room);
        whole(s, [pixels, depth, pixels], dl.transposed(), head.part(0), Finish::Scale(1.0), part(1), room);
    }
}
