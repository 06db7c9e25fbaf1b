//! Whether a denoiser gets the labels that it takes: while wiring, and again when it runs.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Link, Mistake, Shape, Wire};
use tensor::Tensor;

use crate::{AugmentLabels, Denoise, Denoiser, Labels};

/// What a node says about labels while wiring. One that makes a denoiser, or parameters, says how long the
/// labels are that those take: `Shapes::of::<Denoiser>(image).and::<Labels>([classes])`, 0 for none.
#[derive(Clone, Copy, Debug)]
pub struct LabelsOf(pub Entity);

impl Link<Labels> for LabelsOf {
    fn node(self) -> Entity {
        self.0
    }
}

/// What a node says about the labels of augmentation while wiring: one that makes a denoiser, or parameters, says
/// how long those are that it takes, if it takes any.
#[derive(Clone, Copy, Debug)]
pub struct AugmentOf(pub Entity);

impl Link<AugmentLabels> for AugmentOf {
    fn node(self) -> Entity {
        self.0
    }
}

/// Checks while wiring that a denoiser gets labels if it takes any, and as long as it takes them.
pub fn check_labels(
    inputs: &Inputs,
    by: Wire<Denoiser>,
    labels: Option<Wire<Labels>>,
) -> Result<(), Mistake> {
    let length = |shape: Shape| shape.iter().product::<usize>();
    let Some(takes) = inputs.of(LabelsOf(by.node())).map(length) else { return Ok(()) };
    let gets = labels.map(|labels| inputs.of(labels).map(length));
    let name = inputs.name(by);
    let field = if labels.is_some() { "labels" } else { "by" };
    let wrong = |what: String| Mistake::new(field, what);
    match gets {
        None if takes > 0 => {
            Err(wrong(format!("`{name}` takes labels of {takes} classes, and none are wired here"))
                .help("add `labels: \"…\"` with the name of a node that makes labels"))
        }
        Some(_) if takes == 0 => Err(wrong(format!("`{name}` takes no labels")).help("leave out `labels`")),
        Some(Some(gets)) if gets != takes => {
            Err(wrong(format!("`{name}` takes labels of {takes} classes, but these have {gets}")))
        }
        _ => Ok(()),
    }
}

/// The rows of labels that a denoiser is asked with for `n` images, `None` if it takes none.
pub fn label_rows<'a>(by: &dyn Denoise, labels: Option<&'a Labels>, n: usize) -> Result<Option<&'a Tensor>> {
    match (by.labels(), labels) {
        (0, None) => Ok(None),
        (0, Some(_)) => Err("the denoiser takes no labels; leave out `labels`".into()),
        (takes, None) => Err(format!("the denoiser takes labels of {takes} classes; wire `labels`").into()),
        (takes, Some(labels)) if labels.rows.shape()[..] == [n, takes] => Ok(Some(&labels.rows)),
        (takes, Some(labels)) => {
            Err(format!("the labels are {}, expected {:?}", labels.rows.shape(), [n, takes]).into())
        }
    }
}

/// Checks while wiring that a denoiser which is told of augmentation takes labels of that length. One that takes
/// them may go without.
pub fn check_augment(
    inputs: &Inputs,
    by: Wire<Denoiser>,
    augment: Option<Wire<AugmentLabels>>,
) -> Result<(), Mistake> {
    let Some(augment) = augment else { return Ok(()) };
    let length = |shape: Shape| shape.iter().product::<usize>();
    // A node that knows its labels and is silent about those of augmentation takes none.
    let none = inputs.of(LabelsOf(by.node())).map(|_| 0);
    let takes = inputs.of(AugmentOf(by.node())).map(length).or(none);
    match (takes, inputs.of(augment).map(length)) {
        (Some(takes), Some(gets)) if takes != gets => {
            Err(Mistake::new("augment", mismatch(&format!("`{}`", inputs.name(by)), takes, gets)))
        }
        (Some(0), None) => {
            Err(Mistake::new("augment", format!("`{}` takes no such labels", inputs.name(by)))
                .help("say `augment: …` in its network, or leave it out here"))
        }
        _ => Ok(()),
    }
}

/// The rows of augmentation labels that a denoiser is asked with for `n` images.
pub fn augment_rows<'a>(
    by: &dyn Denoise,
    augment: Option<&'a AugmentLabels>,
    n: usize,
) -> Result<Option<&'a Tensor>> {
    let Some(AugmentLabels(rows)) = augment else { return Ok(None) };
    match rows.shape()[..] {
        [rows_n, gets] if rows_n == n && gets != by.augment() => {
            Err(mismatch("the denoiser", by.augment(), gets).into())
        }
        [rows_n, _] if rows_n == n => Ok(Some(rows)),
        _ => Err(format!("the labels of augmentation are {} for {n} images", rows.shape()).into()),
    }
}

fn mismatch(by: &str, takes: usize, gets: usize) -> String {
    format!(
        "{by} takes {takes} labels of augmentation, and gets {gets}; say `augment: {gets}` in its network"
    )
}
