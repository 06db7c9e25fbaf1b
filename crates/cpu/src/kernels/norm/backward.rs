//! The gradients of group normalisation, with the activation and dropout behind it.
//!
//! A sample stays with one thread: dz, the gradient of what the activation sees, is computed into working memory and
//! summed, then turned into the gradient of the input.

use std::ops::Range;

use super::super::column::{Column, ColumnMut, Place};
use super::super::load::{Load, Resize, Source};
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
        level.run(Dz { backward, sample, dz, sums, room });
    });
}

/// `dx = scale · dz - (mean(gain dz) + x̂ · mean(gain dz x̂)) / std`, from the sums of [`norm_sums`]; one slice per
/// source.
pub fn norm_gradient(pool: &mut Pool, backward: Backward, sums: &[f32], dx: Vec<SourceGradient>) {
    let c = backward.check(sums.len());
    let (level, dx) = (pool.level(), backward.parts(dx));
    pool.run(backward.norm.n, |sample, scratch| {
        // The sums, which the caller has, come again with dz: there is one way to compute it.
        let [dz, room, again] = scratch.take([backward.len(), backward.room(), 2 * c]);
        level.run(Dz { backward, sample, dz, sums: again, room });
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
        level.run(Dz { backward, sample, dz, sums, room });
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

    /// Floats of working memory beside dz: two rows of channels.
    fn room(&self) -> usize {
        2 * self.load.channels()
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

/// The gradient of what the activation sees, for a sample, and the sums of [`norm_sums`].
struct Dz<'a, 'b> {
    backward: Backward<'a>,
    sample: usize,
    dz: &'b mut [f32],
    sums: &'b mut [f32],
    room: &'b mut [f32],
}

impl Kernel for Dz<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Dz { backward, sample, dz, sums, room } = self;
        let (Norm { w, .. }, load) = (backward.norm, backward.load);
        let c = load.channels();
        let (means, rstds) = room.split_at_mut(c);
        for channel in 0..c {
            [means[channel], rstds[channel]] = group(backward.stats, backward.norm, sample, channel, c);
        }
        sums.fill(0.0);
        for (y, dz) in dz.chunks_exact_mut(w * c).enumerate() {
            dz.fill(load.scale);
            if let Some(dropout) = load.dropout {
                dropout.apply(s, sample, y * w * c, dz);
            }
            let mut offset = 0;
            for source in load.sources {
                for i in (0..source.channels).step_by(S::LANES) {
                    let channels = offset + i..offset + (i + S::LANES).min(source.channels);
                    let row = Row { backward, source, sample, y, i, channels };
                    row.gradient(s, dz, sums, [means, rstds]);
                }
                offset += source.channels;
            }
        }
    }
}

/// A vector of the channels of a row of pixels.
struct Row<'a> {
    backward: Backward<'a>,
    source: &'a Source<'a>,
    sample: usize,
    y: usize,
    /// The first channel within the source, and all within the sources joined.
    i: usize,
    channels: Range<usize>,
}

impl Row<'_> {
    /// Where its channels lie in the source.
    #[inline(always)]
    fn place(&self) -> Place {
        let (Norm { h, w, .. }, step) = (self.backward.norm, self.source.channels);
        let first = (self.sample * h + self.y) * w * step + self.i;
        Place { first, step, len: self.channels.len(), pixels: w }
    }

    /// Multiplies the factors in `dz` by the gradients, and adds to the sums.
    #[inline(always)]
    fn gradient<S: Simd>(&self, s: S, dz: &mut [f32], sums: &mut [f32], [means, rstds]: [&[f32]; 2]) {
        let Row { backward: Backward { norm: Norm { h, w, .. }, load, dy, .. }, source, sample, y, .. } =
            *self;
        let c = load.channels();
        let Some(affine) = load.affine else { return };
        let own = sample * c + self.channels.start..sample * c + self.channels.end;
        let (scale, shift) = (s.read(&affine.scale[own.clone()], 0), s.read(&affine.shift[own], 0));
        let mean = s.read(&means[self.channels.clone()], 0);
        let of_x = self.place();
        let of_dy = Place { first: (sample * h + y) * w * c + self.channels.start, step: c, ..of_x };
        let of_dz = Place { first: self.channels.start, ..of_dy };
        let (x, dy) = (Column::new(s, source.x, of_x), Column::new(s, dy, of_dy));
        let mut dz = ColumnMut::new(s, dz, of_dz);
        let (mut total, mut distances) = (s.splat(0.0), s.splat(0.0));
        for pixel in 0..w {
            let x = x.read(s, pixel);
            let mut value = s.mul(dy.read(s, pixel), dz.read(s, pixel));
            if load.silu {
                value = s.mul(value, math::silu_gradient(s, s.fma(x, scale, shift)));
            }
            dz.write(s, pixel, value);
            total = s.add(total, value);
            distances = s.fma(value, s.sub(x, mean), distances);
        }
        let (plain, scaled) = sums.split_at_mut(c);
        let (plain, scaled) = (&mut plain[self.channels.clone()], &mut scaled[self.channels.clone()]);
        s.write(plain, 0, s.add(s.read(plain, 0), total));
        let rstd = s.read(&rstds[self.channels.clone()], 0);
        s.write(scaled, 0, s.fma(distances, rstd, s.read(scaled, 0)));
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
        let (of_x, constant) = room.split_at_mut(c);
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
            for (source, dx) in backward.load.sources.iter().zip(dx) {
                for i in (0..source.channels).step_by(S::LANES) {
                    let channels = offset + i..offset + (i + S::LANES).min(source.channels);
                    let row = Row { backward, source, sample, y, i, channels };
                    row.apply(s, dz, [scale, of_x, constant], dx);
                }
                offset += source.channels;
            }
        }
    }
}

impl Row<'_> {
    /// `dx = scale · dz + of_x · x + constant`, and what is asked for beside.
    #[inline(always)]
    fn apply<S: Simd>(
        &self,
        s: S,
        dz: &[f32],
        [scale, of_x, constant]: [&[f32]; 3],
        SharedGradient { dx, residual, scale: factor }: &SharedGradient,
    ) {
        let Row { backward: Backward { norm: Norm { h, w, .. }, load, .. }, source, sample, y, i, .. } =
            *self;
        let channels = self.channels.clone();
        let (scale, of_x) = (s.read(&scale[channels.clone()], 0), s.read(&of_x[channels.clone()], 0));
        let (constant, factor) = (s.read(&constant[channels], 0), s.splat(*factor));
        let place = self.place();
        let x = Column::new(s, source.x, place);
        let dz = Column::new(s, dz, Place { first: self.channels.start, step: load.channels(), ..place });
        let mut added = None;
        if let Some(residual) = residual {
            added = Some(Column::new(s, *residual, place));
        }
        // SAFETY: a row of this task's sample.
        let dx = unsafe { dx.range((sample * h + y) * w * source.channels, w * source.channels) };
        let mut dx = ColumnMut::new(s, dx, Place { first: i, ..place });
        for pixel in 0..w {
            let mut value = s.fma(scale, dz.read(s, pixel), s.fma(x.read(s, pixel), of_x, constant));
            if let Some(residual) = added {
                value = s.add(value, residual.read(s, pixel));
            }
            dx.write(s, pixel, s.mul(value, factor));
        }
    }
}
