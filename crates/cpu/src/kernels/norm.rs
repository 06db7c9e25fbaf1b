//! Group normalisation and its gradients.
//!
//! With statistics (mean, 1/√(variance + eps)) per sample and group, `z = x · scale + shift` per sample and channel
//! ([`norm_affine`]); activation and dropout follow in a [`Load`], which most kernels apply while they read.

mod backward;

pub use backward::{Backward, SourceGradient, norm_backward, norm_gradient, norm_sums};

use super::load::{Load, Source};
use super::numbers::NumbersMut;
use super::pointer::Parts;
use crate::{Kernel, Pool, Scratch, Simd};

/// Numbers per channel, the same for all samples or each sample's own.
#[derive(Clone, Copy)]
pub enum PerChannel<'a> {
    /// `[c]`
    Shared(&'a [f32]),
    /// `[n, c]`
    Own(&'a [f32]),
}

impl PerChannel<'_> {
    fn of(&self, sample: usize, c: usize) -> &[f32] {
        match self {
            PerChannel::Shared(values) => values,
            PerChannel::Own(values) => &values[sample * c..][..c],
        }
    }
}

/// Images whose channels are normalised in groups.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub groups: usize,
}

/// `stats[n, groups, 2]`: mean and 1/√(variance + eps) of each group of channels, in two passes.
pub fn group_stats(pool: &mut Pool, norm: Norm, sources: &[Source], eps: f32, stats: &mut [f32]) {
    let load = Load::plain(sources);
    load.check(norm.n, norm.h, norm.w);
    assert!(load.channels().is_multiple_of(norm.groups), "{} channels in {norm:?}", load.channels());
    assert_eq!(stats.len(), norm.n * norm.groups * 2, "the statistics of {norm:?}");
    let (level, stats) = (pool.level(), Parts::new(stats));
    pool.run(norm.n, |sample, scratch| {
        // SAFETY: one task per sample.
        let stats = unsafe { stats.range(sample * norm.groups * 2, norm.groups * 2) };
        level.run(Stats { norm, load: &load, sample, eps, stats, scratch });
    });
}

/// The affine of a normalisation: `scale = gain / std`, `shift = bias - mean · gain / std`, both `[n, c]`.
pub fn norm_affine(
    norm: Norm,
    stats: &[f32],
    gain: PerChannel,
    bias: PerChannel,
    scale: &mut [f32],
    shift: &mut [f32],
) {
    let c = scale.len() / norm.n.max(1);
    assert_eq!([scale.len(), shift.len()], [norm.n * c; 2], "scale and shift of {norm:?}");
    assert_eq!(stats.len(), norm.n * norm.groups * 2, "the statistics of {norm:?}");
    let members = c / norm.groups.max(1);
    for sample in 0..norm.n {
        let (gain, bias) = (gain.of(sample, c), bias.of(sample, c));
        for first in (0..c).step_by(members.max(1)) {
            let [mean, rstd] = group(stats, norm, sample, first, c);
            for channel in first..first + members {
                scale[sample * c + channel] = gain[channel] * rstd;
                shift[sample * c + channel] = bias[channel] - mean * (gain[channel] * rstd);
            }
        }
    }
}

fn group(stats: &[f32], norm: Norm, sample: usize, channel: usize, c: usize) -> [f32; 2] {
    let at = (sample * norm.groups + channel * norm.groups / c) * 2;
    [stats[at], stats[at + 1]]
}

/// `out[n, h, w, c] = load(x)`, for the rare case that no kernel can read through the load.
pub fn load_images<'a>(pool: &mut Pool, [n, h, w]: [usize; 3], load: &Load, out: impl Into<NumbersMut<'a>>) {
    let out = out.into();
    load.check(n, h, w);
    let row = w * load.channels();
    assert_eq!(out.len(), n * h * row, "the loaded images");
    let (level, out) = (pool.level(), out.share());
    pool.run(n * h, |task, scratch| {
        // SAFETY: one task per row.
        let out = unsafe { out.range(task * row, row) };
        level.run(LoadRow { load, at: [task / h, task % h], size: [h, w], out, scratch });
    });
}

struct LoadRow<'a, 'b> {
    load: &'a Load<'a>,
    at: [usize; 2],
    size: [usize; 2],
    out: NumbersMut<'a>,
    scratch: &'b mut Scratch,
}

impl Kernel for LoadRow<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let LoadRow { load, at, size, mut out, scratch } = self;
        let [room, rounded] = scratch.take([load.row_len(size[1]), out.len()]);
        out.wide(rounded).copy_from_slice(load.row(s, at, size, room));
        out.round(s, rounded);
    }
}

struct Stats<'a, 'b> {
    norm: Norm,
    load: &'a Load<'a>,
    sample: usize,
    eps: f32,
    stats: &'a mut [f32],
    scratch: &'b mut Scratch,
}

impl Kernel for Stats<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Stats { norm: Norm { h, w, groups, .. }, load, sample, eps, stats, scratch } = self;
        let c = load.channels();
        let [means, sums, room] = scratch.take([c, c, w * c]);
        let count = (h * w * (c / groups)) as f64;
        let total = |sums: &[f32], group: usize| -> f64 {
            sums[group * c / groups..][..c / groups].iter().map(|sum| f64::from(*sum)).sum()
        };
        means.fill(0.0);
        fold::<S, false>(s, load, sample, [h, w], means, sums, room);
        for group in 0..groups {
            stats[2 * group] = (total(sums, group) / count) as f32;
            means[group * c / groups..][..c / groups].fill(stats[2 * group]);
        }
        fold::<S, true>(s, load, sample, [h, w], means, sums, room);
        for group in 0..groups {
            stats[2 * group + 1] = (1.0 / (total(sums, group) / count + f64::from(eps)).sqrt()) as f32;
        }
    }
}

/// For each channel the sum over pixels of x, or of the square of x - mean.
#[inline(always)]
fn fold<S: Simd, const SQUARE: bool>(
    s: S,
    load: &Load,
    sample: usize,
    [h, w]: [usize; 2],
    means: &[f32],
    sums: &mut [f32],
    room: &mut [f32],
) {
    sums.fill(0.0);
    let mut offset = 0;
    for source in load.sources {
        let channels = source.channels;
        let (means, sums) = (&means[offset..][..channels], &mut sums[offset..][..channels]);
        for y in 0..h {
            let row = source.x.range((sample * h + y) * w * channels, w * channels).widened(s, room);
            for i in (0..channels).step_by(S::LANES) {
                let mean = s.read(means, i);
                let mut acc = [s.splat(0.0); 4];
                for (x, pixel) in row.chunks_exact(channels).enumerate() {
                    let value = s.read(pixel, i);
                    let value = if SQUARE {
                        let distance = s.sub(value, mean);
                        s.mul(distance, distance)
                    } else {
                        value
                    };
                    acc[x % 4] = s.add(acc[x % 4], value);
                }
                let acc = s.add(s.add(acc[0], acc[1]), s.add(acc[2], acc[3]));
                s.write(sums, i, s.add(s.read(sums, i), acc));
            }
        }
        offset += channels;
    }
}
