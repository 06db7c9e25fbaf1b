//! The training loss and its gradients, as graphs.

use diffusion::{SigmaData, Weight};
use ports::{Denoise, Parameters, Query};
use tensor::{Expr, Fold, Graph, Op, Value, gradients};
use unet::Precision;

use crate::adam::moments_graph;
use crate::gather::Gather;

/// λ(σ) (D - y)² for each pixel, `[n, h, w, c]`: what equation 8 takes the mean of. `sigma` is `[n, 1, 1, 1]`.
pub fn weighted_squared_error(
    graph: &mut Graph,
    denoised: Value,
    target: Value,
    sigma: Value,
    weight: &Weight,
) -> Value {
    let lambda = match weight {
        Weight::Vp | Weight::Ve => graph.map(&[sigma], |v| Expr::from(1.0) / v(0).square()),
        Weight::Edm { sigma_data: SigmaData::All(data) } => {
            graph.map(&[sigma], |v| edm_weight(v(0), (*data).into()))
        }
        Weight::Edm { sigma_data: SigmaData::Each(each) } => {
            let data = graph.table(each.clone(), [1, 1, 1, each.len()]);
            graph.map(&[sigma, data], |v| edm_weight(v(0), v(1)))
        }
    };
    graph.map(&[denoised, target, lambda], |v| v(2) * (v(0) - v(1)).square())
}

fn edm_weight(sigma: Expr, data: Expr) -> Expr {
    let variance = sigma.clone().square() + data.clone().square();
    variance / (sigma * data).square()
}

/// Forward, loss and backward for `n` of the images of a batch.
///
/// Reads `noisy` and `target [n, h, w, c]`, `sigma [n]`, `labels [n, …]` if the denoiser takes any, `augment [n, …]` if
/// the images were `augmented`, the keys of `dropout`, the scalar `batch` (how many images the whole batch has), in mixed
/// precision the `scale [2]` of a [`LossScale`](ports::LossScale), and what the denoiser binds. Gathers the gradients of
/// Σ loss / `batch`, and gives `losses [n]`, each the mean over its pixels.
pub fn gradient_graph(
    graph: &mut Graph,
    by: &dyn Denoise,
    weight: &Weight,
    n: usize,
    augmented: bool,
    gather: Gather,
) {
    let image = by.image();
    let shape = [n, image[0], image[1], image[2]];
    let (noisy, target, sigma) =
        (graph.input("noisy", shape), graph.input("target", shape), graph.input("sigma", [n]));
    let sigma = graph.reshape(sigma, [n, 1, 1, 1]);
    let labels = (by.labels() > 0).then(|| graph.input("labels", [n, by.labels()]));
    let augment = augmented.then(|| graph.input("augment", [n, by.augment()]));
    let dropout = Some(graph.keys("dropout", n));
    let denoised = by.build(graph, &Query { x: noisy, sigma, labels, augment, dropout });
    let loss = weighted_squared_error(graph, denoised, target, sigma, weight);
    let sums = graph.sum(loss, &[1, 2, 3]);

    let batch = graph.scalar("batch");
    let total = graph.sum(sums, &[0]);
    let total = graph.map(&[total, batch], |v| v(0) / v(1));
    if let Some((input, parameters)) = by.trainable() {
        let total = scaled(graph, total, parameters);
        let (len, gradients) = (parameters.network.layout().len, parameter_gradients(graph, total, input));
        match gather {
            Gather::Arena => {
                let arena = graph.input("gradients", [len]);
                for ParameterGradient { offset, gradient, .. } in gradients {
                    gradient.into_iter().for_each(|gradient| graph.accumulate(arena, offset, gradient));
                }
            }
            Gather::Moments(betas) => moments_graph(graph, len, &gradients, betas),
        }
    }

    let losses = graph.scale(sums, 1.0 / image.len() as f64);
    let losses = graph.reshape(losses, [n]);
    graph.output("losses", losses);
}

/// The loss times the scale that keeps its gradients within 16 bits, for a network whose activations have so many.
fn scaled(graph: &mut Graph, total: Value, parameters: &Parameters) -> Value {
    if parameters.network.precision() == Precision::Full {
        return total;
    }
    let state = graph.input("scale", [2]);
    let scale = graph.slice(state, 0, 0..1);
    let scale = graph.reshape(scale, graph.shape(total).clone());
    graph.mul(total, scale)
}

/// What a parameter gets of [`parameter_gradients`].
#[derive(Clone, Copy, Debug)]
pub struct ParameterGradient {
    /// Where the parameter begins in its arena.
    pub offset: usize,
    /// How many numbers it has.
    pub len: usize,
    /// `None` where nothing depends on it.
    pub gradient: Option<Value>,
}

/// The gradients of a scalar by every parameter that is read from the input of that name.
pub fn parameter_gradients(graph: &mut Graph, total: Value, input: &str) -> Vec<ParameterGradient> {
    let window = |value: Value| {
        let operation = graph.operation(value);
        let Op::Window { offset } = operation.op else { return None };
        let arena = graph.operation(operation.inputs[0]);
        matches!(&arena.op, Op::Input { name } if name == input).then_some((offset, value))
    };
    let (offsets, windows): (Vec<usize>, Vec<Value>) = graph.values().filter_map(window).unzip();
    let gradients = gradients(graph, total, &windows);
    let len = |window: Value| graph.shape(window).len();
    let parameters = offsets.into_iter().zip(windows).zip(gradients);
    parameters
        .map(|((offset, window), gradient)| ParameterGradient { offset, len: len(window), gradient })
        .collect()
}

/// `loss`, the mean over all images, of the `losses.0`, `losses.1`, … of micro-batches of these sizes.
///
/// It folds images in their order, so the parts do not show in the bits.
pub fn mean_loss_graph(graph: &mut Graph, sizes: &[usize]) {
    let part = |(at, size): (usize, &usize)| graph.input(&format!("losses.{at}"), [*size]);
    let parts: Vec<Value> = sizes.iter().enumerate().map(part).collect();
    let losses = if parts.len() == 1 { parts[0] } else { graph.concat(&parts, 0) };
    let loss = graph.reduce(Fold::Mean, losses, &[0]);
    graph.output("loss", loss);
}
