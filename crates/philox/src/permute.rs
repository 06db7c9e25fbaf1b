//! Shuffles without a table: each place of a random order is computed when it is asked for.

use crate::{Key, Row, stream, words};

/// Rounds of the Feistel network; four already pass as random, more cost little beside reading an image.
const ROUNDS: u32 = 8;

/// Element `i` of a random order of `0..n`, another one for each seed and epoch.
///
/// A Feistel network permutes the smallest power of four that holds `n`, and a result outside `0..n` goes
/// through it again ("cycle walking"), fewer than four passes in all on average. An `i` outside `0..n` stays
/// itself.
pub fn permute(seed: u64, epoch: u64, n: usize, i: usize) -> usize {
    if i >= n {
        return i;
    }
    let row = Key { seed, stream: stream::SHUFFLE, step: epoch }.words();
    let half_bits = (usize::BITS - (n - 1).leading_zeros()).div_ceil(2);
    let mut place = i as u64;
    loop {
        place = feistel(row, half_bits, place);
        if place < n as u64 {
            return place as usize;
        }
    }
}

/// Permutes `0..4^half_bits`.
fn feistel(row: Row, half_bits: u32, value: u64) -> u64 {
    let mask = (1u64 << half_bits) - 1;
    let (mut left, mut right) = (value >> half_bits, value & mask);
    for round in 0..ROUNDS {
        // The halves fit 32 bits; which word of the block answers tells the rounds apart.
        let [a, b, ..] = words([row[0], row[1], row[2], row[3] ^ (round + 1) << 24], right as u32);
        (left, right) = (right, left ^ ((u64::from(a) << 32 | u64::from(b)) & mask));
    }
    left << half_bits | right
}
