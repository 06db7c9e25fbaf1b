//! The layers that U-Nets are made of. Each registers its parameters when it is made and adds operations when it
//! is built.

use tensor::{Dropout, Graph, GroupNorm, Op, Resample, Value};

use crate::{Forward, Init, Layout, Start};

/// `x [n, in] -> [n, out]`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: usize,
    bias: Option<usize>,
}

impl Linear {
    pub fn new(layout: &mut Layout, name: &str, inside: usize, out: usize, bias: bool, start: Start) -> Self {
        let weight = layout.add(format!("{name}.weight"), &[out, inside], start.weight(inside, out));
        let bias = bias.then(|| layout.add(format!("{name}.bias"), &[out], start.bias(inside)));
        Linear { weight, bias }
    }

    #[track_caller]
    pub fn build(&self, forward: &mut Forward, x: Value) -> Value {
        let weight = forward.parameter(self.weight);
        let bias = self.bias.map(|bias| forward.parameter(bias));
        forward.graph.linear(x, weight, bias)
    }
}

/// Whether a layer doubles or halves the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampling {
    Up,
    Down,
}

/// A convolution with "same" zero padding that may resample the image as well.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Weight and bias; a kernel of 0 has none and only resamples.
    parameters: Option<(usize, Option<usize>)>,
    options: ConvOptions,
}

/// The kinds of [`Conv`].
#[derive(Clone, Debug)]
pub struct ConvOptions {
    /// 3, 1, or 0 for resampling alone.
    pub kernel: usize,
    pub resampling: Option<Resampling>,
    /// The taps of the resampling filter: `[1, 1]` or `[1, 3, 3, 1]`.
    pub filter: Vec<f64>,
    /// Resamples without padding of its own, next to a convolution that pads more: the borders differ.
    pub fused: bool,
    pub bias: bool,
    pub start: Start,
    /// Whether the output channels are queries, keys and values.
    pub qkv: bool,
}

impl Default for ConvOptions {
    fn default() -> Self {
        ConvOptions {
            kernel: 3,
            resampling: None,
            filter: vec![1.0, 1.0],
            fused: false,
            bias: true,
            start: Start::Xavier { gain: 1.0 },
            qkv: false,
        }
    }
}

impl Conv {
    pub fn new(layout: &mut Layout, name: &str, inside: usize, out: usize, options: ConvOptions) -> Self {
        let parameters = (options.kernel > 0).then(|| {
            let taps = options.kernel * options.kernel;
            let init = options.start.weight(inside * taps, out * taps);
            let shape = [out, inside, options.kernel, options.kernel];
            let weight = layout.add(format!("{name}.weight"), &shape, init);
            let init = options.start.bias(inside * taps);
            let bias = options.bias.then(|| layout.add(format!("{name}.bias"), &[out], init));
            for place in [Some(weight), bias].into_iter().flatten() {
                layout.parameters[place].interleaved = options.qkv;
            }
            (weight, bias)
        });
        if options.resampling.is_some() {
            let size = options.filter.len();
            let name = format!("{name}.resample_filter");
            layout.add_buffer(name, &[1, 1, size, size], outer(&options.filter));
        }
        Conv { parameters, options }
    }

    #[track_caller]
    pub fn build(&self, forward: &mut Forward, x: Value) -> Value {
        let parameter = |place| forward.parameter(place);
        let parameters = self.parameters.map(|(w, b)| (parameter(w), b.map(parameter)));
        let graph = &mut *forward.graph;
        match (self.resample(), parameters) {
            (None, None) => x,
            (None, Some((weight, bias))) => graph.conv(x, weight, bias),
            (Some(resample), None) => graph.resample(x, resample),
            (Some(resample), Some((weight, bias))) => self.both(graph, x, resample, weight, bias),
        }
    }

    fn resample(&self) -> Option<Resample> {
        let ConvOptions { resampling, filter, .. } = &self.options;
        resampling.map(|resampling| match resampling {
            Resampling::Up => Resample::up(filter),
            Resampling::Down => Resample::down(filter),
        })
    }

    fn both(
        &self,
        graph: &mut Graph,
        x: Value,
        resample: Resample,
        weight: Value,
        bias: Option<Value>,
    ) -> Value {
        match (self.options.kernel, self.options.fused, resample.up) {
            // A 1x1 convolution and a filter commute: convolve where there are fewer pixels. A bias commutes too
            // where the filter keeps constants, as the one of two equal taps does up to the border.
            (1, _, true) if self.options.filter == [1.0, 1.0] => {
                let y = graph.conv(x, weight, bias);
                graph.resample(y, resample)
            }
            (1, _, true) => {
                let y = graph.conv(x, weight, None);
                let y = graph.resample(y, resample);
                add_bias(graph, y, bias)
            }
            (3, true, true) => {
                let border = resample.padding.min(1);
                let wide = graph.resample(x, resample.clone().with_padding(resample.padding - border));
                let y = graph.conv(wide, weight, None);
                let y = crop(graph, y, border);
                add_bias(graph, y, bias)
            }
            (3, true, false) => {
                let border = (resample.padding, resample.padding);
                let wide = if border.0 == 0 { x } else { graph.pad(x, &[(0, 0), border, border, (0, 0)]) };
                let y = graph.conv(wide, weight, None);
                let y = graph.resample(y, resample.with_padding(0));
                add_bias(graph, y, bias)
            }
            _ => {
                let y = graph.resample(x, resample);
                graph.conv(y, weight, bias)
            }
        }
    }
}

fn add_bias(graph: &mut Graph, y: Value, bias: Option<Value>) -> Value {
    bias.map_or(y, |bias| graph.add(y, bias))
}

/// The two-dimensional filter as PyTorch's files hold it.
fn outer(taps: &[f64]) -> Vec<f64> {
    let sum: f64 = taps.iter().sum();
    taps.iter().flat_map(|a| taps.iter().map(move |b| a * b / (sum * sum))).collect()
}

/// Takes `border` rows and columns off every side.
fn crop(graph: &mut Graph, x: Value, border: usize) -> Value {
    let [h, w] = [graph.shape(x)[1], graph.shape(x)[2]];
    if border == 0 {
        return x;
    }
    let x = graph.slice(x, 1, border..h - border);
    graph.slice(x, 2, border..w - border)
}

/// Group normalisation with min(32, c / 4) groups.
#[derive(Clone, Debug)]
pub struct Norm {
    weight: usize,
    bias: usize,
    groups: usize,
    eps: f64,
}

impl Norm {
    /// # Errors
    /// If the channels do not fall into groups.
    pub fn new(layout: &mut Layout, name: &str, channels: usize, eps: f64) -> Result<Self, String> {
        let groups = 32.min(channels / 4);
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(format!(
                "`{name}` has {channels} channels, which do not fall into equal groups of at least 4; \
                 give `model_channels` a multiple of 4, or of 32 where levels have more than 128 channels"
            ));
        }
        let weight = layout.add(format!("{name}.weight"), &[channels], Init::Ones);
        let bias = layout.add(format!("{name}.bias"), &[channels], Init::Zeros);
        Ok(Norm { weight, bias, groups, eps })
    }

    #[track_caller]
    pub fn build(&self, forward: &mut Forward, x: Value) -> Value {
        let (scale, shift) = (forward.parameter(self.weight), forward.parameter(self.bias));
        forward.graph.group_norm(x, scale, shift, self.options(false, None))
    }

    /// Then SiLU, and dropout if the network is in training.
    #[track_caller]
    pub fn build_silu(&self, forward: &mut Forward, x: Value, dropout: Option<Dropout>) -> Value {
        let (scale, shift) = (forward.parameter(self.weight), forward.parameter(self.bias));
        self.activate(forward, x, scale, shift, dropout)
    }

    /// Times `1 + by` and plus `to`, both `[n, c]`, before SiLU and dropout.
    #[track_caller]
    pub fn build_adaptive(
        &self,
        forward: &mut Forward,
        x: Value,
        (by, to): (Value, Value),
        dropout: Option<Dropout>,
    ) -> Value {
        let (weight, bias) = (forward.parameter(self.weight), forward.parameter(self.bias));
        let scale = forward.graph.map(&[weight, by], |v| v(0) * (v(1) + 1.0));
        let shift = forward.graph.map(&[bias, by, to], |v| v(0) * (v(1) + 1.0) + v(2));
        self.activate(forward, x, scale, shift, dropout)
    }

    fn activate(
        &self,
        forward: &mut Forward,
        x: Value,
        scale: Value,
        shift: Value,
        dropout: Option<Dropout>,
    ) -> Value {
        let options = self.options(true, dropout.zip(forward.dropout));
        forward.graph.group_norm(x, scale, shift, options)
    }

    fn options(&self, silu: bool, dropout: Option<(Dropout, Value)>) -> GroupNorm {
        GroupNorm { groups: self.groups, eps: self.eps, silu, dropout }
    }
}

/// The slowest wave of a noise level, in noise levels a radian.
pub(crate) const LONGEST: f64 = 10_000.0;

/// Cosines and sines, each `[n, channels / 2]`, of `x [n]` times frequencies that fall from 1 to 1 / `longest`; with
/// `endpoint` the last is exactly that.
pub fn positional(graph: &mut Graph, x: Value, channels: usize, longest: f64, endpoint: bool) -> [Value; 2] {
    let half = channels / 2;
    let steps = half as f64 - f64::from(u8::from(endpoint));
    let frequencies = (0..half).map(|i| (1.0 / longest).powf(i as f64 / steps)).collect();
    let frequencies = graph.table(frequencies, [1, half]);
    waves(graph, x, frequencies)
}

/// Cosines and sines, each `[n, f]`, of 2π times `x [n]` times `frequencies [f]`.
pub fn fourier(graph: &mut Graph, x: Value, frequencies: Value) -> [Value; 2] {
    let frequencies = graph.scale(frequencies, std::f64::consts::TAU);
    waves(graph, x, frequencies)
}

fn waves(graph: &mut Graph, x: Value, frequencies: Value) -> [Value; 2] {
    let n = graph.shape(x).len();
    let column = graph.reshape(x, [n, 1]);
    let cos = graph.map(&[column, frequencies], |v| (v(0) * v(1)).cos());
    let sin = graph.map(&[column, frequencies], |v| (v(0) * v(1)).sin());
    [cos, sin]
}

/// `qkv [n, h, w, 3 c] -> [n, h, w, c]`, every pixel looking at every other.
pub(crate) fn attention(graph: &mut Graph, qkv: Value, heads: usize) -> Value {
    let [n, h, w, c] = [0, 1, 2, 3].map(|axis| graph.shape(qkv)[axis]);
    let flat = graph.reshape(qkv, [n, h * w, c]);
    let y = graph.push(Op::Attention { heads }, &[flat], None);
    graph.reshape(y, [n, h, w, c / 3])
}
