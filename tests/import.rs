//! Checkpoints from elsewhere: what can go on from them, and what is said where it cannot.

use std::fs;
use std::path::{Path, PathBuf};

use checkpoint::{RunState, View, read_state, read_weights, write_weights};
use mollify_tests::{Mollify, mollify, root};

const IMPORTED: &str = "imported.safetensors";
/// A run that is cut in half, and the whole of it.
const HALF: [&str; 7] = ["run", "tiny.ron", "--set", "images=16", "--threads", "1", "--quiet"];
const WHOLE: [&str; 5] = ["run", "tiny.ron", "--threads", "1", "--quiet"];

fn oracle(file: &str) -> PathBuf {
    root().join("tests/fixtures/oracle/pickles").join(file)
}

/// Imports a checkpoint of the reference.
fn import(mollify: &Mollify, file: &str, options: &[&str]) {
    let file = oracle(file).to_string_lossy().into_owned();
    mollify.succeed(&[&["import", &file, IMPORTED][..], options].concat());
}

/// The newest state of the tiny run's folder, and where it is.
fn newest(mollify: &Mollify) -> (String, RunState) {
    let mut states = mollify.files("runs/tiny").into_iter().map(|(name, _)| name);
    let newest = states.rfind(|name| name.contains("/state-")).expect("a state");
    let state = read_state(&mollify.path(&newest)).expect("a good state");
    (newest, state)
}

/// Writes a state of the tiny run as an import would have, with the average if wanted.
fn as_imported(mollify: &Mollify, to: &Path) {
    // Later ones are of the sampling that follows.
    let state = read_state(&mollify.path("runs/tiny/state-0000000004.safetensors")).expect("a good state");
    let mut weights = mollify.files("runs/tiny").into_iter().map(|(name, _)| name);
    let weights = weights.rfind(|name| name.ends_with("-adam.safetensors")).expect("weights");
    let mut metadata = read_weights(&mollify.path(&weights)).expect("weights").metadata;
    metadata.insert("steps".into(), state.tick.to_string());
    let rename = |name: &str| {
        let renamed = [
            ("adam/Parameters/", "model."),
            ("adam/Moments/m.", "training.mean."),
            ("adam/Moments/v.", "training.square."),
            ("ema/Parameters/", "training.ema."),
        ];
        renamed.into_iter().find_map(|(ours, theirs)| Some(format!("{theirs}{}", name.strip_prefix(ours)?)))
    };
    let arrays = state.arrays.iter().filter_map(|(name, array)| Some((rename(name)?, array)));
    let arrays: Vec<_> = arrays.collect();
    let views: Vec<(&str, View)> =
        arrays.iter().map(|(name, array)| (name.as_str(), array.view().expect("a view"))).collect();
    write_weights(to, &views, &metadata).expect("the file");
}

#[test]
fn a_run_that_goes_on_from_an_imported_state_ends_as_if_it_had_never_stopped() {
    let (first, whole, second) = (mollify!().with_tiny(), mollify!().with_tiny(), mollify!().with_tiny());
    first.succeed(&HALF);
    as_imported(&first, &second.path(IMPORTED));
    second.succeed(&[&WHOLE[..], &["--resume=imported.safetensors"]].concat());
    whole.succeed(&WHOLE);
    let ((name, resumed), (expected, state)) = (newest(&second), newest(&whole));
    assert_eq!(name, expected);
    assert_eq!(resumed, state);
    assert_eq!(second.files("out"), whole.files("out"));
}

#[test]
fn a_state_of_our_own_is_taken_from_anywhere() {
    let (first, second) = (mollify!().with_tiny(), mollify!().with_tiny());
    first.succeed(&HALF);
    let (name, state) = newest(&first);
    second.write("elsewhere.safetensors", first.read(&name));
    let ran = second.succeed(&["run", "tiny.ron", "--threads", "1", "--resume=elsewhere.safetensors"]);
    assert!(ran.stderr.contains(&format!("going on after {} ticks", state.tick)), "{ran}");
}

/// Training on what an imported state of the reference is of: eight by eight pixels in three colours, three classes.
const PIPELINE: &str = r#"(
    about: "On from a state of the reference",
    given: (images: 144, channels: 16),
    nodes: {
        "pictures": Dataset(at: "pictures", batch: 8),
        "levels":   LogNormal(like: "pictures", mean: -1.2, std: 1.2),
        "noisy":    Corrupt(images: "pictures", sigmas: "levels"),
        "f":        SongUNet(like: "pictures", labels: "pictures", channels: channels, multipliers: [1], blocks: 1, attention: [8], dropout: 0.1, augment: 9),
        "d":        Precondition(by: "f"),
        "g":        Gradient(noisy: "noisy", target: "pictures", by: "d", labels: "pictures"),
        "step":     Adam(grads: "g", of: "f", rate: 2e-3, rampup_mimg: 0.001),
        "mean":     Ema(of: "step"),
        "keep":     Checkpoint(of: ["step", "mean"], net: "d", every_kimg: 1.0),
        "end":      Until(images: "pictures", count: images),
    },
)"#;

/// A folder with that pipeline and a few pictures.
fn with_pictures() -> Mollify {
    let mollify: Mollify = mollify!();
    mollify.write("go.ron", PIPELINE);
    for (i, class) in ["a", "b", "c", "a"].into_iter().enumerate() {
        let path = mollify.path(&format!("pictures/{class}/{i}.png"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([x as u8 * 30, y as u8 * 30, i as u8 * 60]))
            .save(path)
            .expect("a picture");
    }
    mollify
}

#[test]
fn training_goes_on_from_a_state_of_the_reference() {
    let mollify = with_pictures();
    let snapshot = oracle("network-snapshot-000000.pkl").to_string_lossy().into_owned();
    import(&mollify, "training-state-000000.pt", &["--images", "120", "--ema", &snapshot]);
    let ran = mollify.succeed(&["run", "go.ron", "--resume=imported.safetensors"]);
    assert!(ran.stderr.contains("going on after 5 ticks"), "{ran}");
    let metrics = String::from_utf8(mollify.read("runs/go/metrics.jsonl")).expect("text");
    let lines: Vec<serde_json::Value> =
        metrics.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&lines[0]["tick"], &lines[0]["images"]), (&6.into(), &128.into()), "{metrics}");
    let rate = lines[0]["learning_rate"].as_f64().expect("a rate");
    assert!((rate - 2e-3 * 0.12).abs() < 1e-12, "the rate follows from 120 images: {rate}");
    let state = read_state(&mollify.path("runs/go/state-0000000008.safetensors")).expect("the last state");
    assert!(state.texts["step/Moments"].starts_with("(8,"), "{}", state.texts["step/Moments"]);

    let again = mollify.fail(&["run", "go.ron", "--resume=imported.safetensors"]);
    assert!(again.stderr.contains("already holds the state of a run"), "{again}");
    assert!(mollify.succeed(&["run", "go.ron", "--resume"]).stderr.contains("nothing to do"));
}

#[test]
fn a_state_of_another_network_is_refused_in_words() {
    let mollify = with_pictures();
    import(&mollify, "training-state-000000.pt", &["--images", "120"]);
    let resumed = |options: &[&str]| {
        mollify.fail(&[&["run", "go.ron", "--resume=imported.safetensors"][..], options].concat()).stderr
    };
    for (setting, wanted) in [
        ("channels=32", "in the file and [32"),
        ("f.augment=0", "`map_augment.weight`"),
        ("f.filter=[1.0, 3.0, 3.0, 1.0]", "and this is"),
        ("d.scheme=Ve()", "`d` has Ve"),
    ] {
        let message = resumed(&["--set", setting]);
        assert!(message.contains(wanted), "{setting}: {message}");
    }
    mollify.write("toy.ron", fs::read(root().join("pipelines/toy.ron")).expect("the toy"));
    let message = mollify.fail(&["run", "toy.ron", "--resume=imported.safetensors"]).stderr;
    assert!(message.contains("without a `Checkpoint`"), "{message}");
    import(&mollify, "second-snapshot.pkl", &[]);
    let message = resumed(&[]);
    assert!(message.contains("is no training state: it does not say `steps`"), "{message}");
}

#[test]
fn a_network_starts_from_parameters_of_the_same_name_and_shape() {
    let mollify = with_pictures();
    import(&mollify, "network-snapshot-000000.pkl", &[]);
    let transfer = ["run", "go.ron", "--set", r#"f.transfer="imported.safetensors""#, "--set", "images=8"];
    let ran = mollify.succeed(&[&transfer[..], &["--set", "step.rate=1e-30"]].concat());
    assert!(ran.stderr.contains("85 of 85 parameters start from `imported.safetensors`\n"), "{ran}");
    let trained =
        read_weights(&mollify.path("runs/go/weights-0000000.008-mean.safetensors")).expect("weights");
    let taken = read_weights(&mollify.path(IMPORTED)).expect("weights");
    assert_eq!(trained.arrays["model.map_layer0.weight"], taken.arrays["model.map_layer0.weight"]);

    let other = ["--fresh", "--set", "f.augment=4", "--set", "f.labels=None", "--set", "g.labels=None"];
    let ran = mollify.succeed(&[&transfer[..], &other].concat());
    let told = "82 of 83 parameters start from `imported.safetensors`; new are `map_augment.weight` ([16, 9] there, [16, 4] here)";
    assert!(ran.stderr.contains(told), "{ran}");
    let numbers = View::from_f32s(&[1], &[1.0]).expect("a view");
    write_weights(&mollify.path(IMPORTED), &[("other", numbers)], &Default::default()).expect("the file");
    let nothing = mollify.fail(&[&transfer[..], &["--fresh"]].concat());
    assert!(nothing.stderr.contains("has no parameter of the name and shape"), "{nothing}");
}

#[test]
fn what_cannot_be_imported_is_said() {
    let mollify: Mollify = mollify!();
    let state = oracle("training-state-000000.pt").to_string_lossy().into_owned();
    let snapshot = oracle("network-snapshot-000000.pkl").to_string_lossy().into_owned();
    mollify.write("evil.pkl", b"cos\nsystem\n(Vtouch harm\ntR.");
    mollify.write("state.pt", fs::read(&state).expect("the state"));
    for (args, wanted) in [
        (&["evil.pkl", IMPORTED][..], "it wants `os.system`"),
        (&["missing.pkl", IMPORTED], "cannot read `missing.pkl`"),
        (&["state.pt", IMPORTED], "give `--images`"),
        (&["state.pt", "out.pkl"], "has to end in `.safetensors`"),
        (&["state.pt", IMPORTED, "--ema", "state.pt"], "is no snapshot"),
        (&[&snapshot, IMPORTED, "--ema", &snapshot], "goes with a training state"),
    ] {
        let ran = mollify.fail(&[&["import"][..], args].concat());
        assert!(ran.stderr.contains(wanted), "{ran}");
    }
    assert!(!mollify.path("harm").exists() && !mollify.path(IMPORTED).exists());
}
