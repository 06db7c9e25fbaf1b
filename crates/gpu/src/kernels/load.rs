//! What happens to images on their way into a convolution: normalise, activate, drop, resample.

use tensor::{Load, Made, Resample, Value};

use crate::call::View;
use crate::schedule::Lowering;

impl Lowering<'_> {
    /// The images that a convolution reads: the source itself, or what becomes of it, in memory for a few calls.
    pub(crate) fn load(&mut self, load: &Load) -> View {
        let _ = load;
        todo!()
    }

    pub(crate) fn resample(&mut self, x: Value, resample: &Resample, out: &Made) {
        let _ = (x, resample, out);
        todo!()
    }
}
