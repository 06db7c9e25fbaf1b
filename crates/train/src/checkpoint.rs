//! Checkpoints: weights for others and the state of the run to go on from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bevy_ecs::prelude::*;
use pipeline::{Closing, Mistake, Node, Saved, This, Wire};
use ports::{Denoiser, Gauges, Machine, Parameters, Run};
use serde::Deserialize;

use crate::setting::{above_zero, at_least_one};
use crate::weights_file::{Origin, write_weights};
use crate::{Update, to_state};

/// Settings of checkpoints.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    of: Vec<Wire<Parameters>>,
    net: Wire<Denoiser>,
    every_kimg: f64,
    #[serde(default = "keep")]
    keep: usize,
    #[serde(default)]
    folder: Option<PathBuf>,
}

fn keep() -> usize {
    3
}

impl Node for Checkpoint {
    type Value = Due;

    const DOC: &'static str = "Writes weights, and the state of the run for `--resume`, every so many images and when \
        training ends or is interrupted.\n\
        Each file is written whole or not at all, and older ones are removed only when the new ones are there. \
        Weights are safetensors with PyTorch's names, `weights-KIMG-NODE.safetensors`; the state is \
        `state-TICK.safetensors`.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("of", "the parameters to write weights of: an `Adam`, an `Ema`"),
        ("net", "the denoiser that the parameters are trained in, which files remember"),
        ("every_kimg", "after how many thousand images to write"),
        ("keep", "how many of each file to keep, 3 unless given"),
        ("folder", "where to write, the folder of the run unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        above_zero("every_kimg", self.every_kimg)?;
        if self.of.is_empty() {
            return Err(Mistake::new(
                "of",
                "`of` is empty, expected the names of nodes that make parameters",
            ));
        }
        at_least_one("keep", self.keep)
    }
}

impl Checkpoint {
    /// Where to write, if not to the folder of the run.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Whether the images of this update make a multiple of `every_kimg` full.
    fn is_due(&self, update: Update) -> bool {
        let filled = |images: u64| (images as f64 / (self.every_kimg * 1e3)).floor();
        filled(update.images()) > filled(update.before)
    }
}

/// What a checkpoint needs to know at the end of a tick in which training went on.
#[derive(Component, Clone, Copy, Debug)]
pub struct Due {
    /// How many images the run has seen.
    images: u64,
    /// Whether to write even though the run goes on.
    now: bool,
}

/// Sees how far training is; [`write_checkpoints`] writes at the end of the tick, when every node has run.
pub fn checkpoint(
    this: This<Checkpoint>,
    updates: Query<&Update>,
    mut gauges: ResMut<Gauges>,
) -> Result<Due> {
    let update = this.of.iter().find_map(|wire| updates.get(wire.node()).ok());
    let update = *update.ok_or("no node of `of` is being trained; name an `Adam` or an `Ema`")?;
    let due = Due { images: update.images(), now: this.is_due(update) };
    if due.now {
        gauges.catch_up();
    }
    Ok(due)
}

/// Writes the checkpoints that are due; all of them when the act ends or the run is interrupted.
pub fn write_checkpoints(world: &mut World) -> Result {
    let closing = world.resource::<Closing>().0;
    let mut nodes = world.query_filtered::<Entity, With<Checkpoint>>();
    for node in nodes.iter(world).collect::<Vec<_>>() {
        // Taken, because training may rest from now on and what was due is written once.
        let due = world.entity_mut(node).take::<Due>();
        if closing || due.is_some_and(|due| due.now) {
            write(world, node, due).map_err(|error| {
                let name = world.get::<Name>(node).map_or("?", Name::as_str);
                format!("`{name}` cannot write: {}", error.to_string().trim_end())
            })?;
        }
    }
    Ok(())
}

/// Writes the files of one node. Weights are written only after a tick of training: they are there otherwise.
fn write(world: &World, node: Entity, due: Option<Due>) -> Result {
    let Some(this) = world.get::<Checkpoint>(node) else { return Ok(()) };
    let run = world.get_resource::<Run>();
    let folder = this.folder().or(run.map(|run| run.folder.as_path()));
    let folder = folder.ok_or("there is no folder of the run; give `folder`")?;
    for wire in due.iter().flat_map(|_| &this.of) {
        write_parameters(world, this, wire.node(), folder, due.map_or(0, |due| due.images))?;
    }
    let metadata = run.map(|run| [("pipeline", &run.pipeline), ("name", &run.name)]).into_iter().flatten();
    let metadata: BTreeMap<String, String> =
        metadata.map(|(key, text)| (key.to_owned(), text.clone())).collect();
    ::checkpoint::save(folder, &to_state(&Saved::of(world)?, metadata)?)?;
    ::checkpoint::prune(folder, this.keep)?;
    Ok(())
}

fn write_parameters(world: &World, this: &Checkpoint, of: Entity, folder: &Path, images: u64) -> Result {
    let node = world.get::<Name>(of).map_or("?", Name::as_str);
    let parameters =
        world.get::<Parameters>(of).ok_or_else(|| format!("`{node}` has not made parameters yet"))?;
    let denoiser = world.get::<Denoiser>(this.net.node());
    let recipe = denoiser.and_then(|denoiser| denoiser.0.recipe());
    let origin = Origin { node, recipe, images, run: world.get_resource::<Run>() };
    let numbers = world.resource::<Machine>().0.download(&parameters.arena)?.f32s();
    let end = format!("-{node}.safetensors");
    // As wide as 2,500 Mimg, the longest run of the paper, so that names sort as numbers do.
    let name = format!("weights-{:011.3}{end}", images as f64 / 1e3);
    write_weights(&folder.join(name), parameters, &numbers, &origin)?;
    prune(folder, &end, this.keep)
}

/// Removes all but the newest `keep` files of weights of one node.
fn prune(folder: &Path, end: &str, keep: usize) -> Result {
    let kimg = |name: &str| name.strip_prefix("weights-")?.strip_suffix(end)?.parse::<f64>().ok();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.extend(kimg(&entry.file_name().to_string_lossy()).map(|kimg| (kimg, entry.path())));
    }
    files.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    for (_, path) in files.into_iter().skip(keep) {
        fs::remove_file(&path).map_err(|error| format!("cannot remove `{}`: {error}", path.display()))?;
    }
    Ok(())
}
