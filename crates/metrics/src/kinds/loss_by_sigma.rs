//! The loss at each noise level (figure 5a).

use bevy_ecs::prelude::*;
use diffusion::Weight;
use philox::{Key, stream};
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Unfinished, Wire, keep_plain};
use ports::{
    Cell, Compute, Denoise, Denoiser, Images, Labels, Query as Question, Table, check_labels, check_sigmas,
    label_rows,
};
use serde::{Deserialize, Serialize};
use tensor::{Array, Bindings, Distribution, Graph};

/// Settings of the measurement.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
pub struct LossBySigma {
    by: Wire<Denoiser>,
    images: Wire<Images>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
    sigmas: Vec<f64>,
    count: usize,
    #[serde(default)]
    weight: Weight,
    #[serde(default)]
    seed: u64,
}

impl Node for LossBySigma {
    type Value = (Table, Losses);

    const DOC: &'static str = "The loss of a denoiser at each of some noise levels (figure 5a), over the images of as many ticks as \
        that takes.\n\
        A row a noise level: `sigma`, `loss` (the weighted squared error, mean over pixels and images), `std` from image to \
        image, `n` images. Every level has the same noise. Images that training has not seen show what it has learned \
        by heart.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("by", "the denoiser"),
        ("images", "clean images"),
        ("labels", "what they show, if the denoiser takes labels"),
        ("sigmas", "the noise levels: `[0.005, 0.05, 0.5, 5.0, 50.0]`"),
        ("count", "how many images, in whole batches"),
        ("weight", "the weight of each noise level: `Vp`, `Ve`, or `Edm(sigma_data: 0.5)` unless given"),
        ("seed", "which noise, 0 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.count == 0 {
            return Err(Mistake::new("count", "`count` is 0, expected at least 1"));
        }
        check_sigmas("sigmas", &self.sigmas)
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        inputs.same("by", self.by, self.images)?;
        check_labels(inputs, self.by, self.labels)?;
        if let Some(&[.., channels]) = inputs.of(self.images).as_deref() {
            self.weight.check_channels(channels).map_err(|what| Mistake::new("weight.sigma_data", what))?;
        }
        Ok(Shapes::default())
    }
}

/// What has been measured so far: for each noise level the sum over images of the loss, and of its square.
#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    n: usize,
    sums: Vec<[f64; 2]>,
}

keep_plain!(Losses);

/// Measures the images of this tick, until they are enough.
pub fn loss_by_sigma(
    this: This<LossBySigma>,
    images: Read<Images>,
    denoisers: Read<Denoiser>,
    labels: Read<Labels>,
    own: Query<&Losses>,
    mut compute: Compute,
    mut commands: Commands,
) -> Result<(Table, Losses)> {
    let mut losses = own.get(this.node()).cloned().unwrap_or_default();
    if losses.n < this.count {
        losses.sums.resize(this.sigmas.len(), [0.0; 2]);
        let by = denoisers.get(this.by)?.0.as_ref();
        let images = images.get(this.images)?;
        let labels = labels.maybe(this.labels)?;
        for (sigma, sums) in this.sigmas.iter().zip(&mut losses.sums) {
            for loss in measure(&this, images, by, labels, *sigma, &mut compute)? {
                *sums = [sums[0] + loss, sums[1] + loss * loss];
            }
        }
        losses.n += images.batch();
    }
    if losses.n >= this.count {
        commands.entity(this.node()).remove::<Unfinished>();
    }
    Ok((losses.table(&this.sigmas), losses))
}

/// The loss of each image at one noise level.
fn measure(
    this: &LossBySigma,
    images: &Images,
    by: &dyn Denoise,
    labels: Option<&Labels>,
    sigma: f64,
    compute: &mut Compute,
) -> Result<Vec<f64>> {
    let (shape, n) = (images.pixels.shape(), images.batch());
    if shape[1..] != by.image()[..] || !images.is_clean() {
        return Err(format!("expected clean images of {}, found {shape}", by.image()).into());
    }
    let steps = images.before..images.before + n as u64;
    let keys = compute.keys(steps.map(|step| Key { seed: this.seed, stream: stream::EVALUATION, step }))?;
    let weights = (0..shape[3]).map(|channel| this.weight.lambda(sigma, channel) as f32).collect::<Vec<_>>();
    let weights = compute.upload(&Array::new([1, 1, 1, shape[3]], weights))?;
    let bindings = Bindings::new().tensor("y", &images.pixels).tensor("keys", &keys).scalar("sigma", sigma);
    let bindings = bindings.tensor("weights", &weights).extend(&by.bindings());
    let labels = label_rows(by, labels, n)?;
    let bindings = labels.into_iter().fold(bindings, |bindings, rows| bindings.tensor("labels", rows));
    let mut made = compute.run(&shape.to_string(), &bindings, |graph| loss_graph(graph, by, n))?;
    Ok(compute.download(&made.take("losses")?)?.f64s())
}

/// `losses [n]`: λ (D(y + σ n; σ) - y)², mean over pixels, of `y [n, h, w, c]`, the scalar `sigma`, the `weights [c]` λ and
/// the `keys` of the noise.
fn loss_graph(graph: &mut Graph, by: &dyn Denoise, n: usize) {
    let image = by.image();
    let shape = [n, image[0], image[1], image[2]];
    let y = graph.input("y", shape);
    let (keys, sigma) = (graph.keys("keys", n), graph.scalar("sigma"));
    let weights = graph.input("weights", [1, 1, 1, image[2]]);
    let noise = graph.random(Distribution::Normal, keys, 0, shape);
    let x = graph.map(&[y, sigma, noise], |v| v(0) + v(1) * v(2));
    let sigma = graph.broadcast(sigma, [n, 1, 1, 1]);
    let labels = (by.labels() > 0).then(|| graph.input("labels", [n, by.labels()]));
    let denoised = by.build(graph, &Question { x, sigma, labels, augment: None, dropout: None });
    let errors = graph.map(&[denoised, y, weights], |v| v(2) * (v(0) - v(1)).square());
    let losses = graph.reduce(tensor::Fold::Mean, errors, &[1, 2, 3]);
    let losses = graph.reshape(losses, [n]);
    graph.output("losses", losses);
}

impl Losses {
    fn table(&self, sigmas: &[f64]) -> Table {
        let mut table = Table::new(["sigma", "loss", "std", "n"]);
        let n = self.n as f64;
        for (sigma, [sum, squares]) in sigmas.iter().zip(&self.sums) {
            let mean = sum / n;
            let std = ((squares / n - mean * mean).max(0.0) * n / (n - 1.0).max(1.0)).sqrt();
            table.push([*sigma, mean, std, n].map(Cell::Number).to_vec());
        }
        table
    }
}
