//! Runs on a GPU, or on software that stands in for one, beside runs on the CPU.

use std::sync::Arc;

use checkpoint::read_array;
use gpu::{Gpu, Mode};
use mollify_tests::{Mollify, gpus, mollify, root, wired};
use pipeline::{Engine, Pipeline};
use ports::{Machine, Run};
use serde_json::Value;

/// Quickstart, as short as it makes sense.
fn short_quickstart(device: &[&str]) -> Mollify {
    let mollify: Mollify = mollify!();
    let file = root().join("pipelines/quickstart.ron").display().to_string();
    let settings = ["batch=8", "kimg=0.064", "seeds=\"0-4\"", "steps=3"];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let args: Vec<&str> = ["run", &file, "--quiet"].into_iter().chain(settings).collect();
    mollify.succeed(&[&args[..], device].concat());
    assert!(mollify.path("runs/quickstart/grid.png").exists(), "it drew no picture");
    mollify
}

/// The losses that a run left.
fn losses(mollify: &Mollify) -> Vec<f64> {
    let metrics = String::from_utf8(mollify.read("runs/quickstart/metrics.jsonl")).expect("text");
    let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines.filter_map(|line| line["loss"].as_f64()).collect()
}

#[test]
fn quickstart_trains_on_a_gpu_as_on_the_cpu_checked_and_trusted() {
    if gpus::left_out() {
        return;
    }
    let expected = losses(&short_quickstart(&["--device", "cpu"]));
    assert_eq!(expected.len(), 8);
    for device in [&["--device", "gpu"][..], &["--device", "gpu", "--checked"]] {
        let found = losses(&short_quickstart(device));
        assert_eq!(found.len(), expected.len(), "{device:?}");
        for (found, expected) in found.iter().zip(&expected) {
            // Adam makes whole steps of gradients that are all rounding.
            assert!((found - expected).abs() <= 1e-2 * expected, "{found} is not {expected} with {device:?}");
        }
    }
}

/// The images that a trained network draws, as numbers.
fn drawn(mollify: &Mollify, device: &str) -> Vec<f64> {
    mollify.succeed(&["run", "draw.ron", "--quiet", "--device", device]);
    let images = read_array(&mollify.path("x.npy"), None).expect("an array");
    images.f64s().expect("numbers")
}

#[test]
fn the_checkpoint_of_quickstart_draws_the_same_pictures_on_a_gpu_and_on_the_cpu() {
    if gpus::left_out() {
        return;
    }
    let mollify: Mollify = mollify!();
    let [quickstart, sample] = ["quickstart", "sample"]
        .map(|name| root().join(format!("pipelines/{name}.ron")).display().to_string().replace('\\', "/"));
    let training = ["--set", "kimg=4.0", "--set", "seeds=\"0\"", "--set", "steps=2", "--device", "cpu"];
    mollify.succeed(&[&["run", &quickstart, "--quiet"][..], &training].concat());
    let draw = format!(
        r#"(
            base: "{sample}",
            given: (seeds: "0-9"),
            nodes: {{ "files": SaveImages(x: "heun", to: "x.npy") }},
        )"#
    );
    mollify.write("draw.ron", draw);
    let (ours, theirs) = (drawn(&mollify, "gpu"), drawn(&mollify, "cpu"));
    assert_eq!((ours.len(), theirs.len()), (640, 640));
    let apart = |(a, b): (&f64, &f64)| (a.clamp(-1.0, 1.0) - b.clamp(-1.0, 1.0)).abs() / 2.0;
    let worst = ours.iter().zip(&theirs).map(apart).fold(0.0, f64::max);
    assert!(worst <= 1.0 / 255.0, "a pixel differs by {worst} of the range from black to white");
    let spread = theirs.iter().fold(0.0, |most: f64, x| most.max((x - theirs[0]).abs()));
    assert!(spread > 0.1, "there is nothing in the pictures");
}

/// The tiny pipeline in an engine of its own, with its run in a folder.
fn engine(mollify: &Mollify, gpu: Arc<Gpu>) -> Engine {
    let file = mollify.path("tiny.ron");
    let mut engine = wired(&file, &[]).expect("the tiny pipeline wires");
    let folder = mollify.path("runs/tiny");
    std::fs::create_dir_all(&folder).expect("a folder in a temporary folder");
    let pipeline = Pipeline::open(&file, &[]).expect("the tiny pipeline opens").to_string();
    engine.world.insert_resource(Machine(gpu));
    engine.world.insert_resource(Run { name: "tiny".into(), folder, pipeline });
    engine
}

#[test]
fn a_run_that_loses_its_gpu_fails_with_its_last_state_on_disk_and_can_go_on() {
    let Some(gpu) = gpus::gpu(Mode::Trusted) else { return };
    let mollify: Mollify = mollify!().with_tiny();
    let mut engine = engine(&mollify, gpu.clone());
    for _ in 0..5 {
        engine.tick().expect("the GPU is there");
    }
    gpu.destroy();
    let failure = engine.run().expect_err("the GPU is not there any more");
    assert!(failure.to_string().contains("the GPU was lost (it was given back)"), "{failure}");
    drop(engine);
    let states = mollify.files("runs/tiny").into_iter().filter(|(name, _)| name.contains("state-")).count();
    assert_eq!(states, 2, "a state after every second tick");

    mollify.succeed(&["run", "tiny.ron", "--resume", "--quiet", "--device", "gpu"]);
    let whole: Mollify = mollify!().with_tiny();
    whole.succeed(&["run", "tiny.ron", "--quiet", "--device", "gpu"]);
    let weights = |mollify: &Mollify| {
        let mut files = mollify.files("runs/tiny");
        files.retain(|(name, _)| name.contains("weights-0000000.032"));
        files
    };
    assert_eq!(weights(&whole).len(), 2);
    assert!(weights(&mollify) == weights(&whole), "the weights differ from those of a run that lost nothing");
}

#[test]
fn profile_prints_the_time_of_every_kernel() {
    profiled("cpu", &["conv", "matmul", "map", "random"]);
    if !gpus::left_out() {
        profiled("gpu", &["conv", "matmul", "elementwise", "random"]);
    }
}

fn profiled(device: &str, kernels: &[&str]) {
    let mollify: Mollify = mollify!().with_tiny();
    let ran = mollify.succeed(&["run", "tiny.ron", "--device", device, "--profile", "--quiet"]);
    let rows: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    for kernel in kernels {
        assert!(rows.iter().any(|row| row[0] == *kernel), "no row for `{kernel}`:\n{ran}");
    }
    let shares =
        rows[1..rows.len() - 1].iter().filter_map(|row| row.iter().find_map(|word| word.strip_suffix('%')));
    let sum: f64 = shares.filter_map(|share| share.parse::<f64>().ok()).sum();
    assert!((sum - 100.0).abs() < 3.0, "the shares make {sum}%:\n{ran}");
}

#[test]
fn what_only_a_gpu_can_do_is_refused_on_the_cpu_before_anything_runs() {
    let mollify: Mollify = mollify!().with_tiny();
    let ran = mollify.fail(&["run", "tiny.ron", "--device", "cpu", "--checked"]);
    assert!(ran.stderr.contains("is for GPUs") && ran.stderr.contains("--device gpu"), "{ran}");
    assert!(!mollify.path("runs").exists(), "something ran");
}

#[test]
fn a_gpu_that_is_not_there_is_answered_with_those_that_are() {
    let mollify: Mollify = mollify!().with_tiny();
    let ran = mollify.fail(&["run", "tiny.ron", "--device", "gpu:abacus"]);
    match gpus::left_out() {
        true => assert!(ran.stderr.contains("no GPU"), "{ran}"),
        false => assert!(ran.stderr.contains("no GPU has `abacus` in its name; there is `"), "{ran}"),
    }
}

#[test]
fn devices_lists_the_cpu_and_every_gpu_with_what_it_can_do() {
    let mollify: Mollify = mollify!();
    let ran = mollify.succeed(&["devices"]);
    assert!(ran.stdout.starts_with("cpu, ") && ran.stdout.contains("--device cpu"), "{ran}");
    assert_eq!(ran.stdout.matches("which is what `auto` takes").count(), 1, "{ran}");
    for adapter in gpu::adapters() {
        let option = format!("--device 'gpu:{}'", adapter.name());
        assert!(ran.stdout.contains(&adapter.to_string()) && ran.stdout.contains(&option), "{ran}");
    }
    let gpus = gpu::adapters().len();
    for what in ["  limits ", "  paths "] {
        assert_eq!(ran.stdout.matches(what).count(), gpus, "{ran}");
    }
}
