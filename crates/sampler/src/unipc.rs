//! UniPC (Zhao et al. 2023): a predictor, and a corrector that asks for nothing new.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Images, Step};
use serde::Deserialize;
use tensor::{Bindings, Tensor};

use crate::History;
use crate::multistep::{Advance, DENOISED, X, bind, check_order, sum};

/// Settings of the solver.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UniPC {
    x: Wire<Images>,
    denoised: Wire<Denoised>,
    #[serde(default = "order")]
    order: usize,
}

fn order() -> usize {
    3
}

/// The images at the start of the last step, corrected, and their scale.
#[derive(Component, Clone)]
pub struct Corrected {
    pixels: Tensor,
    scale: f64,
}

impl Node for UniPC {
    type Value = (Images, History, Corrected);

    const DOC: &'static str = "UniPC: a step by the denoiser's last answers, which the next answer corrects \
        (Zhao et al. 2023, B_2).\n\
        One evaluation a step: where the images have come is corrected by the answer that the next step needs anyway. It \
        begins with lower orders, and the last step is Euler's.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        X,
        DENOISED,
        (
            "order",
            "how many answers the predictor takes, 1 to 3; the corrector takes one more; 3 unless given",
        ),
    ];

    fn check(&self) -> Result<(), Mistake> {
        check_order(self.order, 3)
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.same("denoised", self.denoised, self.x)?))
    }
}

/// Corrects the last step, and takes the next.
pub fn unipc(
    this: This<UniPC>,
    images: Read<Images>,
    denoised: Read<Denoised>,
    states: Query<(&History, &Corrected)>,
    mut compute: Compute,
) -> Result<(Images, History, Corrected)> {
    let (x, denoised) = (images.get(this.x)?, denoised.get(this.denoised)?);
    let state = states.get(this.node()).ok();
    // The corrector looks back one answer further than the predictor.
    let advance = Advance::new(x, denoised, state.map(|(history, _)| history), this.order + 1)?;
    let scale = advance.step.path.scale(advance.step.at);
    if let Some((x, history)) = advance.trivial() {
        let stays = state.map(|(_, corrected)| corrected.clone());
        let corrected = stays.unwrap_or_else(|| Corrected { pixels: x.pixels.clone(), scale });
        return Ok((x, history, corrected));
    }
    let before = state.map(|(_, corrected)| corrected).filter(|_| advance.levels().len() > 1);
    let (next, corrected) = step(&advance, before, this.order, &mut compute)?;
    let history = advance.remember(denoised.pixels.clone());
    Ok((advance.arrived(next), history, Corrected { pixels: corrected, scale }))
}

/// The images at the end of the step, and those at its start, corrected.
fn step(
    advance: &Advance,
    before: Option<&Corrected>,
    order: usize,
    compute: &mut Compute,
) -> Result<(Tensor, Tensor)> {
    let Step { path, at, to, .. } = advance.step;
    let (levels, shape) = (advance.levels(), advance.x.pixels.shape());
    let predicted = levels.len().min(order);
    let predictor =
        diffusion::dpm_pp(&levels[..predicted], advance.to()).scaled(path.scale(at), path.scale(to));
    let mut bindings = bind(advance.answers(Bindings::new()), &predictor, "predictor ");
    match before {
        None => bindings = bindings.tensor("x", &advance.x.pixels),
        Some(Corrected { pixels, scale }) => {
            let corrector =
                diffusion::unipc_corrector(&levels[1..], levels[0]).scaled(*scale, path.scale(at));
            bindings = bind(bindings.tensor("x", pixels), &corrector, "corrector ");
        }
    }
    let (count, corrects) = (levels.len(), before.is_some());
    let mut outputs = compute.run(&format!("{shape} {count} {corrects}"), &bindings, |graph| {
        let x = graph.input("x", shape.clone());
        let answers = (0..count).map(|i| graph.input(&format!("answer {i}"), shape.clone()));
        let answers: Vec<_> = answers.collect();
        let corrected = if corrects { sum(graph, x, &answers, "corrector ") } else { x };
        let next = sum(graph, corrected, &answers[..predicted], "predictor ");
        graph.output("corrected", corrected);
        graph.output("x", next);
    })?;
    Ok((outputs.take("x")?, outputs.take("corrected")?))
}
