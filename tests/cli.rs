//! Every command with good and with bad input: exit code, output and errors.

use std::fs;

use insta::{Settings, assert_snapshot};
use mollify_tests::{Mollify, mollify, root};

/// A folder with the tiny pipeline, the toy, and one with a mistake.
fn folder() -> Mollify {
    let mollify: Mollify = mollify!().with_tiny();
    for (name, path) in [("toy.ron", "pipelines/toy.ron"), ("broken.ron", "pipelines/broken/kind.ron")] {
        mollify.write(name, fs::read(root().join(path)).expect("a shipped pipeline"));
    }
    mollify
}

/// Compares without what differs from machine to machine and from run to run.
macro_rules! assert_ran {
    ($name:expr, $ran:expr) => {
        let mut settings = Settings::clone_current();
        settings.add_filter("mollify-under-test", "mollify");
        settings.add_filter(r"computing on .*", "computing on [device]");
        settings.add_filter(r"loss [0-9.]+", "loss [loss]");
        settings.add_filter(r"[0-9.]+ images/s", "[rate] images/s");
        settings.add_filter(r"(in |, )\d+:\d\d", "$1[time]");
        settings.add_filter(r"\d+ arrays, \d+ numbers", "[sizes]");
        settings.bind(|| assert_snapshot!($name, $ran));
    };
}

#[test]
fn help_says_what_there_is() {
    let mollify = folder();
    assert_ran!("help", mollify.succeed(&["--help"]));
    for command in ["run", "check", "explain", "dataset", "kinds", "info", "import", "devices", "snapshot"] {
        assert_ran!(format!("help_{command}"), mollify.succeed(&[command, "--help"]));
    }
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    let mollify = folder();
    for (name, args) in [
        ("nothing", &[][..]),
        ("unknown_command", &["rnu", "toy.ron"]),
        ("unknown_option", &["run", "toy.ron", "--thread", "2"]),
        ("no_file", &["run"]),
        ("unknown_device", &["run", "toy.ron", "--device", "abacus"]),
        ("no_threads", &["run", "toy.ron", "--threads", "0"]),
    ] {
        let ran = mollify.run(args);
        assert_eq!(ran.code, Some(2), "{ran}");
        assert_ran!(format!("usage_{name}"), ran);
    }
}

#[test]
fn run_runs_a_pipeline() {
    let mollify = folder();
    assert_ran!("run_toy", mollify.succeed(&["run", "toy.ron"]));
    assert!(mollify.path("out/toy.png").exists());
    let ran = mollify.succeed(&["run", "toy.ron", "--quiet"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    assert_ran!("run_broken", mollify.fail(&["run", "broken.ron"]));
    assert_ran!("run_missing", mollify.fail(&["run", "missing.ron"]));
    assert_ran!("run_bad_setting", mollify.fail(&["run", "toy.ron", "--set", "hat.amout=1.0"]));
    assert_ran!("run_resume_nothing", mollify.fail(&["run", "tiny.ron", "--resume"]));
    assert_ran!("run_resume_stateless", mollify.fail(&["run", "toy.ron", "--resume"]));
}

#[test]
fn run_writes_metrics_line_by_line() {
    let mollify = folder();
    assert_ran!("run_tiny", mollify.succeed(&["run", "tiny.ron"]));
    let text = String::from_utf8(mollify.read("runs/tiny/metrics.jsonl")).expect("text");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let losses = lines.iter().filter(|line| line["loss"].is_f64()).count();
    assert_eq!(losses, 8, "a loss for each tick of training:\n{text}");
    assert_eq!((&lines[0]["tick"], &lines[0]["images"]), (&1.into(), &4.into()));
    assert!(lines.iter().any(|line| line["nfe"] == 7.0), "four steps of Heun ask seven times:\n{text}");
}

/// Reads pictures of a folder and measures nothing.
const LOADING: &str = r#"(
    about: "Pictures, and nothing else",
    nodes: {
        "data": Dataset(at: "pictures", batch: 2),
        "stop": Until(images: "data", count: 10),
    },
)"#;

#[test]
fn run_writes_how_long_it_waited_for_pictures_beside_the_metrics() {
    let mollify: Mollify = mollify!();
    mollify.write("load.ron", LOADING);
    fs::create_dir(mollify.path("pictures")).expect("a folder");
    for i in 0..3u8 {
        let picture = image::GrayImage::from_pixel(4, 4, image::Luma([i]));
        picture.save(mollify.path(&format!("pictures/{i}.png"))).expect("a picture");
    }
    mollify.succeed(&["run", "load.ron", "--quiet"]);
    assert_eq!(mollify.read("runs/load/metrics.jsonl"), b"", "timings are no metrics");
    let text = String::from_utf8(mollify.read("runs/load/timings.jsonl")).expect("text");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let ticks: Vec<_> = lines.iter().filter_map(|line| line["tick"].as_u64()).collect();
    assert_eq!(ticks, [2, 3, 4, 5], "nothing is waited for before the first batch:\n{text}");
    let shares = lines.iter().filter_map(|line| line["loader_wait"].as_f64());
    assert_eq!(shares.filter(|share| (0.0..=1.0).contains(share)).count(), 4, "{text}");
}

#[test]
fn run_visits_every_point_of_a_sweep() {
    let mollify = folder();
    let sweep = r#"( base: "toy.ron", sweep: { "steps": [2, 4], "hat.amount": [0.0, 1.0] } )"#;
    mollify.write("sweep.ron", sweep);
    assert_ran!("run_sweep", mollify.succeed(&["run", "sweep.ron"]));
    let folders: Vec<String> = mollify.files("runs").into_iter().map(|(name, _)| name).collect();
    assert_snapshot!(folders.join("\n"));
}

#[test]
fn check_shows_every_mistake_or_the_resolved_pipeline() {
    let mollify = folder();
    assert_ran!("check_toy", mollify.succeed(&["check", "toy.ron", "--set", "steps=4"]));
    assert_ran!("check_mermaid", mollify.succeed(&["check", "toy.ron", "--mermaid"]));
    assert_ran!("check_several", mollify.fail(&["check", "broken.ron", "missing.ron", "toy.ron"]));
}

#[test]
fn explain_shows_what_choices_come_to_and_where_they_fight() {
    let mollify = folder();
    assert_ran!("explain_toy", mollify.succeed(&["explain", "toy.ron"]));
    assert_ran!("explain_tiny", mollify.succeed(&["explain", "tiny.ron"]));
    let fighting = [
        ("net.scheme", "Ve()"),
        ("average.scheme", "Ve()"),
        ("grads.weight", "Edm(sigma_data: 0.1)"),
        ("sigmas.mean", "12.0"),
        ("sigmas.std", "0.5"),
        ("hat.amount", "50.0"),
    ];
    let settings: Vec<String> =
        fighting.iter().map(|(path, value)| format!("--set={path}={value}")).collect();
    let args: Vec<&str> =
        ["explain", "tiny.ron"].into_iter().chain(settings.iter().map(String::as_str)).collect();
    assert_ran!("explain_fighting", mollify.succeed(&args));
    assert_ran!(
        "explain_idle_churn",
        mollify.succeed(&["explain", "toy.ron", "--set", "hat.min=49.0", "--set", "steps=4"])
    );
    let rounded =
        ["--set", "average.scheme=Iddpm()", "--set", "times.by=\"average\"", "--set", "times.steps=64"];
    assert_ran!("explain_idle_steps", mollify.succeed(&[&["explain", "tiny.ron"][..], &rounded].concat()));
    assert_ran!("explain_broken", mollify.fail(&["explain", "toy.ron", "--set", "hat.min=100.0"]));
    assert_ran!("explain_one_step", mollify.fail(&["explain", "toy.ron", "--set", "steps=1"]));
}

#[test]
fn explain_knows_the_price_of_an_image() {
    let mollify = folder();
    let euler = r#"(base: "toy.ron", nodes: { "x": Trajectory(next: "euler"), "second": None, "heun": None, "files": Grid(x: "euler") })"#;
    mollify.write("euler.ron", euler);
    let restart = r#"(base: "toy.ron", nodes: {
        "again": Restart(times: "times", min: 0.1, max: 2.0, steps: 3, repeat: 2),
        "x":     Trajectory(times: "again"),
        "start": Latents(times: "again"),
    })"#;
    mollify.write("restart.ron", restart);
    for (file, nfe) in [("toy.ron", 13), ("euler.ron", 7), ("restart.ron", 25)] {
        let settings = ["--set", "steps=7", "--set", r#"seeds="0-3""#];
        let told = mollify.succeed(&[&["explain", file][..], &settings].concat()).stdout;
        assert!(told.contains(&format!("{nfe} evaluations of networks")), "{told}");
        mollify.succeed(&[&["run", file, "--quiet"][..], &settings].concat());
        let metrics = mollify.read(&format!("runs/{}/metrics.jsonl", file.trim_end_matches(".ron")));
        let metrics = String::from_utf8(metrics).expect("text");
        assert!(metrics.contains(&format!("\"nfe\": {nfe}.0")), "{file}: {metrics}");
    }
}

#[test]
fn kinds_explains_kinds() {
    let mollify = folder();
    assert_ran!("kinds", mollify.succeed(&["kinds"]));
    assert_ran!("kinds_heun", mollify.succeed(&["kinds", "Heun"]));
    assert_ran!("kinds_unknown", mollify.fail(&["kinds", "Huen"]));
}

#[test]
fn info_says_what_is_in_a_file() {
    let mollify = folder();
    mollify.succeed(&["run", "tiny.ron", "--quiet"]);
    let lines = |ran: mollify_tests::Ran| ran.stdout.lines().take(4).collect::<Vec<_>>().join("\n");
    assert_snapshot!("info_state", lines(mollify.succeed(&["info", "runs/tiny"])));
    let weights = "runs/tiny/weights-0000000.032-ema.safetensors";
    assert_snapshot!("info_weights", lines(mollify.succeed(&["info", weights])));
    assert_ran!("info_pipeline", mollify.fail(&["info", "toy.ron"]));
    assert_ran!("info_missing", mollify.fail(&["info", "missing.safetensors"]));
    assert_ran!("info_folder", mollify.fail(&["info", "out"]));
}

#[test]
fn insta_itself_accepts_what_snapshot_writes() {
    let mollify = folder();
    mollify.succeed(&["snapshot", "toy.ron", "--device", "cpu"]);
    let written = String::from_utf8(mollify.read("snapshots/toy.snap")).expect("text");
    let (_, content) = written[4..].split_once("\n---\n").expect("a header");
    let mut settings = Settings::new();
    settings.set_snapshot_path(mollify.path("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| assert_snapshot!("toy", content));
    assert!(!mollify.path("snapshots/toy.snap.new").exists(), "insta sees a difference");
}

#[test]
fn snapshot_writes_what_nodes_end_with_and_checks_it() {
    let mollify = folder();
    let check = ["snapshot", "toy.ron", "--device", "cpu", "--check"];
    assert_ran!("snapshot_none", mollify.fail(&check));
    assert_ran!("snapshot_written", mollify.succeed(&["snapshot", "toy.ron", "--device", "cpu"]));
    let written = String::from_utf8(mollify.read("snapshots/toy.snap")).expect("text");
    assert_snapshot!("snapshot_toy", written);
    assert!(
        !mollify.path("snapshots/toy.snap.new").exists(),
        "a snapshot that was accepted waits for no review"
    );
    assert_ran!("snapshot_same", mollify.succeed(&check));
    assert_ran!("snapshot_differs", mollify.fail(&[&check[..], &["--set", "steps=17"]].concat()));
    assert!(mollify.path("snapshots/toy.snap.new").exists(), "a snapshot that differs waits for review");
    assert_eq!(String::from_utf8(mollify.read("snapshots/toy.snap")).expect("text"), written);
}
