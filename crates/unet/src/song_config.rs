//! The sizes of a [`SongUNet`](crate::SongUNet), and which of them fit each other.

use serde::{Deserialize, Serialize};

/// No size is larger, so that products of sizes can be counted.
const LARGEST: usize = 1 << 16;

/// The sizes of a [`SongUNet`](crate::SongUNet).
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
        }
    }

    /// Height and width at each level, finest first.
    pub(crate) fn levels(&self) -> Vec<[usize; 2]> {
        (0..self.multipliers.len()).map(|level| self.image.map(|size| size >> level)).collect()
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.check_sizes()?;
        self.check_levels()?;
        for (name, p) in [("dropout", self.dropout), ("label_dropout", self.label_dropout)] {
            if !(0.0..1.0).contains(&p) {
                return Err(format!("`{name}` is {p}, expected at least 0 and below 1"));
            }
        }
        let (taps, sum) = (&self.filter, self.filter.iter().sum::<f64>());
        if matches!(taps.len(), 2 | 4) && sum.is_finite() && sum > 0.0 {
            return Ok(());
        }
        Err(format!("`filter` is {taps:?}, expected 2 or 4 taps, such as [1, 1] or [1, 3, 3, 1]"))
    }

    fn check_sizes(&self) -> Result<(), String> {
        let [h, w] = self.image;
        if self.multipliers.is_empty() {
            return Err("`multipliers` is empty, expected one for each level".into());
        }
        let narrowest = self.multipliers.iter().copied().min().unwrap_or(0);
        let widest = self.multipliers.iter().copied().max().unwrap_or(0).saturating_mul(self.model_channels);
        let sizes = [
            ("image height", h, 1),
            ("image width", w, 1),
            ("channels_in", self.channels_in, 1),
            ("channels_out", self.channels_out, 1),
            ("label_dim", self.label_dim, 0),
            ("augment_dim", self.augment_dim, 0),
            ("model_channels", self.model_channels, 4),
            ("multipliers", narrowest, 1),
            ("channels of a level", widest, 1),
            ("blocks", self.blocks, 0),
            ("embedding_multiplier", self.embedding_multiplier, 1),
        ];
        if let Some((name, size, least)) = sizes.into_iter().find(|(_, size, least)| size < least) {
            return Err(format!("`{name}` is {size}, expected at least {least}"));
        }
        if let Some((name, size, _)) = sizes.into_iter().find(|(_, size, _)| *size > LARGEST) {
            return Err(format!("`{name}` is {size}, expected at most {LARGEST}"));
        }
        match self.model_channels {
            odd if odd % 2 == 1 => Err(format!("`model_channels` is {odd}, expected an even number")),
            _ => Ok(()),
        }
    }

    fn check_levels(&self) -> Result<(), String> {
        let levels = self.multipliers.len();
        let [h, w] = self.image;
        let fits =
            |size: usize| levels <= size.ilog2() as usize + 1 && size.is_multiple_of(1 << (levels - 1));
        if !fits(h) || !fits(w) {
            return Err(format!(
                "images of {h}x{w} do not halve {} times, as `multipliers` of {levels} levels need; \
                 give fewer multipliers or other images",
                levels - 1
            ));
        }
        let sides: Vec<usize> = self.levels().iter().map(|[h, w]| *h.max(w)).collect();
        match self.attention.iter().find(|side| !sides.contains(side)) {
            Some(side) => Err(format!("`attention` at {side} is no level: the levels are {sides:?}")),
            None => Ok(()),
        }
    }
}
