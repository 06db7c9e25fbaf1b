//! What is measured: pipelines as anyone would write them.

use crate::{Args, Precision};

/// The network of a configuration: its images, and its settings.
fn network(config: &str) -> Result<([usize; 2], &'static str), String> {
    match config {
        "small32" => Ok(([32, 3], "channels: 32, multipliers: [1, 2, 2], blocks: 2, attention: [16]")),
        "cifar10" => Ok(([32, 3], "channels: 128, multipliers: [2, 2, 2], blocks: 4, attention: [16]")),
        "tiny8" => Ok(([8, 1], "channels: 32, multipliers: [1, 2], blocks: 2, attention: []")),
        _ => Err(format!("`{config}` is none of small32, cifar10, tiny8")),
    }
}

/// The pipeline to measure, and how many of its ticks are one repetition.
pub fn pipeline(args: &Args) -> Result<(String, usize), String> {
    let ([size, channels], settings) = network(&args.config)?;
    let batch = args.batch;
    let precision = if args.precision == Precision::Mixed { ", precision: Mixed" } else { "" };
    let network = match args.mode.as_str() {
        "augment" => String::new(),
        _ => format!(
            r#""unet":   SongUNet(like: "images", preset: DdpmPP, {settings}, dropout: 0.13{precision}),
            "net":    Precondition(by: "unet", scheme: Edm(sigma_data: 0.5)),"#
        ),
    };
    let (noisy, ticks, nodes) = match args.mode.as_str() {
        "forward" => (true, 1, r#""denoised": Denoise(x: "images", by: "net"),"#.to_owned()),
        "augment" => {
            (false, 1, r#""augmented": Augment(images: "images", p: 0.12, preset: Paper),"#.to_owned())
        }
        "train" => (
            false,
            1,
            r#"
            "sigmas": LogNormal(like: "images", mean: -1.2, std: 1.2),
            "noisy":  Corrupt(images: "images", sigmas: "sigmas"),
            "grads":  Gradient(noisy: "noisy", target: "images", by: "net", weight: Edm(sigma_data: 0.5)),
            "adam":   Adam(grads: "grads", of: "unet", rate: 1e-3, rampup_mimg: 10.0),
            "ema":    Ema(of: "adam", halflife_mimg: 0.5, rampup: 0.05),"#
                .to_owned(),
        ),
        "sample" => (
            false,
            18,
            format!(
                r#"
            "times":  TimeSteps(steps: 18),
            "seeds":  Batches(of: "0-999999999", size: {batch}, step: "x"),
            "start":  Latents(seeds: "seeds", times: "times", like: "net"),
            "x":      Trajectory(start: "start", next: "heun", times: "times"),
            "first":  Denoise(x: "x", by: "net"),
            "euler":  Euler(x: "x", denoised: "first"),
            "second": Denoise(x: "euler", by: "net"),
            "heun":   Heun(x: "x", first: "first", euler: "euler", second: "second"),"#
            ),
        ),
        mode => return Err(format!("`{mode}` is none of forward, train, sample, augment")),
    };
    let text = format!(
        r#"(
        nodes: {{
            "images": Still(batch: {batch}, size: {size}, channels: {channels}, noisy: {noisy}),
            {network}
            {nodes}
        }},
    )"#
    );
    Ok((text, ticks))
}
