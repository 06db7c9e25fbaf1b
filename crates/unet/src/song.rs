//! The U-Net of score-based models (Song et al., 2021) in its DDPM++ form.

use tensor::{Distribution, Expr, Graph, Value};

use crate::layers::positional;
use crate::{
    Block, BlockOptions, Conv, ConvOptions, Forward, Heads, Inputs, Layout, Linear, Network, Norm,
    Parameters, Resampling, SongUNetConfig,
};

/// Last layers of branches start this small, so that blocks start as identities.
const LAST_GAIN: f64 = 1e-5;
const EPS: f64 = 1e-6;
/// More than 16 GB of them fit into no device's binding; the largest network of the paper has 296 million.
const MOST_PARAMETERS: usize = 4_000_000_000;
/// The slowest wave of the noise level's embedding.
const LONGEST: f64 = 10_000.0;
/// No dropout layer has this lane: a block's lane counts the parameters before it.
const LABEL_LANE: u32 = 0;

/// An encoder that halves the image from level to level, and a decoder that doubles it again and reads everything
/// that the encoder made.
#[derive(Clone, Debug)]
pub struct SongUNet {
    config: SongUNetConfig,
    layout: Layout,
    map_label: Option<Linear>,
    map_augment: Option<Linear>,
    map_layer0: Linear,
    map_layer1: Linear,
    first: Conv,
    encoder: Vec<Block>,
    decoder: Vec<Step>,
    last_norm: Norm,
    last_conv: Conv,
}

/// A block of the decoder.
#[derive(Clone, Debug)]
struct Step {
    block: Block,
    /// Whether it reads what the encoder made beside what the decoder made.
    joins: bool,
}

impl SongUNet {
    /// # Errors
    /// If the sizes do not fit each other.
    pub fn new(config: SongUNetConfig) -> Result<Self, String> {
        config.check()?;
        let mut layout = Layout::default();
        let l = &mut layout;
        let embedding = config.model_channels * config.embedding_multiplier;
        let width = config.model_channels;
        let map_label =
            (config.label_dim > 0).then(|| Linear::new(l, "map_label", config.label_dim, width, true));
        let map_augment =
            (config.augment_dim > 0).then(|| Linear::new(l, "map_augment", config.augment_dim, width, false));
        let map_layer0 = Linear::new(l, "map_layer0", width, embedding, true);
        let map_layer1 = Linear::new(l, "map_layer1", embedding, embedding, true);

        let [h, w] = config.image;
        let first =
            Conv::new(l, &format!("enc.{h}x{w}_conv"), config.channels_in, width, ConvOptions::default());
        let (encoder, made) = encoder(l, &config)?;
        let decoder = decoder(l, &config, made)?;
        let out = config.multipliers[0] * width;
        let last_norm = Norm::new(l, &format!("dec.{h}x{w}_aux_norm"), out, EPS)?;
        let last = ConvOptions { gain: LAST_GAIN, ..Default::default() };
        let last_conv = Conv::new(l, &format!("dec.{h}x{w}_aux_conv"), out, config.channels_out, last);
        if layout.len > MOST_PARAMETERS {
            let what = format!("the network has {} million parameters", layout.len / 1_000_000);
            return Err(format!("{what}, at most {} million can be used", MOST_PARAMETERS / 1_000_000));
        }
        Ok(SongUNet {
            config,
            layout,
            map_label,
            map_augment,
            map_layer0,
            map_layer1,
            first,
            encoder,
            decoder,
            last_norm,
            last_conv,
        })
    }

    pub fn config(&self) -> &SongUNetConfig {
        &self.config
    }

    /// The embedding `[n, e]` of noise level and labels.
    fn embed(&self, forward: &mut Forward, inputs: &Inputs) -> Value {
        let [cos, sin] = positional(forward.graph, inputs.noise, self.config.model_channels, LONGEST, true);
        let mut x = forward.graph.concat(&[sin, cos], 1);
        if let Some(map) = &self.map_label {
            let labels = self.labels(forward, inputs);
            let mapped = map.build(forward, labels);
            x = forward.graph.add(x, mapped);
        }
        if let (Some(map), Some(augment)) = (&self.map_augment, inputs.augment) {
            let mapped = map.build(forward, augment);
            x = forward.graph.add(x, mapped);
        }
        for layer in [&self.map_layer0, &self.map_layer1] {
            let y = layer.build(forward, x);
            x = forward.graph.silu(y);
        }
        x
    }

    /// Labels as the embedding reads them: some of them dropped in training, and scaled to a variance of about 1.
    fn labels(&self, forward: &mut Forward, inputs: &Inputs) -> Value {
        let graph = &mut *forward.graph;
        let n = graph.shape(inputs.noise).len();
        let dim = self.config.label_dim;
        let Some(labels) = inputs.labels else { return graph.table(vec![0.0; n * dim], [n, dim]) };
        let scaled = graph.scale(labels, (dim as f64).sqrt());
        let p = self.config.label_dropout;
        match inputs.dropout {
            Some(keys) if p > 0.0 => {
                let draw = graph.random(Distribution::Uniform, keys, LABEL_LANE, [n, 1]);
                graph.map(&[scaled, draw], |v| {
                    let lost = v(1).binary(tensor::Binary::Less, p);
                    Expr::select(lost, 0.0, v(0))
                })
            }
            _ => scaled,
        }
    }
}

impl Network for SongUNet {
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
        let mut x = self.first.build(forward, inputs.x);
        let mut made = vec![x];
        for block in &self.encoder {
            x = block.build(forward, x, embedding);
            made.push(x);
        }
        for step in &self.decoder {
            if step.joins {
                let skip = made.pop().expect("the decoder joins as often as the encoder made something");
                x = forward.graph.concat(&[x, skip], 3);
            }
            x = step.block.build(forward, x, embedding);
        }
        let x = self.last_norm.build_silu(forward, x, None);
        self.last_conv.build(forward, x)
    }
}

/// The blocks of the encoder, and the channels of everything that it makes.
fn encoder(layout: &mut Layout, config: &SongUNetConfig) -> Result<(Vec<Block>, Vec<usize>), String> {
    let mut blocks = Vec::new();
    let mut made = vec![config.model_channels];
    for (level, ([h, w], by)) in config.levels().into_iter().zip(&config.multipliers).enumerate() {
        let mut x = made[made.len() - 1];
        if level > 0 {
            let options = block(config, Some(Resampling::Down), false);
            blocks.push(Block::new(layout, &format!("enc.{h}x{w}_down"), x, x, &options)?);
            made.push(x);
        }
        let options = block(config, None, config.attention.contains(&h.max(w)));
        let out = by * config.model_channels;
        for i in 0..config.blocks {
            blocks.push(Block::new(layout, &format!("enc.{h}x{w}_block{i}"), x, out, &options)?);
            x = out;
            made.push(x);
        }
    }
    Ok((blocks, made))
}

/// The blocks of the decoder, coarsest first.
fn decoder(layout: &mut Layout, config: &SongUNetConfig, mut made: Vec<usize>) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut x = made[made.len() - 1];
    let levels = config.levels();
    for (level, ([h, w], by)) in levels.iter().zip(&config.multipliers).enumerate().rev() {
        let mut add = |name: String, inside, out, joins, options: &BlockOptions| {
            let block = Block::new(layout, &format!("dec.{h}x{w}_{name}"), inside, out, options)?;
            steps.push(Step { block, joins });
            Ok::<_, String>(())
        };
        if level == levels.len() - 1 {
            add("in0".into(), x, x, false, &block(config, None, true))?;
            add("in1".into(), x, x, false, &block(config, None, false))?;
        } else {
            add("up".into(), x, x, false, &block(config, Some(Resampling::Up), false))?;
        }
        let out = by * config.model_channels;
        for i in 0..=config.blocks {
            let last = i == config.blocks;
            let options = block(config, None, last && config.attention.contains(h.max(w)));
            let skip = made.pop().expect("the encoder made as much as the decoder joins");
            add(format!("block{i}"), x + skip, out, true, &options)?;
            x = out;
        }
    }
    Ok(steps)
}

/// What blocks have in common here.
fn block(config: &SongUNetConfig, resampling: Option<Resampling>, attention: bool) -> BlockOptions {
    BlockOptions {
        embedding: config.model_channels * config.embedding_multiplier,
        resampling,
        filter: config.filter.clone(),
        attention: attention.then_some(Heads::Number(1)),
        adaptive_scale: false,
        resample_proj: true,
        skip_scale: 0.5f64.sqrt(),
        eps: EPS,
        dropout: config.dropout,
        last_gain: LAST_GAIN,
        qkv_gain: 0.2f64.sqrt(),
    }
}
