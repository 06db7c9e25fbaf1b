//! Random numbers by row: what element `i` of a sample draws depends on the sample's key and `i` alone.

use std::marker::PhantomData;

use philox::{FACTORS, Row, WEYL};

use super::math;
use super::pointer::Parts;
use crate::{Kernel, Level, Pool, Simd};

/// Words of a vector of blocks at the level with most lanes.
const MOST: usize = 4 * 16;

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
            let (now, later) = values.split_at_mut(values.len().min(8 * S::LANES - skip));
            for i in (0..now.len()).step_by(S::LANES) {
                let half =
                    s.and(s.shift_right::<16>(s.bits(s.read_bf16(&halves[skip..], i))), s.splat_int(0xffff));
                let stays = s.mul(s.read(now, i), s.splat(self.scale));
                let dropped = s.lt_int(half, s.splat_int(self.threshold as i32));
                s.write(now, i, s.select(dropped, s.splat(0.0), stays));
            }
            (values, block, skip) = (later, block + S::LANES, 0);
        }
    }
}

/// The half-words of a vector of blocks, in their order.
#[inline(always)]
fn halves<S: Simd>(s: S, row: (Row, u32), block: u32) -> [u16; 2 * MOST] {
    let mut halves = [0; 2 * MOST];
    for (halves, word) in halves.chunks_exact_mut(2).zip(in_order(s, words(s, row, block))) {
        (halves[0], halves[1]) = (word as u16, (word >> 16) as u16);
    }
    halves
}

/// The words of a vector of blocks, one of the four in each vector: `philox::lane_words`. The blocks are in the order that
/// [`in_order`] undoes.
#[inline(always)]
fn words<S: Simd>(s: S, (row, lane): (Row, u32), block: u32) -> [S::I; 4] {
    let mut key = [row[0], row[1]];
    let counters = s.bits(s.read(&Counters::<S>::IN_LANES, 0));
    let mut words =
        [s.add_int(splat(s, block), counters), splat(s, row[2]), splat(s, row[3]), splat(s, lane)];
    for _ in 0..10 {
        let [high0, low0] = s.mul_wide(words[0], FACTORS[0]);
        let [high1, low1] = s.mul_wide(words[2], FACTORS[1]);
        let first = s.xor(s.xor(high1, words[1]), splat(s, key[0]));
        let third = s.xor(s.xor(high0, words[3]), splat(s, key[1]));
        words = [first, low1, third, low0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    words
}

/// Which block a lane of [`words`] counts, as the bits of a float: those that [`Simd::transpose_fours`] brings together are a
/// quarter of a vector apart.
struct Counters<S>(PhantomData<S>);

impl<S: Simd> Counters<S> {
    const IN_LANES: [f32; 16] = {
        let mut counters = [0.0; 16];
        let mut lane = 0;
        while lane < S::LANES {
            counters[lane] = f32::from_bits((lane % 4 * (S::LANES / 4) + lane / 4) as u32);
            lane += 1;
        }
        counters
    };
}

/// What [`words`] drew, block by block: `4 * LANES` words, of which there are at most [`MOST`].
#[inline(always)]
fn in_order<S: Simd>(s: S, [a, b, c, d]: [S::I; 4]) -> [u32; MOST] {
    let words = [s.reinterpret(a), s.reinterpret(b), s.reinterpret(c), s.reinterpret(d)];
    let mut ordered = [0; MOST];
    for (ordered, words) in ordered.chunks_exact_mut(S::LANES).zip(s.transpose_fours(words)) {
        // SAFETY: the chunk has as many words as a vector has lanes.
        unsafe { s.store(ordered.as_mut_ptr().cast(), words) };
    }
    ordered
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
        for (i, out) in self.out.chunks_mut(4 * S::LANES).enumerate() {
            let words = in_order(s, words(s, self.row, (self.first / 4 + i * S::LANES) as u32));
            out.copy_from_slice(&words[..out.len()]);
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
        for (i, out) in self.out.chunks_mut(4 * S::LANES).enumerate() {
            let [a, b, c, d] = words(s, self.row, (self.first / 4 + i * S::LANES) as u32);
            let mut values = [unit(s, a), unit(s, b), unit(s, c), unit(s, d)];
            if self.distribution == Distribution::Normal {
                let ([a, b], [c, d]) =
                    (normals(s, [values[0], values[1]]), normals(s, [values[2], values[3]]));
                values = [a, b, c, d];
            }
            for (out, values) in out.chunks_mut(S::LANES).zip(s.transpose_fours(values)) {
                s.write(out, 0, values);
            }
        }
    }
}

/// `philox::unit`.
#[inline(always)]
fn unit<S: Simd>(s: S, word: S::I) -> S::F {
    let even = s.and(s.shift_right::<8>(word), s.splat_int(0xff_fffe));
    s.mul(s.to_float(s.add_int(even, s.splat_int(1))), s.splat(1.0 / (1 << 24) as f32))
}

/// From uniforms to normals (Box-Muller).
#[inline(always)]
fn normals<S: Simd>(s: S, [u, v]: [S::F; 2]) -> [S::F; 2] {
    let radius = s.sqrt(s.mul(s.splat(-2.0), math::ln(s, u)));
    let (sin, cos) = math::sin_cos(s, s.mul(s.splat(std::f32::consts::TAU), v));
    [s.mul(radius, cos), s.mul(radius, sin)]
}
