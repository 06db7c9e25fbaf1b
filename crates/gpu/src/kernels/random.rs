//! Random numbers by counter.

use tensor::{Distribution, Made, Value};

use crate::call::Call;
use crate::schedule::Lowering;
use crate::shader::{Access, Source, source};

static RANDOM: Source = source!("random", "philox", "math");

impl Lowering<'_> {
    pub(crate) fn random(&mut self, by: Distribution, lane: u32, keys: Value, out: &Made) {
        let shape = self.shape(out.value);
        let width = shape[1..].iter().product::<usize>();
        let (n, blocks) = (shape[0], width.div_ceil(4));
        let (keys, y) = (self.view(keys), self.result(out));
        let (of, drawn) = match by {
            Distribution::Normal => ("f32", "normals(words)"),
            Distribution::Uniform => ("f32", "units(words)"),
            Distribution::Bits => ("u32", "words"),
        };
        let text = format!("fn drawn_of(words: vec4<u32>) -> vec4<{of}> {{ return {drawn}; }}\n");
        let call = Call::new(&RANDOM).labelled(&format!("{by:?}")).number("n", n).number("width", width);
        let call = call.number("lane", lane as usize).read4("keys", keys);
        let wide = width.is_multiple_of(4) && y.offset.is_multiple_of(4);
        self.push(call.operand("y", y, Access::Write, wide).formulas(text).over_threads(n * blocks));
    }
}
