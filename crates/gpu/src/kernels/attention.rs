//! Attention and its gradient, and softmax.

use tensor::{Made, Value};

use super::product::{Matrix, Product};
use crate::call::{Call, View, WORKGROUP};
use crate::schedule::Lowering;
use crate::shader::{Element, Source, source};

static SOFTMAX: Source = source!("softmax", "math", "rows");
static SOFTMAX_GRADIENT: Source = source!("softmax_gradient", "rows");

impl Lowering<'_> {
    pub(crate) fn softmax(&mut self, x: Value, out: &Made) {
        let (from, y) = (self.view(x), self.result(out));
        self.softmax_of(self.shape(x).channels(), from, y);
    }

    pub(crate) fn softmax_gradient(&mut self, inputs: &[Value], out: &Made) {
        let [dy, y] = [0, 1].map(|at| self.view(inputs[at]));
        let dx = self.result(out);
        self.softmax_gradient_of(self.shape(inputs[1]).channels(), [dy, y], dx);
    }

    fn softmax_of(&mut self, size: usize, x: View, y: View) {
        let (call, wide) = rows(&SOFTMAX, size, &[x, y]);
        let call = call.read_maybe("x", Some(x), wide).write_maybe("y", Some(y), wide);
        self.push(call.in_place());
    }

    fn softmax_gradient_of(&mut self, size: usize, [dy, y]: [View; 2], dx: View) {
        let (call, wide) = rows(&SOFTMAX_GRADIENT, size, &[dy, y, dx]);
        let call = call.read_maybe("dy", Some(dy), wide).read_maybe("y", Some(y), wide);
        self.push(call.write_maybe("dx", Some(dx), wide).in_place());
    }

    pub(crate) fn attention(&mut self, qkv: Value, heads: usize, out: &Made) {
        let (from, y) = (self.view(qkv), self.result(out));
        for part in self.attention_parts(qkv, heads) {
            let [q, k, v] = part.qkv(from);
            let weights = self.attention_weights(part, q, k);
            self.product("attention values", part.over_pixels([weights, v], part.heads_of(y, 1, 0), 1.0));
        }
    }

    /// The weights are worked out again rather than kept.
    pub(crate) fn attention_gradient(&mut self, inputs: &[Value], heads: usize, out: &Made) {
        let ([dy, qkv], dqkv) = ([0, 1].map(|at| self.view(inputs[at])), self.result(out));
        for part in self.attention_parts(inputs[1], heads) {
            let ([q, k, v], [dq, dk, dv]) = (part.qkv(qkv), part.qkv(dqkv));
            let dy = part.heads_of(dy, 1, 0);
            let weights = self.attention_weights(part, q, k);
            self.product("gradient of values", part.over_pixels([weights.turned(), dy], dv, 1.0));
            let dweights = part.weights(self.attention_room(part, "gradient of weights"));
            self.product("gradient of weights", part.over_channels([dy, v.turned()], dweights, 1.0));
            let dscores = part.weights(self.attention_room(part, "gradient of scores"));
            self.softmax_gradient_of(part.pixels, [dweights.view, weights.view], dscores.view);
            self.product("gradient of queries", part.over_pixels([dscores, k], dq, part.scale()));
            self.product("gradient of keys", part.over_pixels([dscores.turned(), q], dk, part.scale()));
        }
    }

    /// softmax(q · k / √width): how much each pixel looks at each.
    fn attention_weights(&mut self, part: Part, q: Matrix, k: Matrix) -> Matrix {
        let scores = part.weights(self.attention_room(part, "scores"));
        self.product("scores", part.over_channels([q, k.turned()], scores, part.scale()));
        let weights = part.weights(self.attention_room(part, "weights"));
        self.softmax_of(part.pixels, scores.view, weights.view);
        weights
    }

    fn attention_room(&mut self, part: Part, what: &str) -> View {
        self.work(Element::F32, part.samples * part.weights_of_sample(), format!("{what} of attention"))
    }

    /// As many samples at once as a binding has room for their weights.
    fn attention_parts(&self, qkv: Value, heads: usize) -> Vec<Part> {
        let [n, pixels, channels] = self.sizes(qkv);
        let whole = Part { first: 0, samples: n, pixels, heads, width: channels / 3 / heads };
        let most = self.offer.largest_binding / (Element::F32.bytes() * whole.weights_of_sample()).max(1);
        let most = most.max(1);
        let part = |first| Part { first, samples: most.min(n - first), ..whole };
        (0..n).step_by(most).map(part).collect()
    }
}

/// Samples whose attention is worked out at once.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    samples: usize,
    pixels: usize,
    heads: usize,
    /// Channels of a head.
    width: usize,
}

impl Part {
    fn weights_of_sample(self) -> usize {
        self.heads * self.pixels * self.pixels
    }

    fn scale(self) -> f64 {
        1.0 / (self.width as f64).sqrt()
    }

    /// A matrix of weights for each sample and head.
    fn weights(self, view: View) -> Matrix {
        let inner = self.pixels * self.pixels;
        Matrix { view, transposed: false, row: self.pixels, outer: self.heads * inner, inner }
    }

    /// Queries, keys and values, or their gradients.
    fn qkv(self, view: View) -> [Matrix; 3] {
        [0, 1, 2].map(|which| self.heads_of(view, 3, which))
    }

    /// A matrix `[pixels, width]` for each sample and head, from images of `blocks` times the heads' channels.
    fn heads_of(self, view: View, blocks: usize, which: usize) -> Matrix {
        let channels = self.heads * self.width;
        let (row, outer) = (blocks * channels, self.pixels * blocks * channels);
        let view = view.skip(self.first * outer).first(self.samples * outer).skip(which * channels);
        Matrix { view, transposed: false, row, outer, inner: self.width }
    }

    /// A product of pixels with pixels over the channels of heads.
    fn over_channels(self, sides: [Matrix; 2], to: Matrix, scale: f64) -> Product {
        self.product(sides, to, [self.width, self.pixels], scale)
    }

    /// A product of pixels with channels of heads over pixels.
    fn over_pixels(self, sides: [Matrix; 2], to: Matrix, scale: f64) -> Product {
        self.product(sides, to, [self.pixels, self.width], scale)
    }

    fn product(self, [left, right]: [Matrix; 2], to: Matrix, [k, n]: [usize; 2], scale: f64) -> Product {
        Product {
            left,
            right,
            to,
            m: self.pixels,
            k,
            n,
            batch: [self.samples, self.heads],
            sample_rows: self.pixels,
            scale,
            accumulate: false,
            bias: None,
            residual: None,
        }
    }
}
/// A call whose threads share out rows of `size` elements as `rows.wgsl` tells, and whether they take four at once.
fn rows(source: &'static Source, size: usize, views: &[View]) -> (Call, bool) {
    let wide = size.is_multiple_of(4) && views.iter().all(|view| view.offset.is_multiple_of(4));
    let unit = if wide { 4 } else { 1 };
    let threads = size.div_ceil(unit).next_power_of_two().min(WORKGROUP);
    let rows = views[0].len / size.max(1);
    let call = Call::new(source).constant("UNIT", unit).number("size", size).number("rows", rows);
    (call.number("threads", threads).over(rows.div_ceil(WORKGROUP / threads)), wide)
}
