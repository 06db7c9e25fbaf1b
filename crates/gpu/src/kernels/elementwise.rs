//! Elementwise formulas as WGSL.

use tensor::{Map, Step};

use crate::schedule::Lowering;

impl Lowering<'_> {
    pub(crate) fn map(&mut self, map: &Map, step: &Step) {
        let _ = (map, step);
        todo!()
    }
}
