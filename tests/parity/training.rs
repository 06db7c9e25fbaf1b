//! Whole training runs with captured draws: each round's loss, then parameters, moments and averages.

use std::sync::Arc;

use diffusion::{ema_beta, ema_halflife, learning_rate};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tensor::{Bindings, Device, Dtype, Graph, Tensor, compile};
use train::{adam_graph, adam_numbers, ema_graph};

use crate::augment::{Augment, Draw};
use crate::compare::{Tolerance, rms};
use crate::fixtures::{Oracle, Settings, Tensors};
use crate::losses::{Drawn, Loss, LossResults};
use crate::nets::{Net, Seen};
use crate::objectives::Objective;
use crate::report::{Checks, Failure, Report};

#[derive(Deserialize)]
struct Case {
    precond: String,
    config: Map<String, Json>,
    loss: Map<String, Json>,
    augment: Option<Map<String, Json>>,
    adam: Adam,
    batch_size: usize,
    loss_scaling: f64,
    lr_rampup_nimg: f64,
    ema_halflife_nimg: f64,
    ema_rampup_ratio: Option<f64>,
    steps: Vec<Step>,
    f32_vs_f64: Deviations,
}

#[derive(Deserialize)]
struct Adam {
    betas: (f64, f64),
    eps: f64,
    lr_max: f64,
}

#[derive(Deserialize)]
struct Step {
    cur_nimg_before: f64,
    lr: f64,
    ema_beta: f64,
    rounds: Vec<Round>,
}

#[derive(Deserialize)]
struct Round {
    draws: Vec<Draw>,
}

/// How far the final parameters are from those of the same run in f64.
#[derive(Deserialize)]
struct Deviations {
    per_param_final_max_abs_err: Map<String, Json>,
}

pub fn run(oracle: &Oracle, devices: &[Arc<dyn Device>], report: &mut Report) {
    for folder in oracle.folders("training") {
        let case: Case = oracle.json(&format!("training/{folder}/training.json"));
        let class = Settings(&case.loss).text("class_name", "").rsplit('.').next().unwrap_or("").to_owned();
        let built = Net::new(&case.precond, &case.config)
            .and_then(|net| Ok((net, Objective::new(&class, &case.loss)?)));
        let Some((net, objective)) = report.built("training", &folder, built) else { continue };
        for device in devices {
            report.case("training", &folder, &device.name(), |checks| {
                let tensors = oracle.tensors(&format!("training/{folder}/training.safetensors"));
                let augment = case.augment.as_ref().map(Augment::new).transpose()?;
                let (net, objective) = (&net, &objective);
                let run = Run { case: &case, net, objective, tensors: &tensors, augment, device };
                run.check(checks)
            });
        }
    }
}

struct Run<'a> {
    case: &'a Case,
    net: &'a Net,
    objective: &'a Objective,
    tensors: &'a Tensors,
    augment: Option<Augment>,
    device: &'a Arc<dyn Device>,
}

/// Parameters, gradients, moments and averages, each laid out as the network says.
struct State {
    parameters: Tensor,
    gradients: Tensor,
    m: Tensor,
    v: Tensor,
    average: Tensor,
}

impl Run<'_> {
    fn check(&self, checks: &mut Checks) -> Result<(), Failure> {
        let device = self.device.as_ref();
        let parameters = self.net.arena(self.tensors, "init.model.", device)?;
        let zeros = || device.zeros(parameters.shape(), Dtype::Real);
        let average = self.net.arena(self.tensors, "init.model.", device)?;
        let state = State { gradients: zeros()?, m: zeros()?, v: zeros()?, average, parameters };
        for (index, step) in self.case.steps.iter().enumerate() {
            for (turn, round) in step.rounds.iter().enumerate() {
                let at = format!("step{index}.round{turn}");
                let found = self.round(round, &at, &state)?;
                let expected = self.tensors.get(&format!("{at}.loss")).channels_last().values;
                let tolerance = Tolerance { absolute: 1e-4 * rms(&expected), relative: 1e-4 };
                checks.compare(&format!("{at}.loss"), &found.loss, &expected, tolerance);
            }
            self.update(index, step, &state, checks)?;
        }
        self.compare(&state, checks)
    }

    /// Forward and backward for a part of a batch.
    fn round(&self, round: &Round, at: &str, state: &State) -> Result<LossResults, Failure> {
        let get = |what: &str| self.tensors.get(&format!("{at}.{what}"));
        let draws = round.draws.iter().map(|draw| self.tensors.get(&draw.name));
        let drawn = Drawn::new(get("images"), self.objective, self.augment.as_ref(), draws, self.device)?;
        let loss = Loss {
            net: self.net,
            arena: &state.parameters,
            objective: self.objective,
            target: drawn.target,
            label_draws: drawn.labels,
            scale: self.case.loss_scaling / self.case.batch_size as f64,
            seen: Seen {
                x: drawn.noisy,
                sigma: drawn.sigma,
                labels: Some(get("labels").clone()).filter(|labels| labels.shape[1] > 0),
                augment: drawn.augment,
            },
        };
        loss.run(&state.gradients, self.device)
    }

    fn update(&self, index: usize, step: &Step, state: &State, checks: &mut Checks) -> Result<(), Failure> {
        let Case { adam, batch_size, lr_rampup_nimg, ema_halflife_nimg, ema_rampup_ratio, .. } = self.case;
        let images = step.cur_nimg_before;
        let rate = learning_rate(adam.lr_max, *lr_rampup_nimg, images);
        let beta = ema_beta(*batch_size as f64, ema_halflife(*ema_halflife_nimg, *ema_rampup_ratio, images));
        let close = Tolerance { absolute: 1e-12, relative: 1e-12 };
        checks.compare(&format!("step{index}.lr"), &[rate], &[step.lr], close);
        checks.compare(&format!("step{index}.ema_beta"), &[beta], &[step.ema_beta], close);

        let len = self.net.layout().len;
        let bindings = adam_numbers(rate, adam.betas, adam.eps, index as u64 + 1)
            .tensor("parameters", &state.parameters)
            .tensor("gradients", &state.gradients)
            .tensor("m", &state.m)
            .tensor("v", &state.v);
        self.run(&bindings, |graph| adam_graph(graph, len, adam.betas, false))?;
        let bindings = Bindings::new()
            .tensor("average", &state.average)
            .tensor("parameters", &state.parameters)
            .scalar("beta", beta);
        self.run(&bindings, |graph| ema_graph(graph, len))
    }

    fn run(&self, bindings: &Bindings, build: impl FnOnce(&mut Graph)) -> Result<(), Failure> {
        let mut graph = Graph::new();
        build(&mut graph);
        let executable = self.device.prepare(compile(graph))?;
        self.device.run(&executable, bindings)?;
        Ok(())
    }

    fn compare(&self, state: &State, checks: &mut Checks) -> Result<(), Failure> {
        let tensors = [
            ("final", &state.parameters),
            ("ema", &state.average),
            ("exp_avg", &state.m),
            ("exp_avg_sq", &state.v),
        ];
        for (kind, tensor) in tensors {
            let arena = self.device.download(tensor)?.f64s();
            for (parameter, values) in self.net.layout().export(&arena) {
                let name = format!("model.{}", parameter.name);
                let Some(expected) = self.tensors.find(&format!("{kind}.{name}")) else { continue };
                let tolerance = self.tolerance(kind, &name, &expected.values);
                let [values, expected] =
                    [&values, &expected.values].map(|values| without_key_bias(&name, values));
                checks.compare(&format!("{kind}.{name}"), &values, &expected, tolerance);
            }
        }
        Ok(())
    }

    fn tolerance(&self, kind: &str, name: &str, expected: &[f64]) -> Tolerance {
        if kind.starts_with("exp_avg") {
            return Tolerance { absolute: 1e-4 * rms(expected), relative: 1e-3 };
        }
        let deviations = Settings(&self.case.f32_vs_f64.per_param_final_max_abs_err);
        // The reference's deviation of this bias is that of its keys, which are left out.
        let deviation = if name.ends_with("qkv.bias") { 0.0 } else { deviations.number(name, 0.0) };
        Tolerance::absolute(30.0 * deviation.max(1e-7))
    }
}

/// The gradient of the keys' bias is zero but for rounding, which Adam turns into whole steps: it is left out.
fn without_key_bias(name: &str, values: &[f64]) -> Vec<f64> {
    let keys = |i: usize| name.ends_with("qkv.bias") && i % 3 == 1;
    values.iter().enumerate().filter(|(i, _)| !keys(*i)).map(|(_, value)| *value).collect()
}
