//! The gradients of a convolution's weights and bias.

use tensor::{Expr, Fold, Map, Step, WeightGradient};

use super::tile::{Side, Sizes, Sources, by_fours, sources, tiled};
use crate::call::View;
use crate::patterns::RowFold;
use crate::schedule::Lowering;
use crate::shader::Access;

static CONV_WEIGHT_GRADIENT: Sources = sources!("conv_weight_gradient");

/// Samples whose gradients are summed in one go. Batches in parts of a multiple of this have the bits of the whole.
const GROUP: usize = 16;

/// The sums of groups take no more than this, or a binding; more groups come in parts.
const MOST_BYTES: usize = 1 << 29;

/// What a gradient is made of.
#[derive(Clone, Copy)]
struct Gradient {
    images: View,
    dy: View,
    /// Taps, input channels, output channels.
    weight: [usize; 3],
    /// Samples, height, width.
    pixels: [usize; 3],
}

/// Which groups of samples one dispatch sums, and what it does with the sums.
#[derive(Clone, Copy)]
struct Groups {
    /// In samples.
    size: usize,
    first: usize,
    count: usize,
    /// Elements from the sums of one to those of the next.
    stride: usize,
    with_bias: bool,
    add: bool,
}

impl Lowering<'_> {
    /// The sums of the gradient over pixels, where something reads them that the weights' kernel does not make as well.
    pub(crate) fn sum_pixels(&mut self, gradient: &WeightGradient, step: &Step) {
        let Some(sums) = step.outputs.get(1).filter(|sums| !self.patterns.is_done_elsewhere(sums)) else {
            return;
        };
        let shape = self.shape(gradient.dy).clone();
        let map = Map { shape, inputs: vec![gradient.dy], exprs: vec![Expr::Input(0)] };
        self.reduce(&map, (Fold::Sum, &[1, 2]), sums, false);
    }

    pub(crate) fn conv_weight_gradient(&mut self, gradient: &WeightGradient, step: &Step) {
        let out = &step.outputs[0];
        let [n, h, w, _] = self.sizes(gradient.dy);
        let (images, dy) = (self.load(&gradient.load), self.view(gradient.dy));
        let made = Gradient { images, dy, weight: self.sizes(out.value), pixels: [n, h, w] };
        let [taps, cin, cout] = made.weight;
        let Some(folds) = self.patterns.gradient_folds(step, [taps * cin * cout, cout]) else {
            let to = self.result(out);
            let (size, count) = (n.max(1), 1);
            let groups = Groups { size, first: 0, count, stride: 0, with_bias: false, add: step.accumulate };
            return self.sum_groups(made, groups, to);
        };
        let stride = folds.iter().map(|fold: &RowFold| fold.len).sum::<usize>();
        let most = (MOST_BYTES.min(self.offer.largest_binding) / (4 * stride)).max(1);
        let all = n.div_ceil(GROUP);
        for first in (0..all).step_by(most) {
            let count = most.min(all - first);
            let to = self.rows_to_fold(count, stride, &folds);
            let with_bias = folds.len() == 2;
            self.sum_groups(made, Groups { size: GROUP, first, count, stride, with_bias, add: false }, to);
        }
    }

    fn sum_groups(&mut self, gradient: Gradient, groups: Groups, to: View) {
        let Gradient { images, dy, weight: [taps, cin, cout], pixels: [n, h, w] } = gradient;
        let (group, pixels, m) = (groups.size * h * w, n * h * w, taps * cin);
        // Quads of rows are four channels under one tap, or rows are loaded one by one.
        let images = Side::new(images, !by_fours(images, &[cin]), &[cin]);
        let sides = [images, Side::new(dy, false, &[cout])];
        let sizes = Sizes { batch: groups.count, m, k: group.min(pixels), n: cout, sample_m: m, taps: 1 };
        let (call, k) = tiled(&CONV_WEIGHT_GRADIENT, sizes, sides, self.offer.cooperative);
        let call = call.constant("TAPS", taps).constant("ADD", groups.add.into());
        let call = call.constant("SUM_RIGHT", groups.with_bias.into());
        let call = call.number("first", groups.first).number("group", group).number("pixels", pixels);
        let call = call.number("stride", groups.stride).number("channels", cin).number("right_row", cout);
        let call = call.number("height", h).number("width", w);
        let call = call.number("step_y", k / w % h).number("step_x", k % w);
        self.push(call.operand("to", to, Access::Write, by_fours(to, &[cout, groups.stride])));
    }
}
