//! What happens to images on their way into a convolution: normalise, activate, drop, resample.

use tensor::{Load, Made, Resample, Value};

use crate::call::{Call, View};
use crate::schedule::{Constant, Lowering};
use crate::shader::{Source, source};

static RESAMPLE: Source = source!("resample");

impl Lowering<'_> {
    /// The images that a convolution reads: the source itself, or what becomes of it, in memory for a few calls.
    pub(crate) fn load(&mut self, load: &Load) -> View {
        let [n, h, w, channels] = self.sizes(load.source);
        let mut images = self.view(load.source);
        if let Some(activated) = load.norm.as_ref().and_then(|norm| self.activated.get(&norm.stats)) {
            images = *activated;
        } else if let Some(norm) = &load.norm {
            let y = self.work(images.element, n * h * w * channels, format!("{} normalised", load.source));
            self.normalize_into(load.source, norm, y);
            images = y;
        }
        if let Some(resample) = &load.resample {
            let len = n * resample.resized(h) * resample.resized(w) * channels;
            let y = self.work(images.element, len, format!("{} resampled", load.source));
            self.resample_into([n, h, w, channels], images, resample, y);
            images = y;
        }
        images
    }

    pub(crate) fn resample(&mut self, x: Value, resample: &Resample, out: &Made) {
        let (from, y) = (self.view(x), self.result(out));
        self.resample_into(self.sizes(x), from, resample, y);
    }

    fn resample_into(&mut self, [n, h, w, channels]: [usize; 4], x: View, resample: &Resample, y: View) {
        let wide = [channels, x.offset, y.offset].iter().all(|number| number.is_multiple_of(4));
        let unit = if wide { 4 } else { 1 };
        let sum: f64 = resample.taps.iter().sum();
        let taps = self.constant(Constant::F32(resample.taps.iter().map(|tap| (tap / sum) as f32).collect()));
        let [to_h, to_w] = [h, w].map(|size| resample.resized(size));
        let units = n * to_h * to_w * channels / unit;
        let call = Call::new(&RESAMPLE).constant("UP", resample.up.into()).constant("UNIT", unit);
        let call = call.number("height", h).number("width", w).number("channels", channels);
        let call = call.number("to_height", to_h).number("to_width", to_w).number("units", units);
        let call = call.number("taps", resample.taps.len()).number("padding", resample.padding);
        let call = call.real("gain", resample.gain).read("taps", taps);
        let call = call.read_maybe("x", Some(x), wide).write_maybe("y", Some(y), wide).over_threads(units);
        self.push(call.labelled(if resample.up { "up" } else { "down" }));
    }
}
