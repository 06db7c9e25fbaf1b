//! What the nodes of untrained networks have in common: sizes that follow from the images and labels at their
//! inputs, first values, and an entity for each parameter.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Read, Shape, Shapes, Wire};
use ports::{Architecture, Compute, Images, Labels, Parameters, Slice};
use tensor::Array;
use unet::Layout;

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
    architecture: impl FnOnce(For) -> Architecture,
) -> Result<Shapes, Mistake> {
    let image = inputs.of(like);
    let label_dim = match labels {
        Some(labels) => inputs.of(labels).map(|shape| shape.iter().product()),
        None => Some(0),
    };
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
    Ok(Shapes::of::<Parameters>(image).and::<Labels>(label_dim.map(|labels| Shape::from([labels]))))
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
}

impl Start<'_> {
    pub fn parameters(
        self,
        architecture: impl FnOnce(For) -> Architecture,
        made: &Read<Parameters>,
        layers: &Query<&Children>,
        compute: &Compute,
        commands: &mut Commands,
    ) -> Result<Parameters> {
        let parameters = match made.of(self.node) {
            Some(made) => made.clone(),
            None => self.first(architecture, compute)?,
        };
        if layers.get(self.node).is_err() {
            spawn_layers(self.node, parameters.network.layout(), commands);
        }
        Ok(parameters)
    }

    fn first(&self, architecture: impl FnOnce(For) -> Architecture, compute: &Compute) -> Result<Parameters> {
        let shape = self.images.pixels.shape();
        let label_dim = self.labels.map_or(0, |labels| labels.rows.shape()[1]);
        let architecture = architecture(For { image: [shape[1], shape[2], shape[3]], label_dim });
        let recipe = architecture.recipe();
        let network = architecture.build().map_err(|what| blame(&what).what)?;
        let numbers = network.layout().initialise(self.seed);
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
