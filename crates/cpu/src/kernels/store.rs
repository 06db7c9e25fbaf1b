//! What a convolution does to its sums before it writes them.

use std::ops::Range;

use super::column::{Column, ColumnMut, Place};
use super::norm::Statistics;
use super::numbers::Numbers;
use crate::Simd;

/// `(sum + bias + shift + residual) · scale`, written or added to what is there.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    /// `[cout]`
    pub bias: Option<Numbers<'a>>,
    /// `[n, cout]`: an embedding, for example.
    pub shift: Option<Numbers<'a>>,
    /// Of the output's shape.
    pub residual: Option<Numbers<'a>>,
    pub scale: f32,
    pub accumulate: bool,
    /// Made besides, of what is written.
    pub statistics: Option<Statistics<'a>>,
}

impl Store<'_> {
    /// The sums as they are.
    pub fn plain() -> Self {
        Store { bias: None, shift: None, residual: None, scale: 1.0, accumulate: false, statistics: None }
    }

    /// Panics unless everything fits `n` samples with `len` numbers in all and `c` channels.
    pub(super) fn check(&self, n: usize, c: usize, len: usize) {
        if let Some(statistics) = self.statistics {
            statistics.check(n, c);
        }
        assert!(self.bias.is_none_or(|bias| bias.len() == c), "a bias is needed for each of {c} channels");
        assert!(
            self.shift.is_none_or(|shift| shift.len() == n * c),
            "a shift is needed for each of {n} x {c}"
        );
        assert!(self.residual.is_none_or(|residual| residual.len() == len), "the residual has another size");
    }

    /// What is added to the sums of all pixels of a sample, for some of its `c` channels.
    #[inline(always)]
    pub(super) fn shift<S: Simd, const N: usize>(
        &self,
        s: S,
        sample: usize,
        c: usize,
        channels: Range<usize>,
    ) -> [S::F; N] {
        let mut sums = [s.splat(0.0); N];
        let bias = self.bias.map(|bias| bias.range(channels.start, channels.len()));
        let shift = self.shift.map(|shift| shift.range(sample * c + channels.start, channels.len()));
        for numbers in [bias, shift].into_iter().flatten() {
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = s.add(*sum, numbers.read(s, j * S::LANES));
            }
        }
        sums
    }

    /// What is added to each of some pixels; `place` is theirs in the whole output.
    #[inline(always)]
    pub(super) fn added<S: Simd>(&self, s: S, place: Place) -> Option<Column<'_>> {
        self.residual.map(|residual| Column::new(s, residual, place))
    }

    /// Writes the sum of a pixel of `out`, with what is added to it and its vector of [`Store::shift`].
    #[inline(always)]
    pub(super) fn write<S: Simd>(
        &self,
        s: S,
        [sum, shift]: [S::F; 2],
        added: Option<Column>,
        pixel: usize,
        out: &mut ColumnMut,
    ) {
        let mut y = s.add(sum, shift);
        if let Some(added) = added {
            y = s.add(y, added.read(s, pixel));
        }
        y = s.mul(y, s.splat(self.scale));
        if self.accumulate {
            y = s.add(out.read(s, pixel), y);
        }
        out.write(s, pixel, y);
    }
}
