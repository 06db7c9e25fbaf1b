//! A U-Net and its parameters.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Architecture, Compute, Images, Labels, Parameters, Slice};
use serde::Deserialize;
use tensor::Array;
use unet::{Layout, SongUNetConfig};

/// Settings of the network.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SongUNet {
    like: Wire<Images>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
    #[serde(default)]
    preset: Preset,
    #[serde(default)]
    channels: Option<usize>,
    #[serde(default)]
    multipliers: Option<Vec<usize>>,
    #[serde(default)]
    blocks: Option<usize>,
    #[serde(default)]
    attention: Option<Vec<usize>>,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    label_dropout: f64,
    #[serde(default)]
    augment: usize,
    #[serde(default)]
    seed: u64,
}

/// The sizes that are taken where none are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub enum Preset {
    /// DDPM++ as the paper trains it on CIFAR-10.
    #[default]
    DdpmPP,
}

impl Node for SongUNet {
    type Value = Parameters;

    const DOC: &'static str = "A U-Net with its parameters in training: the DDPM++ of Song et al. (2021).\n\
        It starts from random numbers, or from where a resumed run left it.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("like", "images of the size that it is for"),
        ("labels", "labels of the sort that it takes; without them it is unconditional"),
        ("preset", "the sizes that are taken where none are given, `DdpmPP` unless given"),
        ("channels", "the channels that `multipliers` multiply, 128 in DDPM++"),
        ("multipliers", "channels of each level, finest first, [2, 2, 2] in DDPM++"),
        ("blocks", "blocks of each level, 4 in DDPM++"),
        ("attention", "resolutions with attention, 16 in DDPM++ if there is such a level"),
        ("dropout", "the share of activations that are dropped in training, 0.13 in DDPM++"),
        ("label_dropout", "the probability that an image loses its label in training, 0 unless given"),
        ("augment", "the length of the augmentation's labels, 0 unless given"),
        ("seed", "which random numbers it starts from, 0 unless given"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let image = inputs.of(self.like);
        let labels = match self.labels {
            Some(labels) => inputs.of(labels).map(|shape| shape.iter().product()),
            None => Some(0),
        };
        if labels == Some(0) && self.labels.is_some() {
            let mistake = Mistake::new("labels", "these images have no labels");
            return Err(mistake.help("leave out `labels` for an unconditional network"));
        }
        if let (Some(&[h, w, c]), Some(labels)) = (image.as_deref(), labels) {
            unet::SongUNet::new(self.config([h, w, c], labels)).map_err(|what| self.blame(&what))?;
        }
        Ok(Shapes::of::<Parameters>(image).and::<Labels>(labels.map(|labels| Shape::from([labels]))))
    }
}

impl SongUNet {
    /// The sizes for images of `[h, w, c]` and labels of a length.
    fn config(&self, [h, w, c]: [usize; 3], label_dim: usize) -> SongUNetConfig {
        let preset = match self.preset {
            Preset::DdpmPP => SongUNetConfig::ddpmpp([h, w], c),
        };
        let multipliers = self.multipliers.clone().unwrap_or(preset.multipliers);
        let side = |side: &usize| (0..multipliers.len()).any(|level| h.max(w) >> level == *side);
        // A preset knows nothing of the images; what somebody wrote has to fit.
        let usual = preset.attention.into_iter().filter(side).collect();
        SongUNetConfig {
            label_dim,
            augment_dim: self.augment,
            model_channels: self.channels.unwrap_or(preset.model_channels),
            blocks: self.blocks.unwrap_or(preset.blocks),
            attention: self.attention.clone().unwrap_or(usual),
            dropout: self.dropout.unwrap_or(preset.dropout),
            label_dropout: self.label_dropout,
            multipliers,
            ..preset
        }
    }

    /// The field that a complaint of the network is about, in the words of these settings.
    fn blame(&self, what: &str) -> Mistake {
        let what = what.replace("`model_channels`", "`channels`");
        let known = ["channels", "multipliers", "attention", "dropout", "label_dropout"];
        let named = known.into_iter().find(|field| what.contains(&format!("`{field}`")));
        Mistake::new(named.unwrap_or("like"), what)
    }
}

/// Starts from random numbers, and goes on with what training makes of them.
pub fn song_unet(
    this: This<SongUNet>,
    images: Read<Images>,
    labels: Read<Labels>,
    made: Read<Parameters>,
    layers: Query<&Children>,
    compute: Compute,
    mut commands: Commands,
) -> Result<Parameters> {
    let parameters = match made.of(this.node()) {
        Some(made) => made.clone(),
        None => {
            let shape = images.get(this.like)?.pixels.shape();
            let label_dim = labels.maybe(this.labels)?.map_or(0, |labels| labels.rows.shape()[1]);
            let config = this.config([shape[1], shape[2], shape[3]], label_dim);
            let architecture = Architecture::SongUNet(config);
            let recipe = architecture.recipe();
            let network = architecture.build().map_err(|what| this.blame(&what).what)?;
            let numbers = network.layout().initialise(this.seed);
            let arena = compute.upload(&Array::new([numbers.len()], numbers))?;
            Parameters { network, arena, recipe }
        }
    };
    if layers.get(this.node()).is_err() {
        spawn_layers(this.node(), parameters.network.layout(), &mut commands);
    }
    Ok(parameters)
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
