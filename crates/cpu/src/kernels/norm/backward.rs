//! The gradients of group normalisation, with the activation and dropout behind it.
//!
//! A sample stays with one thread: dz, the gradient of what the activation sees, is computed into working memory,
//! then summed, then turned into the gradient of the input.

use super::super::load::{Load, Resize};
use super::super::math;
use super::super::numbers::{Numbers, NumbersMut, SharedNumbers};
use super::super::pointer::Parts;
use super::{Norm, group};
use crate::{Kernel, Pool, Simd};

/// What the gradients of a normalisation read: `y = load(x)` with the affine of `stats`, and `dy`.
#[derive(Clone, Copy)]
pub struct Backward<'a> {
    pub norm: Norm,
    /// As in the forward direction; not resized.
    pub load: Load<'a>,
    /// `[n, groups, 2]`
    pub stats: &'a [f32],
    /// `[n, h, w, c]`
    pub dy: Numbers<'a>,
}

/// One source's gradient `[n, h, w, channels]`: `(gradient + residual) · scale`.
pub struct SourceGradient<'a> {
    pub dx: NumbersMut<'a>,
    /// As large as the gradient.
    pub residual: Option<Numbers<'a>>,
    pub scale: f32,
}

/// `sums[n, 2, c]`: for each sample and channel the sums over pixels of dz and of dz · x̂, where `z` is what the
/// activation sees: the gradients of bias and gain.
pub fn norm_sums(pool: &mut Pool, backward: Backward, sums: &mut [f32]) {
    let c = backward.check(sums.len());
    let (level, sums) = (pool.level(), Parts::new(sums));
    pool.run(backward.norm.n, |sample, scratch| {
        let [dz, room] = scratch.take([backward.len(), backward.room()]);
        // SAFETY: one task per sample.
        let sums = unsafe { sums.range(sample * 2 * c, 2 * c) };
        level.run(Dz { backward, sample, dz, room });
        level.run(Sums { backward, sample, dz, sums, room });
    });
}

/// `dx = scale · dz - (mean(gain dz) + x̂ · mean(gain dz x̂)) / std`, from the sums of [`norm_sums`]; one slice per
/// source.
pub fn norm_gradient(pool: &mut Pool, backward: Backward, sums: &[f32], dx: Vec<SourceGradient>) {
    let c = backward.check(sums.len());
    let (level, dx) = (pool.level(), backward.parts(dx));
    pool.run(backward.norm.n, |sample, scratch| {
        let [dz, room] = scratch.take([backward.len(), backward.room()]);
        level.run(Dz { backward, sample, dz, room });
        level.run(Apply { backward, sample, dz, sums: &sums[sample * 2 * c..][..2 * c], dx: &dx, room });
    });
}

/// [`norm_sums`] and [`norm_gradient`] in one: the same bits, but dz is computed once.
pub fn norm_backward(pool: &mut Pool, backward: Backward, sums: &mut [f32], dx: Vec<SourceGradient>) {
    let c = backward.check(sums.len());
    let (level, sums, dx) = (pool.level(), Parts::new(sums), backward.parts(dx));
    pool.run(backward.norm.n, |sample, scratch| {
        let [dz, room] = scratch.take([backward.len(), backward.room()]);
        // SAFETY: one task per sample.
        let sums = unsafe { sums.range(sample * 2 * c, 2 * c) };
        level.run(Dz { backward, sample, dz, room });
        level.run(Sums { backward, sample, dz, sums, room });
        level.run(Apply { backward, sample, dz, sums, dx: &dx, room });
    });
}

/// A [`SourceGradient`] that tasks share.
struct SharedGradient<'a> {
    dx: SharedNumbers<'a>,
    residual: Option<Numbers<'a>>,
    scale: f32,
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

    /// Numbers of a sample.
    fn len(&self) -> usize {
        self.norm.h * self.norm.w * self.load.channels()
    }

    /// Floats of working memory beside dz: two rows of channels, and three of pixels.
    fn room(&self) -> usize {
        (2 + 3 * self.norm.w) * self.load.channels()
    }

    fn parts<'a>(&self, dx: Vec<SourceGradient<'a>>) -> Vec<SharedGradient<'a>> {
        assert_eq!(dx.len(), self.load.sources.len(), "a gradient for each source");
        for (dx, source) in dx.iter().zip(self.load.sources) {
            let residual = dx.residual.map_or(source.x.len(), |residual| residual.len());
            assert_eq!(
                [dx.dx.len(), residual],
                [source.x.len(); 2],
                "the gradient and the residual of a source"
            );
        }
        let share = |SourceGradient { dx, residual, scale }: SourceGradient<'a>| SharedGradient {
            dx: dx.share(),
            residual,
            scale,
        };
        dx.into_iter().map(share).collect()
    }
}

/// The gradient of what the activation sees, for a sample.
struct Dz<'a, 'b> {
    backward: Backward<'a>,
    sample: usize,
    dz: &'b mut [f32],
    room: &'b mut [f32],
}

impl Kernel for Dz<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Dz { backward: Backward { norm: Norm { h, w, .. }, load, dy, .. }, sample, dz, room } = self;
        let c = load.channels();
        let Some(affine) = load.affine else { return };
        for (y, dz) in dz.chunks_exact_mut(w * c).enumerate() {
            dy.range((sample * h + y) * w * c, w * c).copy(s, dz);
            if let Some(dropout) = load.dropout {
                dropout.apply(s, sample, y * w * c, dz);
            }
            let mut offset = 0;
            for source in load.sources {
                let channels = source.channels;
                let at = sample * c + offset;
                let (scale, shift) = (&affine.scale[at..][..channels], &affine.shift[at..][..channels]);
                let x = source.x.range((sample * h + y) * w * channels, w * channels).widened(s, room);
                for (dz, x) in dz.chunks_exact_mut(c).zip(x.chunks_exact(channels)) {
                    let dz = &mut dz[offset..offset + channels];
                    for i in (0..channels).step_by(S::LANES) {
                        let mut value = s.mul(s.read(dz, i), s.splat(load.scale));
                        if load.silu {
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
}

struct Sums<'a, 'b> {
    backward: Backward<'a>,
    sample: usize,
    dz: &'b [f32],
    sums: &'b mut [f32],
    room: &'b mut [f32],
}

impl Kernel for Sums<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Sums { backward, sample, dz, sums, room } = self;
        let (Norm { h, w, .. }, c) = (backward.norm, backward.load.channels());
        let (means, room) = room.split_at_mut(c);
        let (rstds, room) = room.split_at_mut(c);
        for channel in 0..c {
            [means[channel], rstds[channel]] = group(backward.stats, backward.norm, sample, channel, c);
        }
        let (plain, scaled) = sums.split_at_mut(c);
        plain.fill(0.0);
        scaled.fill(0.0);
        for (y, dz) in dz.chunks_exact(w * c).enumerate() {
            let mut offset = 0;
            for source in backward.load.sources {
                let channels = source.channels;
                let x = source.x.range((sample * h + y) * w * channels, w * channels).widened(s, room);
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
    dz: &'b [f32],
    sums: &'b [f32],
    dx: &'b [SharedGradient<'b>],
    room: &'b mut [f32],
}

impl Kernel for Apply<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Apply { backward, sample, dz, sums, dx, room } = self;
        let (Norm { h, w, groups, .. }, c) = (backward.norm, backward.load.channels());
        let (of_x, room) = room.split_at_mut(c);
        let (constant, room) = room.split_at_mut(c);
        let (x_room, room) = room.split_at_mut(w * c);
        let (residual_room, room) = room.split_at_mut(w * c);
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
        for (y, dz) in dz.chunks_exact(w * c).enumerate() {
            let mut offset = 0;
            for (source, SharedGradient { dx, residual, scale: factor }) in
                backward.load.sources.iter().zip(dx)
            {
                let channels = source.channels;
                let start = (sample * h + y) * w * channels;
                let x = source.x.range(start, w * channels).widened(s, x_room);
                // SAFETY: a row of this task's sample.
                let mut dx = unsafe { dx.range(start, w * channels) };
                let residual =
                    residual.map(|residual| residual.range(start, w * channels).widened(s, residual_room));
                let wide = dx.wide(room);
                let pixels =
                    wide.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).zip(dz.chunks_exact(c));
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
                dx.round(s, room);
                offset += channels;
            }
        }
    }
}
