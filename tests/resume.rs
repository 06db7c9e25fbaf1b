//! A run that was cut short and resumed ends with the same bytes as one that never was.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mollify_tests::{Mollify, gpus, mollify};

/// A run of the tiny pipeline that is long enough to be cut short.
struct Long {
    images: &'static str,
    device: &'static [&'static str],
    /// The state that it ends with.
    last: &'static str,
}

const ON_CPU: Long = Long {
    images: "images=800",
    device: &["--device", "cpu", "--threads", "1"],
    last: "runs/tiny/state-0000000212.safetensors",
};
const ON_GPU: Long = Long {
    images: "images=160",
    device: &["--device", "gpu"],
    last: "runs/tiny/state-0000000052.safetensors",
};
const ON_GPU_CHECKED: Long = Long { device: &["--device", "gpu", "--checked"], ..ON_GPU };

impl Long {
    fn args(&self) -> Vec<&'static str> {
        let args = ["run", "tiny.ron", "--set", self.images, "--set", "every_kimg=0.04", "--quiet"];
        [&args[..], self.device].concat()
    }

    /// Starts it and waits until it has saved something.
    fn started(&self, mollify: &Mollify) -> std::process::Child {
        let child = mollify.command(&self.args()).spawn().expect("the binary starts");
        let began = Instant::now();
        // Names only: while the run writes, files come and go under other names.
        let saved = || {
            let files = fs::read_dir(mollify.path("runs/tiny")).into_iter().flatten().flatten();
            files.map(|file| file.file_name()).any(|name| name.to_string_lossy().starts_with("state-"))
        };
        while !saved() {
            assert!(began.elapsed() < Duration::from_secs(120), "nothing was saved");
            sleep(Duration::from_millis(1));
        }
        child
    }

    /// Goes on with what was cut short, which has to end as one that never was.
    fn expect_to_end_the_same(&self, cut: &Mollify) {
        assert!(!cut.path(self.last).exists(), "it was done before it could be cut short");
        cut.succeed(&[&self.args()[..], &["--resume"]].concat());
        assert!(cut.path(self.last).exists(), "`{}` is not the last state", self.last);
        let whole = mollify!().with_tiny();
        whole.succeed(&self.args());
        expect_same(&left(cut), &left(&whole));
    }

    fn expect_to_survive_being_killed(&self) {
        let cut: Mollify = mollify!().with_tiny();
        let mut child = self.started(&cut);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        self.expect_to_end_the_same(&cut);
    }
}

/// Every file that a run leaves: states, weights, metrics, pictures.
fn left(mollify: &Mollify) -> Vec<(String, Vec<u8>)> {
    [mollify.files("runs"), mollify.files("out")].concat()
}

fn expect_same(one: &[(String, Vec<u8>)], other: &[(String, Vec<u8>)]) {
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(one), names(other));
    for ((name, one), (_, other)) in one.iter().zip(other) {
        if name.ends_with("jsonl") {
            assert_eq!(String::from_utf8_lossy(one), String::from_utf8_lossy(other));
        }
        assert!(one == other, "`{name}` differs");
    }
}

#[test]
fn a_run_that_was_killed_and_resumed_ends_byte_for_byte_the_same() {
    ON_CPU.expect_to_survive_being_killed();
}

#[test]
fn a_run_on_a_gpu_that_was_killed_and_resumed_ends_byte_for_byte_the_same() {
    for long in [ON_GPU, ON_GPU_CHECKED] {
        if !gpus::left_out() {
            long.expect_to_survive_being_killed();
        }
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_after_the_tick_with_a_state_to_resume_from() {
    let cut: Mollify = mollify!().with_tiny();
    let mut child = ON_CPU.started(&cut);
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-INT", &id]).status().expect("`kill` is there");
    assert!(sent.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    ON_CPU.expect_to_end_the_same(&cut);
}

/// Trains like the tiny pipeline, then encodes images in an act of its own and decodes them in another one.
const EDIT: &str = r#"(
    base: "tiny.ron",
    nodes: {
        "seeds": None, "labels": None, "start": None, "hat": None, "files": None,
        "digits":  Digits(batch: 4, seed: 1, after: ["stop"]),
        "real":    First(images: "digits", labels: "digits"),
        "times":   TimeSteps(steps: 300),
        "up":      Upwards(times: "times"),
        "y":       Trajectory(start: "real", next: "latent", times: "up"),
        "y-first": Denoise(x: "y", by: "average", labels: "real"),
        "latent":  Euler(x: "y", denoised: "y-first"),
        "x":       Trajectory(start: "latent", after: ["y"]),
        "first":   Denoise(x: "x", labels: "real"),
        "euler":   Euler(x: "x"),
        "second":  Denoise(labels: "real"),
        "heun":    Heun(x: "x"),
        "error":   Compare(of: "heun", to: "real"),
        "table":   SaveTable(of: "error", to: "{run}/rms.csv"),
        "grid":    Grid(x: ["real", "latent", "heun"], columns: 4, to: "{run}/edit.png", after: ["x"]),
    },
)"#;

#[cfg(unix)]
#[test]
fn a_run_that_was_cut_short_while_decoding_goes_on_with_its_latents() {
    let args = ["run", "edit.ron", "--device", "cpu", "--quiet"];
    let whole = mollify!().with_tiny();
    whole.write("edit.ron", EDIT).succeed(&args);
    for signal in ["-INT", "-KILL"] {
        let cut = mollify!().with_tiny();
        let mut child = cut.write("edit.ron", EDIT).command(&args).spawn().expect("the binary starts");
        // 8 ticks of training, and 299 of encoding.
        while !cut.path("runs/edit/state-0000000307.safetensors").exists() {
            assert!(child.try_wait().expect("it can be asked").is_none(), "it was done too early");
            sleep(Duration::from_millis(1));
        }
        let id = child.id().to_string();
        std::process::Command::new("kill").args([signal, &id]).status().expect("`kill` is there");
        child.wait().expect("it ends");
        assert!(!cut.path("runs/edit/edit.png").exists(), "it was done before it could be cut short");
        cut.succeed(&[&args[..], &["--resume"]].concat());
        for file in ["runs/edit/edit.png", "runs/edit/rms.csv"] {
            assert!(cut.read(file) == whole.read(file), "`{file}` differs after {signal}");
        }
    }
}

#[test]
fn a_finished_run_that_is_resumed_does_nothing() {
    let mollify: Mollify = mollify!().with_tiny();
    mollify.succeed(&["run", "tiny.ron"]);
    let before = left(&mollify);
    let ran = mollify.succeed(&["run", "tiny.ron", "--resume"]);
    assert!(ran.stderr.contains("nothing to do"), "{ran}");
    expect_same(&left(&mollify), &before);
}

#[test]
fn a_run_in_two_halves_ends_as_one_whole() {
    let halves: Mollify = mollify!().with_tiny();
    halves.succeed(&["run", "tiny.ron", "--set", "images=16", "--quiet"]);
    halves.succeed(&["run", "tiny.ron", "--set", "images=32", "--quiet", "--resume"]);
    let whole: Mollify = mollify!().with_tiny();
    whole.succeed(&["run", "tiny.ron", "--set", "images=32", "--quiet"]);
    // The pictures that the first half drew early are drawn again, and so is the number of ticks.
    let weights = |mollify: &Mollify| -> Vec<(String, Vec<u8>)> {
        let newest =
            |(name, _): &(String, Vec<u8>)| name.contains("weights-0000000.032") || name.starts_with("out");
        left(mollify).into_iter().filter(newest).collect()
    };
    assert_eq!(weights(&whole).len(), 12);
    expect_same(&weights(&halves), &weights(&whole));
}

#[test]
fn resuming_passes_over_a_broken_state_and_says_so() {
    let mollify: Mollify = mollify!().with_tiny();
    mollify.succeed(&["run", "tiny.ron", "--quiet"]);
    let before = left(&mollify);
    let (newest, bytes) = before.iter().rfind(|(name, _)| name.contains("state-")).expect("a state");
    fs::write(mollify.path(newest), &bytes[..bytes.len() / 2]).expect("it can be cut");
    let ran = mollify.succeed(&["run", "tiny.ron", "--resume"]);
    assert!(
        ran.stderr.contains("warning: passing over a state") && ran.stderr.contains("truncated"),
        "{ran}"
    );
    expect_same(&left(&mollify), &before);
}
