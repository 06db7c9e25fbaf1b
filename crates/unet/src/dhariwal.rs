//! The U-Net of guided diffusion (Dhariwal and Nichol, 2021): ADM.

use tensor::{Graph, Value};

use crate::conditions::{AugmentMap, LabelMap};
use crate::layers::{LONGEST, positional};
use crate::sizes::check_count;
use crate::trunk::{Style, Trunk};
use crate::{
    BlockOptions, Decoder, DhariwalUNetConfig, Encoder, Forward, Heads, Inputs, Layout, Linear, Network,
    Parameters, Start,
};

/// A head of attention has so many channels.
const HEAD: usize = 64;

/// ADM: blocks that the embedding scales and shifts, and attention of several heads at several levels.
#[derive(Clone, Debug)]
pub struct DhariwalUNet {
    config: DhariwalUNetConfig,
    layout: Layout,
    map_augment: Option<AugmentMap>,
    map_layer0: Linear,
    map_layer1: Linear,
    map_label: Option<LabelMap>,
    trunk: Trunk,
}

impl DhariwalUNet {
    /// # Errors
    /// If the sizes do not fit each other.
    pub fn new(config: DhariwalUNetConfig) -> Result<Self, String> {
        let sizes = config.sizes();
        sizes.check()?;
        let mut layout = Layout::default();
        let l = &mut layout;
        let (waves, embedding) = (config.model_channels, sizes.embedding());

        let map_augment = AugmentMap::new(l, config.augment_dim, waves, Start::Zeros);
        let map_layer0 = Linear::new(l, "map_layer0", waves, embedding, true, Start::FanIn);
        let map_layer1 = Linear::new(l, "map_layer1", embedding, embedding, true, Start::FanIn);
        let (dim, dropout) = (config.label_dim, config.label_dropout);
        let map_label = LabelMap::new(l, dim, embedding, dropout, false, Start::Normal);
        let trunk = Trunk::new(l, &sizes, &style(&config, embedding))?;
        check_count(&layout)?;
        Ok(DhariwalUNet { config, layout, map_augment, map_layer0, map_layer1, map_label, trunk })
    }

    pub fn config(&self) -> &DhariwalUNetConfig {
        &self.config
    }

    /// The embedding `[n, e]` of noise level and labels.
    fn embed(&self, forward: &mut Forward, inputs: &Inputs) -> Value {
        let waves = positional(forward.graph, inputs.noise, self.config.model_channels, LONGEST, false);
        let mut x = forward.graph.concat(&waves, 1);
        if let Some(map) = &self.map_augment {
            x = map.add(forward, x, inputs);
        }
        let x = self.map_layer0.build(forward, x);
        let x = forward.graph.silu(x);
        let mut x = self.map_layer1.build(forward, x);
        if let Some(map) = &self.map_label {
            x = map.add(forward, x, inputs);
        }
        forward.graph.silu(x)
    }
}

impl Network for DhariwalUNet {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn image(&self) -> [usize; 3] {
        let [h, w] = self.config.image;
        [h, w, self.config.channels_in]
    }

    fn out_channels(&self) -> usize {
        self.config.channels_out
    }

    fn label_dim(&self) -> usize {
        self.config.label_dim
    }

    fn augment_dim(&self) -> usize {
        self.config.augment_dim
    }

    #[track_caller]
    fn build(&self, graph: &mut Graph, parameters: &Parameters, inputs: &Inputs) -> Value {
        let forward = &mut Forward { graph, parameters, dropout: inputs.dropout };
        let embedding = self.embed(forward, inputs);
        self.trunk.build(forward, inputs.x, embedding)
    }
}

fn style(config: &DhariwalUNetConfig, embedding: usize) -> Style {
    let block = BlockOptions {
        embedding,
        resampling: None,
        filter: vec![1.0, 1.0],
        attention: Some(Heads::OfChannels(HEAD)),
        adaptive_scale: true,
        resample_proj: false,
        skip_scale: 1.0,
        eps: 1e-5,
        dropout: config.dropout,
        start: Start::FanIn,
        last: Start::Zeros,
        qkv: Start::FanIn,
    };
    Style {
        block,
        encoder: Encoder::Standard,
        decoder: Decoder::Standard,
        first: config.model_channels * config.multipliers[0],
        attention_throughout: true,
        output: |_| "out_".to_owned(),
    }
}
