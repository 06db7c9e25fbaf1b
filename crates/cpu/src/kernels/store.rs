//! What a convolution does to its sums before it writes them.

use super::numbers::{Numbers, NumbersMut};
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
}

impl Store<'_> {
    /// The sums as they are.
    pub fn plain() -> Self {
        Store { bias: None, shift: None, residual: None, scale: 1.0, accumulate: false }
    }

    /// Panics unless everything fits `n` samples with `len` numbers in all and `c` channels.
    pub(super) fn check(&self, n: usize, c: usize, len: usize) {
        assert!(self.bias.is_none_or(|bias| bias.len() == c), "a bias is needed for each of {c} channels");
        assert!(
            self.shift.is_none_or(|shift| shift.len() == n * c),
            "a shift is needed for each of {n} x {c}"
        );
        assert!(self.residual.is_none_or(|residual| residual.len() == len), "the residual has another size");
    }

    /// Writes the sums of one pixel's channels `channel..channel + out.len()`; `at` is where `out` begins in the
    /// whole output.
    #[inline(always)]
    pub(super) fn write<S: Simd, const N: usize>(
        &self,
        s: S,
        sums: &[S::F; N],
        [sample, c, channel, at]: [usize; 4],
        mut out: NumbersMut,
    ) {
        let len = out.len();
        let bias = self.bias.map(|bias| bias.range(channel, len));
        let shift = self.shift.map(|shift| shift.range(sample * c + channel, len));
        let residual = self.residual.map(|residual| residual.range(at, len));
        for (j, sum) in sums.iter().enumerate() {
            let (i, mut y) = (j * S::LANES, *sum);
            if let Some(bias) = bias {
                y = s.add(y, bias.read(s, i));
            }
            if let Some(shift) = shift {
                y = s.add(y, shift.read(s, i));
            }
            if let Some(residual) = residual {
                y = s.add(y, residual.read(s, i));
            }
            y = s.mul(y, s.splat(self.scale));
            if self.accumulate {
                y = s.add(out.read(s, i), y);
            }
            out.write(s, i, y);
        }
    }
}
