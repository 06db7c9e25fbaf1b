//! All images in one picture.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use bevy_ecs::world::World;
use pipeline::{Inputs, Keep, Kept, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Images, RunFolder, Seeds};
use serde::Deserialize;

use super::picture::{arrived, check_channels, download, try_folder, write};
use super::template::Template;

/// Settings of the grid.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    x: Wire<Images>,
    seeds: Wire<Seeds>,
    columns: usize,
    #[serde(default)]
    gap: usize,
    #[serde(default = "one")]
    scale: usize,
    to: String,
}

fn one() -> usize {
    1
}

/// Pixels of a gap, or of a pixel: larger pictures would fit into no memory.
const LARGEST: usize = 1024;

impl Node for Grid {
    type Value = Tiles;

    const DOC: &'static str =
        "Puts all images side by side and writes them as one PNG when the last has arrived.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images at the end of a step"),
        ("seeds", "the seeds of the images, which come row by row in their order"),
        ("columns", "how many images a row has"),
        ("gap", "black pixels between images, 0 unless given"),
        ("scale", "how many pixels wide and high a pixel is drawn, 1 unless given"),
        ("to", "where to: `\"out/grid.png\"`, or in `{run}`, the folder of the run; folders are made"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        for (field, count) in [("columns", self.columns), ("scale", self.scale)] {
            if count == 0 {
                return Err(Mistake::new(field, format!("`{field}` must be at least 1, not 0")));
            }
        }
        for (field, pixels) in [("gap", self.gap), ("scale", self.scale)] {
            if pixels > LARGEST {
                return Err(Mistake::new(
                    field,
                    format!("`{field}` is {pixels}, expected at most {LARGEST} pixels"),
                ));
            }
        }
        let to = Template::check(&self.to)?;
        if to.has_seed() || to.has_class() {
            let what = format!("`{}` names one image, but all go into one file", self.to);
            return Err(Mistake::new("to", what).help("write a plain name, or use `Png` for a file each"));
        }
        Ok(())
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        check_channels(inputs, self.x)?;
        Ok(Shapes::default())
    }
}

/// The images of a grid so far. Checkpoints keep them.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct Tiles {
    seeds: Vec<u64>,
    /// Their bytes, one image after the other.
    pixels: Arc<Vec<u8>>,
}

impl Keep for Tiles {
    const NAME: &'static str = "Tiles";

    fn save(&self, _: &World) -> Result<Kept> {
        Ok(Kept::plain(&self.seeds)?.with("pixels", pipeline::Array::new([self.pixels.len()], &self.pixels)))
    }

    fn load(kept: &Kept, _: &mut World) -> Result<Self> {
        Ok(Tiles { seeds: kept.read()?, pixels: Arc::new(kept.array("pixels")?.read()?) })
    }
}

/// Collects the images that have arrived, and writes them when they are complete.
pub fn grid(
    this: This<Grid>,
    images: Read<Images>,
    seeds: Read<Seeds>,
    tiles: Query<&Tiles>,
    compute: Compute,
    folder: RunFolder,
    mut tried: Local<bool>,
) -> Result<Tiles> {
    let to = folder.fill(&this.to)?;
    if !std::mem::replace(&mut *tried, true) {
        try_folder(to.as_ref())?;
    }
    let mut tiles = tiles.get(this.node()).cloned().unwrap_or_default();
    let (images, seeds) = (images.get(this.x)?, seeds.get(this.seeds)?);
    // A batch that a resumed run has sampled again is there already.
    if !arrived(images) || seeds.ids.iter().any(|seed| tiles.seeds.contains(seed)) {
        return Ok(tiles);
    }
    Arc::make_mut(&mut tiles.pixels).extend(download(images, &seeds.ids, &compute)?);
    tiles.seeds.extend(&seeds.ids);
    if seeds.last {
        let shape = images.pixels.shape();
        let (pixels, size) = this.picture(&tiles.pixels, [shape[1], shape[2], shape[3]]);
        write(to.as_ref(), &pixels, size)?;
    }
    Ok(tiles)
}

impl Grid {
    /// Images of `[h, w, c]` side by side, and the size of the whole; gaps and the rest of the last row are black.
    fn picture(&self, tiles: &[u8], [h, w, c]: [usize; 3]) -> (Vec<u8>, [usize; 3]) {
        let count = tiles.len() / (h * w * c);
        let (rows, columns) = (count.div_ceil(self.columns), self.columns.min(count));
        let side = |images: usize, size: usize| (images * (size + self.gap) - self.gap) * self.scale;
        let size = [side(rows, h), side(columns, w), c];
        let mut pixels = Vec::with_capacity(size.iter().product());
        for (y, x) in (0..size[0]).flat_map(|y| (0..size[1]).map(move |x| (y, x))) {
            let at = self.tile_pixel([y, x].map(|at| at / self.scale), [h, w]);
            pixels.extend((0..c).map(|i| at.and_then(|at| tiles.get(at * c + i)).copied().unwrap_or(0)));
        }
        (pixels, size)
    }

    /// The pixel, counted through all images, that is seen at a place of the unscaled picture; none in a gap.
    fn tile_pixel(&self, [y, x]: [usize; 2], [h, w]: [usize; 2]) -> Option<usize> {
        let (row, y) = (y / (h + self.gap), y % (h + self.gap));
        let (column, x) = (x / (w + self.gap), x % (w + self.gap));
        (y < h && x < w).then(|| ((row * self.columns + column) * h + y) * w + x)
    }
}
