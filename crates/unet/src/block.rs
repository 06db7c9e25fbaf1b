//! The residual block that all three architectures share.

use tensor::{Dropout, Value};

use crate::layers::attention;
use crate::{Conv, ConvOptions, Forward, Layout, Linear, Norm, Resampling, Start};

/// How an attention layer splits its channels into heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heads {
    Number(usize),
    /// Heads of so many channels; with fewer channels than that there is no head, and no attention.
    OfChannels(usize),
}

impl Heads {
    pub fn count(self, channels: usize) -> usize {
        match self {
            Heads::Number(heads) => heads,
            Heads::OfChannels(each) => channels / each,
        }
    }
}

/// The kinds of [`Block`].
#[derive(Clone, Debug)]
pub struct BlockOptions {
    /// Width of the embedding of noise level and labels.
    pub embedding: usize,
    pub resampling: Option<Resampling>,
    pub filter: Vec<f64>,
    pub attention: Option<Heads>,
    /// Whether the embedding scales and shifts the normalised activations instead of being added before.
    pub adaptive_scale: bool,
    /// Whether a skip that resamples has a 1x1 convolution even where the channels stay.
    pub resample_proj: bool,
    /// Multiplies each sum of a branch and its skip.
    pub skip_scale: f64,
    pub eps: f64,
    pub dropout: f64,
    pub start: Start,
    /// How the last layer of each branch starts.
    pub last: Start,
    /// How queries, keys and values start.
    pub qkv: Start,
}

/// norm0, SiLU, conv0, the embedding, norm1, SiLU, dropout, conv1, plus the skip; then attention, plus its skip.
#[derive(Clone, Debug)]
pub struct Block {
    norm0: Norm,
    conv0: Conv,
    affine: Linear,
    norm1: Norm,
    conv1: Conv,
    skip: Option<Conv>,
    attention: Option<Attention>,
    dropout: Option<Dropout>,
    adaptive_scale: bool,
    skip_scale: f64,
}

#[derive(Clone, Debug)]
struct Attention {
    norm: Norm,
    qkv: Conv,
    proj: Conv,
    heads: usize,
}

impl Block {
    /// # Errors
    /// If the channels do not fall into groups or heads.
    pub fn new(
        layout: &mut Layout,
        name: &str,
        inside: usize,
        out: usize,
        options: &BlockOptions,
    ) -> Result<Self, String> {
        let BlockOptions { resampling, filter, eps, adaptive_scale, skip_scale, start, .. } = options.clone();
        let resampled = ConvOptions { resampling, filter, start, ..Default::default() };
        let affine = if adaptive_scale { 2 * out } else { out };

        let norm0 = Norm::new(layout, &format!("{name}.norm0"), inside, eps)?;
        let conv0 = Conv::new(layout, &format!("{name}.conv0"), inside, out, resampled.clone());
        let affine = Linear::new(layout, &format!("{name}.affine"), options.embedding, affine, true, start);
        let norm1 = Norm::new(layout, &format!("{name}.norm1"), out, eps)?;
        // The place of the layer in the network, which is no other layer's, tells its draws apart.
        let lane = layout.parameters.len() as u32;
        let last = ConvOptions { start: options.last, ..Default::default() };
        let conv1 = Conv::new(layout, &format!("{name}.conv1"), out, out, last);
        let skip = (inside != out || resampling.is_some()).then(|| {
            let kernel = usize::from(options.resample_proj || inside != out);
            Conv::new(layout, &format!("{name}.skip"), inside, out, ConvOptions { kernel, ..resampled })
        });
        let attention = Attention::new(layout, name, out, options)?;
        let dropout = (options.dropout > 0.0).then_some(Dropout { p: options.dropout, lane });
        Ok(Block { norm0, conv0, affine, norm1, conv1, skip, attention, dropout, adaptive_scale, skip_scale })
    }

    /// `x [n, h, w, in]` and `embedding [n, e]` to `[n, h', w', out]`.
    #[track_caller]
    pub fn build(&self, forward: &mut Forward, x: Value, embedding: Value) -> Value {
        let h = self.norm0.build_silu(forward, x, None);
        let h = self.conv0.build(forward, h);
        let h = self.embed(forward, h, embedding);
        let h = self.conv1.build(forward, h);
        let skip = self.skip.as_ref().map_or(x, |skip| skip.build(forward, x));
        let x = self.join(forward, h, skip);
        let Some(attention) = &self.attention else { return x };
        let a = attention.build(forward, x);
        self.join(forward, a, x)
    }

    /// The embedding, the second normalisation, SiLU and dropout.
    fn embed(&self, forward: &mut Forward, h: Value, embedding: Value) -> Value {
        let affine = self.affine.build(forward, embedding);
        let graph = &mut *forward.graph;
        let [n, c] = [graph.shape(affine)[0], graph.shape(affine)[1]];
        if self.adaptive_scale {
            let by = graph.slice(affine, 1, 0..c / 2);
            let to = graph.slice(affine, 1, c / 2..c);
            return self.norm1.build_adaptive(forward, h, (by, to), self.dropout);
        }
        let affine = graph.reshape(affine, [n, 1, 1, c]);
        let h = graph.add(h, affine);
        self.norm1.build_silu(forward, h, self.dropout)
    }

    fn join(&self, forward: &mut Forward, branch: Value, skip: Value) -> Value {
        let sum = forward.graph.add(branch, skip);
        forward.graph.scale(sum, self.skip_scale)
    }
}

impl Attention {
    fn new(
        layout: &mut Layout,
        name: &str,
        channels: usize,
        options: &BlockOptions,
    ) -> Result<Option<Self>, String> {
        let heads = options.attention.map_or(0, |heads| heads.count(channels));
        if heads == 0 {
            return Ok(None);
        }
        if !channels.is_multiple_of(heads) {
            return Err(format!("`{name}` has {channels} channels, which do not fall into {heads} heads"));
        }
        let wide = ConvOptions { kernel: 1, start: options.qkv, qkv: true, ..Default::default() };
        let last = ConvOptions { kernel: 1, start: options.last, ..Default::default() };
        Ok(Some(Attention {
            norm: Norm::new(layout, &format!("{name}.norm2"), channels, options.eps)?,
            qkv: Conv::new(layout, &format!("{name}.qkv"), channels, 3 * channels, wide),
            proj: Conv::new(layout, &format!("{name}.proj"), channels, channels, last),
            heads,
        }))
    }

    fn build(&self, forward: &mut Forward, x: Value) -> Value {
        let h = self.norm.build(forward, x);
        let qkv = self.qkv.build(forward, h);
        let a = attention(forward.graph, qkv, self.heads);
        self.proj.build(forward, a)
    }
}
