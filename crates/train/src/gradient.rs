//! Forward, loss and backward: one node, as they are one compiled program.

use std::ops::Range;

use bevy_ecs::prelude::*;
use diffusion::Weight;
use philox::stream;
use pipeline::{Inputs, Keep, Kept, Mistake, Node, Note, Read, This, Tick, Wire};
use ports::{
    AugmentLabels, Compute, Denoise, Denoiser, Explain, Fact, Gauges, Gradients, Images, Labels, LossScale,
    Machine, Others, Parameters, augment_rows, check_augment, check_labels, label_rows,
};
use serde::Deserialize;
use tensor::{Array, Bindings, Graph, Outputs, Tensor};
use unet::Precision;

use crate::gather::{Destination, Gather, Optimisers};
use crate::loss::{gradient_graph, mean_loss_graph};
use crate::sample_keys::sample_keys;
use crate::setting::at_least_one;

/// Settings of the loss and its gradients.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gradient {
    noisy: Wire<Images>,
    target: Wire<Images>,
    by: Wire<Denoiser>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
    #[serde(default)]
    augment: Option<Wire<AugmentLabels>>,
    #[serde(default)]
    weight: Weight,
    #[serde(default)]
    micro_batch: Option<usize>,
    #[serde(default)]
    seed: u64,
}

impl Node for Gradient {
    type Value = (Gradients, Scaling);

    const DOC: &'static str = "The training loss of a denoiser, and the gradients of its parameters (equations 3 and 8).\n\
        Tells `loss`: the weighted squared error, mean over pixels and images. What is propagated back is the sum over \
        pixels, mean over images.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("noisy", "the images with noise"),
        ("target", "the same images without"),
        ("by", "the denoiser"),
        ("labels", "what the images show, if the denoiser takes labels"),
        ("augment", "what augmentation did to the images, if the denoiser is to be told"),
        ("weight", "the weight of each noise level: `Vp`, `Ve`, or `Edm(sigma_data: 0.5)` unless given"),
        (
            "micro_batch",
            "how many images at a time, to save memory: as many as the device has room for unless given; the result has \
             the same bits (on a GPU for multiples of 16)",
        ),
        ("seed", "which random numbers dropout takes, 0 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        self.micro_batch.map_or(Ok(()), |images| at_least_one("micro_batch", images))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<pipeline::Shapes, Mistake> {
        inputs.same("target", self.target, self.noisy)?;
        inputs.same("by", self.by, self.noisy)?;
        check_labels(inputs, self.by, self.labels)?;
        check_augment(inputs, self.by, self.augment)?;
        if let Some(&[.., channels]) = inputs.of(self.target).as_deref() {
            self.weight.check_channels(channels).map_err(|what| Mistake::new("weight.sigma_data", what))?;
        }
        Ok(pipeline::Shapes::default())
    }
}

/// The scale of the loss in mixed precision; nothing in full precision.
#[derive(Component, Clone)]
pub struct Scaling(Option<LossScale>);

impl Keep for Scaling {
    const NAME: &'static str = "Scaling";

    fn save(&self, world: &World) -> Result<Kept> {
        let state =
            self.0.as_ref().map(|scale| world.resource::<Machine>().0.download(&scale.0)).transpose()?;
        Kept::plain(&state.map(|state| state.f32s()))
    }

    fn load(kept: &Kept, world: &mut World) -> Result<Self> {
        let state: Option<Vec<f32>> = kept.read()?;
        let upload =
            |state: Vec<f32>| world.resource::<Machine>().0.upload(&Array::new([2], state)).map(LossScale);
        Ok(Scaling(state.filter(|state| state.len() == 2).map(upload).transpose()?))
    }
}

impl Scaling {
    fn first(parameters: &Parameters, compute: &Compute) -> Result<Self> {
        let first = || {
            Ok::<_, tensor::Error>(LossScale(compute.upload(&Array::new([2], LossScale::FIRST.to_vec()))?))
        };
        Ok(Scaling((parameters.network.precision() == Precision::Mixed).then(first).transpose()?))
    }
}

impl Explain for Gradient {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        let weight = self.weight.clone();
        let sigma_data = match &self.weight {
            Weight::Edm { sigma_data } => Some(Fact::SigmaData(sigma_data.of(0))),
            Weight::Vp | Weight::Ve => None,
        };
        let weight = Fact::column("weight", move |sigma| weight.lambda(sigma, 0));
        [weight].into_iter().chain(sigma_data).collect()
    }
}

/// Adds the gradients of this batch to the node's own, or moves the moments of the optimiser by them.
pub fn gradient(
    this: This<Gradient>,
    images: Read<Images>,
    denoisers: Read<Denoiser>,
    labels: Read<Labels>,
    augments: Read<AugmentLabels>,
    own: Query<&Gradients>,
    optimisers: Optimisers,
    scalings: Query<&Scaling>,
    tick: Res<Tick>,
    mut gauges: ResMut<Gauges>,
    mut notes: MessageWriter<Note>,
    mut compute: Compute,
) -> Result<(Gradients, Scaling)> {
    let by = denoisers.get(this.by)?.0.as_ref();
    let (_, parameters) = by.trainable().ok_or("the denoiser has no parameters that can be trained")?;
    let batch = Batch::new(images.get(this.noisy)?, images.get(this.target)?, &this, by, &compute)?;
    let labels = label_rows(by, labels.maybe(this.labels)?, batch.n)?;
    let augment = augment_rows(by, augments.maybe(this.augment)?, batch.n)?;
    let scaling = scalings.get(this.node()).cloned().or_else(|_| Scaling::first(parameters, &compute))?;
    // Moments move by the gradients of a whole batch.
    let whole = this.micro_batch.is_none_or(|images| images >= batch.n);
    let adam = optimisers.at_once(this.node(), parameters, &compute).filter(|_| whole);

    let augmented = augment.is_some();
    let key =
        |gather| format!("gradient to {gather:?}{}", if augmented { " by augmented images" } else { "" });
    let weight = &this.weight;
    let build = |gather| move |graph: &mut Graph, n| gradient_graph(graph, by, weight, n, augmented, gather);
    let mut gather = adam.map_or(Gather::Arena, |(_, gather)| gather);
    let mut parts = compute.parts(&key(gather), batch.n, this.micro_batch, build(gather))?;
    if parts.len() > 1 && gather != Gather::Arena {
        gather = Gather::Arena;
        parts = compute.parts(&key(gather), batch.n, this.micro_batch, build(gather))?;
    }
    if this.micro_batch.is_none() && own.get(this.node()).is_err() {
        Compute::tell_parts(batch.n, &parts, &mut notes);
    }
    let to = match adam.filter(|_| gather != Gather::Arena) {
        Some((adam, _)) => optimisers.moments(adam, parameters, &compute)?,
        None => Destination::arena(own.get(this.node()).ok(), parameters, &compute)?,
    };

    let mut losses = Vec::new();
    let mut made = Outputs::default();
    for range in parts {
        let mut bindings = to.bind(batch.bindings(range.clone())).extend(&by.bindings());
        for (name, rows) in [("labels", labels), ("augment", augment)] {
            bindings =
                rows.into_iter().fold(bindings, |all, rows| all.tensor(name, &rows.rows(range.clone())));
        }
        if let Some(scale) = &scaling.0 {
            bindings = bindings.tensor("scale", &scale.0);
        }
        if range.end == batch.n {
            bindings = bindings.last_part();
        }
        made = compute.run_part(&key(gather), range.len(), &bindings, build(gather))?;
        losses.push(made.take("losses")?);
    }
    gauges.watch("loss", *tick, mean(&losses, &mut compute)?);
    let gathered = to.gathered(made)?;
    let scale = scaling.0.clone();
    Ok((Gradients { gathered, before: batch.before, batch: batch.n, scale }, scaling))
}

/// The images of one tick.
struct Batch {
    n: usize,
    before: u64,
    noisy: Tensor,
    target: Tensor,
    sigma: Tensor,
    dropout: Tensor,
}

impl Batch {
    fn new(
        noisy: &Images,
        target: &Images,
        this: &Gradient,
        by: &dyn Denoise,
        compute: &Compute,
    ) -> Result<Self> {
        let (x, y) = (noisy.pixels.shape(), target.pixels.shape());
        if x != y || x[1..] != by.image()[..] {
            let image = by.image();
            return Err(
                format!("the noisy images are {x}, the target is {y}, the denoiser takes {image}").into()
            );
        }
        Ok(Batch {
            n: noisy.batch(),
            before: noisy.before,
            noisy: noisy.pixels.clone(),
            target: target.pixels.clone(),
            sigma: compute.levels(&noisy.sigma, noisy.batch())?,
            dropout: sample_keys(noisy, this.seed, stream::DROPOUT, compute)?,
        })
    }

    fn bindings(&self, range: Range<usize>) -> Bindings {
        Bindings::new()
            .tensor("noisy", &self.noisy.rows(range.clone()))
            .tensor("target", &self.target.rows(range.clone()))
            .tensor("sigma", &self.sigma.rows(range.clone()))
            .tensor("dropout", &self.dropout.rows(range))
            .scalar("batch", self.n as f64)
    }
}

/// The mean over all images of a batch, whatever its parts.
fn mean(losses: &[Tensor], compute: &mut Compute) -> Result<Tensor> {
    let sizes: Vec<usize> = losses.iter().map(|part| part.shape()[0]).collect();
    let bind =
        |bindings: Bindings, (at, part): (usize, &Tensor)| bindings.tensor(&format!("losses.{at}"), part);
    let bindings = losses.iter().enumerate().fold(Bindings::new(), bind);
    let mut made =
        compute.run(&format!("mean of {sizes:?}"), &bindings, |graph| mean_loss_graph(graph, &sizes))?;
    Ok(made.take("loss")?)
}
