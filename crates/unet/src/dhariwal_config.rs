//! The sizes of a [`DhariwalUNet`](crate::DhariwalUNet).

use serde::{Deserialize, Serialize};

use crate::sizes::Sizes;

/// The sizes of a [`DhariwalUNet`](crate::DhariwalUNet).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DhariwalUNetConfig {
    /// Height and width.
    pub image: [usize; 2],
    pub channels_in: usize,
    /// Twice as many as go in where a network estimates variances as well (Nichol and Dhariwal, 2021).
    pub channels_out: usize,
    /// The width of a label row; 0 for a network without labels.
    pub label_dim: usize,
    /// The width of a row of augmentation labels; 0 for a network without.
    pub augment_dim: usize,
    /// The channels that `multipliers` multiply.
    pub model_channels: usize,
    /// Channels of each level, finest first, in units of `model_channels`.
    pub multipliers: Vec<usize>,
    /// Blocks of each level; the decoder has one more.
    pub blocks: usize,
    /// Resolutions with attention, as the longer side of the image at that level. Levels of fewer than 64 channels have
    /// none all the same.
    pub attention: Vec<usize>,
    pub dropout: f64,
    /// The probability that a sample loses its labels in training.
    pub label_dropout: f64,
    /// The width of the embedding in units of `model_channels`.
    pub embedding_multiplier: usize,
}

impl DhariwalUNetConfig {
    /// ADM as EDM trains it on ImageNet-64, without labels (295.1 million parameters; 295.9 with 1,000 classes).
    pub fn adm(image: [usize; 2], channels: usize) -> Self {
        DhariwalUNetConfig {
            image,
            channels_in: channels,
            channels_out: channels,
            label_dim: 0,
            augment_dim: 0,
            model_channels: 192,
            multipliers: vec![1, 2, 3, 4],
            blocks: 3,
            attention: vec![32, 16, 8],
            dropout: 0.1,
            label_dropout: 0.0,
            embedding_multiplier: 4,
        }
    }

    pub(crate) fn sizes(&self) -> Sizes<'_> {
        Sizes {
            image: self.image,
            channels_in: self.channels_in,
            channels_out: self.channels_out,
            label_dim: self.label_dim,
            augment_dim: self.augment_dim,
            model_channels: self.model_channels,
            multipliers: &self.multipliers,
            blocks: self.blocks,
            attention: &self.attention,
            dropout: self.dropout,
            label_dropout: self.label_dropout,
            embedding_multiplier: self.embedding_multiplier,
        }
    }
}
