//! Statistics of images that a kernel makes, while they are in the cache.

use super::{Norm, Stats};
use crate::kernels::conv::Conv;
use crate::kernels::cut::Cut;
use crate::kernels::load::{Load, Source};
use crate::kernels::numbers::{Numbers, NumbersMut, SharedNumbers};
use crate::kernels::pointer::Parts;
use crate::{Level, Scratch, Workers};

/// The statistics of a result, as [`group_stats`](super::group_stats) makes them.
#[derive(Clone, Copy)]
pub struct Statistics<'a> {
    groups: usize,
    eps: f32,
    to: Parts<'a, f32>,
}

impl<'a> Statistics<'a> {
    /// Of so many groups of channels, to `to[n, groups, 2]`.
    pub fn new(groups: usize, eps: f32, to: &'a mut [f32]) -> Self {
        Statistics { groups, eps, to: Parts::new(to) }
    }

    /// Panics unless they are of `n` samples of `c` channels.
    pub(in crate::kernels) fn check(&self, n: usize, c: usize) {
        assert!(c.is_multiple_of(self.groups), "{c} channels in {} groups", self.groups);
        assert_eq!(self.to.len(), n * self.groups * 2, "the statistics of {n} samples");
    }
}

/// What the tasks of a [`Cut`] write.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Written<'a> {
    pub shape: Conv,
    pub channels: usize,
    pub out: SharedNumbers<'a>,
    pub statistics: Option<Statistics<'a>>,
}

impl Written<'_> {
    /// The statistics of the samples of a task that has made all of them.
    pub fn after_task(&self, level: Level, cut: Cut, index: usize, scratch: &mut Scratch) {
        if let Some(statistics) = self.statistics.filter(|_| cut.has_whole_samples()) {
            let (samples, ..) = cut.task(index, self.shape);
            // SAFETY: no other task has these samples, and this one has written them.
            samples.for_each(|sample| unsafe { self.make(statistics, level, sample, scratch) });
        }
    }

    /// The statistics of samples that several tasks have made.
    pub fn after_all(&self, workers: &mut Workers, cut: Cut) {
        if let Some(statistics) = self.statistics.filter(|_| !cut.has_whole_samples()) {
            let level = workers.level;
            // SAFETY: one task per sample, and nobody writes any more.
            workers.run(self.shape.n, |sample, scratch| unsafe {
                self.make(statistics, level, sample, scratch)
            });
        }
    }

    /// # Safety
    /// Nobody may write to the sample, nor touch its statistics.
    unsafe fn make(&self, statistics: Statistics, level: Level, sample: usize, scratch: &mut Scratch) {
        let (Conv { h, w, .. }, Statistics { groups, eps, to }) = (self.shape, statistics);
        let len = h * w * self.channels;
        // SAFETY: promised.
        let (x, stats) =
            unsafe { (self.out.range(sample * len, len), to.range(sample * groups * 2, groups * 2)) };
        let x = match &x {
            NumbersMut::F32(numbers) => Numbers::F32(numbers),
            NumbersMut::Bf16(numbers) => Numbers::Bf16(numbers),
        };
        let sources = [Source { x, channels: self.channels }];
        let norm = Norm { n: 1, h, w, groups };
        level.run(Stats { norm, load: &Load::plain(&sources), sample: 0, eps, stats, scratch });
    }
}
