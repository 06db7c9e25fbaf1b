//! The gradients of a convolution's weights and bias.

use tensor::{Step, WeightGradient};

use super::tile::{Sources, Tile, by_fours, is_half, sources};
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
struct Sides {
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
    pub(crate) fn conv_weight_gradient(&mut self, gradient: &WeightGradient, step: &Step) {
        let out = &step.outputs[0];
        let [n, h, w, _] = self.sizes(gradient.dy);
        let (images, dy) = (self.load(&gradient.load), self.view(gradient.dy));
        let sides = Sides { images, dy, weight: self.sizes(out.value), pixels: [n, h, w] };
        let [taps, cin, cout] = sides.weight;
        let Some(folds) = self.patterns.gradient_folds(step, [taps * cin * cout, cout]) else {
            let to = self.result(out);
            let (size, count) = (n.max(1), 1);
            let groups = Groups { size, first: 0, count, stride: 0, with_bias: false, add: step.accumulate };
            return self.sum_groups(sides, groups, to);
        };
        let stride = folds.iter().map(|fold: &RowFold| fold.len).sum::<usize>();
        let most = (MOST_BYTES.min(self.offer.largest_binding) / (4 * stride)).max(1);
        let all = n.div_ceil(GROUP);
        for first in (0..all).step_by(most) {
            let count = most.min(all - first);
            let to = self.rows_to_fold(count, stride, &folds);
            let with_bias = folds.len() == 2;
            self.sum_groups(sides, Groups { size: GROUP, first, count, stride, with_bias, add: false }, to);
        }
    }

    fn sum_groups(&mut self, sides: Sides, groups: Groups, to: View) {
        let Sides { images, dy, weight: [taps, cin, cout], pixels: [n, h, w] } = sides;
        let [wide_left, wide_right] = [by_fours(images, &[cin]), by_fours(dy, &[cout])];
        let wide = by_fours(to, &[cout, groups.stride]);
        let half = wide_left && wide_right && is_half(images) && cin >= 16 && cout > 32;
        let tile = Tile::new(taps * cin, cout).cooperative(self.offer.cooperative && half);
        let group = groups.size * h * w;
        let flag = usize::from;
        let call =
            tile.call(&CONV_WEIGHT_GRADIENT, [groups.count, taps * cin, cout], group.min(n * h * w), 1);
        let call = call.constant("TAPS", taps).constant("LEFT_ALONG_K", flag(!wide_left));
        let call = call.constant("RIGHT_ALONG_K", 0).constant("SUM_RIGHT", flag(groups.with_bias));
        let call = call.constant("LEFT_WIDE", flag(wide_left)).constant("RIGHT_WIDE", flag(wide_right));
        let call =
            call.constant("ADD", flag(groups.add)).number("first", groups.first).number("group", group);
        let call = call.number("pixels", n * h * w).number("stride", groups.stride);
        let call = call.number("rows", taps * cin).number("columns", cout).number("channels", cin);
        let call = call.number("height", h).number("width", w).number("right_row", cout);
        let call = call.number("step_y", tile.k() / w % h).number("step_x", tile.k() % w);
        let call = call.operand("left", images, Access::Read, wide_left);
        let call = call.operand("right", dy, Access::Read, wide_right);
        self.push(call.operand("to", to, Access::Write, wide));
    }
}
