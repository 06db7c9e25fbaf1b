//! One batch of a stream, held.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Keep, Kept, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Images, Labels, keep_tensor, load_tensor};
use serde::Deserialize;
use tensor::Array;

/// Settings of what is held.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct First {
    images: Wire<Images>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
}

/// What is held. Checkpoints keep it: a run that is resumed has other batches to come.
#[derive(Component, Clone, Debug)]
pub struct Held {
    images: Images,
    labels: Labels,
}

impl Node for First {
    type Value = (Images, Labels, Held);

    const DOC: &'static str = "The first batch that comes, tick after tick: images that something is done with in many ticks, \
        such as encoding them.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("images", "clean images"), ("labels", "what they show; no labels unless given")];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let labels = self.labels.map_or(Some(Shape::from([0])), |labels| inputs.of(labels));
        Ok(Shapes::of::<Images>(inputs.of(self.images)).and::<Labels>(labels))
    }
}

/// Takes a batch once.
pub fn first(
    this: This<First>,
    images: Read<Images>,
    labels: Read<Labels>,
    own: Query<&Held>,
    compute: Compute,
) -> Result<(Images, Labels, Held)> {
    let held = match own.get(this.node()) {
        Ok(held) => held.clone(),
        Err(_) => take(images.get(this.images)?, labels.maybe(this.labels)?, &compute)?,
    };
    Ok((held.images.clone(), held.labels.clone(), held))
}

fn take(images: &Images, labels: Option<&Labels>, compute: &Compute) -> Result<Held> {
    if !images.is_clean() {
        return Err("the images have noise; hold clean ones, and add noise afterwards".into());
    }
    let labels = match labels {
        Some(labels) => labels.clone(),
        None => Labels {
            rows: compute.upload(&Array::new([images.batch(), 0], Vec::<f32>::new()))?,
            classes: None,
        },
    };
    Ok(Held { images: images.clone(), labels })
}

impl Keep for Held {
    const NAME: &'static str = "Held";

    fn save(&self, world: &World) -> Result<Kept> {
        let kept = Kept::plain(&(self.images.before, &self.labels.classes))?;
        let kept = keep_tensor(kept, "images", &self.images.pixels, world)?;
        keep_tensor(kept, "labels", &self.labels.rows, world)
    }

    fn load(kept: &Kept, world: &mut World) -> Result<Self> {
        let (before, classes) = kept.read()?;
        let images = Images::clean(load_tensor(kept, "images", world)?, before);
        Ok(Held { images, labels: Labels { rows: load_tensor(kept, "labels", world)?, classes } })
    }
}
