//! Measures one thing and prints it as a line of JSON; `cargo xtask bench` starts one of these for each measurement.

mod dispatch;
mod pipelines;
mod still;
mod usage;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use gpu::{Gpu, Mode};
use mollify::profile::table;
use pipeline::{Engine, Pipeline};
use ports::{Machine, Parameters, Run};
use serde_json::json;
use tensor::Device;

use crate::still::{Still, still};
use crate::usage::Usage;

/// Measures forward passes, training steps or sampling runs of a network, in images per second and bytes, or the
/// augmentation of its images, or dispatches
#[derive(Parser)]
struct Args {
    #[arg(long, default_value = "cifar10")]
    config: String,
    #[arg(long)]
    mode: String,
    #[arg(long, default_value_t = 4)]
    batch: usize,
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// `cpu`, `gpu` or `gpu:NAME`
    #[arg(long, default_value = "cpu")]
    device: String,
    #[arg(long, value_enum, default_value_t = Precision::Full)]
    precision: Precision,
    /// Take the time of every kernel, and print a table of them to standard error
    #[arg(long)]
    profile: bool,
}

/// Of a network's activations.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    Full,
    Mixed,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let measured = if args.mode == "dispatch" { dispatch::measure(&args) } else { measure(&args) };
    match measured {
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
    let gpu = open_gpu(&args.device)?;
    let machine: Arc<dyn Device> = match &gpu {
        Some(gpu) => gpu.clone(),
        None => Arc::new(cpu::Cpu::new(args.threads)),
    };
    let name = machine.name();
    let (mut engine, ticks) = engine(args, machine.clone())?;
    // The first ticks also make the network and compile programs.
    run(&mut engine, 3)?;
    if args.profile {
        machine.profile().map_err(|error| error.to_string())?;
    }
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
    if args.profile {
        eprint!("{}", table(&machine.times().map_err(|error| error.to_string())?));
    }
    times.sort_by(f64::total_cmp);
    let median = (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0;
    let own = used.own - before.own;
    let network = engine.value::<Parameters>("unet").map(|parameters| parameters.network.clone());
    let count =
        |network: Arc<dyn unet::Network>| network.layout().parameters.iter().map(|p| p.len()).sum::<usize>();
    Ok(json!({
        "config": args.config,
        "mode": args.mode,
        "precision": format!("{:?}", args.precision).to_lowercase(),
        "batch": args.batch,
        "device": name,
        "threads": args.threads,
        "median_ms": 1e3 * median,
        "min_ms": 1e3 * times[0],
        "reps": times.len(),
        "images_per_s": args.batch as f64 / median,
        "peak_mib": gpu.map_or(used.peak_mib, |gpu| gpu.memory() as f64 / f64::from(1 << 20)),
        "params": network.map(count),
        "own_cores": own / wall,
        "other_cores": ((used.all - before.all - own) / wall).max(0.0),
    })
    .to_string())
}

/// The GPU that the user names; none for the CPU.
fn open_gpu(device: &str) -> Result<Option<Arc<Gpu>>, String> {
    let name = match (device, device.strip_prefix("gpu:")) {
        ("cpu", _) => return Ok(None),
        ("gpu", _) => None,
        (_, Some(name)) => Some(name),
        _ => return Err(format!("`{device}` is none of cpu, gpu, gpu:NAME")),
    };
    let opened = gpu::find(name).and_then(|adapter| Gpu::open(&adapter, Mode::Trusted));
    opened.map(|gpu| Some(Arc::new(gpu))).map_err(|error| error.to_string())
}

/// An engine with the pipeline to measure, and how many of its ticks are one repetition.
fn engine(args: &Args, device: Arc<dyn Device>) -> Result<(Engine, usize), String> {
    let (text, ticks) = pipelines::pipeline(args)?;
    let pipeline = Pipeline::read("bench", &text, &[]).map_err(|report| report.to_string())?;
    let mut engine = Engine::default().with(mollify::plugin);
    engine.node::<Still, _>(still);
    engine.wire(&pipeline).map_err(|report| report.to_string())?;
    engine.world.insert_resource(Machine(device));
    engine.world.insert_resource(Run::default());
    Ok((engine, ticks))
}

fn run(engine: &mut Engine, ticks: usize) -> Result<(), String> {
    (0..ticks).try_for_each(|_| engine.tick()).map_err(|failure| failure.to_string())
}
