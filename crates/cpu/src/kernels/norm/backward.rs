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

/// Numbers of a [`Backward::run`].
const RUN: usize = 1024;

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

    /// Pixels that are computed one after the other for a vector of channels: what is made of them stays in the
    /// first-level cache.
    fn run(&self) -> usize {
        (RUN / self.load.channels()).max(16).min(self.norm.h * self.norm.w).max(1)
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
        let (load, run) = (backward.load, backward.run());
        let c = load.channels();
        let (means, rstds) = room.split_at_mut(c);
        for channel in 0..c {
            [means[channel], rstds[channel]] = group(backward.stats, backward.norm, sample, channel, c);
        }
        sums.fill(0.0);
        for (index, dz) in dz.chunks_mut(run * c).enumerate() {
            dz.fill(load.scale);
            if let Some(dropout) = load.dropout {
                dropout.apply(s, sample, index * run * c, dz);
            }
            let (first, pixels) = (index * run, dz.len() / c);
            let mut offset = 0;
            for source in load.sources {
                for i in (0..source.channels).step_by(S::LANES) {
                    let channels = offset + i..offset + (i + S::LANES).min(source.channels);
                    let run = Run { backward, source, sample, first, pixels, i, channels };
                    run.gradient(s, dz, sums, [means, rstds]);
                }
                offset += source.channels;
            }
        }
    }
}

/// A vector of the channels of some pixels of a sample.
struct Run<'a> {
    backward: Backward<'a>,
    source: &'a Source<'a>,
    sample: usize,
    first: usize,
    pixels: usize,
    /// The first channel within the source, and all within the sources joined.
    i: usize,
    channels: Range<usize>,
}

impl Run<'_> {
    /// Where its channels lie in images of so many, the first of them being `i`.
    #[inline(always)]
    fn place(&self, step: usize, i: usize) -> Place {
        let Norm { h, w, .. } = self.backward.norm;
        let first = (self.sample * h * w + self.first) * step + i;
        Place { first, step, len: self.channels.len(), pixels: self.pixels }
    }

    /// Multiplies the factors in `dz` by the gradients, and adds to the sums.
    #[inline(always)]
    fn gradient<S: Simd>(&self, s: S, dz: &mut [f32], sums: &mut [f32], [means, rstds]: [&[f32]; 2]) {
        let Backward { load, dy, .. } = self.backward;
        let c = load.channels();
        let (of_x, of_dy) = (self.place(self.source.channels, self.i), self.place(c, self.channels.start));
        let mean = s.read(&means[self.channels.clone()], 0);
        let [total, distances] = match (self.source.x, dy, self.channels.len() == S::LANES) {
            // What is known to be whole vectors of f32 needs no branches a pixel.
            (Numbers::F32(x), Numbers::F32(dy), true) => {
                let [of_x, of_dy] = [of_x, of_dy].map(|place| Place { len: S::LANES, ..place });
                self.sums(s, (Column::new(s, x, of_x), mean), Column::new(s, dy, of_dy), of_dy, dz)
            }
            (x, dy, _) => self.sums(s, (Column::new(s, x, of_x), mean), Column::new(s, dy, of_dy), of_dy, dz),
        };
        let (plain, scaled) = sums.split_at_mut(c);
        let (plain, scaled) = (&mut plain[self.channels.clone()], &mut scaled[self.channels.clone()]);
        s.write(plain, 0, s.add(s.read(plain, 0), total));
        let rstd = s.read(&rstds[self.channels.clone()], 0);
        s.write(scaled, 0, s.fma(distances, rstd, s.read(scaled, 0)));
    }

    /// The sums of dz and of dz · (x - mean), where `place` is that of `dy`.
    #[inline(always)]
    fn sums<S: Simd>(
        &self,
        s: S,
        (x, mean): (Column, S::F),
        dy: Column,
        place: Place,
        dz: &mut [f32],
    ) -> [S::F; 2] {
        let (load, mut sums) = (self.backward.load, [s.splat(0.0); 2]);
        let Some(affine) = load.affine else { return sums };
        let own = self.sample * load.channels() + self.channels.start;
        let own = own..own + place.len;
        let (scale, shift) = (s.read(&affine.scale[own.clone()], 0), s.read(&affine.shift[own], 0));
        let mut dz = ColumnMut::new(s, dz, Place { first: self.channels.start, ..place });
        for pixel in 0..place.pixels {
            let x = x.read(s, pixel);
            let mut value = s.mul(dy.read(s, pixel), dz.read(s, pixel));
            if load.silu {
                value = s.mul(value, math::silu_gradient(s, s.fma(x, scale, shift)));
            }
            dz.write(s, pixel, value);
            sums = [s.add(sums[0], value), s.fma(value, s.sub(x, mean), sums[1])];
        }
        sums
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
        let run = backward.run();
        for (index, dz) in dz.chunks(run * c).enumerate() {
            let (first, pixels) = (index * run, dz.len() / c);
            let mut offset = 0;
            for (source, dx) in backward.load.sources.iter().zip(dx) {
                for i in (0..source.channels).step_by(S::LANES) {
                    let channels = offset + i..offset + (i + S::LANES).min(source.channels);
                    let run = Run { backward, source, sample, first, pixels, i, channels };
                    run.apply(s, dz, [scale, of_x, constant], dx);
                }
                offset += source.channels;
            }
        }
    }
}

impl Run<'_> {
    /// `dx = scale · dz + of_x · x + constant`, and what is asked for beside.
    #[inline(always)]
    fn apply<S: Simd>(
        &self,
        s: S,
        dz: &[f32],
        [scale, of_x, constant]: [&[f32]; 3],
        SharedGradient { dx, residual, scale: factor }: &SharedGradient,
    ) {
        let channels = self.channels.clone();
        let (scale, of_x) = (s.read(&scale[channels.clone()], 0), s.read(&of_x[channels.clone()], 0));
        let by = [scale, of_x, s.read(&constant[channels], 0), s.splat(*factor)];
        let place = self.place(self.source.channels, self.i);
        match (self.source.x, residual, *dx) {
            // As in `gradient`.
            (Numbers::F32(x), None, SharedNumbers::F32(dx)) if place.len == S::LANES => {
                let place = Place { len: S::LANES, ..place };
                self.write(s, (x.into(), dz, None), by, place, SharedNumbers::F32(dx));
            }
            (Numbers::F32(x), Some(Numbers::F32(added)), SharedNumbers::F32(dx)) if place.len == S::LANES => {
                let place = Place { len: S::LANES, ..place };
                let added = Some(Numbers::F32(added));
                self.write(s, (x.into(), dz, added), by, place, SharedNumbers::F32(dx));
            }
            (x, residual, dx) => self.write(s, (x, dz, *residual), by, place, dx),
        }
    }

    #[inline(always)]
    fn write<S: Simd>(
        &self,
        s: S,
        (x, dz, residual): (Numbers, &[f32], Option<Numbers>),
        [scale, of_x, constant, factor]: [S::F; 4],
        place: Place,
        dx: SharedNumbers,
    ) {
        let of_dz = Place { first: self.channels.start, step: self.backward.load.channels(), ..place };
        let (x, dz) = (Column::new(s, x, place), Column::new(s, dz, of_dz));
        let mut added = None;
        if let Some(residual) = residual {
            added = Some(Column::new(s, residual, place));
        }
        // SAFETY: pixels of this task's sample.
        let mut dx = unsafe { dx.column(s, place) };
        for pixel in 0..place.pixels {
            let mut value = s.fma(scale, dz.read(s, pixel), s.fma(x.read(s, pixel), of_x, constant));
            if let Some(residual) = added {
                value = s.add(value, residual.read(s, pixel));
            }
            dx.write(s, pixel, s.mul(value, factor));
        }
    }
}
