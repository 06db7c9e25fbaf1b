//! The sizes of a [`SongUNet`](crate::SongUNet), and which of them fit each other.

use serde::{Deserialize, Serialize};

use crate::sizes::{Sizes, check_size};

/// The sizes of a [`SongUNet`](crate::SongUNet). What files say nothing about is as in DDPM++.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SongUNetConfig {
    /// Height and width.
    pub image: [usize; 2],
    pub channels_in: usize,
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
    /// Resolutions with attention, as the longer side of the image at that level.
    pub attention: Vec<usize>,
    pub dropout: f64,
    /// The probability that a sample loses its labels in training.
    pub label_dropout: f64,
    /// The width of the embedding in units of `model_channels`.
    pub embedding_multiplier: usize,
    /// The taps of the filter between levels.
    pub filter: Vec<f64>,
    #[serde(default)]
    pub embedding: Embedding,
    /// The width of the noise level's waves in units of `model_channels`.
    #[serde(default = "one")]
    pub noise_multiplier: usize,
    #[serde(default)]
    pub encoder: Encoder,
    #[serde(default)]
    pub decoder: Decoder,
}

/// The waves that stand for a noise level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Embedding {
    /// Of frequencies from 1 to 1/10,000 (Vaswani et al., 2017).
    #[default]
    Positional,
    /// Of random frequencies, which training leaves alone (Tancik et al., 2020).
    Fourier,
}

/// What the encoder reads of the image at coarser levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoder {
    #[default]
    Standard,
    /// The image, halved again and again.
    Skip,
    /// What convolutions made of it.
    Residual,
}

/// Where the decoder's output comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decoder {
    /// The finest level.
    #[default]
    Standard,
    /// A sum of images from all levels.
    Skip,
}

fn one() -> usize {
    1
}

impl SongUNetConfig {
    /// DDPM++ as EDM trains it on CIFAR-10, without labels and augmentation (55.7 million parameters).
    pub fn ddpmpp(image: [usize; 2], channels: usize) -> Self {
        SongUNetConfig {
            image,
            channels_in: channels,
            channels_out: channels,
            label_dim: 0,
            augment_dim: 0,
            model_channels: 128,
            multipliers: vec![2, 2, 2],
            blocks: 4,
            attention: vec![16],
            dropout: 0.13,
            label_dropout: 0.0,
            embedding_multiplier: 4,
            filter: vec![1.0, 1.0],
            embedding: Embedding::Positional,
            noise_multiplier: 1,
            encoder: Encoder::Standard,
            decoder: Decoder::Standard,
        }
    }

    /// NCSN++ as EDM trains it on CIFAR-10, without labels and augmentation (56.4 million parameters).
    pub fn ncsnpp(image: [usize; 2], channels: usize) -> Self {
        SongUNetConfig {
            filter: vec![1.0, 3.0, 3.0, 1.0],
            embedding: Embedding::Fourier,
            noise_multiplier: 2,
            encoder: Encoder::Residual,
            ..Self::ddpmpp(image, channels)
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

    pub(crate) fn check(&self) -> Result<(), String> {
        self.sizes().check()?;
        check_size("noise_multiplier", self.noise_multiplier, 1)?;
        let (taps, sum) = (&self.filter, self.filter.iter().sum::<f64>());
        if matches!(taps.len(), 2 | 4) && sum.is_finite() && sum > 0.0 {
            return Ok(());
        }
        Err(format!("`filter` is {taps:?}, expected 2 or 4 taps, such as [1, 1] or [1, 3, 3, 1]"))
    }
}
