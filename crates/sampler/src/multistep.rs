//! What solvers that remember have in common: their history, and a step as a weighted sum.

use bevy_ecs::prelude::*;
use diffusion::Update;
use pipeline::Mistake;
use ports::{Compute, Denoised, Images, Step};
use tensor::{Bindings, Graph, Tensor, Value};

use crate::place::{moved, start};

/// What a solver remembers of the trajectory it is on. A run that is resumed starts its trajectory again, so no
/// checkpoint keeps it.
#[derive(Component, Clone)]
pub struct History {
    /// The last step that was taken.
    index: usize,
    /// Noise levels and what is known of them, newest first.
    pub(crate) entries: Vec<(f64, Tensor)>,
}

/// What a method makes its sum of.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Answers {
    /// The denoiser's answers D.
    Denoised,
    /// Slopes (x/s - D) / σ, which are the noise that the denoiser sees.
    Slopes,
}

/// A step of a method that remembers.
pub(crate) struct Advance<'a> {
    pub(crate) x: &'a Images,
    pub(crate) denoised: &'a Denoised,
    pub(crate) step: Step,
    past: Vec<(f64, Tensor)>,
}

impl<'a> Advance<'a> {
    /// Where images are, with as much of the history as is of use to a method of that order. After fresh noise there
    /// is none: what was known is known of other images.
    pub(crate) fn new(
        x: &'a Images,
        denoised: &'a Denoised,
        history: Option<&History>,
        order: usize,
    ) -> Result<Self> {
        let step = start(x)?;
        let goes_on = |history: &&History| history.index + 1 == step.index && step.at == step.from;
        let mut past = history.filter(goes_on).map(|history| history.entries.clone()).unwrap_or_default();
        past.truncate(order.saturating_sub(1));
        Ok(Advance { x, denoised, step, past })
    }

    /// The noise levels of what is known, from that of the images on, newest first.
    pub(crate) fn levels(&self) -> Vec<f64> {
        let past = self.past.iter().map(|(level, _)| *level);
        std::iter::once(self.step.sigma()).chain(past).collect()
    }

    /// The noise level at the end of the step.
    pub(crate) fn to(&self) -> f64 {
        self.step.path.sigma(self.step.to)
    }

    /// The images where the step ends without a sum: at σ = 0 they are the denoiser's answer, and where the step has no
    /// length they stay.
    pub(crate) fn trivial(&self) -> Option<(Images, History)> {
        let to = self.step.to;
        let (pixels, entries) = match () {
            () if to == 0.0 => (&self.denoised.pixels, Vec::new()),
            () if to == self.step.at => (&self.x.pixels, self.past.clone()),
            () => return None,
        };
        Some((self.arrived(pixels.clone()), History { index: self.step.index, entries }))
    }

    /// Images at the end of the step.
    pub(crate) fn arrived(&self, pixels: Tensor) -> Images {
        let evaluations = self.step.evaluations + self.denoised.evaluations;
        moved(self.x, pixels, Step { at: self.step.to, evaluations, ..self.step })
    }

    /// The history with one more entry.
    pub(crate) fn remember(&self, newest: Tensor) -> History {
        let newest = (self.step.sigma(), newest);
        let entries = std::iter::once(newest).chain(self.past.iter().cloned()).collect();
        History { index: self.step.index, entries }
    }

    /// Gives all that is known: `answer 0`, the newest, and so on.
    pub(crate) fn answers(&self, bindings: Bindings) -> Bindings {
        let past = self.past.iter().map(|(_, answer)| answer);
        let all = std::iter::once(&self.denoised.pixels).chain(past).enumerate();
        all.fold(bindings, |bindings, (i, answer)| bindings.tensor(&format!("answer {i}"), answer))
    }

    /// Takes the step.
    pub(crate) fn take(
        &self,
        answers: Answers,
        update: Update,
        noise: Option<&Tensor>,
        compute: &mut Compute,
    ) -> Result<(Images, History)> {
        let Step { path, at, to, .. } = self.step;
        let (shape, count) = (self.x.pixels.shape(), update.answers.len());
        let scale = path.scale(at);
        let update = update.scaled(scale, path.scale(to));
        let bindings = Bindings::new().tensor("x", &self.x.pixels);
        let mut bindings = bind(self.answers(bindings), &update, "");
        if answers == Answers::Slopes {
            bindings = bindings.scalar("scale", scale).scalar("sigma", self.step.sigma());
        }
        if let Some(noise) = noise {
            bindings = bindings.tensor("noise", noise).scalar("std", update.noise);
        }
        let key = format!("{shape} {count} {}", noise.is_some());
        let mut outputs = compute.run(&key, &bindings, |graph| {
            let x = graph.input("x", shape.clone());
            let mut known: Vec<Value> =
                (0..count).map(|i| graph.input(&format!("answer {i}"), shape.clone())).collect();
            if answers == Answers::Slopes {
                known[0] = slope(graph, x, known[0]);
                graph.output("slope", known[0]);
            }
            let mut next = sum(graph, x, &known, "");
            if noise.is_some() {
                let (noise, std) = (graph.input("noise", shape.clone()), graph.scalar("std"));
                next = graph.map(&[next, noise, std], |v| v(0) + v(1) * v(2));
            }
            graph.output("x", next);
        })?;
        let newest = match answers {
            Answers::Denoised => self.denoised.pixels.clone(),
            Answers::Slopes => outputs.take("slope")?,
        };
        Ok((self.arrived(outputs.take("x")?), self.remember(newest)))
    }
}

/// (x/s - D) / σ.
fn slope(graph: &mut Graph, x: Value, denoised: Value) -> Value {
    let (scale, sigma) = (graph.scalar("scale"), graph.scalar("sigma"));
    graph.map(&[x, denoised, scale, sigma], |v| (v(0) / v(2) - v(1)) / v(3))
}

/// The sum of an [`Update`] without its noise, whose weights are scalars with that prefix.
pub(crate) fn sum(graph: &mut Graph, x: Value, answers: &[Value], prefix: &str) -> Value {
    let of_x = graph.scalar(&format!("{prefix}weight of x"));
    let weights = (0..answers.len()).map(|i| graph.scalar(&format!("{prefix}weight {i}")));
    let weights: Vec<Value> = weights.collect();
    let count = answers.len();
    graph.map(&[&[x, of_x], answers, &weights].concat(), |v| {
        (0..count).fold(v(0) * v(1), |sum, i| sum + v(2 + i) * v(2 + count + i))
    })
}

/// Gives a [`sum`] its weights.
pub(crate) fn bind(bindings: Bindings, update: &Update, prefix: &str) -> Bindings {
    let bindings = bindings.scalar(&format!("{prefix}weight of x"), update.x);
    update
        .answers
        .iter()
        .enumerate()
        .fold(bindings, |bindings, (i, weight)| bindings.scalar(&format!("{prefix}weight {i}"), *weight))
}

/// What the fields `x`, `denoised` and `order` mean.
pub(crate) const X: (&str, &str) = ("x", "the images at the start of the step");
pub(crate) const DENOISED: (&str, &str) = ("denoised", "the denoiser's answer there");

/// Refuses orders that a method does not have.
pub(crate) fn check_order(order: usize, highest: usize) -> Result<(), Mistake> {
    if (1..=highest).contains(&order) {
        return Ok(());
    }
    Err(Mistake::new("order", format!("`order` is {order}, expected 1 to {highest}")))
}

/// Refuses numbers that are no amount of noise.
pub(crate) fn check_noise(settings: [(&str, f64); 2]) -> Result<(), Mistake> {
    for (field, number) in settings {
        if !(number >= 0.0 && number.is_finite()) {
            let what = format!("`{field}` must be a finite number from 0 on, not {number}");
            return Err(Mistake::new(field, what));
        }
    }
    Ok(())
}
