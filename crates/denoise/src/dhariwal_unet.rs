//! ADM with its parameters.

use bevy_ecs::prelude::*;
use pipeline::{File, Inputs, Mistake, Node, Note, Read, Shapes, This, Wire};
use ports::{Architecture, Compute, Images, Labels, Parameters};
use serde::Deserialize;
use unet::{DhariwalUNetConfig, Precision};

use crate::untrained::{For, Start, planned_for, shapes, usual_attention};

/// Settings of the network.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DhariwalUNet {
    like: Wire<Images>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
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
    embedding_multiplier: Option<usize>,
    #[serde(default)]
    out_channels: Option<usize>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    transfer: Option<File>,
    #[serde(default)]
    precision: Precision,
}

impl Node for DhariwalUNet {
    type Value = Parameters;

    const DOC: &'static str = "A U-Net with its parameters in training: the ADM of Dhariwal and Nichol (2021).\n\
        It starts from random numbers, or from where a resumed run left it. Where nothing is given, it is what the paper \
        trains on ImageNet-64. Height and width of the images have to halve from level to level.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("like", "images of the size that it is for"),
        ("labels", "labels of the sort that it takes; without them it is unconditional"),
        ("channels", "the channels that `multipliers` multiply, 192 unless given"),
        ("multipliers", "channels of each level, finest first, [1, 2, 3, 4] unless given"),
        ("blocks", "blocks of each level, 3 unless given"),
        (
            "attention",
            "resolutions with attention, those of [32, 16, 8] that are levels unless given; a head has 64 channels, and \
             levels of fewer have none",
        ),
        ("dropout", "the share of activations that are dropped in training, 0.1 unless given"),
        ("label_dropout", "the probability that an image loses its label in training, 0 unless given"),
        ("augment", "the length of the augmentation's labels, 0 unless given"),
        ("embedding_multiplier", "the width of the embedding in units of `channels`, 4 unless given"),
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

impl DhariwalUNet {
    pub(crate) fn planned(&self, inputs: &Inputs) -> Option<Architecture> {
        planned_for(inputs, self.like, self.labels).map(|what| self.architecture(what))
    }

    fn architecture(&self, For { image: [h, w, c], label_dim }: For) -> Architecture {
        let adm = DhariwalUNetConfig::adm([h, w], c);
        let multipliers = self.multipliers.clone().unwrap_or(adm.multipliers);
        let usual = usual_attention(adm.attention, [h, w, c], multipliers.len());
        Architecture::DhariwalUNet(DhariwalUNetConfig {
            image: [h, w],
            channels_in: c,
            channels_out: self.out_channels.unwrap_or(c),
            label_dim,
            augment_dim: self.augment,
            model_channels: self.channels.unwrap_or(adm.model_channels),
            multipliers,
            blocks: self.blocks.unwrap_or(adm.blocks),
            attention: self.attention.clone().unwrap_or(usual),
            dropout: self.dropout.unwrap_or(adm.dropout),
            label_dropout: self.label_dropout,
            embedding_multiplier: self.embedding_multiplier.unwrap_or(adm.embedding_multiplier),
        })
    }
}

/// Starts from random numbers, and goes on with what training makes of them.
pub fn dhariwal_unet(
    this: This<DhariwalUNet>,
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
