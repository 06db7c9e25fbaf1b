//! Noise added and taken away at one level, again and again, as in figure 14: where the solver alone ends up.

use diffusion::Path;
use mollify_sampler::{Slope, euler_step, heun_step};
use tensor::{Array, Bindings, Device, Graph, Reference, compile};

const STD: f64 = 0.5;

/// By what a step from √2 σ down to σ multiplies an image of normal data, by Euler's method and by Heun's.
fn factors(sigma: f64) -> [f64; 2] {
    let (up, ideal) = (2f64.sqrt() * sigma, |sigma: f64| STD * STD / (sigma * sigma + STD * STD));
    let mut graph = Graph::new();
    let [x_hat, denoised] = ["x_hat", "denoised"].map(|name| graph.input(name, [1]));
    let (before, after) = (Slope::of(&mut graph, "t_hat"), Slope::of(&mut graph, "t"));
    let [h, w, shrink] = ["h", "w", "shrink"].map(|name| graph.scalar(name));
    let euler = euler_step(&mut graph, x_hat, denoised, before, h);
    let second = graph.mul(euler, shrink);
    let heun = heun_step(&mut graph, (x_hat, denoised, before), (euler, second, after), [h, w]);
    graph.output("euler", euler);
    graph.output("heun", heun);
    let one = |x: f64| Reference.upload(&Array::new([1], vec![x])).unwrap();
    let bindings = Bindings::new().tensor("x_hat", &one(1.0)).tensor("denoised", &one(ideal(up)));
    let bindings = Slope::bind(bindings, "t_hat", Path::default(), up);
    let bindings = Slope::bind(bindings, "t", Path::default(), sigma);
    let bindings = bindings.scalar("h", sigma - up).scalar("w", 0.5).scalar("shrink", ideal(sigma));
    let mut outputs = Reference.run(&Reference.prepare(compile(graph)).unwrap(), &bindings).unwrap();
    ["euler", "heun"].map(|name| Reference.download(&outputs.take(name).unwrap()).unwrap().f64s()[0])
}

/// The standard deviation that images have after ever so many rounds, as a part of the true one: what stays the same
/// under v' = a² (v + σ²).
fn stationary(a: f64, sigma: f64) -> f64 {
    let variance = (a * sigma).powi(2) / (1.0 - a * a);
    (variance / (sigma * sigma + STD * STD)).sqrt()
}

#[test]
fn heuns_method_keeps_the_spread_of_normal_data_at_every_level_and_eulers_loses_it() {
    let heun = [
        (0.02, 1.00006),
        (0.1, 1.0014),
        (0.2, 1.0046),
        (0.5, 1.0094),
        (1.0, 1.0058),
        (2.0, 1.0020),
        (10.0, 1.0001),
    ];
    for (sigma, expected) in heun {
        let found = stationary(factors(sigma)[1], sigma);
        assert!((found - expected).abs() < 6e-5, "{found} at {sigma}, not {expected}");
    }
    for (sigma, expected) in [(0.02, 0.924), (0.2, 0.932), (0.5, 0.959), (1.0, 0.983)] {
        let found = stationary(factors(sigma)[0], sigma);
        assert!((found - expected).abs() < 6e-4, "{found} at {sigma}, not {expected}");
    }
}
