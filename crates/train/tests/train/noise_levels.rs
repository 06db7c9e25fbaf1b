//! Noise distributions and loss weights: their formulas, strata, and what is refused.

use cpu::Cpu;
use diffusion::{EPSILON_T, SigmaData, Vp, Weight, log_uniform, vp_uniform};
use mollify_train::{log_normal_graph, log_uniform_graph, vp_uniform_graph, weighted_squared_error};
use philox::{Key, uniform_f64};
use ports::Sigmas;
use tensor::{Array, Bindings, Device, Graph, Reference, compile};

use crate::world::{TRAINING, engine, named, numbers, ticks};

const RANGE: (f64, f64) = (0.02, 100.0);

/// The three distributions.
#[derive(Clone, Copy, Debug)]
enum Distribution {
    Normal,
    Uniform,
    Vp,
}

const ALL: [Distribution; 3] = [Distribution::Normal, Distribution::Uniform, Distribution::Vp];

/// The levels that a device draws for images 0 to n.
fn draw(device: &dyn Device, distribution: Distribution, n: usize, stratified: bool) -> Vec<f64> {
    let mut graph = Graph::new();
    match distribution {
        Distribution::Normal => log_normal_graph(&mut graph, n, (-1.2, 1.2), stratified),
        Distribution::Uniform => log_uniform_graph(&mut graph, n, RANGE, stratified),
        Distribution::Vp => vp_uniform_graph(&mut graph, n, Vp::default(), EPSILON_T, stratified),
    }
    let words: Vec<u32> = (0..n as u64).flat_map(|step| key(step).words()).collect();
    let keys = device.upload(&Array::new([n, 4], words)).unwrap();
    let program = device.prepare(compile(graph)).unwrap();
    let mut made = device.run(&program, &Bindings::new().tensor("keys", &keys)).unwrap();
    device.download(&made.take("sigma").unwrap()).unwrap().f64s()
}

fn key(step: u64) -> Key {
    Key { seed: 0, stream: philox::stream::SIGMA, step }
}

fn uniform(image: usize) -> f64 {
    uniform_f64(key(image as u64).words(), 0)
}

/// How much of a distribution lies below a level, by formulas of its own.
fn share_below(distribution: Distribution, sigma: f64) -> f64 {
    match distribution {
        Distribution::Normal => normal_below((sigma.ln() + 1.2) / 1.2),
        Distribution::Uniform => (sigma / RANGE.0).ln() / (RANGE.1 / RANGE.0).ln(),
        // A uniform of 1 stands for the lowest level.
        Distribution::Vp => (1.0 - Vp::default().time(sigma)) / (1.0 - EPSILON_T),
    }
}

/// The unit normal's distribution function, as a series.
fn normal_below(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for odd in (3..300).step_by(2) {
        term *= x * x / f64::from(odd);
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

#[test]
fn levels_of_ve_and_vp_are_those_of_their_uniform_numbers() {
    for (image, sigma) in draw(&Reference, Distribution::Uniform, 50, false).into_iter().enumerate() {
        let expected = log_uniform(uniform(image), RANGE.0, RANGE.1);
        assert!((sigma - expected).abs() < 1e-12 * expected, "{sigma} for {expected}");
    }
    for (image, sigma) in draw(&Reference, Distribution::Vp, 50, false).into_iter().enumerate() {
        let expected = vp_uniform(uniform(image), Vp::default(), EPSILON_T);
        assert!((sigma - expected).abs() < 1e-12 * expected, "{sigma} for {expected}");
    }
}

#[test]
fn stratified_each_image_draws_from_its_own_share() {
    for distribution in ALL {
        for n in [1, 7, 5000] {
            for (image, sigma) in draw(&Reference, distribution, n, true).into_iter().enumerate() {
                let expected = (image as f64 + uniform(image)) / n as f64;
                let found = share_below(distribution, sigma);
                let nearer_end = expected.min(1.0 - expected);
                let error = (found - expected).abs();
                assert!(error < 1e-5 * nearer_end + 1e-13, "{distribution:?}, image {image} of {n}: {found}");
            }
        }
    }
}

#[test]
fn a_batch_of_one_is_not_changed_by_strata() {
    for distribution in [Distribution::Uniform, Distribution::Vp] {
        assert_eq!(draw(&Reference, distribution, 1, true), draw(&Reference, distribution, 1, false));
    }
}

#[test]
fn devices_of_few_digits_draw_the_same_levels() {
    for distribution in ALL {
        for stratified in [false, true] {
            let exact = draw(&Reference, distribution, 3000, stratified);
            let found = draw(&Cpu::new(1), distribution, 3000, stratified);
            for (found, exact) in found.iter().zip(&exact) {
                let error = (found / exact - 1.0).abs();
                assert!(error < 1e-5, "{distribution:?}, stratified {stratified}: {found} for {exact}");
            }
        }
    }
}

#[test]
fn every_weight_is_that_of_its_formula_in_every_channel() {
    let each = SigmaData::Each(vec![0.5, 0.2, 1.3]);
    for weight in [Weight::Vp, Weight::Ve, Weight::default(), Weight::Edm { sigma_data: each }] {
        let upload =
            |shape: &[usize], values: Vec<f64>| Reference.upload(&Array::new(shape, values)).unwrap();
        let mut graph = Graph::new();
        let [d, y] = ["d", "y"].map(|name| graph.input(name, [2, 1, 1, 3]));
        let sigma = graph.input("sigma", [2, 1, 1, 1]);
        let loss = weighted_squared_error(&mut graph, d, y, sigma, &weight);
        graph.output("loss", loss);
        let bindings = Bindings::new()
            .tensor("d", &upload(&[2, 1, 1, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
            .tensor("y", &upload(&[2, 1, 1, 3], vec![0.5; 6]))
            .tensor("sigma", &upload(&[2, 1, 1, 1], vec![0.07, 3.0]));
        let program = Reference.prepare(compile(graph)).unwrap();
        let loss = Reference.run(&program, &bindings).unwrap().take("loss").unwrap();
        for (at, found) in Reference.download(&loss).unwrap().f64s().into_iter().enumerate() {
            let expected = weight.lambda([0.07, 3.0][at / 3], at % 3) * (at as f64 + 0.5).powi(2);
            assert!((found - expected).abs() < 1e-12 * expected, "{weight:?}: {found} for {expected}");
        }
    }
}

/// The training nodes with another distribution and weight.
fn chosen(distribution: &str, gradient: &str) -> String {
    let training = TRAINING.replace(r#"LogNormal(like: "data")"#, distribution);
    training.replace(r#"labels: "data")"#, &format!(r#"labels: "data", {gradient})"#))
}

#[test]
fn any_distribution_trains_with_any_weight() {
    for distribution in ["LogNormal", "LogUniform", "VpUniform"] {
        for options in ["", ", stratified: true, seed: 3"] {
            for weight in ["Vp", "Ve", "Edm(sigma_data: 1)", "Edm(sigma_data: [0.3])"] {
                let distribution = format!(r#"{distribution}(like: "data"{options})"#);
                let nodes = chosen(&distribution, &format!("weight: {weight}"));
                let mut engine = engine(&nodes).unwrap_or_else(|report| panic!("{report}"));
                let told = ticks(&mut engine, 3);
                let losses = named(&told, "loss");
                assert!(losses.len() == 2 && losses.iter().all(|loss| loss.is_finite()), "{nodes}");
                assert!(named(&told, "nonfinite_grads").is_empty(), "{nodes}");
            }
        }
    }
}

#[test]
fn strata_are_the_same_in_every_run_and_do_not_know_of_micro_batches() {
    let run = |micro_batch: &str| {
        let mut engine =
            engine(&chosen(r#"LogNormal(like: "data", stratified: true)"#, micro_batch)).unwrap();
        let levels = |_| {
            ticks(&mut engine, 1);
            numbers(&engine, &engine.value::<Sigmas>("sigmas").unwrap().0)
        };
        [0, 1].map(levels)
    };
    let [first, second] = run("");
    assert!(first.is_sorted() && second.is_sorted(), "{first:?} {second:?}");
    assert_ne!(first, second);
    assert_eq!(run("micro_batch: 3"), [first, second]);
}

#[test]
fn distributions_and_weights_that_make_no_sense_are_refused_while_wiring() {
    for (distribution, weight, says) in [
        (
            "LogUniform(like: \"data\", sigma_min: 5, sigma_max: 2)",
            "Ve",
            "noise levels from 5 to 2 are none at all",
        ),
        (
            "LogUniform(like: \"data\", sigma_min: 0)",
            "Ve",
            "`sigma_min` is 0, expected a finite number above 0",
        ),
        ("VpUniform(like: \"data\", epsilon_t: 1)", "Vp", "times from 1 to 1 are none at all"),
        ("VpUniform(like: \"data\", beta_d: 3000)", "Vp", "lower `beta_d` or `beta_min`"),
        ("VpUniform(like: \"data\", beta_min: -1)", "Vp", "`beta_min` is -1"),
        (
            "LogNormal(like: \"data\")",
            "Edm(sigma_data: [0.5, 0.5])",
            "a list of 2, but the images have 1 channels",
        ),
        ("LogNormal(like: \"data\")", "Ddpm", "known here: `Vp`, `Ve`, `Edm`"),
        ("LogNormal(like: \"data\", stratified: 1)", "Vp", "stratified"),
    ] {
        let report = engine(&chosen(distribution, &format!("weight: {weight}"))).err();
        let report = report.unwrap_or_else(|| panic!("{distribution} and {weight} are taken"));
        assert!(report.contains(says), "`{says}` is not in: {report}");
    }
}
