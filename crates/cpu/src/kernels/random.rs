//! Random numbers by row: what element `i` of a sample draws depends on the sample's key and `i` alone.

use philox::{FACTORS, Row, WEYL};

use super::math;
use super::pointer::Parts;
use crate::{Kernel, Level, Pool, Simd};

/// Counters that are hashed together, so that the hash becomes SIMD code.
const TOGETHER: usize = 16;

/// Dropout of a sample's elements: element `i` stays where `philox::half(row, i) >= threshold`.
#[derive(Clone, Copy)]
pub struct Dropout<'a> {
    /// One key per sample.
    pub keys: &'a [Row],
    /// Tells layers with the same keys apart.
    pub lane: u32,
    /// `philox::threshold(p)`.
    pub threshold: u32,
    /// 1 / (1 - p), the factor of what stays.
    pub scale: f32,
}

impl Dropout<'_> {
    /// Drops the elements `first..` of a sample in place.
    #[inline(always)]
    pub fn apply<S: Simd>(&self, s: S, sample: usize, first: usize, values: &mut [f32]) {
        let mut block = first / 8;
        let mut skip = first % 8;
        let mut values = values;
        while !values.is_empty() {
            let halves = halves(s, (self.keys[sample], self.lane), block as u32);
            let (now, later) = values.split_at_mut(values.len().min(8 * TOGETHER - skip));
            for i in (0..now.len()).step_by(S::LANES) {
                let half =
                    s.and(s.shift_right::<16>(s.bits(s.read_bf16(&halves[skip..], i))), s.splat_int(0xffff));
                let stays = s.mul(s.read(now, i), s.splat(self.scale));
                let dropped = s.lt_int(half, s.splat_int(self.threshold as i32));
                s.write(now, i, s.select(dropped, s.splat(0.0), stays));
            }
            (values, block, skip) = (later, block + TOGETHER, 0);
        }
    }
}

/// The half-words of [`TOGETHER`] blocks, in their order.
#[inline(always)]
fn halves<S: Simd>(s: S, row: (Row, u32), block: u32) -> [u16; 8 * TOGETHER] {
    let [a, b, c, d] = &words(s, row, block);
    let mut halves = [0; 8 * TOGETHER];
    for (i, halves) in halves.chunks_exact_mut(8).enumerate() {
        let words = [a[i], b[i], c[i], d[i]];
        for (j, half) in halves.iter_mut().enumerate() {
            *half = (words[j / 2] >> (16 * (j % 2))) as u16;
        }
    }
    halves
}

/// The numbers of blocks, as the bits of floats.
const COUNTERS: [f32; TOGETHER] = {
    let mut counters = [0.0; TOGETHER];
    let mut i = 0;
    while i < TOGETHER {
        counters[i] = f32::from_bits(i as u32);
        i += 1;
    }
    counters
};

/// The words of [`TOGETHER`] blocks, word then block: `philox::lane_words` on vectors.
#[inline(always)]
fn words<S: Simd>(s: S, (row, lane): (Row, u32), block: u32) -> [[u32; TOGETHER]; 4] {
    let mut words = [[0; TOGETHER]; 4];
    for i in (0..TOGETHER).step_by(S::LANES) {
        let mut key = [row[0], row[1]];
        let counter = s.add_int(splat(s, block), s.bits(s.read(&COUNTERS, i)));
        let mut block = [counter, splat(s, row[2]), splat(s, row[3]), splat(s, lane)];
        for _ in 0..10 {
            let [high0, low0] = s.mul_wide(block[0], FACTORS[0]);
            let [high1, low1] = s.mul_wide(block[2], FACTORS[1]);
            let first = s.xor(s.xor(high1, block[1]), splat(s, key[0]));
            let third = s.xor(s.xor(high0, block[3]), splat(s, key[1]));
            block = [first, low1, third, low0];
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        for (words, block) in words.iter_mut().zip(block) {
            // SAFETY: `TOGETHER` is a multiple of every level's lanes.
            unsafe { s.store(words.as_mut_ptr().add(i).cast(), s.reinterpret(block)) };
        }
    }
    words
}

#[inline(always)]
fn splat<S: Simd>(s: S, word: u32) -> S::I {
    s.splat_int(word as i32)
}

/// What [`fill`] draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    Normal,
    /// In (0, 1).
    Uniform,
}

/// Elements that a task draws.
const CHUNK: usize = 4096;

/// `out[n, …]`: sample `i` draws from `keys[i]` and the lane, element by element as `philox` says.
pub fn fill(pool: &mut Pool, distribution: Distribution, keys: &[Row], lane: u32, out: &mut [f32]) {
    by_chunk(pool, keys, out, |level, row, first, out| {
        level.run(Fill { distribution, row: (row, lane), first, out })
    });
}

/// `out[n, …]`: the random words themselves.
pub fn fill_bits(pool: &mut Pool, keys: &[Row], lane: u32, out: &mut [u32]) {
    by_chunk(pool, keys, out, |level, row, first, out| level.run(FillBits { row: (row, lane), first, out }));
}

fn by_chunk<T: Send>(
    pool: &mut Pool,
    keys: &[Row],
    out: &mut [T],
    chunk: impl Fn(Level, Row, usize, &mut [T]) + Sync,
) {
    let len = out.len() / keys.len().max(1);
    assert_eq!(out.len(), keys.len() * len, "as many numbers for each of {} keys", keys.len());
    let (level, out, chunks) = (pool.level(), Parts::new(out), len.div_ceil(CHUNK));
    pool.run(keys.len() * chunks, |task, _| {
        let (row, first) = (task / chunks, task % chunks * CHUNK);
        // SAFETY: one task per chunk.
        chunk(level, keys[row], first, unsafe { out.range(row * len + first, CHUNK.min(len - first)) });
    });
}

struct FillBits<'a> {
    row: (Row, u32),
    first: usize,
    out: &'a mut [u32],
}

impl Kernel for FillBits<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (i, out) in self.out.chunks_mut(4 * TOGETHER).enumerate() {
            let words = words(s, self.row, (self.first / 4 + i * TOGETHER) as u32);
            for (j, out) in out.iter_mut().enumerate() {
                *out = words[j % 4][j / 4];
            }
        }
    }
}

struct Fill<'a> {
    distribution: Distribution,
    row: (Row, u32),
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (i, out) in self.out.chunks_mut(4 * TOGETHER).enumerate() {
            let words = words(s, self.row, (self.first / 4 + i * TOGETHER) as u32);
            let mut values = words.map(|words| words.map(philox::unit));
            if self.distribution == Distribution::Normal {
                normals(s, &mut values);
            }
            for (j, out) in out.iter_mut().enumerate() {
                *out = values[j % 4][j / 4];
            }
        }
    }
}

/// From uniforms to normals (Box-Muller on words 0, 1 and on words 2, 3).
#[inline(always)]
fn normals<S: Simd>(s: S, values: &mut [[f32; TOGETHER]; 4]) {
    for pair in values.chunks_exact_mut(2) {
        for i in (0..TOGETHER).step_by(S::LANES) {
            let radius = s.sqrt(s.mul(s.splat(-2.0), math::ln(s, s.read(&pair[0], i))));
            let angle = s.mul(s.splat(std::f32::consts::TAU), s.read(&pair[1], i));
            let (sin, cos) = math::sin_cos(s, angle);
            s.write(&mut pair[0], i, s.mul(radius, cos));
            s.write(&mut pair[1], i, s.mul(radius, sin));
        }
    }
}
