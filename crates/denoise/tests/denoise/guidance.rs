//! Guidance, against the answers of the denoisers that it is made of.

use std::sync::Arc;

use mollify_denoise::{GuidedDenoiser, PreconditionedNetwork};
use ports::{Denoise, Denoiser};
use tensor::Device;
use tensor::{Bindings, Graph, Reference, compile};

use crate::small::{ask, denoiser, mistake, numbers, parameters, question, tiny, upload, wire};

const TWO: &str = r#"
    "net":  Guidance(by: "best", from: "worse", weight: 2.5, min: 0.5, max: 3.0),
    "best": Points(at: [(1.0, 0.0), (-1.0, 0.0)]),
    "worse": Points(at: [(2.0, 0.5), (-1.0, 0.0)]),"#;

/// A tiny conditional network as a denoiser.
fn network(name: &str, classes: usize) -> Arc<dyn Denoise> {
    let config = unet::SongUNetConfig { label_dim: classes, ..tiny() };
    Arc::new(PreconditionedNetwork::new(name, parameters(config), Default::default()))
}

fn guided(by: Arc<dyn Denoise>, from: Option<Arc<dyn Denoise>>) -> GuidedDenoiser {
    GuidedDenoiser { by, from, weight: 3.0, range: (0.0, f64::INFINITY) }
}

/// by + (weight - 1) (by - from).
fn pushed(by: &[f64], from: &[f64], weight: f64) -> Vec<f64> {
    by.iter().zip(from).map(|(by, from)| from + weight * (by - from)).collect()
}

fn near(found: &[f64], expected: &[f64]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12)
}

#[test]
fn answers_are_pushed_away_from_those_of_the_other() {
    let find = |name: &str| {
        let mut engine = wire(TWO).unwrap();
        engine.tick().unwrap();
        engine.value::<Denoiser>(name).unwrap().0.clone()
    };
    let x = [0.3, 0.1];
    for (sigma, weight) in [(0.2, 1.0), (0.5, 2.5), (1.0, 2.5), (3.0, 2.5), (3.5, 1.0)] {
        let [by, from] = ["best", "worse"].map(|name| ask(find(name).as_ref(), &x, &[sigma]));
        let found = ask(find("net").as_ref(), &x, &[sigma]);
        assert!(near(&found, &pushed(&by, &from, weight)), "at {sigma}: {found:?}");
    }
}

#[test]
fn only_levels_in_the_interval_cost_two_evaluations() {
    let net = denoiser(TWO).0;
    assert_eq!(net.evaluations(), 2);
    let cost = |sigma: f64| net.at(sigma).unwrap_or(net.as_ref()).evaluations();
    assert_eq!([0.4, 0.5, 1.0, 3.0, 3.1].map(cost), [1, 2, 2, 2, 1]);
    let x = [0.3, 0.1, -0.5, 0.2];
    for sigma in [0.4, 3.1] {
        assert_eq!(ask(net.at(sigma).unwrap(), &x, &[sigma; 2]), ask(net.as_ref(), &x, &[sigma; 2]));
    }
    let idle = denoiser(&TWO.replace("2.5", "1.0")).0;
    assert_eq!(idle.at(1.0).map(Denoise::evaluations), Some(1), "a weight of 1 asks nothing of the other");
}

#[test]
fn one_network_is_asked_again_without_its_labels() {
    let net = network("net", 3);
    let (x, sigmas) = (numbers(2 * 32), [0.3, 5.0]);
    let without = {
        let mut graph = Graph::new();
        let shape = tensor::Shape::from([2, 4, 4, 2]);
        let question = ports::Query { labels: None, ..question(&mut graph, &shape, 0) };
        let answer = net.build(&mut graph, &question);
        graph.output("d", answer);
        let bound = Bindings::new().tensor("x", &upload(shape, x.clone()));
        let bound = bound.tensor("sigma", &upload([2, 1, 1, 1], sigmas.to_vec())).extend(&net.bindings());
        let program = Reference.prepare(compile(graph)).unwrap();
        let d = Reference.run(&program, &bound).unwrap().take("d").unwrap();
        Reference.download(&d).unwrap().f64s()
    };
    let with = ask(net.as_ref(), &x, &sigmas);
    assert!(with.iter().zip(&without).any(|(a, b)| (a - b).abs() > 1e-6), "labels matter to this network");
    let found = ask(&guided(net, None), &x, &sigmas);
    assert!(near(&found, &pushed(&with, &without, 3.0)));
}

#[test]
fn two_networks_need_not_both_take_labels() {
    let (x, sigmas) = (numbers(2 * 32), [0.3, 5.0]);
    for classes in [0, 3] {
        let (by, from) = (network("by", 3), network("from", classes));
        let found = ask(&guided(by.clone(), Some(from.clone())), &x, &sigmas);
        let [by, from] = [by, from].map(|net| ask(net.as_ref(), &x, &sigmas));
        assert!(near(&found, &pushed(&by, &from, 3.0)), "{classes} classes");
    }
}

#[test]
fn guidance_can_be_guided() {
    let net = denoiser(&format!(
        "{} \"inner\": Guidance(by: \"best\", from: \"worse\", weight: 2.0, max: 1.0),",
        TWO.replace("by: \"best\"", "by: \"inner\"")
    ))
    .0;
    let cost = |sigma: f64| net.at(sigma).unwrap_or(net.as_ref()).evaluations();
    assert_eq!([0.4, 0.7, 4.0].map(cost), [2, 3, 1]);
}

#[test]
fn guidance_that_makes_no_sense_is_refused() {
    let points = "\"p\": Points(at: [(1.0, 0.0)]),";
    let alone = mistake(&format!("{points} \"net\": Guidance(by: \"p\", weight: 2.0)"));
    assert_eq!(alone, "`p` takes no labels that could be left out; name another denoiser in `from`");
    let range = "\"net\": Guidance(by: \"p\", from: \"p\", weight: 2.0, min: 3.0, max: 1.0)";
    assert!(mistake(&format!("{points} {range}")).starts_with("noise levels from 3 to 1 are none at all"));
    let weight = "\"net\": Guidance(by: \"p\", from: \"p\", weight: inf)";
    assert!(mistake(&format!("{points} {weight}")).starts_with("`weight` must be a finite number, not inf"));
}
