//! Group normalisation and its gradients.
//!
//! With statistics (mean, 1/√(variance + eps)) per sample and group, `z = x · scale + shift` per sample and channel
//! ([`norm_affine`]); activation and dropout follow in a [`Load`], which most kernels apply while they read.

use super::load::{Load, Resize, Source};
use super::math;
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
    for sample in 0..norm.n {
        let (gain, bias) = (gain.of(sample, c), bias.of(sample, c));
        for channel in 0..c {
            let [mean, rstd] = group(stats, norm, sample, channel, c);
            scale[sample * c + channel] = gain[channel] * rstd;
            shift[sample * c + channel] = bias[channel] - mean * (gain[channel] * rstd);
        }
    }
}

fn group(stats: &[f32], norm: Norm, sample: usize, channel: usize, c: usize) -> [f32; 2] {
    let at = (sample * norm.groups + channel * norm.groups / c) * 2;
    [stats[at], stats[at + 1]]
}

/// `out[n, h, w, c] = load(x)`, for the rare case that no kernel can read through the load.
pub fn load_images(pool: &mut Pool, [n, h, w]: [usize; 3], load: &Load, out: &mut [f32]) {
    load.check(n, h, w);
    let row = w * load.channels();
    assert_eq!(out.len(), n * h * row, "the loaded images");
    let (level, out) = (pool.level(), Parts::new(out));
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
    out: &'a mut [f32],
    scratch: &'b mut Scratch,
}

impl Kernel for LoadRow<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [room] = self.scratch.take([self.load.row_len(self.size[1])]);
        self.out.copy_from_slice(self.load.row(s, self.at, self.size, room));
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
        let count = (h * w * (c / groups)) as f64;
        let total = |sums: &[f32], group: usize| -> f64 {
            sums[group * c / groups..][..c / groups].iter().map(|sum| f64::from(*sum)).sum()
        };
        means.fill(0.0);
        fold::<S, false>(s, load, sample, [h, w], means, sums);
        for group in 0..groups {
            stats[2 * group] = (total(sums, group) / count) as f32;
            means[group * c / groups..][..c / groups].fill(stats[2 * group]);
        }
        fold::<S, true>(s, load, sample, [h, w], means, sums);
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
) {
    sums.fill(0.0);
    let mut offset = 0;
    for source in load.sources {
        let channels = source.channels;
        let (means, sums) = (&means[offset..][..channels], &mut sums[offset..][..channels]);
        for row in source.x[sample * h * w * channels..][..h * w * channels].chunks_exact(w * channels) {
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

/// What the gradients of a normalisation read: `y = load(x)` with the affine of `stats`, and `dy`.
#[derive(Clone, Copy)]
pub struct Backward<'a> {
    pub norm: Norm,
    /// As in the forward direction; not resized.
    pub load: Load<'a>,
    /// `[n, groups, 2]`
    pub stats: &'a [f32],
    /// `[n, h, w, c]`
    pub dy: &'a [f32],
}

/// One source's gradient `[n, h, w, channels]`: `(gradient + residual) · scale`.
pub struct SourceGradient<'a> {
    pub dx: &'a mut [f32],
    /// As large as the gradient.
    pub residual: Option<&'a [f32]>,
    pub scale: f32,
}

/// `sums[n, 2, c]`: for each sample and channel the sums over pixels of dz and of dz · x̂, where `z` is what the
/// activation sees: the gradients of bias and gain.
pub fn norm_sums(pool: &mut Pool, backward: Backward, sums: &mut [f32]) {
    let c = backward.check(sums.len());
    let (level, sums) = (pool.level(), Parts::new(sums));
    pool.run(backward.norm.n, |sample, scratch| {
        // SAFETY: one task per sample.
        let sums = unsafe { sums.range(sample * 2 * c, 2 * c) };
        level.run(Sums { backward, sample, sums, scratch });
    });
}

/// `dx = scale · dz - (mean(gain dz) + x̂ · mean(gain dz x̂)) / std`, from the sums of [`norm_sums`]; one slice per
/// source.
pub fn norm_gradient(pool: &mut Pool, backward: Backward, sums: &[f32], dx: &mut [SourceGradient]) {
    let c = backward.check(sums.len());
    assert_eq!(dx.len(), backward.load.sources.len(), "a gradient for each source");
    for (dx, source) in dx.iter().zip(backward.load.sources) {
        assert_eq!(dx.dx.len(), source.x.len(), "the gradient of a source");
        assert!(
            dx.residual.is_none_or(|residual| residual.len() == source.x.len()),
            "the residual of a source"
        );
    }
    let level = pool.level();
    let dx = dx.iter_mut().map(|dx| (Parts::new(dx.dx), dx.residual, dx.scale)).collect::<Vec<_>>();
    pool.run(backward.norm.n, |sample, scratch| {
        let sums = &sums[sample * 2 * c..][..2 * c];
        level.run(Apply { backward, sample, sums, dx: &dx, scratch });
    });
}

impl Backward<'_> {
    /// Panics unless everything has the right length; gives the channels.
    fn check(&self, sums: usize) -> usize {
        let Norm { n, h, w, groups } = self.norm;
        let c = self.load.channels();
        self.load.check(n, h, w);
        assert!(self.load.affine.is_some(), "a normalisation has an affine");
        assert_eq!(self.load.resize, Resize::Same, "the gradient of a resized load");
        assert_eq!(self.dy.len(), n * h * w * c, "the gradient of {:?}", self.norm);
        assert_eq!(
            [self.stats.len(), sums],
            [n * groups * 2, n * 2 * c],
            "statistics and sums of {:?}",
            self.norm
        );
        c
    }

    /// The gradient of what the activation sees, for row `y` of a sample.
    #[inline(always)]
    fn dz<S: Simd>(&self, s: S, sample: usize, y: usize, dz: &mut [f32]) {
        let (w, c) = (self.norm.w, self.load.channels());
        dz.copy_from_slice(&self.dy[(sample * self.norm.h + y) * w * c..][..w * c]);
        if let Some(dropout) = self.load.dropout {
            dropout.apply(sample, y * w * c, dz);
        }
        let constant = s.splat(self.load.scale);
        let Some(affine) = self.load.affine else { return };
        let mut offset = 0;
        for source in self.load.sources {
            let channels = source.channels;
            let at = sample * c + offset;
            let (scale, shift) = (&affine.scale[at..][..channels], &affine.shift[at..][..channels]);
            let x = &source.x[(sample * self.norm.h + y) * w * channels..][..w * channels];
            for (dz, x) in dz.chunks_exact_mut(c).zip(x.chunks_exact(channels)) {
                let dz = &mut dz[offset..offset + channels];
                for i in (0..channels).step_by(S::LANES) {
                    let mut value = s.mul(s.read(dz, i), constant);
                    if self.load.silu {
                        let z = s.fma(s.read(x, i), s.read(scale, i), s.read(shift, i));
                        value = s.mul(value, math::silu_gradient(s, z));
                    }
                    s.write(dz, i, value);
                }
            }
            offset += channels;
        }
    }
}

struct Sums<'a, 'b> {
    backward: Backward<'a>,
    sample: usize,
    sums: &'a mut [f32],
    scratch: &'b mut Scratch,
}

impl Kernel for Sums<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Sums { backward, sample, sums, scratch } = self;
        let (Norm { h, w, .. }, c) = (backward.norm, backward.load.channels());
        let [dz, means, rstds] = scratch.take([w * c, c, c]);
        for channel in 0..c {
            [means[channel], rstds[channel]] = group(backward.stats, backward.norm, sample, channel, c);
        }
        let (plain, scaled) = sums.split_at_mut(c);
        plain.fill(0.0);
        scaled.fill(0.0);
        for y in 0..h {
            backward.dz(s, sample, y, dz);
            let mut offset = 0;
            for source in backward.load.sources {
                let channels = source.channels;
                let x = &source.x[(sample * h + y) * w * channels..][..w * channels];
                for i in (0..channels).step_by(S::LANES) {
                    let at = offset + i;
                    let limit = offset + channels;
                    let (mean, rstd) = (s.read(&means[..limit], at), s.read(&rstds[..limit], at));
                    let mut acc = [[s.splat(0.0); 2]; 2];
                    for (column, (dz, x)) in dz.chunks_exact(c).zip(x.chunks_exact(channels)).enumerate() {
                        let dz = s.read(&dz[..limit], at);
                        let distance = s.sub(s.read(x, i), mean);
                        let [first, second] = acc[column % 2];
                        acc[column % 2] = [s.add(first, dz), s.fma(dz, distance, second)];
                    }
                    let total = s.add(s.read(&plain[..limit], at), s.add(acc[0][0], acc[1][0]));
                    s.write(&mut plain[..limit], at, total);
                    let total = s.fma(s.add(acc[0][1], acc[1][1]), rstd, s.read(&scaled[..limit], at));
                    s.write(&mut scaled[..limit], at, total);
                }
                offset += channels;
            }
        }
    }
}

struct Apply<'a, 'b> {
    backward: Backward<'a>,
    sample: usize,
    sums: &'a [f32],
    /// For each source: the gradient, the residual and the scale.
    dx: &'a [(Parts<'a, f32>, Option<&'a [f32]>, f32)],
    scratch: &'b mut Scratch,
}

impl Kernel for Apply<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Apply { backward, sample, sums, dx, scratch } = self;
        let (Norm { h, w, groups, .. }, c) = (backward.norm, backward.load.channels());
        let [dz, of_x, constant] = scratch.take([w * c, c, c]);
        let Some(affine) = backward.load.affine else { return };
        let scale = &affine.scale[sample * c..][..c];
        // dx = scale · dz + of_x · x + constant; scale is gain / std
        let count = (h * w * (c / groups)) as f64;
        for first in (0..c).step_by(c / groups) {
            let [mean, rstd] = group(backward.stats, backward.norm, sample, first, c).map(f64::from);
            let members = first..first + c / groups;
            let mean_of = |sums: &[f32]| -> f64 {
                members
                    .clone()
                    .map(|channel| f64::from(scale[channel]) * f64::from(sums[channel]))
                    .sum::<f64>()
                    / count
            };
            let (plain, scaled) = (mean_of(&sums[..c]), mean_of(&sums[c..]));
            of_x[members.clone()].fill((-scaled * rstd) as f32);
            constant[members].fill((mean * scaled * rstd - plain) as f32);
        }
        for y in 0..h {
            backward.dz(s, sample, y, dz);
            let mut offset = 0;
            for (source, (dx, residual, factor)) in backward.load.sources.iter().zip(dx) {
                let channels = source.channels;
                let start = (sample * h + y) * w * channels;
                let x = &source.x[start..][..w * channels];
                // SAFETY: a row of this task's sample.
                let dx = unsafe { dx.range(start, w * channels) };
                let residual = residual.map(|residual| &residual[start..][..w * channels]);
                let pixels =
                    dx.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).zip(dz.chunks_exact(c));
                for (pixel, ((dx, x), dz)) in pixels.enumerate() {
                    let residual = residual.map(|residual| &residual[pixel * channels..][..channels]);
                    let limit = offset + channels;
                    for i in (0..channels).step_by(S::LANES) {
                        let at = offset + i;
                        let read = |values: &[f32]| s.read(&values[..limit], at);
                        let mut value = s.fma(s.read(x, i), read(of_x), read(constant));
                        value = s.fma(read(scale), read(dz), value);
                        if let Some(residual) = residual {
                            value = s.add(value, s.read(residual, i));
                        }
                        s.write(dx, i, s.mul(value, s.splat(*factor)));
                    }
                }
                offset += channels;
            }
        }
    }
}
