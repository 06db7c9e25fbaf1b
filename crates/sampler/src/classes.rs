//! What sampled images shall show.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Labels, Seeds};
use serde::Deserialize;
use tensor::Array;

/// Settings of the classes.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    seeds: Wire<Seeds>,
    classes: u32,
    #[serde(default = "one")]
    each: u64,
    #[serde(default)]
    only: Option<u32>,
}

fn one() -> u64 {
    1
}

impl Node for Classes {
    type Value = Labels;

    const DOC: &'static str = "A class for every seed, as one-hot labels: all classes in turn, or only one.\n\
        The class depends on the seed alone: (seed / each) modulo classes.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("seeds", "the seeds of the images"),
        ("classes", "how many classes there are"),
        ("each", "how many seeds in a row get the same class, 1 unless given"),
        ("only", "the class of every image, counted from 0"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.classes == 0 {
            return Err(Mistake::new("classes", "`classes` must be at least 1, not 0"));
        }
        if self.each == 0 {
            return Err(Mistake::new("each", "`each` must be at least 1, not 0"));
        }
        match self.only {
            Some(class) if class >= self.classes => {
                let what = format!("there is no class {class}: {} classes are counted from 0", self.classes);
                Err(Mistake::new("only", what).help(format!("the last one is {}", self.classes - 1)))
            }
            _ => Ok(()),
        }
    }

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Labels>(Shape::from([self.classes as usize])))
    }
}

/// Labels a batch when it starts.
pub fn classes(
    this: This<Classes>,
    seeds: Read<Seeds>,
    labels: Read<Labels>,
    compute: Compute,
) -> Result<Labels> {
    let seeds = seeds.get(this.seeds)?;
    if let (Some(labels), false) = (labels.of(this.node()), seeds.fresh) {
        return Ok(labels.clone());
    }
    let class = |seed: &u64| this.only.unwrap_or((seed / this.each % u64::from(this.classes)) as u32);
    let classes: Vec<u32> = seeds.ids.iter().map(class).collect();
    let width = this.classes as usize;
    let mut rows = vec![0.0f32; classes.len() * width];
    for (row, class) in rows.chunks_exact_mut(width).zip(&classes) {
        row[*class as usize] = 1.0;
    }
    Ok(Labels { rows: compute.upload(&Array::new([classes.len(), width], rows))?, classes: Some(classes) })
}
