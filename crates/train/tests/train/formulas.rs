//! The formulas of training against plain loops and finite differences.

use std::collections::HashMap;

use diffusion::Weight;
use mollify_train::{
    Gather, ParameterGradient, adam_graph, adam_numbers, adam_step_graph, corrupt_graph, ema_graph,
    gradient_graph, log_normal_graph, mean_loss_graph, moments_graph,
};
use philox::{Key, normal_f64};
use ports::Denoise;
use tensor::{Array, Bindings, Device, Dtype, Graph, Reference, Tensor, compile};

use crate::world::{Raw, tiny_network};

fn upload(numbers: &[f64]) -> Tensor {
    Reference.upload(&Array::new([numbers.len()], numbers.to_vec())).unwrap()
}

fn download(tensor: &Tensor) -> Vec<f64> {
    Reference.download(tensor).unwrap().f64s()
}

/// Runs a graph once and gives the outputs of these names.
fn run<const N: usize>(
    build: impl FnOnce(&mut Graph),
    bindings: &Bindings,
    names: [&str; N],
) -> [Vec<f64>; N] {
    let mut graph = Graph::new();
    build(&mut graph);
    let executable = Reference.prepare(compile(graph)).unwrap();
    let mut outputs = Reference.run(&executable, bindings).unwrap();
    names.map(|name| download(&outputs.take(name).unwrap()))
}

fn keys(stream: u32, steps: std::ops::Range<u64>) -> Tensor {
    let words: Vec<u32> = steps.flat_map(|step| Key { seed: 1, stream, step }.words()).collect();
    Reference.upload(&Array::new([words.len() / 4, 4], words)).unwrap()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(error <= tolerance * expected.abs().max(1.0), "at {at}: {found}, expected {expected}");
    }
}

#[test]
fn adam_is_what_the_paper_says() {
    let tensors = HashMap::from([
        ("parameters", upload(&[1.0, -2.0, 0.5])),
        ("gradients", upload(&[0.0; 3])),
        ("m", upload(&[0.0; 3])),
        ("v", upload(&[0.0; 3])),
    ]);
    let (mut p, mut m, mut v) = ([1.0, -2.0, 0.5], [0.0; 3], [0.0; 3]);
    for step in 1..=5 {
        let g = [0.3 * step as f64, -1e-5, 2.0 / step as f64];
        let mut bindings = adam_numbers(0.1, (0.9, 0.999), 1e-8, step as u64);
        for (name, tensor) in &tensors {
            bindings = bindings.tensor(name, tensor);
        }
        let arena = tensors["gradients"].clone();
        let fill = |graph: &mut Graph| {
            let (to, from) = (graph.input("to", [3]), graph.input("from", [3]));
            graph.accumulate(to, 0, from);
        };
        run(fill, &Bindings::new().tensor("to", &arena).tensor("from", &upload(&g)), []);
        let [nonfinite] = run(|graph| adam_graph(graph, 3, (0.9, 0.999), false), &bindings, ["nonfinite"]);
        assert_eq!(nonfinite, [0.0]);
        for i in 0..3 {
            m[i] = 0.9 * m[i] + 0.1 * g[i];
            v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
            let m_hat = m[i] / (1.0 - 0.9f64.powi(step));
            let v_hat: f64 = v[i] / (1.0 - 0.999f64.powi(step));
            p[i] -= 0.1 * m_hat / (v_hat.sqrt() + 1e-8);
        }
        assert_close(&download(&tensors["parameters"]), &p, 1e-12);
        assert_eq!(download(&tensors["gradients"]), [0.0; 3]);
    }
    assert_close(&download(&tensors["m"]), &m, 1e-12);
    assert_close(&download(&tensors["v"]), &v, 1e-12);
}

#[test]
fn gradients_that_are_not_finite_are_scrubbed_and_counted() {
    let gradients = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3e7, -2.0];
    let m = upload(&[0.0; 5]);
    let bindings = adam_numbers(0.0, (0.9, 0.999), 1e-8, 1)
        .tensor("parameters", &upload(&[0.0; 5]))
        .tensor("gradients", &upload(&gradients))
        .tensor("m", &m)
        .tensor("v", &upload(&[0.0; 5]));
    let [nonfinite] = run(|graph| adam_graph(graph, 5, (0.9, 0.999), false), &bindings, ["nonfinite"]);
    assert_eq!(nonfinite, [3.0]);
    assert_close(&download(&m), &[0.0, 1e4, -1e4, 3e6, -0.2], 1e-12);
}

#[test]
fn a_step_in_two_halves_is_the_same_step() {
    let gradients = [f64::NAN, f64::INFINITY, 0.3, 3e7, -2.0];
    let bindings = || {
        let tensor = |numbers: [f64; 5]| upload(&numbers);
        adam_numbers(0.1, (0.9, 0.999), 1e-8, 3)
            .tensor("parameters", &tensor([1.0, -2.0, 0.5, 0.0, 3.0]))
            .tensor("gradients", &tensor(gradients))
            .tensor("m", &tensor([0.1, -0.2, 0.3, 0.0, 0.5]))
            .tensor("v", &tensor([0.1, 0.2, 0.3, 0.0, 0.5]))
    };
    let (whole, halves) = (bindings(), bindings());
    let counted = run(|graph| adam_graph(graph, 5, (0.9, 0.999), false), &whole, ["nonfinite"]);
    let found = |graph: &mut Graph| {
        let all = graph.input("gradients", [5]);
        let mut of = |offset, len| {
            let gradient = Some(graph.window(all, offset, [len]));
            ParameterGradient { offset, len, gradient }
        };
        [of(0, 3), of(3, 2)]
    };
    let first = |graph: &mut Graph| {
        let found = found(graph);
        moments_graph(graph, 5, &found, (0.9, 0.999));
    };
    assert_eq!(run(first, &halves, ["nonfinite"]), counted);
    run(|graph| adam_step_graph(graph, 5), &halves, []);
    for name in ["parameters", "m", "v"] {
        let numbers = [&whole, &halves]
            .map(|bindings| download(bindings.expect(name, &[5].into(), Dtype::Real).unwrap()));
        assert_eq!(numbers[0], numbers[1], "{name}");
    }
}

#[test]
fn a_parameter_without_a_gradient_has_one_of_zero() {
    let [m, v] = [upload(&[0.5, 1.0, 1.0]), upload(&[0.5, 1.0, 1.0])];
    let bindings = Bindings::new().tensor("m", &m).tensor("v", &v);
    let gradients = [ParameterGradient { offset: 1, len: 2, gradient: None }];
    assert_eq!(
        run(|graph| moments_graph(graph, 3, &gradients, (0.9, 0.75)), &bindings, ["nonfinite"]),
        [[0.0]]
    );
    assert_close(&download(&m), &[0.5, 0.9, 0.9], 1e-15);
    assert_eq!(download(&v), [0.5, 0.75, 0.75]);
}

/// What one step in mixed precision makes of parameters, of the gradients times `scale`, and of the scale's state.
fn scaled_step(gradients: &[f64], state: [f64; 2]) -> (Vec<f64>, Vec<f64>) {
    let len = gradients.len();
    let (parameters, state) = (upload(&vec![1.0; len]), upload(&state));
    let bindings = adam_numbers(0.1, (0.9, 0.999), 1e-8, 1)
        .tensor("parameters", &parameters)
        .tensor("gradients", &upload(gradients))
        .tensor("m", &upload(&vec![0.0; len]))
        .tensor("v", &upload(&vec![0.0; len]))
        .tensor("scale", &state);
    let [nonfinite] = run(|graph| adam_graph(graph, len, (0.9, 0.999), true), &bindings, ["nonfinite"]);
    let bindings = Bindings::new().tensor("scale", &state).tensor("nonfinite", &upload(&nonfinite));
    run(ports::LossScale::update_graph, &bindings, []);
    (download(&parameters), download(&state))
}

#[test]
fn in_mixed_precision_the_scale_does_not_show_in_a_step() {
    let (parameters, state) = scaled_step(&[8.0, -16.0], [8.0, 5.0]);
    // The first step of Adam is the rate, whatever the gradient's size.
    assert_close(&parameters, &[0.9, 1.1], 1e-7);
    assert_eq!(state, [8.0, 6.0]);
}

#[test]
fn in_mixed_precision_a_step_that_is_not_finite_is_left_out_and_the_scale_backs_off() {
    assert_eq!(scaled_step(&[8.0, f64::INFINITY], [8.0, 5.0]), (vec![1.0, 1.0], vec![4.0, 0.0]));
    assert_eq!(scaled_step(&[f64::NAN], [1.0, 0.0]).1, [1.0, 0.0], "the scale is never below 1");
}

#[test]
fn in_mixed_precision_the_scale_doubles_after_two_thousand_finite_steps() {
    assert_eq!(scaled_step(&[8.0], [8.0, 1998.0]).1, [8.0, 1999.0]);
    assert_eq!(scaled_step(&[8.0], [8.0, 1999.0]).1, [16.0, 0.0]);
}

#[test]
fn the_average_moves_by_one_minus_beta() {
    for (beta, expected) in [(0.0, [3.0, 4.0]), (0.25, [2.5, 3.25]), (0.75, [1.5, 1.75]), (1.0, [1.0, 1.0])] {
        let average = upload(&[1.0, 1.0]);
        let bindings = Bindings::new()
            .tensor("average", &average)
            .tensor("parameters", &upload(&[3.0, 4.0]))
            .scalar("beta", beta);
        run(|graph| ema_graph(graph, 2), &bindings, []);
        assert_eq!(download(&average), expected, "beta {beta}");
    }
}

#[test]
fn noise_levels_are_log_normal_and_belong_to_the_image() {
    let sigmas = |steps| {
        let keys = keys(3, steps);
        let n = keys.shape()[0];
        let bindings = Bindings::new().tensor("keys", &keys);
        let [sigmas] = run(|graph| log_normal_graph(graph, n, (-1.2, 1.2), false), &bindings, ["sigma"]);
        sigmas
    };
    let all = sigmas(0..4000);
    assert_eq!(all[70..75], sigmas(70..75));
    let logs: Vec<f64> = all.iter().map(|sigma| sigma.ln()).collect();
    let mean = logs.iter().sum::<f64>() / 4000.0;
    let std = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / 4000.0).sqrt();
    assert!((mean + 1.2).abs() < 0.08 && (std - 1.2).abs() < 0.06, "mean {mean}, std {std}");
}

#[test]
fn noise_is_scaled_to_each_images_level() {
    let y: Vec<f64> = (0..8).map(f64::from).collect();
    let y = Reference.upload(&Array::new([2, 2, 2, 1], y)).unwrap();
    let bindings =
        Bindings::new().tensor("y", &y).tensor("sigma", &upload(&[0.5, 3.0])).tensor("keys", &keys(4, 6..8));
    let [x] = run(|graph| corrupt_graph(graph, &[2, 2, 2, 1].into()), &bindings, ["x"]);
    let noise = |image: u64, at| normal_f64(Key { seed: 1, stream: 4, step: 6 + image }.words(), at);
    let expected: Vec<f64> = (0..8)
        .map(|at| at as f64 + if at < 4 { 0.5 * noise(0, at) } else { 3.0 * noise(1, at - 4) })
        .collect();
    assert_close(&x, &expected, 1e-12);
}

#[test]
fn the_mean_loss_is_the_mean_over_images_whatever_the_parts() {
    let mean = |parts: &[&[f64]]| {
        let sizes: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        let bindings = parts.iter().enumerate().fold(Bindings::new(), |bindings, (at, part)| {
            bindings.tensor(&format!("losses.{at}"), &upload(part))
        });
        let [loss] = run(|graph| mean_loss_graph(graph, &sizes), &bindings, ["loss"]);
        loss[0]
    };
    let losses = [0.1, 0.7, 1e-9, 3.3, 0.2];
    assert_close(&[mean(&[&losses])], &[losses.iter().sum::<f64>() / 5.0], 1e-12);
    assert_eq!(mean(&[&losses[..2], &losses[2..4], &losses[4..]]), mean(&[&losses]));
}

/// A batch of two images for [`gradient_graph`].
struct Batch {
    by: Raw,
    bindings: Bindings,
    gradients: Tensor,
}

impl Batch {
    fn new() -> Self {
        let by = Raw(tiny_network((3, 0), |numbers| Reference.upload(numbers)).unwrap());
        let upload =
            |shape: &[usize], numbers: Vec<f64>| Reference.upload(&Array::new(shape, numbers)).unwrap();
        let images = |phase: f64| (0..32).map(|at| (at as f64 * 1.7 + phase).sin()).collect();
        let gradients = upload(&[by.0.network.layout().len], vec![0.0; by.0.network.layout().len]);
        let bindings = Bindings::new()
            .tensor("noisy", &upload(&[2, 4, 4, 1], images(0.3)))
            .tensor("target", &upload(&[2, 4, 4, 1], images(0.0)))
            .tensor("sigma", &upload(&[2], vec![0.4, 1.5]))
            .tensor("labels", &upload(&[2, 3], vec![1.0, 0.0, 0.0, 0.0, 0.5, 0.5]))
            .tensor("dropout", &keys(5, 0..2))
            .tensor("gradients", &gradients)
            .scalar("batch", 2.0);
        Batch { by, bindings, gradients }
    }

    /// The losses with these parameters.
    fn losses(&self, parameters: &[f64]) -> Vec<f64> {
        let bindings = self.bindings.clone().tensor("parameters", &upload(parameters));
        let [losses] = run(
            |graph| gradient_graph(graph, &self.by, &Weight::default(), 2, false, Gather::Arena),
            &bindings,
            ["losses"],
        );
        losses
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let batch = Batch::new();
    let parameters = download(&batch.by.0.arena);
    batch.losses(&parameters);
    let gradients = download(&batch.gradients);
    // What is propagated back: the sum over 16 pixels, mean over 2 images.
    let total = |parameters: &[f64]| batch.losses(parameters).iter().sum::<f64>() * 16.0 / 2.0;
    let mut moved = 0;
    for parameter in &batch.by.0.network.layout().parameters {
        let at = parameter.offset + parameter.len() / 2;
        let mut nearby = parameters.clone();
        let step = 1e-5;
        nearby[at] = parameters[at] + step;
        let above = total(&nearby);
        nearby[at] = parameters[at] - step;
        let slope = (above - total(&nearby)) / (2.0 * step);
        let error = (gradients[at] - slope).abs();
        assert!(
            error < 1e-5 * slope.abs().max(1.0),
            "{}: {}, expected {slope}",
            parameter.name,
            gradients[at]
        );
        moved += usize::from(slope.abs() > 1e-6);
    }
    assert!(moved > 20, "only {moved} parameters matter");
}

#[test]
fn the_loss_is_weighted_by_one_over_c_out_squared() {
    let batch = Batch::new();
    let layout = batch.by.0.network.layout();
    // Without parameters the network is silent, and D = x / 2.
    let losses = batch.losses(&vec![0.0; layout.len]);
    let pixel = |at: usize, phase: f64| (at as f64 * 1.7 + phase).sin();
    let error = |image: usize| {
        let square = |at| (0.5 * pixel(at, 0.3) - pixel(at, 0.0)).powi(2);
        (image * 16..image * 16 + 16).map(square).sum::<f64>() / 16.0
    };
    let lambda = |sigma: f64| Weight::default().lambda(sigma, 0);
    assert_close(&losses, &[lambda(0.4) * error(0), lambda(1.5) * error(1)], 1e-12);
    assert_eq!(batch.by.image()[..], [4, 4, 1]);
}
