//! Which sizes of a U-Net fit each other.

use crate::Layout;

/// No size is larger, so that products of sizes can be counted.
const LARGEST: usize = 1 << 16;
/// More than 16 GB of them fit into no device's binding; the largest network of the paper has 296 million.
const MOST_PARAMETERS: usize = 4_000_000_000;

/// What both configurations have in common.
#[derive(Clone, Copy)]
pub(crate) struct Sizes<'a> {
    pub image: [usize; 2],
    pub channels_in: usize,
    pub channels_out: usize,
    pub label_dim: usize,
    pub augment_dim: usize,
    pub model_channels: usize,
    pub multipliers: &'a [usize],
    pub blocks: usize,
    pub attention: &'a [usize],
    pub dropout: f64,
    pub label_dropout: f64,
    pub embedding_multiplier: usize,
}

impl Sizes<'_> {
    /// Height and width at each level, finest first.
    pub fn levels(&self) -> Vec<[usize; 2]> {
        (0..self.multipliers.len()).map(|level| self.image.map(|size| size >> level)).collect()
    }

    /// Channels of each level, finest first.
    pub fn widths(&self) -> Vec<usize> {
        self.multipliers.iter().map(|by| by * self.model_channels).collect()
    }

    /// The width of the embedding of noise level and labels.
    pub fn embedding(&self) -> usize {
        self.model_channels * self.embedding_multiplier
    }

    /// # Errors
    /// The first size that does not fit.
    pub fn check(&self) -> Result<(), String> {
        self.check_each()?;
        self.check_levels()?;
        for (name, p) in [("dropout", self.dropout), ("label_dropout", self.label_dropout)] {
            if !(0.0..1.0).contains(&p) {
                return Err(format!("`{name}` is {p}, expected at least 0 and below 1"));
            }
        }
        Ok(())
    }

    fn check_each(&self) -> Result<(), String> {
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
        sizes.into_iter().try_for_each(|(name, size, least)| check_size(name, size, least))?;
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

/// # Errors
/// If a size is below what it needs to be, or absurd.
pub(crate) fn check_size(name: &str, size: usize, least: usize) -> Result<(), String> {
    match size {
        small if small < least => Err(format!("`{name}` is {size}, expected at least {least}")),
        large if large > LARGEST => Err(format!("`{name}` is {size}, expected at most {LARGEST}")),
        _ => Ok(()),
    }
}

/// # Errors
/// If no device could hold the parameters.
pub(crate) fn check_count(layout: &Layout) -> Result<(), String> {
    if layout.len <= MOST_PARAMETERS {
        return Ok(());
    }
    let what = format!("the network has {} million parameters", layout.len / 1_000_000);
    Err(format!("{what}, at most {} million can be used", MOST_PARAMETERS / 1_000_000))
}
