//! Images read between their pixels.

use tensor::{Made, Value, Warp};

use crate::call::Call;
use crate::schedule::{Constant, Lowering};
use crate::shader::{Source, source};

static WARP: Source = source!("warp");

impl Lowering<'_> {
    pub(crate) fn warp(&mut self, [x, places]: [Value; 2], warp: &Warp, out: &Made) {
        let [n, h, w, channels] = self.sizes(x);
        let [to_h, to_w] = warp.size;
        let taps = warp.doubled.as_deref().unwrap_or_default();
        let half: f64 = taps.iter().sum::<f64>() / 2.0;
        let filter = warp
            .doubled
            .is_some()
            .then(|| self.constant(Constant::F32(taps.iter().map(|tap| (tap / half) as f32).collect())));
        let seen = if filter.is_some() { taps.len() / 2 + 1 } else { 2 };
        let (x, places, y) = (self.view(x), self.view(places), self.result(out));
        let call = Call::new(&WARP).constant("DOUBLED", filter.is_some().into()).constant("SEEN", seen);
        let call = call.number("height", h).number("width", w).number("channels", channels);
        let call = call.number("to_height", to_h).number("to_width", to_w).number("taps", taps.len());
        let call = call.number("pixels", n * to_h * to_w).read("x", x).read("places", places);
        let call = call.read_maybe("taps", filter, false).write("y", y);
        self.push(call.over_threads(n * to_h * to_w));
    }
}
