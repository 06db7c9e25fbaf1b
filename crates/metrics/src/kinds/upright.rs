//! Which way up images stand.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Metric, Mistake, Node, Read, Shapes, This, Tick, Wire};
use ports::{Cell, Compute, Images, Labels, Table};
use serde::Deserialize;

/// Settings of the measurement.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upright {
    x: Wire<Images>,
    labels: Wire<Labels>,
    real: Wire<Images>,
    real_labels: Wire<Labels>,
}

impl Node for Upright {
    type Value = Table;

    const DOC: &'static str = "How many images stand upright, once they have arrived: whether augmentation has leaked into samples.\n\
        Each is compared with every real image of its class in the eight positions that a square has (four turns, each \
        mirrored or not), and stands as the nearest one does; a real image among real ones as its nearest neighbour. By \
        chance one of eight stands upright, and a few more in truth: a 0 or an 8 looks the same in several positions. \
        Tells `upright`, a share, and makes a table of it with its standard error.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images, clean ones or samples"),
        ("labels", "their classes"),
        ("real", "the real images, in one batch"),
        ("real_labels", "their classes"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        inputs.same("x", self.x, self.real)?;
        match inputs.of(self.real).as_deref() {
            Some(&[h, w, _]) if h != w => {
                let what = format!("images of `{}` are {h}x{w}, which is no square", inputs.name(self.real));
                Err(Mistake::new("real", what))
            }
            _ => Ok(Shapes::default()),
        }
    }
}

/// Four turns, each mirrored or not; the first leaves an image as it is.
const POSITIONS: usize = 8;

/// Images with their classes.
struct Set {
    images: Vec<Vec<f32>>,
    classes: Vec<u32>,
    side: usize,
}

/// Looks at the images of this tick, if they have not been looked at.
pub fn upright(
    this: This<Upright>,
    images: Read<Images>,
    labels: Read<Labels>,
    tables: Read<Table>,
    tick: Res<Tick>,
    compute: Compute,
    mut metrics: MessageWriter<Metric>,
) -> Result<Table> {
    if let Some(table) = tables.of(this.node()).filter(|table| !table.rows().is_empty()) {
        return Ok(table.clone());
    }
    let mut table = Table::new(["upright", "standard_error", "n"]);
    let x = images.get(this.x)?;
    if x.step.is_some_and(|step| !step.is_last()) {
        return Ok(table);
    }
    let real = Set::new(images.get(this.real)?, labels.get(this.real_labels)?, &compute)?;
    let own = this.x.node() == this.real.node();
    let set = Set::new(x, labels.get(this.labels)?, &compute)?;
    let n = set.images.len() as f64;
    let share = (0..set.images.len()).filter(|at| set.position(*at, &real, own) == 0).count() as f64 / n;
    metrics.write(Metric { name: "upright", tick: tick.0, value: share });
    table.push([share, (share * (1.0 - share) / n).sqrt(), n].map(Cell::from).to_vec());
    Ok(table)
}

impl Set {
    fn new(images: &Images, labels: &Labels, compute: &Compute) -> Result<Self> {
        let Some(classes) = &labels.classes else {
            return Err("the labels are no classes, so that there are no images to compare with".into());
        };
        let (shape, n) = (images.pixels.shape(), images.batch());
        if classes.len() != n {
            return Err(format!("there are {n} images and {} labels", classes.len()).into());
        }
        let pixels = compute.download(&images.pixels)?.f32s();
        let images = pixels.chunks_exact((pixels.len() / n.max(1)).max(1)).map(<[f32]>::to_vec).collect();
        Ok(Self { images, classes: classes.to_vec(), side: shape[1] })
    }

    /// How an image stands beside `real` ones of its class; beside all but itself, if it is its `own`.
    fn position(&self, at: usize, real: &Set, own: bool) -> usize {
        let others = (0..real.images.len()).filter(|other| real.classes[*other] == self.classes[at]);
        let others = others.filter(|other| !own || *other != at);
        let stands = others.flat_map(|other| (0..POSITIONS).map(move |position| (position, other)));
        let far = |(position, other): (usize, usize)| {
            (position, distance(&self.images[at], &real.images[other], self.side, position))
        };
        stands.map(far).min_by(|a, b| a.1.total_cmp(&b.1)).map_or(POSITIONS, |(position, _)| position)
    }
}

/// The squared distance of an image from another one in a position.
fn distance(image: &[f32], other: &[f32], side: usize, position: usize) -> f32 {
    let channels = image.len() / (side * side);
    let pixel = |place: usize| {
        let (own, turned) = (place * channels, turn(place, side, position) * channels);
        let pairs = image[own..][..channels].iter().zip(&other[turned..][..channels]);
        pairs.map(|(a, b)| (a - b).powi(2)).sum::<f32>()
    };
    (0..side * side).map(pixel).sum()
}

/// Which pixel is seen at a place when an image is mirrored, for positions from 4 on, and turned by quarters.
fn turn(place: usize, side: usize, position: usize) -> usize {
    let (mut y, mut x) = (place / side, place % side);
    for _ in 0..position % 4 {
        (y, x) = (x, side - 1 - y);
    }
    if position >= 4 {
        x = side - 1 - x;
    }
    y * side + x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(images: &[[f32; 4]]) -> Set {
        Set {
            images: images.iter().map(|image| image.to_vec()).collect(),
            classes: vec![0; images.len()],
            side: 2,
        }
    }

    #[test]
    fn an_image_stands_as_the_nearest_real_one_does() {
        let real = set(&[[0.0, 1.0, 2.0, 3.0], [9.0, 9.0, 9.0, 9.0]]);
        let seen = set(&[[0.1, 1.0, 2.0, 3.0], [1.0, 3.0, 0.0, 2.0], [1.0, 0.0, 3.0, 2.0]]);
        assert_eq!([0, 1, 2].map(|at| seen.position(at, &real, false)), [0, 1, 4]);
    }

    #[test]
    fn a_real_image_is_not_its_own_neighbour() {
        let real = set(&[[0.0, 1.0, 2.0, 3.0], [1.1, 3.0, 0.0, 2.0]]);
        assert_eq!(real.position(1, &real, false), 0);
        assert_eq!(real.position(1, &real, true), 1);
    }
}
