//! Convolutions and their input gradients as implicit matrix products.

use tensor::{Conv, Made, Value};

use super::tile::{Sources, Tile, by_fours, is_half, sources};
use crate::call::View;
use crate::schedule::Lowering;
use crate::shader::Access;

static CONV: Sources = sources!("conv");

impl Lowering<'_> {
    pub(crate) fn conv(&mut self, conv: &Conv, out: &Made) {
        let [n, h, w, columns] = self.sizes(out.value);
        let [taps, cin, cout] = self.sizes(conv.weight);
        let inner = if conv.transposed { cout } else { cin };
        let (left, right) = (self.load(&conv.load), self.view(conv.weight));
        let mut viewed = |value: Option<Value>| value.map(|value| self.view(value));
        let [bias, channel, residual] =
            [conv.store.bias, conv.store.channel, conv.store.residual].map(&mut viewed);
        let to = self.result(out);
        let right_row = if conv.transposed { inner } else { columns };
        let [wide_left, wide_right] = [by_fours(left, &[inner]), by_fours(right, &[right_row])];
        let half = wide_left && wide_right && is_half(left) && inner >= 16 && columns > 32;
        let tile = Tile::new(h * w, columns).cooperative(self.offer.cooperative && half);
        let flag = usize::from;
        let call = tile.call(&CONV, [1, n * h * w, columns], inner, taps).constant("TAPS", taps);
        let call = call.constant("TRANSPOSED", flag(conv.transposed)).constant("LEFT_ALONG_K", 1);
        let call = call.constant("RIGHT_ALONG_K", flag(conv.transposed)).constant("SUM_RIGHT", 0);
        let call = call.constant("LEFT_WIDE", flag(wide_left)).constant("RIGHT_WIDE", flag(wide_right));
        let call = call.number("rows", n * h * w).number("inner", inner).number("columns", columns);
        let call = call.number("height", h).number("width", w).number("right_row", right_row);
        let call = call.real("scale", conv.store.scale);
        let call = call.operand("left", left, Access::Read, wide_left);
        let call = call.operand("right", right, Access::Read, wide_right);
        let wide = |view: Option<View>| view.is_some_and(|view| by_fours(view, &[columns]));
        let call = call.read_maybe("bias", bias, wide(bias)).read_maybe("channel", channel, wide(channel));
        let call = call.read_maybe("residual", residual, wide(residual));
        let call = call.operand("to", to, Access::Write, wide(Some(to)));
        self.push(call.labelled(if conv.transposed { "input gradient" } else { "forward" }));
    }
}
