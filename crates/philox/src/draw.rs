//! Bits, uniforms, normals and coin flips as functions of a row and the index of an element.

use crate::{Row, words};

/// Random word `element` of a row.
#[inline]
pub fn bits(row: Row, element: usize) -> u32 {
    words(row, (element / 4) as u32)[element % 4]
}

/// The uniform in (0, 1) that a random word stands for: an odd multiple of 2^-24, exact in f32.
#[inline(always)]
pub fn unit(bits: u32) -> f32 {
    ((bits >> 8) | 1) as f32 * (1.0 / (1 << 24) as f32)
}

/// [`unit`], widened; the value is the same.
#[inline(always)]
pub fn unit_f64(bits: u32) -> f64 {
    f64::from(unit(bits))
}

/// Uniform `element` of a row, strictly between 0 and 1.
#[inline]
pub fn uniform(row: Row, element: usize) -> f32 {
    unit(bits(row, element))
}

/// [`uniform`], widened; the value is the same.
#[inline]
pub fn uniform_f64(row: Row, element: usize) -> f64 {
    unit_f64(bits(row, element))
}

/// The four normals that the words of one block stand for (Box-Muller on words 0, 1 and on words 2, 3).
#[inline]
pub fn normals(words: [u32; 4]) -> [f32; 4] {
    let pair = |radius, angle| {
        let radius = (-2.0 * unit(radius).ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * unit(angle)).sin_cos();
        [radius * cos, radius * sin]
    };
    let ([a, b], [c, d]) = (pair(words[0], words[1]), pair(words[2], words[3]));
    [a, b, c, d]
}

/// [`normals`] in f64, from the same integers.
#[inline]
pub fn normals_f64(words: [u32; 4]) -> [f64; 4] {
    let pair = |radius, angle| {
        let radius = (-2.0 * unit_f64(radius).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * unit_f64(angle)).sin_cos();
        [radius * cos, radius * sin]
    };
    let ([a, b], [c, d]) = (pair(words[0], words[1]), pair(words[2], words[3]));
    [a, b, c, d]
}

/// Unit normal `element` of a row; to fill a whole row, take [`normals`] of each block instead.
#[inline]
pub fn normal(row: Row, element: usize) -> f32 {
    normals(words(row, (element / 4) as u32))[element % 4]
}

/// [`normal`] in f64, from the same integers.
#[inline]
pub fn normal_f64(row: Row, element: usize) -> f64 {
    normals_f64(words(row, (element / 4) as u32))[element % 4]
}

/// Half-word `element` of a row, eight to a block, the low half of a word first.
#[inline]
pub fn half(row: Row, element: usize) -> u16 {
    let word = words(row, (element / 8) as u32)[element % 8 / 2];
    (word >> (element % 2 * 16)) as u16
}

/// The bound for [`half`] of an event of probability `p`: `half < threshold`.
///
/// The probability is rounded to a multiple of 2^-16 and held in 0..=1.
pub fn threshold(p: f64) -> u32 {
    (p * 65536.0).round().clamp(0.0, 65536.0) as u32
}
