//! Group normalisation and its gradients.
//!
//! With statistics (mean, 1/√(variance + eps)) per sample and group, `z = x · scale + shift` per sample and channel
//! ([`norm_affine`]); activation and dropout follow in a [`Load`], which most kernels apply while they read.

mod backward;
mod written;

pub use written::Statistics;
pub(super) use written::Written;

pub use backward::{Backward, SourceGradient, norm_backward, norm_gradient, norm_sums};

use super::column::{Column, Place};
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
    assert!(c.is_multiple_of(norm.groups), "{c} channels in {norm:?}");
    let members = (c / norm.groups).max(1);
    for sample in 0..norm.n {
        let groups = stats[sample * norm.groups * 2..].chunks_exact(2);
        let factors = gain.of(sample, c).chunks_exact(members).zip(bias.of(sample, c).chunks_exact(members));
        let [scale, shift] =
            [&mut *scale, &mut *shift].map(|all| all[sample * c..][..c].chunks_exact_mut(members));
        for ((group, (gain, bias)), (scale, shift)) in groups.zip(factors).zip(scale.zip(shift)) {
            let (mean, rstd) = (group[0], group[1]);
            for ((gain, bias), (scale, shift)) in gain.iter().zip(bias).zip(scale.iter_mut().zip(shift)) {
                *scale = gain * rstd;
                *shift = bias - mean * *scale;
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
        let [means, sums] = scratch.take([c, c]);
        let members = (c / groups).max(1);
        let share = 1.0 / (h * w * members) as f64;
        let mean = |sums: &[f32]| sums.iter().map(|sum| f64::from(*sum)).sum::<f64>() * share;
        means.fill(0.0);
        fold::<S, false>(s, load, sample, h * w, means, sums);
        let of_groups = sums.chunks_exact(members).zip(means.chunks_exact_mut(members));
        for ((sums, means), stats) in of_groups.zip(stats.chunks_exact_mut(2)) {
            stats[0] = mean(sums) as f32;
            means.fill(stats[0]);
        }
        fold::<S, true>(s, load, sample, h * w, means, sums);
        for (sums, stats) in sums.chunks_exact(members).zip(stats.chunks_exact_mut(2)) {
            stats[1] = (1.0 / (mean(sums) + f64::from(eps)).sqrt()) as f32;
        }
    }
}

/// Pixels that are summed before their sum is added to those of others: few, so that sums err little.
const RUN: usize = 64;

/// For each channel the sum over pixels of x, or of the square of x - mean.
#[inline(always)]
fn fold<S: Simd, const SQUARE: bool>(
    s: S,
    load: &Load,
    sample: usize,
    pixels: usize,
    means: &[f32],
    sums: &mut [f32],
) {
    sums.fill(0.0);
    let mut offset = 0;
    for source in load.sources {
        let channels = source.channels;
        let (means, sums) = (&means[offset..][..channels], &mut sums[offset..][..channels]);
        for first in (0..pixels).step_by(RUN) {
            for i in (0..channels).step_by(S::LANES) {
                let (len, count) = ((channels - i).min(S::LANES), RUN.min(pixels - first));
                let first = (sample * pixels + first) * channels + i;
                let place = Place { first, step: channels, len, pixels: count };
                let column = Column::new(s, source.x, place);
                let sum = match SQUARE {
                    true => column.squares(s, s.read(means, i)),
                    false => column.sum(s),
                };
                s.write(sums, i, s.add(s.read(sums, i), sum));
            }
        }
        offset += channels;
    }
}
