//! All images in one picture.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use bevy_ecs::world::World;
use pipeline::{Inputs, Keep, Kept, Mistake, Node, Read, Shapes, This, Tick, Wire, Wires};
use ports::{Compute, RunFolder, Seeds, Shown};
use serde::Deserialize;

use super::looks::{Look, Looks};
use super::picture::{check_channels, check_seeds, finite_bytes, try_folder, write};
use super::template::{Filling, Template};

/// Settings of the grid.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    x: Wires<Shown>,
    #[serde(default)]
    seeds: Option<Wire<Seeds>>,
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

    const DOC: &'static str = "Puts images side by side in one PNG: those of a tick, or all that arrive.\n\
        Without `seeds` it draws what every tick makes, whatever that is: data, augmented, noisy or denoised images, \
        or those on their way through sampling. With `seeds` it collects samples of all batches, and draws them when \
        the last has arrived.\n\
        Noisy images are drawn with the contrast of clean ones: divided by sqrt(1 + (sigma / 0.5)^2), and by their \
        scale. -1 is black and 1 is white.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "whose images; those of several nodes stand beneath one another, a row a node"),
        ("seeds", "the seeds of images that are sampled, which come row by row in their order"),
        ("columns", "how many images a row has"),
        ("gap", "black pixels between images, 0 unless given"),
        ("scale", "how many pixels wide and high a pixel is drawn, 1 unless given"),
        (
            "to",
            "where to: `\"out/grid.png\"`, or in `{run}`, the folder of the run; folders are made; with `{tick}` or \
             `{tick:06}` every tick gets a picture, else the last one stays",
        ),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.x.is_empty() {
            return Err(Mistake::new("x", "`x` names no node").help("name a node that makes images"));
        }
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
        if to.has_tick() && self.seeds.is_some() {
            let what = "images of all seeds go into one picture, so `{tick}` has no number";
            return Err(Mistake::new("to", what).help("leave out `seeds` to draw every tick"));
        }
        Ok(())
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        for (at, wire) in self.x.iter().enumerate() {
            let field = format!("x.{at}");
            check_channels(inputs, &field, *wire)?;
            if let (Some(first), Some(other)) = (inputs.of(self.x[0]), inputs.of(*wire))
                && first != other
            {
                let [first_name, name] = [self.x[0], *wire].map(|wire| inputs.name(wire));
                let what = format!("images of `{name}` are {other}, but those of `{first_name}` {first}");
                return Err(
                    Mistake::new(field, what).help("draw images of another size in a grid of their own")
                );
            }
        }
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

/// Draws the images of this tick, or collects those that have arrived and draws them when they are complete.
pub fn grid(
    this: This<Grid>,
    looks: Looks,
    seeds: Read<Seeds>,
    tiles: Query<&Tiles>,
    tick: Res<Tick>,
    compute: Compute,
    folder: RunFolder,
    mut tried: Local<bool>,
) -> Result<Tiles> {
    let to = Template::parse(&folder.fill(&this.to)?).map_err(|mistake| mistake.what)?;
    let to = to.path(Filling { tick: tick.0, ..Filling::default() });
    if !std::mem::replace(&mut *tried, true) {
        try_folder(&to)?;
    }
    let Some(seeds) = seeds.maybe(this.seeds)? else {
        let [n, image @ ..] = this.shape(&looks)?;
        let pixels = this.tiles(&looks, &compute, n, |at| format!("image {at}"))?;
        let (pixels, size) = this.picture(&pixels, image);
        write(&to, &pixels, size)?;
        return Ok(Tiles::default());
    };
    let mut tiles = tiles.get(this.node()).cloned().unwrap_or_default();
    // A batch that a resumed run has sampled again is there already.
    if !this.arrived(&looks)? || seeds.ids.iter().any(|seed| tiles.seeds.contains(seed)) {
        return Ok(tiles);
    }
    let [n, image @ ..] = this.shape(&looks)?;
    check_seeds(&seeds.ids, n)?;
    let name = |at: usize| format!("the image of seed {}", seeds.ids[at]);
    Arc::make_mut(&mut tiles.pixels).extend(this.tiles(&looks, &compute, n, name)?);
    tiles.seeds.extend(&seeds.ids);
    if seeds.last {
        let (pixels, size) = this.picture(&tiles.pixels, image);
        write(&to, &pixels, size)?;
    }
    Ok(tiles)
}

impl Grid {
    /// `[n, h, w, c]` of what every node has made.
    fn shape(&self, looks: &Looks) -> Result<[usize; 4]> {
        let first = looks.get(self.x[0])?.shape();
        for wire in self.x.iter() {
            let shape = looks.get(*wire)?.shape();
            if shape != first {
                let [name, first_name] = [*wire, self.x[0]].map(|wire| looks.name(wire));
                let what = format!("`{name}` has made images {shape:?}, but `{first_name}` {first:?}");
                return Err(format!("{what}; as many of the same size can stand in one picture").into());
            }
        }
        Ok(first)
    }

    /// Whether the samples are there.
    fn arrived(&self, looks: &Looks) -> Result<bool> {
        let arrived = self.x.iter().map(|wire| Ok(looks.get(*wire)?.arrived()));
        let arrived = arrived.collect::<Result<Vec<_>>>()?;
        let tells = arrived.iter().flatten().copied().reduce(|all, one| all && one);
        let silent =
            "denoised images do not tell when they have arrived; leave out `seeds` to draw every tick";
        tells.ok_or_else(|| silent.into())
    }

    /// The bytes of `n` images of every node: the first of each, then the second of each, and on.
    fn tiles(
        &self,
        looks: &Looks,
        compute: &Compute,
        n: usize,
        name: impl Fn(usize) -> String,
    ) -> Result<Vec<u8>> {
        let rows = self.x.iter().map(|wire| {
            let pixels = looks.get(*wire).and_then(|look: Look| look.pixels(compute))?;
            let name = |at| format!("{} by `{}`", name(at), looks.name(*wire));
            finite_bytes(&pixels, pixels.len() / n.max(1), name)
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let size = rows[0].len() / n.max(1);
        let tile = |at: usize| rows.iter().flat_map(move |row| &row[at * size..][..size]).copied();
        Ok((0..n).flat_map(tile).collect())
    }

    /// Images of `[h, w, c]` side by side, and the size of the whole; gaps and the rest of the last row are black.
    fn picture(&self, tiles: &[u8], [h, w, c]: [usize; 3]) -> (Vec<u8>, [usize; 3]) {
        let (count, nodes) = (tiles.len() / (h * w * c) / self.x.len(), self.x.len());
        let (rows, columns) = (count.div_ceil(self.columns) * nodes, self.columns.min(count));
        let side =
            |images: usize, size: usize| (images * (size + self.gap)).saturating_sub(self.gap) * self.scale;
        let size = [side(rows, h), side(columns, w), c];
        let mut pixels = Vec::with_capacity(size.iter().product());
        for (y, x) in (0..size[0]).flat_map(|y| (0..size[1]).map(move |x| (y, x))) {
            let at = self.tile_pixel([y, x].map(|at| at / self.scale), [h, w]);
            pixels.extend((0..c).map(|i| at.and_then(|at| tiles.get(at * c + i)).copied().unwrap_or(0)));
        }
        (pixels, size)
    }

    /// The pixel, counted through all tiles, that is seen at a place of the unscaled picture; none in a gap.
    fn tile_pixel(&self, [y, x]: [usize; 2], [h, w]: [usize; 2]) -> Option<usize> {
        let (row, y) = (y / (h + self.gap), y % (h + self.gap));
        let (column, x) = (x / (w + self.gap), x % (w + self.gap));
        let nodes = self.x.len();
        let tile = (row / nodes * self.columns + column) * nodes + row % nodes;
        (y < h && x < w).then(|| (tile * h + y) * w + x)
    }
}
