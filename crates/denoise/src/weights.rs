//! Files of weights: which one to take, and what it must hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use checkpoint::{Weights, compare, read_weights};
use ports::{TRAINING, WEIGHTS_FORMAT};
use unet::{Layout, Network, Parameter};

use crate::Recipe;
use crate::precondition::enough_outputs;

/// The names in files begin with it, as those of the paper's own files do.
pub(crate) const PREFIX: &str = "model.";

/// A network as a file holds it.
pub struct Trained {
    pub recipe: Recipe,
    pub network: Arc<dyn Network>,
    /// The parameters side by side, as the network's layout says.
    pub arena: Vec<f32>,
}

/// Reads a file of weights, or the newest good one of a folder.
pub fn read_network(path: &Path) -> Result<Trained, String> {
    let (path, weights) = read_weights_of(path)?;
    let recipe = recipe_of(&path, &weights)?;
    let unfit = |what| format!("the weights in `{}` are of another network: {what}", path.display());
    let network = recipe.network.clone().build().map_err(unfit)?;
    enough_outputs(network.as_ref()).map_err(unfit)?;
    recipe.scheme.check_channels(network.image()[2]).map_err(unfit)?;
    let arena = arena(&weights, network.layout()).map_err(unfit)?;
    Ok(Trained { recipe, network, arena })
}

/// The content of a file of weights, or of the newest good one of a folder, and which file that is.
pub(crate) fn read_weights_of(path: &Path) -> Result<(PathBuf, Weights), String> {
    if !path.exists() {
        let path = path.display();
        return Err(format!(
            "there is no file or folder `{path}`; train a network first, or name another one"
        ));
    }
    if path.is_dir() { newest_weights(path) } else { Ok((path.to_owned(), read(path)?)) }
}

/// The newest file of averaged weights in a folder that is whole, else the newest of other weights. What is
/// newer and broken is passed over; if nothing is good, the error names the newest.
pub fn newest_weights(folder: &Path) -> Result<(PathBuf, Weights), String> {
    let mut broken = None;
    for path in candidates(folder)? {
        match read(&path) {
            Ok(weights) => return Ok((path, weights)),
            Err(error) => _ = broken.get_or_insert(error),
        }
    }
    Err(broken.unwrap_or_else(|| {
        format!(
            "there are no weights in `{}`; train a network first, or name a `.safetensors` file",
            folder.display()
        )
    }))
}

/// Averages first, and the newest of them first. Their names begin with how far training had come, at a fixed
/// width.
fn candidates(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error| format!("cannot read the folder `{}`: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let paths =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(unreadable)?;
    let named = paths.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        // States of runs are no weights.
        let weights = name.ends_with(".safetensors") && !name.starts_with("state-") && !name.starts_with('.');
        weights.then(|| (name.ends_with("-ema.safetensors"), name, path))
    });
    let mut named: Vec<_> = named.collect();
    named.sort();
    Ok(named.into_iter().rev().map(|(.., path)| path).collect())
}

fn read(path: &Path) -> Result<Weights, String> {
    read_weights(path).map_err(|error| error.to_string())
}

fn recipe_of(path: &Path, weights: &Weights) -> Result<Recipe, String> {
    let path = path.display();
    match (weights.metadata.get("mollify"), weights.metadata.get("recipe")) {
        (Some(format), Some(recipe)) if format == WEIGHTS_FORMAT => {
            Recipe::read(recipe).map_err(|what| format!("`{path}` is damaged: {what}"))
        }
        (Some(format), _) if format != WEIGHTS_FORMAT => {
            Err(format!("`{path}` is in format {format}, and this mollify reads format {WEIGHTS_FORMAT}"))
        }
        _ => Err(format!(
            "`{path}` is no network of mollify: it holds {} arrays and no `recipe`",
            weights.arrays.len()
        )),
    }
}

/// The arrays side by side, once they are those that the network needs.
fn arena(weights: &Weights, layout: &Layout) -> Result<Vec<f32>, String> {
    let named = |parameter: &Parameter| format!("{PREFIX}{}", parameter.name);
    let expected: Vec<_> = layout.parameters.iter().map(|p| (named(p), p.file_shape.clone())).collect();
    // PyTorch's files have filters and the like as well, which never change.
    let fixed =
        |name: &str| layout.buffers.iter().any(|buffer| name.strip_prefix(PREFIX) == Some(&buffer.name));
    let found = weights.arrays.iter().filter(|(name, _)| !fixed(name) && !name.starts_with(TRAINING));
    let found: Vec<_> = found.map(|(name, array)| (name.clone(), array.shape.clone())).collect();
    compare(&expected, &found).map_err(|error| error.to_string())?;
    layout.import(|parameter| weights.arrays[&named(parameter)].f32s().map_err(|error| error.to_string()))
}
