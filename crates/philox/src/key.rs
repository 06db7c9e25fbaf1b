//! What a row of random numbers is for, and the four words that stand for it on a device.

use crate::block;

/// The four words that a device kernel gets for each sample.
pub type Row = [u32; 4];

/// What a row of random numbers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The sample's own seed.
    pub seed: u64,
    /// One of the numbers in [`stream`](crate::stream).
    pub stream: u32,
    /// Which step or tick of the run draws, 0 if it draws once.
    pub step: u64,
}

impl Key {
    /// The row: low and high half of the seed, low half of the step, and
    /// `stream ^ high half of the step rotated left by 8`.
    ///
    /// Different keys give different rows as long as streams are below 256 and steps below 2^56.
    #[inline]
    pub fn words(self) -> Row {
        let step_high = (self.step >> 32) as u32;
        [self.seed as u32, (self.seed >> 32) as u32, self.step as u32, self.stream ^ step_high.rotate_left(8)]
    }
}

/// The four random words of one block of a row.
#[inline(always)]
pub fn words(row: Row, index: u32) -> [u32; 4] {
    lane_words(row, 0, index)
}

/// [`words`] of another lane: draws with one row and different lanes are independent.
#[inline(always)]
pub fn lane_words(row: Row, lane: u32, index: u32) -> [u32; 4] {
    block([row[0], row[1]], [index, row[2], row[3], lane])
}
