//! Random numbers by counter.

use tensor::{Distribution, Made, Value};

use crate::schedule::Lowering;

impl Lowering<'_> {
    pub(crate) fn random(&mut self, by: Distribution, lane: u32, keys: Value, out: &Made) {
        let _ = (by, lane, keys, out);
        todo!()
    }
}
