//! Losses that are known without training: of normal data, on which there is nothing to learn, and of a network that says
//! nothing yet.

use std::sync::Arc;

use bevy_ecs::message::Messages;
use pipeline::{Engine, Metric, Pipeline};
use ports::{Images, Machine};
use tensor::{Array, Bindings, Device, Distribution, Graph, compile};

const SIGMAS: [f64; 7] = [0.005, 0.05, 0.2, 0.5, 1.0, 5.0, 80.0];

/// The loss of an untrained network on these images, all at one noise level, and their mean square.
fn first_loss(data: &str, sigma: f64) -> (f64, f64) {
    let nodes = format!(
        r#"(nodes: {{
            "data":   {data},
            "sigmas": LogUniform(like: "data", sigma_min: {sigma:?}, sigma_max: {:?}),
            "noisy":  Corrupt(images: "data", sigmas: "sigmas"),
            "unet":   SongUNet(like: "data", channels: 4, multipliers: [1], blocks: 0, attention: []),
            "net":    Precondition(by: "unet", scheme: Edm(sigma_data: 0.5)),
            "grads":  Gradient(noisy: "noisy", target: "data", by: "net", weight: Edm(sigma_data: 0.5)),
            "stop":   Until(images: "data", count: 1),
        }})"#,
        sigma * 1.0001
    );
    let mut engine = Engine::default().with(mollify::plugin);
    engine.world.insert_resource(Machine(Arc::new(cpu::Cpu::new(1))));
    let pipeline = Pipeline::read("truths.ron", &nodes, &[]).unwrap_or_else(|report| panic!("{report}"));
    engine.wire(&pipeline).unwrap_or_else(|report| panic!("{report}"));
    engine.tick().unwrap_or_else(|failure| panic!("{failure}"));
    let told = engine.world.resource::<Messages<Metric>>().iter_current_update_messages();
    let loss = told.filter(|metric| metric.name == "loss").map(|metric| metric.value).last().expect("a loss");
    let device = engine.world.resource::<Machine>().0.clone();
    let pixels = device.download(&engine.value::<Images>("data").expect("data").pixels).unwrap().f64s();
    (loss, pixels.iter().map(|y| y * y).sum::<f64>() / pixels.len() as f64)
}

/// Normal images of standard deviation 0.5, as a file.
fn normal_images(folder: &tempfile::TempDir) -> String {
    let n = 2048;
    let device = cpu::Cpu::new(1);
    let mut graph = Graph::new();
    let keys = graph.keys("keys", n);
    let normal = graph.random(Distribution::Normal, keys, 0, [n, 8, 8, 1]);
    let images = graph.scale(normal, 0.5);
    graph.output("images", images);
    let key = |seed| philox::Key { seed, stream: philox::stream::NOISE, step: 1 << 40 }.words();
    let keys = Array::new([n, 4], (0..n as u64).flat_map(key).collect::<Vec<u32>>());
    let bindings = Bindings::new().tensor("keys", &device.upload(&keys).unwrap());
    let program = device.prepare(compile(graph)).unwrap();
    let images = device.run(&program, &bindings).unwrap().take("images").unwrap();
    let path = folder.path().join("normal.npy");
    data::to_file(&path, "images", &device.download(&images).unwrap()).unwrap();
    format!("LoadImages(file: {path:?})")
}

/// 131,072 squares have a mean that is uncertain by √(2 / 131072) = 0.4 %.
const SPREAD: f64 = 0.015;

#[test]
fn on_normal_data_the_loss_is_one_at_every_noise_level() {
    let folder = tempfile::tempdir().unwrap();
    let data = normal_images(&folder);
    for sigma in SIGMAS {
        let (loss, _) = first_loss(&data, sigma);
        assert!((loss - 1.0).abs() < SPREAD, "{loss} at {sigma}");
    }
}

#[test]
fn the_first_loss_tells_the_mean_square_of_the_data() {
    for sigma in SIGMAS {
        let (loss, square) = first_loss("Digits(batch: 1797)", sigma);
        // L_0(σ) = (σ² m₂ / σ_data² + σ_data²) / (σ² + σ_data²), from 1 at little noise to m₂ / σ_data² at much.
        let expected = (sigma * sigma * square / 0.25 + 0.25) / (sigma * sigma + 0.25);
        assert!((loss / expected - 1.0).abs() < SPREAD, "{loss} at {sigma}, not {expected}");
    }
}
