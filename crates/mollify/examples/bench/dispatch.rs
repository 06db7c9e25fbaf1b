//! What a dispatch costs the host, and how many a training step takes.

use std::time::{Duration, Instant};

use gpu::{Gpu, Offer, Paper};
use serde_json::json;
use tensor::{Array, Bindings, Device, Graph, Result, compile};

use crate::{Args, engine, open_gpu, run};

/// Dispatches of the program that is timed: about those of a training step of DDPM++.
const CHAIN: usize = 800;

pub fn measure(args: &Args) -> Result<String, String> {
    let gpu = open_gpu(&args.device)?.ok_or("dispatches are a GPU's: take `--device gpu`")?;
    let took = times(&gpu, args.seconds).map_err(|error| error.to_string())?;
    let (dispatches, submissions) = step(args)?;
    Ok(json!({
        "device": gpu.name(),
        "dispatches": took.dispatches,
        "recording_us": took.recording,
        "submitting_us": took.submitting,
        "config": args.config,
        "batch": args.batch,
        "step_dispatches": dispatches,
        "step_submissions": submissions,
    })
    .to_string())
}

/// Microseconds of a dispatch: the median and the least of many runs. Others that use the cores make the median larger.
struct Took {
    dispatches: u64,
    recording: [f64; 2],
    submitting: [f64; 2],
}

/// Runs tiny layers, one after another, with everything cached and nothing on its way.
fn times(gpu: &Gpu, seconds: f64) -> Result<Took> {
    let executable = gpu.prepare(compile(chain()))?;
    let numbers = |shape: [usize; 2]| gpu.upload(&Array::new(shape, vec![0.25_f32; shape[0] * shape[1]]));
    let bindings = Bindings::new()
        .tensor("x", &numbers([4, 4])?)
        .tensor("weight", &numbers([4, 4])?)
        .tensor("bias", &gpu.upload(&Array::new([4], vec![0.0_f32; 4]))?);
    let (mut recording, mut submitting, mut dispatches) = (Vec::new(), Vec::new(), 0);
    let began = Instant::now();
    while recording.len() < 10 || began.elapsed() < Duration::from_secs_f64(seconds) {
        let before = gpu.counts().0;
        let start = Instant::now();
        let mut outputs = gpu.run(&executable, &bindings)?;
        let recorded = Instant::now();
        gpu.submit()?;
        let submitted = Instant::now();
        dispatches = gpu.counts().0 - before;
        let each = |time: Duration| 1e6 * time.as_secs_f64() / dispatches as f64;
        recording.push(each(recorded - start));
        submitting.push(each(submitted - recorded));
        gpu.download(&outputs.take("y")?)?;
    }
    Ok(Took { dispatches, recording: summary(recording), submitting: summary(submitting) })
}

fn chain() -> Graph {
    let mut graph = Graph::new();
    let (mut x, weight) = (graph.input("x", [4, 4]), graph.input("weight", [4, 4]));
    let bias = graph.input("bias", [4]);
    for _ in 0..CHAIN {
        x = graph.linear(x, weight, Some(bias));
    }
    graph.output("y", x);
    graph
}

/// The dispatches and submissions of a training step, on a GPU with plenty of memory.
fn step(args: &Args) -> Result<(u64, u64), String> {
    let paper = Paper::new(Offer { largest_binding: 1 << 31, halves: true, cooperative: false });
    let args =
        Args { mode: "train".to_owned(), device: args.device.clone(), config: args.config.clone(), ..*args };
    let (mut engine, _) = engine(&args, std::sync::Arc::new(paper.clone()))?;
    run(&mut engine, 3)?;
    let before = paper.counts();
    run(&mut engine, 10)?;
    let after = paper.counts();
    Ok(((after.0 - before.0) / 10, (after.1 - before.1) / 10))
}

fn summary(mut times: Vec<f64>) -> [f64; 2] {
    times.sort_by(f64::total_cmp);
    [(times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0, times[0]]
}
