//! Convolutions and their input gradients as implicit matrix products.

use tensor::{Conv, Made, Store};

use super::tile::{Side, Sizes, Sources, by_fours, sources, tiled};
use crate::schedule::Lowering;
use crate::shader::Access;

static CONV: Sources = sources!("conv");

impl Lowering<'_> {
    pub(crate) fn conv(&mut self, conv: &Conv, out: &Made) {
        let [n, h, w, columns] = self.sizes(out.value);
        let [taps, cin, cout] = self.sizes(conv.weight);
        let inner = if conv.transposed { cout } else { cin };
        let (images, weights) = (self.load(&conv.load), self.view(conv.weight));
        let Store { bias, channel, residual, scale } = conv.store;
        let added = [bias, channel, residual].map(|value| value.map(|value| self.view(value)));
        let to = self.result(out);
        let right_row = if conv.transposed { inner } else { columns };
        let sides = [Side::new(images, true, &[inner]), Side::new(weights, conv.transposed, &[right_row])];
        let sizes = Sizes { batch: 1, m: n * h * w, k: inner, n: columns, sample_m: h * w, taps };
        let (call, _) = tiled(&CONV, sizes, sides, self.offer.cooperative);
        let call = call.constant("TAPS", taps).constant("TRANSPOSED", conv.transposed.into());
        let call = call.constant("SUM_RIGHT", 0).number("inner", inner).number("right_row", right_row);
        let mut call = call.number("height", h).number("width", w).real("scale", scale);
        for (name, view) in ["bias", "channel", "residual"].into_iter().zip(added) {
            call = call.read_maybe(name, view, view.is_some_and(|view| by_fours(view, &[columns])));
        }
        let call = call.operand("to", to, Access::Write, by_fours(to, &[columns]));
        self.push(call.labelled(if conv.transposed { "input gradient" } else { "forward" }));
    }
}
