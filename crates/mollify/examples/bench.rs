//! Measures one thing and prints it as a line of JSON; `cargo xtask bench` starts one of these for each measurement.
//!
//! What is measured are pipelines as anyone would write them, with one kind of node of its own: random images.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy_ecs::prelude::*;
use clap::Parser;
use pipeline::{Engine, Inputs, Mistake, Node, Pipeline, Shape, Shapes, This, Unfinished};
use ports::{Compute, Images, Machine, Parameters, Run, Sigma};
use serde::Deserialize;
use serde_json::json;
use tensor::Array;

/// Measures forward passes, training steps or sampling runs of a network, in images per second and bytes
#[derive(Parser)]
struct Args {
    #[arg(long)]
    config: String,
    #[arg(long)]
    mode: String,
    #[arg(long)]
    batch: usize,
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// Random images that never end; noisy ones if `noisy`.
#[derive(Component, Deserialize)]
#[require(Unfinished)]
struct Still {
    batch: usize,
    size: usize,
    channels: usize,
    noisy: bool,
}

impl Node for Still {
    type Value = Images;

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(Shape::from([self.size, self.size, self.channels])))
    }
}

fn still(this: This<Still>, old: Query<&Images>, compute: Compute) -> Result<Images> {
    let count = (this.batch * this.size * this.size * this.channels) as u64;
    let images = match old.get(this.node()) {
        Ok(old) => Images { before: old.before + this.batch as u64, ..old.clone() },
        Err(_) => {
            // The digits of a golden ratio: as even as random numbers for the purpose, and on [-1, 1].
            let numbers: Vec<f32> =
                (0..count).map(|i| 2.0 * (i as f64 * 0.618_033_988_75).fract() as f32 - 1.0).collect();
            let shape = [this.batch, this.size, this.size, this.channels];
            let mut images = Images::clean(compute.upload(&Array::new(shape, numbers))?, 0);
            if this.noisy {
                let sigmas: Vec<f32> = (0..this.batch).map(|i| 0.1 + i as f32 / this.batch as f32).collect();
                images.sigma = Sigma::Each(compute.upload(&Array::new([this.batch], sigmas))?);
            }
            images
        }
    };
    Ok(images)
}

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
fn pipeline(args: &Args) -> Result<(String, usize), String> {
    let ([size, channels], settings) = network(&args.config)?;
    let batch = args.batch;
    let (noisy, ticks, nodes) = match args.mode.as_str() {
        "forward" => (true, 1, r#""denoised": Denoise(x: "images", by: "net"),"#.to_owned()),
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
        mode => return Err(format!("`{mode}` is none of forward, train, sample")),
    };
    let text = format!(
        r#"(
        nodes: {{
            "images": Still(batch: {batch}, size: {size}, channels: {channels}, noisy: {noisy}),
            "unet":   SongUNet(like: "images", preset: DdpmPP, {settings}, dropout: 0.13),
            "net":    Precondition(by: "unet", scheme: Edm(sigma_data: 0.5)),
            {nodes}
        }},
    )"#
    );
    Ok((text, ticks))
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<String, String> {
    let (text, ticks) = pipeline(args)?;
    let pipeline = Pipeline::read("bench", &text, &[]).map_err(|report| report.to_string())?;
    let mut engine = Engine::default().with(mollify::plugin);
    engine.node::<Still, _>(still);
    engine.wire(&pipeline).map_err(|report| report.to_string())?;
    engine.world.insert_resource(Machine(Arc::new(cpu::Cpu::new(args.threads))));
    engine.world.insert_resource(Run::default());

    // The first ticks also make the network and compile programs.
    run(&mut engine, 3)?;
    let before = Usage::now();
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < 3 || began.elapsed() < Duration::from_secs_f64(args.seconds) {
        let start = Instant::now();
        run(&mut engine, ticks)?;
        times.push(start.elapsed().as_secs_f64());
    }
    let wall = began.elapsed().as_secs_f64();
    let used = Usage::now();
    times.sort_by(f64::total_cmp);
    let median = (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0;
    let own = used.own - before.own;
    let network = engine.value::<Parameters>("unet").map(|parameters| parameters.network.clone());
    let count =
        |network: Arc<dyn unet::Network>| network.layout().parameters.iter().map(|p| p.len()).sum::<usize>();
    Ok(json!({
        "config": args.config,
        "mode": args.mode,
        "batch": args.batch,
        "threads": args.threads,
        "median_ms": 1e3 * median,
        "min_ms": 1e3 * times[0],
        "reps": times.len(),
        "images_per_s": args.batch as f64 / median,
        "peak_mib": used.peak_mib,
        "params": network.map(count),
        "own_cores": own / wall,
        "other_cores": ((used.all - before.all - own) / wall).max(0.0),
    })
    .to_string())
}

fn run(engine: &mut Engine, ticks: usize) -> Result<(), String> {
    (0..ticks).try_for_each(|_| engine.tick()).map_err(|failure| failure.to_string())
}

/// What was used of the machine so far; zeros where there is no `/proc`.
struct Usage {
    /// Seconds of processor time of this process.
    own: f64,
    /// Seconds of processor time of all processes.
    all: f64,
    peak_mib: f64,
}

impl Usage {
    fn now() -> Self {
        /// Linux counts processor time in hundredths, whatever its own clock.
        const TICKS: f64 = 100.0;
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let sum = |fields: &[&str]| {
            fields.iter().filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS
        };
        let stat = read("/proc/self/stat");
        let own: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2).collect();
        let stat = read("/proc/stat");
        let all: Vec<&str> = stat.split_whitespace().skip(1).take(3).collect();
        let status = read("/proc/self/status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"));
        let peak_mib = peak.and_then(|kib| kib.trim().parse::<f64>().ok()).map_or(0.0, |kib| kib / 1024.0);
        Self { own: sum(&own), all: sum(&all), peak_mib }
    }
}
