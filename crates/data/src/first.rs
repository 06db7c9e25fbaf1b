//! One batch of a stream, held.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Images, Labels};
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

impl Node for First {
    type Value = (Images, Labels);

    const DOC: &'static str = "The first batch that comes, tick after tick: images that something is done with in many ticks, \
        such as encoding them.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("images", "the images"), ("labels", "what they show; no labels unless given")];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, pipeline::Mistake> {
        let labels = self.labels.map_or(Some(Shape::from([0])), |labels| inputs.of(labels));
        Ok(Shapes::of::<Images>(inputs.of(self.images)).and::<Labels>(labels))
    }
}

/// Takes a batch once.
pub fn first(
    this: This<First>,
    images: Read<Images>,
    labels: Read<Labels>,
    compute: Compute,
) -> Result<(Images, Labels)> {
    if let (Some(images), Some(labels)) = (images.of(this.node()), labels.of(this.node())) {
        return Ok((images.clone(), labels.clone()));
    }
    let images = images.get(this.images)?.clone();
    let labels = match labels.maybe(this.labels)? {
        Some(labels) => labels.clone(),
        None => Labels {
            rows: compute.upload(&Array::new([images.batch(), 0], Vec::<f32>::new()))?,
            classes: None,
        },
    };
    Ok((images, labels))
}
