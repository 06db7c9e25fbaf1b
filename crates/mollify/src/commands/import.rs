//! `mollify import`: checkpoints of NVIDIA's EDM.

use std::collections::BTreeMap;
use std::path::Path;

use checkpoint::{Module, TensorInFile, TorchFile, TrainingState, compare, copy_weights, read_torch};
use denoise::Recipe;
use ports::{TRAINING, WEIGHTS_FORMAT};

use crate::problem::{Problem, print};

/// The names of parameters begin with it, as the network is a part of the denoiser there.
const PREFIX: &str = "model.";

/// Copies a checkpoint to a file of weights.
pub(crate) fn import(
    file: &Path,
    out: &Path,
    ema: Option<&Path>,
    images: Option<u64>,
) -> Result<(), Problem> {
    let cannot = |what: String| Problem::new(format!("cannot import `{}`: {what}", file.display()));
    if out.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(Problem::new(format!("`{}` has to end in `.safetensors`", out.display())));
    }
    let mut imported = match read_torch(file)? {
        TorchFile::Snapshot(_) if ema.is_some() => {
            return Err(cannot("it is a snapshot already; `--ema` goes with a training state".into()));
        }
        TorchFile::Snapshot(module) => Imported::of(module, "ema").map_err(cannot)?,
        TorchFile::TrainingState(state) => trained(state).map_err(cannot)?,
    };
    if let Some(path) = ema {
        let TorchFile::Snapshot(module) = read_torch(path)? else {
            return Err(Problem::new(format!("`{}` is no snapshot", path.display())));
        };
        let cannot = |what| Problem::new(format!("cannot import `{}`: {what}", path.display()));
        imported.add_average(Imported::of(module, "ema").map_err(cannot)?).map_err(cannot)?;
    }
    let images = images.or_else(|| thousands(file).map(|thousands| thousands * 1000));
    if images.is_none() && imported.metadata.contains_key("steps") {
        let what = "its name does not say how many thousand images training has seen; give `--images`";
        return Err(cannot(what.into()));
    }
    imported.metadata.extend(images.map(|images| ("images".to_owned(), images.to_string())));
    let arrays: Vec<_> = imported.arrays.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    copy_weights(out, &arrays, &imported.metadata)?;
    print(&imported.summary(out))
}

/// What goes into the file.
struct Imported {
    class: String,
    recipe: Recipe,
    arrays: Vec<(String, TensorInFile)>,
    metadata: BTreeMap<String, String>,
}

impl Imported {
    /// A network with the tensors that it needs; `of` says what they are.
    fn of(module: Module, of: &str) -> Result<Self, String> {
        let recipe = Recipe::of_module(&module)?;
        let network = recipe.network.clone().build()?;
        let tensors = module.parameters.into_iter().chain(module.buffers);
        // What the preconditioning keeps beside the network follows from its constants.
        let mut arrays: Vec<_> = tensors.filter(|(name, _)| name.starts_with(PREFIX)).collect();
        let named = |(name, shape): (&str, &[usize])| (format!("{PREFIX}{name}"), shape.to_vec());
        let expected: Vec<_> = network.layout().state().into_iter().map(named).collect();
        let found: Vec<_> =
            arrays.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect();
        compare(&expected, &found).map_err(|error| error.to_string())?;
        arrays.sort_by(|(one, _), (other, _)| one.cmp(other));
        let texts =
            [("mollify", WEIGHTS_FORMAT.to_owned()), ("recipe", recipe.write()), ("of", of.to_owned())];
        let metadata = texts.into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
        Ok(Self { class: module.class, recipe, arrays, metadata })
    }

    /// Adds the average of the same network.
    fn add_average(&mut self, average: Imported) -> Result<(), String> {
        if average.recipe.network != self.recipe.network || average.recipe.scheme != self.recipe.scheme {
            return Err("it is the average of another network".into());
        }
        let named = |(name, tensor): (String, TensorInFile)| {
            Some((format!("{TRAINING}ema.{}", name.strip_prefix(PREFIX)?), tensor))
        };
        self.arrays.extend(average.arrays.into_iter().filter_map(named));
        Ok(())
    }

    fn summary(&self, out: &Path) -> String {
        let tensors = |start: &str| self.arrays.iter().filter(|(name, _)| name.starts_with(start)).count();
        let told = |key: &str| self.metadata.get(key).map_or(String::new(), |text| format!("{text} {key}"));
        let parts = [
            format!("{} tensors of a network", tensors(PREFIX)),
            format!("{} of Adam's moments", tensors("training.mean.") + tensors("training.square.")),
            format!("{} of an average", tensors("training.ema.")),
            told("steps"),
            told("images"),
        ];
        let parts: Vec<_> =
            parts.into_iter().filter(|part| !part.is_empty() && !part.starts_with("0 of")).collect();
        format!("{}: {}, {}\n{}\n", out.display(), self.class, parts.join(", "), self.recipe.write())
    }
}

/// The network in training with the moments that its optimiser has of each parameter.
fn trained(state: TrainingState) -> Result<Imported, String> {
    let names: Vec<String> = state.net.parameters.iter().map(|(name, _)| name.clone()).collect();
    let mut imported = Imported::of(state.net, "net")?;
    for (name, moments) in names.iter().zip(state.moments) {
        let (Some(name), Some(moments)) = (name.strip_prefix(PREFIX), moments) else { continue };
        imported.arrays.push((format!("{TRAINING}mean.{name}"), moments.mean));
        imported.arrays.push((format!("{TRAINING}square.{name}"), moments.square));
    }
    imported.metadata.insert("steps".into(), state.steps.to_string());
    Ok(imported)
}

/// The number in `training-state-050000.pt`.
fn thousands(file: &Path) -> Option<u64> {
    let stem = file.file_stem()?.to_str()?;
    let digits = stem.rsplit('-').next()?;
    digits.parse().ok().filter(|thousands| *thousands < 1_000_000_000_000)
}
