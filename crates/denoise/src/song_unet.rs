//! DDPM++, NCSN++ and what lies between, with its parameters.

use bevy_ecs::prelude::*;
use pipeline::{File, Inputs, Mistake, Node, Note, Read, Shapes, This, Wire};
use ports::{Architecture, Compute, Images, Labels, Parameters};
use serde::Deserialize;
use unet::{Decoder, Embedding, Encoder, Precision, SongUNetConfig};

use crate::untrained::{For, Start, planned_for, shapes, usual_attention};

/// Settings of the network.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SongUNet {
    like: Wire<Images>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
    #[serde(default)]
    preset: Preset,
    #[serde(default)]
    channels: Option<usize>,
    #[serde(default)]
    multipliers: Option<Vec<usize>>,
    #[serde(default)]
    blocks: Option<usize>,
    #[serde(default)]
    attention: Option<Vec<usize>>,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    label_dropout: f64,
    #[serde(default)]
    augment: usize,
    #[serde(default)]
    embedding: Option<Embedding>,
    #[serde(default)]
    noise_multiplier: Option<usize>,
    #[serde(default)]
    embedding_multiplier: Option<usize>,
    #[serde(default)]
    encoder: Option<Encoder>,
    #[serde(default)]
    decoder: Option<Decoder>,
    #[serde(default)]
    filter: Option<Vec<f64>>,
    #[serde(default)]
    out_channels: Option<usize>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    transfer: Option<File>,
    #[serde(default)]
    precision: Precision,
}

/// What is taken where nothing is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub enum Preset {
    /// DDPM++ as the paper trains it on CIFAR-10.
    #[default]
    DdpmPP,
    /// NCSN++ as the paper trains it on CIFAR-10.
    NcsnPP,
}

impl Node for SongUNet {
    type Value = Parameters;

    const DOC: &'static str = "A U-Net with its parameters in training: the DDPM++ and NCSN++ of Song et al. (2021).\n\
        It starts from random numbers, or from where a resumed run left it. Height and width of the images have to halve \
        from level to level.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("like", "images of the size that it is for"),
        ("labels", "labels of the sort that it takes; without them it is unconditional"),
        ("preset", "what is taken where nothing is given: `DdpmPP`, which it is unless given, or `NcsnPP`"),
        ("channels", "the channels that `multipliers` multiply, 128 in the presets"),
        ("multipliers", "channels of each level, finest first, [2, 2, 2] in the presets"),
        ("blocks", "blocks of each level, 4 in the presets"),
        ("attention", "resolutions with attention, 16 in the presets if there is such a level"),
        ("dropout", "the share of activations that are dropped in training, 0.13 in the presets"),
        ("label_dropout", "the probability that an image loses its label in training, 0 unless given"),
        ("augment", "the length of the augmentation's labels, 0 unless given"),
        ("embedding", "the waves of the noise level: `Positional` in DDPM++, `Fourier` in NCSN++"),
        ("noise_multiplier", "how many waves, in units of `channels`: 1 in DDPM++, 2 in NCSN++"),
        ("embedding_multiplier", "the width of the embedding in units of `channels`, 4 in the presets"),
        (
            "encoder",
            "what the encoder reads of the image at each level: `Standard` in DDPM++, `Residual` in NCSN++, or `Skip`",
        ),
        ("decoder", "where the output comes from: `Standard` in the presets, or `Skip`, all levels"),
        ("filter", "the taps between levels: [1, 1] in DDPM++, [1, 3, 3, 1] in NCSN++"),
        (
            "out_channels",
            "channels that come out, as many as go in unless given; a preconditioning takes the first",
        ),
        ("seed", "which random numbers it starts from, 0 unless given"),
        (
            "transfer",
            "a file of weights to start from: parameters are taken over where name and shape are the same",
        ),
        ("precision", crate::precision::DOC),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        shapes(inputs, self.like, self.labels, self.augment, |what| self.architecture(what))
    }
}

impl SongUNet {
    pub(crate) fn planned(&self, inputs: &Inputs) -> Option<Architecture> {
        planned_for(inputs, self.like, self.labels).map(|what| self.architecture(what))
    }

    fn architecture(&self, For { image: [h, w, c], label_dim }: For) -> Architecture {
        let preset = match self.preset {
            Preset::DdpmPP => SongUNetConfig::ddpmpp([h, w], c),
            Preset::NcsnPP => SongUNetConfig::ncsnpp([h, w], c),
        };
        let multipliers = self.multipliers.clone().unwrap_or(preset.multipliers);
        let usual = usual_attention(preset.attention, [h, w, c], multipliers.len());
        Architecture::SongUNet(SongUNetConfig {
            image: [h, w],
            channels_in: c,
            channels_out: self.out_channels.unwrap_or(c),
            label_dim,
            augment_dim: self.augment,
            model_channels: self.channels.unwrap_or(preset.model_channels),
            multipliers,
            blocks: self.blocks.unwrap_or(preset.blocks),
            attention: self.attention.clone().unwrap_or(usual),
            dropout: self.dropout.unwrap_or(preset.dropout),
            label_dropout: self.label_dropout,
            embedding_multiplier: self.embedding_multiplier.unwrap_or(preset.embedding_multiplier),
            filter: self.filter.clone().unwrap_or(preset.filter),
            embedding: self.embedding.unwrap_or(preset.embedding),
            noise_multiplier: self.noise_multiplier.unwrap_or(preset.noise_multiplier),
            encoder: self.encoder.unwrap_or(preset.encoder),
            decoder: self.decoder.unwrap_or(preset.decoder),
        })
    }
}

/// Starts from random numbers, and goes on with what training makes of them.
pub fn song_unet(
    this: This<SongUNet>,
    images: Read<Images>,
    labels: Read<Labels>,
    made: Read<Parameters>,
    layers: Query<&Children>,
    compute: Compute,
    mut notes: MessageWriter<Note>,
    mut commands: Commands,
) -> Result<Parameters> {
    let (images, labels) = (images.get(this.like)?, labels.maybe(this.labels)?);
    let transfer = this.transfer.as_ref().map(|file| file.0.as_path());
    let start =
        Start { node: this.node(), images, labels, seed: this.seed, transfer, precision: this.precision };
    start.parameters(|what| this.architecture(what), &made, &layers, &compute, &mut notes, &mut commands)
}
