//! What the nodes of untrained networks have in common: sizes that follow from the images and labels at their
//! inputs, first values, and an entity for each parameter.

use std::path::Path;

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Note, Read, Shape, Shapes, Wire};
use ports::{Architecture, AugmentLabels, Compute, Images, Labels, Parameters, Slice};
use tensor::Array;
use unet::{Layout, Precision};

use crate::precision::stored;
use crate::transfer::transfer;
use crate::{DhariwalUNet, SongUNet};

/// What a network is to be for: images of `[h, w, c]`, and labels of a length.
#[derive(Clone, Copy)]
pub(crate) struct For {
    pub image: [usize; 3],
    pub label_dim: usize,
}

/// The shapes of a network and of its labels; refuses sizes that do not fit.
pub(crate) fn shapes(
    inputs: &Inputs,
    like: Wire<Images>,
    labels: Option<Wire<Labels>>,
    augment: usize,
    architecture: impl FnOnce(For) -> Architecture,
) -> Result<Shapes, Mistake> {
    let (image, label_dim) = (inputs.of(like), label_dim(inputs, labels));
    if label_dim == Some(0) && labels.is_some() {
        let mistake = Mistake::new("labels", "these images have no labels");
        return Err(mistake.help("leave out `labels` for an unconditional network"));
    }
    if let (Some(&[h, w, c]), Some(label_dim)) = (image.as_deref(), label_dim) {
        let network =
            architecture(For { image: [h, w, c], label_dim }).build().map_err(|what| blame(&what))?;
        if network.out_channels() < c {
            let out = network.out_channels();
            let what = format!("`out_channels` is {out}, expected at least the {c} channels of the images");
            return Err(Mistake::new("out_channels", what));
        }
    }
    let one = |length: usize| Shape::from([length]);
    let shapes = Shapes::of::<Parameters>(image).and::<Labels>(label_dim.map(one));
    Ok(shapes.and::<AugmentLabels>((augment > 0).then(|| one(augment))))
}

/// The length of the labels, `None` while it is unknown.
fn label_dim(inputs: &Inputs, labels: Option<Wire<Labels>>) -> Option<usize> {
    labels.map_or(Some(0), |labels| inputs.of(labels).map(|shape| shape.iter().product()))
}

/// What a network is to be for, if that is known while wiring.
pub(crate) fn planned_for(inputs: &Inputs, like: Wire<Images>, labels: Option<Wire<Labels>>) -> Option<For> {
    let image = <[usize; 3]>::try_from(inputs.of(like)?.0).ok()?;
    Some(For { image, label_dim: label_dim(inputs, labels)? })
}

/// The network that a node will make, if it is one that makes untrained networks and the sizes of its images and labels
/// are known while wiring.
pub fn planned(world: &World, node: Entity) -> Option<Architecture> {
    let inputs = Inputs::new(world);
    let song = world.get::<SongUNet>(node).and_then(|kind| kind.planned(&inputs));
    song.or_else(|| world.get::<DhariwalUNet>(node)?.planned(&inputs))
}

/// The field that a complaint of a network is about, in the words of the settings.
fn blame(what: &str) -> Mistake {
    let renamed =
        [("model_channels", "channels"), ("channels_out", "out_channels"), ("augment_dim", "augment")];
    let what = renamed.iter().fold(what.to_owned(), |what, (theirs, ours)| {
        what.replace(&format!("`{theirs}`"), &format!("`{ours}`"))
    });
    let known = [
        "channels",
        "multipliers",
        "blocks",
        "attention",
        "dropout",
        "label_dropout",
        "augment",
        "out_channels",
        "embedding_multiplier",
        "noise_multiplier",
        "filter",
    ];
    let named = known.into_iter().find(|field| what.contains(&format!("`{field}`")));
    Mistake::new(named.unwrap_or("like"), what)
}

/// The resolutions where a preset has attention, as far as images of this size come to them: a preset knows nothing of
/// the images.
pub(crate) fn usual_attention(attention: Vec<usize>, [h, w, _]: [usize; 3], levels: usize) -> Vec<usize> {
    let side = |side: &usize| (0..levels).any(|level| h.max(w).checked_shr(level as u32) == Some(*side));
    attention.into_iter().filter(side).collect()
}

/// Random numbers for a network, or what training made of them.
pub(crate) struct Start<'a> {
    pub node: Entity,
    pub images: &'a Images,
    pub labels: Option<&'a Labels>,
    pub seed: u64,
    /// Parameters to take over from a file.
    pub transfer: Option<&'a Path>,
    pub precision: Precision,
}

impl Start<'_> {
    pub fn parameters(
        self,
        architecture: impl FnOnce(For) -> Architecture,
        made: &Read<Parameters>,
        layers: &Query<&Children>,
        compute: &Compute,
        notes: &mut MessageWriter<Note>,
        commands: &mut Commands,
    ) -> Result<Parameters> {
        let parameters = match made.of(self.node) {
            Some(made) => made.clone(),
            None => self.first(architecture, compute, notes)?,
        };
        // States of runs do not keep it.
        let network = stored(self.precision, parameters.network, compute.device())?;
        let parameters = Parameters { network, ..parameters };
        if layers.get(self.node).is_err() {
            spawn_layers(self.node, parameters.network.layout(), commands);
        }
        Ok(parameters)
    }

    fn first(
        &self,
        architecture: impl FnOnce(For) -> Architecture,
        compute: &Compute,
        notes: &mut MessageWriter<Note>,
    ) -> Result<Parameters> {
        let shape = self.images.pixels.shape();
        let label_dim = self.labels.map_or(0, |labels| labels.rows.shape()[1]);
        let architecture = architecture(For { image: [shape[1], shape[2], shape[3]], label_dim });
        let recipe = architecture.recipe();
        let network = architecture.build().map_err(|what| blame(&what).what)?;
        let mut numbers = network.layout().initialise(self.seed);
        if let Some(file) = self.transfer {
            notes.write(Note(transfer(file, network.layout(), &mut numbers)?));
        }
        let arena = compute.upload(&Array::new([numbers.len()], numbers))?;
        Ok(Parameters { network, arena, recipe })
    }
}

/// Makes every parameter an entity under its layer, which is an entity under the node.
fn spawn_layers(node: Entity, layout: &Layout, commands: &mut Commands) {
    let mut layer: Option<(&str, Entity)> = None;
    for parameter in &layout.parameters {
        let (path, name) = parameter.name.rsplit_once('.').unwrap_or(("", &parameter.name));
        let parent = match layer {
            Some((last, entity)) if last == path => entity,
            _ => commands.spawn((Name::new(path.to_owned()), ChildOf(node))).id(),
        };
        layer = Some((path, parent));
        let range = parameter.offset..parameter.offset + parameter.len();
        let slice = Slice { range, shape: parameter.file_shape.clone().into() };
        commands.spawn((Name::new(name.to_owned()), ChildOf(parent), slice));
    }
}
