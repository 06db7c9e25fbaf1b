//! The training loss with captured draws: noise levels, noisy images, loss, and every parameter's gradient.

use std::collections::BTreeSet;
use std::sync::Arc;

use philox::{Key, stream};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tensor::{Device, Dtype, Tensor, Value};
use train::{corrupt_graph, parameter_gradients, weighted_squared_error};

use crate::augment::{Augment, Draw};
use crate::compare::{Tolerance, rms};
use crate::fixtures::{Noise, Numbers, Oracle, Tensors};
use crate::given_draws::GivenDraws;
use crate::nets::{Net, Seen};
use crate::objectives::Objective;
use crate::report::{Checks, Failure, Report};
use crate::trial::Trial;

#[derive(Deserialize)]
struct Case {
    name: String,
    params: String,
    precond: String,
    config: Map<String, Json>,
    loss: String,
    loss_kwargs: Map<String, Json>,
    augment: Option<Map<String, Json>>,
    file: String,
    draws: Vec<Draw>,
    params_without_grad: Vec<String>,
    total_f64: f64,
    loss_f32_vs_f64: Noise,
    worst_grad: Noise,
}

pub fn run(oracle: &Oracle, devices: &[Arc<dyn Device>], report: &mut Report) {
    for case in oracle.cases::<Case>("losses") {
        let built = Net::new(&case.precond, &case.config)
            .and_then(|net| Ok((net, Objective::new(&case.loss, &case.loss_kwargs)?)));
        let Some((net, objective)) = report.built("losses", &case.name, built) else { continue };
        for device in devices {
            report.case("losses", &case.name, &device.name(), |checks| {
                loss(&case, &net, &objective, oracle, device, checks)
            });
        }
    }
}

/// One evaluation of the loss up to what the network sees, from captured draws in their order.
pub struct Drawn {
    pub sigma: Vec<f64>,
    /// The images, augmented.
    pub target: Numbers,
    pub augment: Option<Numbers>,
    pub noisy: Numbers,
    /// Uniform numbers that decide whose labels are dropped.
    pub labels: Option<Numbers>,
}

impl Drawn {
    pub fn new<'a>(
        images: &Numbers,
        objective: &Objective,
        augment: Option<&Augment>,
        mut draws: impl Iterator<Item = &'a Numbers>,
        device: &Arc<dyn Device>,
    ) -> Result<Self, Failure> {
        let levels = draws.next().ok_or("the noise levels are not drawn".to_owned())?;
        let (target, augment) =
            match augment.map(|augment| augment.run(images, &mut draws, device.as_ref())).transpose()? {
                Some((images, labels)) => (images, Some(labels)),
                None => (images.clone(), None),
            };
        let noise = draws.next().ok_or("the noise is not drawn".to_owned())?.channels_last();
        let given = GivenDraws::new(device).draw(stream::SIGMA, 0, levels).draw(stream::NOISE, 0, &noise);

        let n = levels.values.len();
        let mut trial = Trial::new(&given);
        trial.keys("keys", n, Key { seed: 0, stream: stream::SIGMA, step: 0 })?;
        objective.levels(&mut trial.graph, n);
        let sigma = trial.run()?.remove("sigma").ok_or("no noise levels".to_owned())?;

        let mut trial = Trial::new(&given);
        trial.keys("keys", n, Key { seed: 0, stream: stream::NOISE, step: 0 })?;
        trial.input("y", &target.channels_last())?;
        trial.input("sigma", &Numbers { shape: vec![n], values: sigma.clone() })?;
        corrupt_graph(&mut trial.graph, &target.channels_last().shape.into());
        let values = trial.run()?.remove("x").ok_or("no noisy images".to_owned())?;
        let noisy = Numbers { shape: target.channels_last().shape, values }.channels_first();
        Ok(Drawn { sigma, target, augment, noisy, labels: draws.next().cloned() })
    }
}

/// A loss and its gradients, as the product computes them.
pub struct Loss<'a> {
    pub net: &'a Net,
    pub arena: &'a Tensor,
    pub objective: &'a Objective,
    pub seen: Seen,
    /// What D should have made of what it sees.
    pub target: Numbers,
    pub label_draws: Option<Numbers>,
    /// Times the sum of the loss before it is differentiated.
    pub scale: f64,
}

/// The results of an [`Loss`].
pub struct LossResults {
    pub d: Vec<f64>,
    /// Weighted squared errors, `[n, h, w, c]`.
    pub loss: Vec<f64>,
    pub total: f64,
    /// The parameters without a gradient.
    pub without: Vec<String>,
}

impl Loss<'_> {
    /// Adds the gradients to `gradients`, which lies as the arena does.
    pub fn run(self, gradients: &Tensor, device: &Arc<dyn Device>) -> Result<LossResults, Failure> {
        let none = Numbers { shape: vec![0], values: Vec::new() };
        let label_draws = self.label_draws.as_ref().unwrap_or(&none);
        let given = GivenDraws::new(device).draw(stream::DROPOUT, 0, label_draws);
        let mut trial = Trial::new(&given);
        let net = self.net.denoiser(self.arena);
        let keys = Key { seed: 0, stream: stream::DROPOUT, step: 0 };
        let dropout = trial.keys("dropout", self.seen.sigma.len(), keys)?;
        let [d, sigma] = self.seen.ask(&mut trial, &net, Some(dropout))?;
        let target = trial.input("target", &self.target.channels_last())?;
        let into = trial.tensor("gradients", gradients);

        let graph = &mut trial.graph;
        let loss = weighted_squared_error(graph, d, target, sigma, &self.objective.weight());
        let sum = graph.sum(loss, &[0, 1, 2, 3]);
        let sum = graph.reshape(sum, []);
        let total = graph.scale(sum, self.scale);
        let found = parameter_gradients(graph, total, "net.parameters");
        let found: Vec<(usize, Value)> =
            found.into_iter().filter_map(|found| Some((found.offset, found.gradient?))).collect();
        for (offset, gradient) in &found {
            graph.accumulate(into, *offset, *gradient);
        }
        for (name, value) in [("D", d), ("loss", loss), ("total", total)] {
            graph.output(name, value);
        }

        let with: BTreeSet<usize> = found.into_iter().map(|(offset, _)| offset).collect();
        let without = self
            .net
            .layout()
            .parameters
            .iter()
            .filter(|parameter| parameter.learned && !with.contains(&parameter.offset));
        let without = without.map(|parameter| format!("model.{}", parameter.name)).collect();
        let mut outputs = trial.run()?;
        let mut take = |name: &str| outputs.remove(name).ok_or_else(|| format!("no output `{name}`"));
        Ok(LossResults { d: take("D")?, loss: take("loss")?, total: take("total")?[0], without })
    }
}

fn loss(
    case: &Case,
    net: &Net,
    objective: &Objective,
    oracle: &Oracle,
    device: &Arc<dyn Device>,
    checks: &mut Checks,
) -> Result<(), Failure> {
    let tensors = oracle.tensors(&case.file);
    let arena = net.arena(&oracle.tensors(&case.params), "model.", device.as_ref())?;
    let augment = case.augment.as_ref().map(Augment::new).transpose()?;
    let draws = case.draws.iter().map(|draw| tensors.get(&draw.name));
    let drawn = Drawn::new(tensors.get("images"), objective, augment.as_ref(), draws, device)?;

    let sigma = &tensors.get("sigma").values;
    checks.compare("sigma", &drawn.sigma, sigma, Tolerance { absolute: 0.0, relative: 3e-6 });
    let net_x = tensors.get("net_x");
    checks.compare("net_x", &drawn.noisy.values, &net_x.values, Tolerance { absolute: 1e-5, relative: 1e-5 });

    let batch = sigma.len();
    let loss = Loss {
        net,
        arena: &arena,
        objective,
        target: drawn.target,
        label_draws: drawn.labels,
        scale: 1.0 / batch as f64,
        seen: Seen {
            x: net_x.clone(),
            sigma: sigma.clone(),
            labels: tensors.find("labels").filter(|labels| labels.shape[1] > 0).cloned(),
            augment: tensors.find("augment_labels").cloned(),
        },
    };
    let gradients = device.zeros(arena.shape(), Dtype::Real)?;
    let found = loss.run(&gradients, device)?;
    compare(case, &tensors, &found, checks);
    let gradients = device.download(&gradients)?.f64s();
    for (parameter, gradient) in net.layout().export(&gradients) {
        let Some(expected) = tensors.find(&format!("grad.model.{}", parameter.name)) else { continue };
        let absolute = 30.0 * case.worst_grad.max_abs_over_rms * rms(&expected.values);
        checks.compare(&parameter.name, &gradient, &expected.values, Tolerance::absolute(absolute));
    }
    Ok(())
}

fn compare(case: &Case, tensors: &Tensors, found: &LossResults, checks: &mut Checks) {
    let noise = case.loss_f32_vs_f64;
    let d = tensors.get("D").channels_last().values;
    checks.compare("D", &found.d, &d, Tolerance::absolute(30.0 * noise.max_abs_over_rms * rms(&d)));
    let loss = tensors.get("loss").channels_last().values;
    checks.compare("loss", &found.loss, &loss, Tolerance::absolute(30.0 * noise.max_abs));
    let total = Tolerance { absolute: 0.0, relative: 1e-5 };
    checks.compare("total", &[found.total], &[case.total_f64], total);
    checks.hold("parameters without gradient", found.without == case.params_without_grad);
}
