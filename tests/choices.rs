//! The choices of training are independent: any preconditioning goes with any weight and any noise distribution.

use std::sync::Arc;

use pipeline::{Engine, Pipeline};
use ports::{Gradients, Machine, Sigmas};

const SCHEMES: [&str; 5] = ["Vp()", "Ve()", "Iddpm()", "Edm()", "Edm(sigma_data: [0.7])"];
const WEIGHTS: [&str; 4] = ["Vp", "Ve", "Edm()", "Edm(sigma_data: [0.7])"];
const DISTRIBUTIONS: [&str; 3] = ["LogNormal", "LogUniform", "VpUniform"];

/// One step of training a tiny network: its noise levels and gradients.
fn step(scheme: &str, weight: &str, distribution: &str, stratified: bool) -> (Vec<f64>, Vec<f64>) {
    let nodes = format!(
        r#"(nodes: {{
            "data":   Digits(batch: 3),
            "sigmas": {distribution}(like: "data", stratified: {stratified}),
            "noisy":  Corrupt(images: "data", sigmas: "sigmas"),
            "unet":   SongUNet(like: "data", channels: 4, multipliers: [1], blocks: 0, attention: [], out_channels: 2),
            "net":    Precondition(by: "unet", scheme: {scheme}),
            "grads":  Gradient(noisy: "noisy", target: "data", by: "net", weight: {weight}),
            "stop":   Until(images: "data", count: 100),
        }})"#
    );
    let mut engine = Engine::default().with(mollify::plugin);
    engine.world.insert_resource(Machine(Arc::new(cpu::Cpu::new(1))));
    let pipeline = Pipeline::read("choices.ron", &nodes, &[]).unwrap_or_else(|report| panic!("{report}"));
    engine.wire(&pipeline).unwrap_or_else(|report| panic!("{report}"));
    engine.tick().unwrap_or_else(|failure| panic!("{scheme}, {weight}, {distribution}: {failure}"));
    let device = engine.world.resource::<Machine>().0.clone();
    let numbers = |tensor| device.download(tensor).unwrap().f64s();
    let sigmas = &engine.value::<Sigmas>("sigmas").unwrap().0;
    (numbers(sigmas), numbers(engine.value::<Gradients>("grads").unwrap().arena().unwrap()))
}

#[test]
fn any_preconditioning_trains_with_any_weight_and_any_distribution() {
    for scheme in SCHEMES {
        for weight in WEIGHTS {
            for distribution in DISTRIBUTIONS {
                let (sigmas, gradients) = step(scheme, weight, distribution, weight == "Ve");
                let what = format!("{scheme}, {weight}, {distribution}, {sigmas:?}");
                assert!(sigmas.iter().all(|sigma| *sigma > 0.0 && sigma.is_finite()), "{what}");
                assert!(gradients.iter().all(|gradient| gradient.is_finite()), "{what}");
                assert!(gradients.iter().any(|gradient| *gradient != 0.0), "{what}");
            }
        }
    }
}
