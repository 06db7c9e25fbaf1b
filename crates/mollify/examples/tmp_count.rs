use pipeline::{Engine, Pipeline};
use ports::{Machine, Run};
use std::sync::Arc;
fn main() {
    let text = r#"(nodes: {
            "images": Digits(batch: 256),
            "sigmas": LogNormal(like: "images", mean: -1.2, std: 1.2),
            "unet":   SongUNet(like: "images", preset: DdpmPP, channels: 128, multipliers: [2,2,2], blocks: 4, attention: [4], dropout: 0.13),
            "net":    Precondition(by: "unet", scheme: Edm(sigma_data: 0.5)),
            "noisy":  Corrupt(images: "images", sigmas: "sigmas"),
            "grads":  Gradient(noisy: "noisy", target: "images", by: "net", weight: Edm(sigma_data: 0.5)),
            "adam":   Adam(grads: "grads", of: "unet", rate: 1e-3, rampup_mimg: 10.0),
            "ema":    Ema(of: "adam", halflife_mimg: 0.5, rampup: 0.05),
            "stop": Until(images: "images", kimg: 100),
    })"#;
    let pipeline = Pipeline::read("bench", text, &[]).map_err(|r| r.to_string()).unwrap();
    let mut engine = Engine::default().with(mollify::plugin);
    engine.wire(&pipeline).map_err(|r| r.to_string()).unwrap();
    let paper = gpu::Paper::new(gpu::Offer { largest_binding: 1 << 31, halves: true, cooperative: false });
    engine.world.insert_resource(Machine(Arc::new(paper.clone())));
    engine.world.insert_resource(Run::default());
    let mut last = (0, 0);
    for _ in 0..3 {
        engine.tick().map_err(|e| e.to_string()).unwrap();
        let now = paper.counts();
        println!("{:?}", (now.0 - last.0, now.1 - last.1));
        last = now;
    }
}
