//! How far single steps go astray (appendix D.1).

use bevy_ecs::prelude::*;
use diffusion::Spacing;
use philox::{Key, stream};
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Unfinished, Wire};
use ports::{
    Cell, Compute, Denoiser, Images, Labels, Query as Question, Table, Times, check_labels, label_rows,
};
use serde::Deserialize;
use tensor::{Bindings, Distribution, Fold, Tensor};

/// Settings of the measurement.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
pub struct Truncation {
    images: Wire<Images>,
    by: Wire<Denoiser>,
    times: Wire<Times>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
    #[serde(default = "many")]
    parts: usize,
    #[serde(default)]
    seed: u64,
}

fn many() -> usize {
    200
}

impl Node for Truncation {
    type Value = Table;

    const DOC: &'static str = "The truncation error of every time step but the last, for Euler's and Heun's method (figure 13).\n\
        Images get the noise of the level that a step begins at. What one step makes of them is compared with many short \
        steps by Euler's method, shorter towards the lower level. A step a tick, two rows each: `solver`; `sigma`, \
        where the step begins; `rms`, the mean over images of the root mean square error; and `std` from image to image.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("images", "clean images, those of the first tick for every step"),
        ("by", "the denoiser"),
        ("times", "the time steps, with σ = t and s = 1"),
        ("labels", "what the images show, for a denoiser that takes labels"),
        ("parts", "how many short steps are taken for true, 200 unless given"),
        ("seed", "which noise, 0 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.parts >= 2 {
            return Ok(());
        }
        Err(Mistake::new("parts", format!("`parts` is {}, expected at least 2", self.parts)))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        inputs.same("images", self.images, self.by)?;
        check_labels(inputs, self.by, self.labels)?;
        Ok(Shapes::default())
    }
}

/// What stays the same from step to step.
#[derive(Clone)]
pub struct Held {
    images: Images,
    labels: Option<Labels>,
}

/// Measures the next step.
pub fn truncation(
    this: This<Truncation>,
    images: Read<Images>,
    labels: Read<Labels>,
    denoisers: Read<Denoiser>,
    times: Read<Times>,
    tables: Read<Table>,
    mut held: Local<Option<Held>>,
    mut compute: Compute,
    mut commands: Commands,
) -> Result<Table> {
    let empty = || Table::new(["solver", "sigma", "rms", "std"]);
    let mut table = tables.of(this.node()).cloned().unwrap_or_else(empty);
    let (times, denoiser) = (times.get(this.times)?, denoisers.get(this.by)?);
    if held.is_none() {
        let labels = labels.maybe(this.labels)?.cloned();
        *held = Some(Held { images: images.get(this.images)?.clone(), labels });
    }
    let Some(Held { images, labels }) = &*held else { return Ok(table) };
    let at = table.rows().len() / 2;
    let [from, to] = [times.t[at], times.t[at + 1]].map(|t| times.path.sigma(t));
    let mut asked = Asked {
        denoiser,
        labels: label_rows(&*denoiser.0, labels.as_ref(), images.batch())?,
        compute: &mut compute,
    };
    let x = asked.noisy(images, from, this.seed, at as u64)?;
    let (euler, heun) = asked.steps(&x, from, to)?;
    let truth = asked.truth(x, from, to, this.parts)?;
    for (solver, end) in [("Euler", euler), ("Heun", heun)] {
        let errors = asked.errors(&end, &truth)?;
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let variance = errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / errors.len() as f64;
        table.push([vec![solver.into()], [from, mean, variance.sqrt()].map(Cell::from).to_vec()].concat());
    }
    // The last step ends at 0, where every method is Euler's.
    if at + 3 >= times.t.len() {
        commands.entity(this.node()).remove::<Unfinished>();
    }
    Ok(table)
}

/// A denoiser and what it is asked with.
struct Asked<'a, 'w, 's> {
    denoiser: &'a Denoiser,
    labels: Option<&'a Tensor>,
    compute: &'a mut Compute<'w, 's>,
}

impl Asked<'_, '_, '_> {
    /// Images with the noise of a level, another one at every step.
    fn noisy(&mut self, images: &Images, sigma: f64, seed: u64, at: u64) -> Result<Tensor> {
        let (n, shape) = (images.batch(), images.pixels.shape());
        let numbers =
            (0..n as u64).map(|image| Key { seed, stream: stream::NOISE, step: at * n as u64 + image });
        let keys = self.compute.keys(numbers)?;
        let bindings =
            Bindings::new().tensor("y", &images.pixels).tensor("keys", &keys).scalar("sigma", sigma);
        let mut made = self.compute.run("noisy", &bindings, |graph| {
            let (y, keys, sigma) =
                (graph.input("y", shape.clone()), graph.keys("keys", n), graph.scalar("sigma"));
            let noise = graph.random(Distribution::Normal, keys, 0, shape.clone());
            let x = graph.map(&[y, noise, sigma], |v| v(0) + v(1) * v(2));
            graph.output("x", x);
        })?;
        Ok(made.take("x")?)
    }

    /// Euler's step, D + (σ' / σ) (x - D), and the slope that it follows, (x - D) / σ.
    fn step(&mut self, x: &Tensor, from: f64, to: f64) -> Result<(Tensor, Tensor)> {
        let (denoiser, labels) = (&self.denoiser.0, self.labels);
        let (shape, n) = (x.shape().clone(), x.shape()[0]);
        let bindings = denoiser.bindings().tensor("x", x).scalar("sigma", from).scalar("h", to - from);
        let bindings = labels.into_iter().fold(bindings, |bindings, rows| bindings.tensor("labels", rows));
        let mut made = self.compute.run("step", &bindings, |graph| {
            let (x, sigma, h) = (graph.input("x", shape.clone()), graph.scalar("sigma"), graph.scalar("h"));
            let labels = labels.map(|rows| graph.input("labels", rows.shape().clone()));
            let zeros = graph.table(vec![0.0; n], [n, 1, 1, 1]);
            let levels = graph.map(&[zeros, sigma], |v| v(0) + v(1));
            let denoised =
                denoiser.build(graph, &Question { x, sigma: levels, labels, augment: None, dropout: None });
            let slope = graph.map(&[x, denoised, sigma], |v| (v(0) - v(1)) / v(2));
            let next = graph.map(&[x, slope, h], |v| v(0) + v(1) * v(2));
            graph.output("next", next);
            graph.output("slope", slope);
        })?;
        Ok((made.take("next")?, made.take("slope")?))
    }

    /// Where one step of each method leads.
    fn steps(&mut self, x: &Tensor, from: f64, to: f64) -> Result<(Tensor, Tensor)> {
        let (euler, first) = self.step(x, from, to)?;
        let (_, second) = self.step(&euler, to, to)?;
        let shape = x.shape();
        let bindings = Bindings::new().tensor("x", x).tensor("first", &first).tensor("second", &second);
        let mut made = self.compute.run("heun", &bindings.scalar("h", to - from), |graph| {
            let [x, first, second] = ["x", "first", "second"].map(|name| graph.input(name, shape.clone()));
            let h = graph.scalar("h");
            let end = graph.map(&[x, first, second, h], |v| v(0) + v(3) * 0.5 * (v(1) + v(2)));
            graph.output("end", end);
        })?;
        Ok((euler, made.take("end")?))
    }

    fn truth(&mut self, x: Tensor, from: f64, to: f64, parts: usize) -> Result<Tensor> {
        if from == to {
            let what =
                format!("a step begins and ends at the noise level {from}, as the denoiser has none between");
            return Err(format!("{what}; take fewer steps, or leave out `by` in `TimeSteps`").into());
        }
        let mut levels = Spacing::default().noise_levels(parts + 1, to, from)?;
        levels.pop();
        levels.windows(2).try_fold(x, |x, pair| Ok(self.step(&x, pair[0], pair[1])?.0))
    }

    /// The root mean square difference of each image.
    fn errors(&mut self, x: &Tensor, y: &Tensor) -> Result<Vec<f64>> {
        let shape = x.shape();
        let mut made =
            self.compute.run("errors", &Bindings::new().tensor("x", x).tensor("y", y), |graph| {
                let [x, y] = ["x", "y"].map(|name| graph.input(name, shape.clone()));
                let squares = graph.map(&[x, y], |v| (v(0) - v(1)).square());
                let mean = graph.reduce(Fold::Mean, squares, &[1, 2, 3]);
                graph.output("squares", mean);
            })?;
        let squares = self.compute.download(&made.take("squares")?)?.f64s();
        Ok(squares.into_iter().map(f64::sqrt).collect())
    }
}
