//! Convolutions, their gradients, resampling and random numbers.

use tensor::{
    Conv, Distribution, Graph, Load, Made, Norm, Resample, Stats, Step, Store, Value, Warp, WeightGradient,
};

use super::Run;
use crate::kernels::conv;
use crate::kernels::conv_weight::conv_weight_gradient;
use crate::kernels::conv_weight::transformed::{self, To};
use crate::kernels::load::{Affine, Load as Loading, Resize, Source};
use crate::kernels::norm::Statistics;
use crate::kernels::random::{self, Dropout};
use crate::kernels::resample;
use crate::kernels::store::Store as Storing;
use crate::kernels::warp;
use crate::memory::Buffer;
use crate::{Level, Pool};

impl Run<'_> {
    pub(super) fn conv(&self, pool: &mut Pool, conv: &Conv, step: &Step) {
        let out = &step.outputs[0];
        let [taps, cin, cout] = self.sizes(conv.weight);
        let [n, h, w, _] = self.sizes(out.value);
        let (affine, sources) = self.sources(pool.level(), &conv.load);
        let load = self.loading(&conv.load, &affine, &sources);
        let made =
            |Stats { groups, eps }: Stats| Statistics::new(groups, eps as f32, self.result(&step.outputs[1]));
        let store = Storing { statistics: conv.stats.map(made), ..self.storing(&conv.store) };
        let (weights, result) = (self.floats(pool.level(), conv.weight), self.stored(out));
        let size = conv::Conv { n, h, w, cin, cout, taps };
        match conv.transposed {
            false => conv::conv(pool, size, &load, &weights, &store, result),
            true => conv::conv_input_gradient(pool, size, &load, &weights, &store, result),
        }
    }

    pub(super) fn weight_gradient(&self, pool: &mut Pool, gradient: &WeightGradient, step: &Step) {
        let (out, pixel_sums) = (&step.outputs[0], step.outputs.get(1).map(|sums| self.result(sums)));
        let shape = weight_gradient_shape(&self.program.graph, gradient, out.value);
        let (affine, sources) = self.sources(pool.level(), &gradient.load);
        let load = self.loading(&gradient.load, &affine, &sources);
        let dy = self.numbers(gradient.dy);
        let result = self.result(out);
        let place = out.into.filter(|place| self.prepared.unfinished.contains_key(place));
        if let Some((input, offset)) = place {
            let tensor = &self.held[&input];
            let mut unfinished = tensor.storage::<Buffer>().expect("it was bound").unfinished();
            let to =
                match (unfinished.sums(tensor.offset() + offset, [shape.cin, shape.cout]), self.last_part) {
                    (Some(sums), false) => To::Sums(sums),
                    (Some(sums), true) => To::Last(sums, result),
                    (None, _) => To::Weights(result),
                };
            return transformed::add_samples(pool, shape, &load, dy, to, pixel_sums);
        }
        if !step.accumulate {
            result.fill(0.0);
        }
        conv_weight_gradient(pool, shape, &load, dy, result, pixel_sums);
    }

    pub(super) fn random(&self, pool: &mut Pool, by: Distribution, lane: u32, keys: Value, out: &Made) {
        let (keys, result) = (self.rows(keys), self.result(out));
        match by {
            Distribution::Normal => random::fill(pool, random::Distribution::Normal, keys, lane, result),
            Distribution::Uniform => random::fill(pool, random::Distribution::Uniform, keys, lane, result),
            Distribution::Bits => random::fill_bits(pool, keys, lane, as_words(result)),
        }
    }

    pub(super) fn resample(&self, pool: &mut Pool, x: Value, resample: &Resample, out: &Made) {
        let sum: f64 = resample.taps.iter().sum();
        let taps: Vec<f32> = resample.taps.iter().map(|tap| (tap / sum) as f32).collect();
        let (up, padding, gain) = (resample.up, resample.padding, resample.gain as f32);
        let resample = resample::Resample { up, taps: &taps, padding, gain };
        resample::resample(pool, self.sizes(x), resample, self.numbers(x), self.stored(out));
    }

    pub(super) fn warp(&self, pool: &mut Pool, [x, places]: [Value; 2], warp: &Warp, out: &Made) {
        let taps = warp.doubled.as_deref().unwrap_or_default();
        let half: f64 = taps.iter().sum::<f64>() / 2.0;
        let taps: Vec<f32> = taps.iter().map(|tap| (tap / half) as f32).collect();
        let warp = warp::Warp { size: warp.size, taps: &taps };
        let [images, places] = [x, places].map(|value| self.floats(pool.level(), value));
        warp::warp(pool, self.sizes(x), warp, &images, &places, self.result(out));
    }

    /// The affine form of a load's norm, and what it reads.
    fn sources(&self, level: Level, load: &Load) -> (Option<[Vec<f32>; 2]>, [Source<'_>; 1]) {
        let by =
            |norm: &Norm| self.affine(level, load.source, norm.groups, [norm.stats, norm.scale, norm.shift]);
        (load.norm.as_ref().map(by), [self.source(load.source)])
    }

    fn loading<'b>(
        &'b self,
        load: &Load,
        affine: &'b Option<[Vec<f32>; 2]>,
        sources: &'b [Source<'b>],
    ) -> Loading<'b> {
        let resize = match &load.resample {
            None => Resize::Same,
            Some(resample) if resample.up => Resize::Up,
            Some(_) => Resize::Down,
        };
        let norm = load.norm.as_ref();
        let dropout = norm.and_then(|norm| norm.dropout).map(|(dropout, keys)| self.dropout(&dropout, keys));
        Loading {
            sources,
            affine: affine.as_ref().map(|[scale, shift]| Affine { scale, shift }),
            silu: norm.is_some_and(|norm| norm.silu),
            dropout,
            scale: 1.0,
            resize,
        }
    }

    pub(super) fn dropout(&self, dropout: &tensor::Dropout, keys: Value) -> Dropout<'_> {
        Dropout {
            keys: self.rows(keys),
            lane: dropout.lane,
            threshold: dropout.threshold(),
            scale: dropout.scale() as f32,
        }
    }

    pub(super) fn storing(&self, store: &Store) -> Storing<'_> {
        let numbers = |value: Option<Value>| value.map(|value| self.numbers(value));
        Storing {
            bias: numbers(store.bias),
            shift: numbers(store.channel),
            residual: numbers(store.residual),
            scale: store.scale as f32,
            accumulate: false,
            statistics: None,
        }
    }

    fn sizes<const N: usize>(&self, value: Value) -> [usize; N] {
        std::array::from_fn(|axis| self.shape(value)[axis])
    }
}

/// What the gradient of a convolution's weights is taken of.
pub(super) fn weight_gradient_shape(graph: &Graph, gradient: &WeightGradient, weights: Value) -> conv::Conv {
    let (dy, weights) = (graph.shape(gradient.dy), graph.shape(weights));
    conv::Conv { n: dy[0], h: dy[1], w: dy[2], cin: weights[1], cout: dy[3], taps: weights[0] }
}

/// The same memory as integers.
fn as_words(numbers: &mut [f32]) -> &mut [u32] {
    // SAFETY: both have 32 bits, and any bits are a number.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len()) }
}
