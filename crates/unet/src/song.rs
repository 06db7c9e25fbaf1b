//! The U-Net of score-based models (Song et al., 2021): DDPM++, NCSN++ and what lies between.

use tensor::{Graph, Value};

use crate::conditions::{AugmentMap, LabelMap};
use crate::layers::{LONGEST, fourier, positional};
use crate::sizes::check_count;
use crate::trunk::{Style, Trunk};
use crate::{
    BlockOptions, Embedding, Forward, Heads, Init, Inputs, Layout, Linear, Network, Parameters,
    SongUNetConfig, Start,
};

/// Last layers of branches start this small, so that blocks start as identities.
const LAST: Start = Start::Xavier { gain: 1e-5 };
const FIRST: Start = Start::Xavier { gain: 1.0 };
/// The spread of random frequencies.
const FREQUENCY_STD: f64 = 16.0;

/// DDPM++, NCSN++ and what lies between.
#[derive(Clone, Debug)]
pub struct SongUNet {
    config: SongUNetConfig,
    layout: Layout,
    /// The place of random frequencies, if the noise level is embedded with them.
    frequencies: Option<usize>,
    map_label: Option<LabelMap>,
    map_augment: Option<AugmentMap>,
    map_layer0: Linear,
    map_layer1: Linear,
    trunk: Trunk,
}

impl SongUNet {
    /// # Errors
    /// If the sizes do not fit each other.
    pub fn new(config: SongUNetConfig) -> Result<Self, String> {
        config.check()?;
        let sizes = config.sizes();
        let mut layout = Layout::default();
        let l = &mut layout;
        let (waves, embedding) = (config.noise_multiplier * config.model_channels, sizes.embedding());

        let frequencies = (config.embedding == Embedding::Fourier).then(|| {
            let place = l.add("map_noise.freqs".into(), &[waves / 2], Init::Normal(FREQUENCY_STD));
            l.parameters[place].learned = false;
            place
        });
        // Labels are scaled to a variance of about 1.
        let map_label = LabelMap::new(l, config.label_dim, waves, config.label_dropout, true, FIRST)
            .map(|map| map.scaled((config.label_dim as f64).sqrt()));
        let map_augment = AugmentMap::new(l, config.augment_dim, waves, FIRST);
        let map_layer0 = Linear::new(l, "map_layer0", waves, embedding, true, FIRST);
        let map_layer1 = Linear::new(l, "map_layer1", embedding, embedding, true, FIRST);
        let trunk = Trunk::new(l, &sizes, &style(&config, embedding))?;
        check_count(&layout)?;
        Ok(SongUNet { config, layout, frequencies, map_label, map_augment, map_layer0, map_layer1, trunk })
    }

    pub fn config(&self) -> &SongUNetConfig {
        &self.config
    }

    /// The embedding `[n, e]` of noise level and labels.
    fn embed(&self, forward: &mut Forward, inputs: &Inputs) -> Value {
        let [cos, sin] = match self.frequencies {
            Some(place) => {
                let frequencies = forward.parameter(place);
                fourier(forward.graph, inputs.noise, frequencies)
            }
            None => {
                let waves = self.config.noise_multiplier * self.config.model_channels;
                positional(forward.graph, inputs.noise, waves, LONGEST, true)
            }
        };
        let mut x = forward.graph.concat(&[sin, cos], 1);
        if let Some(map) = &self.map_label {
            x = map.add(forward, x, inputs);
        }
        if let Some(map) = &self.map_augment {
            x = map.add(forward, x, inputs);
        }
        for layer in [&self.map_layer0, &self.map_layer1] {
            let y = layer.build(forward, x);
            x = forward.graph.silu(y);
        }
        x
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
        self.trunk.build(forward, inputs.x, embedding)
    }
}

fn style(config: &SongUNetConfig, embedding: usize) -> Style {
    let block = BlockOptions {
        embedding,
        resampling: None,
        filter: config.filter.clone(),
        attention: Some(Heads::Number(1)),
        adaptive_scale: false,
        resample_proj: true,
        skip_scale: 0.5f64.sqrt(),
        eps: 1e-6,
        dropout: config.dropout,
        start: FIRST,
        last: LAST,
        qkv: Start::Xavier { gain: 0.2f64.sqrt() },
    };
    Style {
        block,
        encoder: config.encoder,
        decoder: config.decoder,
        first: config.model_channels,
        attention_throughout: false,
        output: |[h, w]| format!("dec.{h}x{w}_aux_"),
    }
}
