//! Folds of formulas over axes.

use tensor::{Fold, Map, Step};

use crate::schedule::Lowering;

impl Lowering<'_> {
    pub(crate) fn reduce(&mut self, map: &Map, by: Fold, axes: &[usize], step: &Step) {
        let _ = (map, by, axes, step);
        todo!()
    }
}
