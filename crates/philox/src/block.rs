//! The hash itself: Philox4x32 with ten rounds.

/// Factors of the two multiplications of a round.
pub const FACTORS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];

/// What is added to the key after every round (the golden ratio and sqrt(3) - 1).
pub const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Hashes a counter under a key into four random words.
///
/// Always inlined and free of branches, so that a loop over counters becomes SIMD code.
#[inline(always)]
pub fn block(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let mut key = key;
    let mut words = counter;
    for _ in 0..10 {
        words = round(key, words);
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    words
}

#[inline(always)]
fn round(key: [u32; 2], words: [u32; 4]) -> [u32; 4] {
    let [high0, low0] = multiply(FACTORS[0], words[0]);
    let [high1, low1] = multiply(FACTORS[1], words[2]);
    [high1 ^ words[1] ^ key[0], low1, high0 ^ words[3] ^ key[1], low0]
}

/// The full product, high word first.
#[inline(always)]
fn multiply(a: u32, b: u32) -> [u32; 2] {
    let product = u64::from(a) * u64::from(b);
    [(product >> 32) as u32, product as u32]
}
