//! Files and folders that are not as they should be: each is a clear error, and nothing is lost.

use std::fs;

use checkpoint::{Array, View, read_weights, write_weights};
use mollify_tests::{Mollify, mollify};

/// A folder in which the tiny pipeline has run.
fn trained() -> Mollify {
    let mollify: Mollify = mollify!().with_tiny();
    mollify.succeed(&["run", "tiny.ron", "--quiet"]);
    mollify.write("sample.ron", SAMPLE);
    mollify
}

const SAMPLE: &str = r#"(
    given: (net: "runs/tiny"),
    nodes: {
        "net":   Network(file: net),
        "times": TimeSteps(steps: 2),
        "seeds": Batches(of: "0-1", size: 2, step: "x"),
        "start": Latents(seeds: "seeds", times: "times", like: "net"),
        "x":     Trajectory(start: "start", next: "euler", times: "times"),
        "shown": Classes(seeds: "seeds", classes: 10),
        "first": Denoise(x: "x", by: "net", labels: "shown"),
        "euler": Euler(x: "x", denoised: "first"),
    },
)"#;

/// The newest file of the run whose name has `part`.
fn newest(mollify: &Mollify, part: &str) -> String {
    let files = mollify.files("runs/tiny");
    files.into_iter().rfind(|(name, _)| name.contains(part)).expect("such a file").0
}

fn sample(mollify: &Mollify, net: &str) -> String {
    mollify.fail(&["run", "sample.ron", "--quiet", "--set", &format!("net={net:?}")]).stderr
}

#[test]
fn truncated_weights_are_named_with_how_much_is_there() {
    let mollify = trained();
    let bytes = mollify.read(&newest(&mollify, "-ema"));
    mollify.write("cut.safetensors", &bytes[..bytes.len() - 100]);
    let said = sample(&mollify, "cut.safetensors");
    let expected =
        format!("`cut.safetensors` is truncated: it has {} of {} bytes", bytes.len() - 100, bytes.len());
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn damaged_weights_are_noticed() {
    let mollify = trained();
    let mut bytes = mollify.read(&newest(&mollify, "-ema"));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    mollify.write("damaged.safetensors", &bytes);
    let said = sample(&mollify, "damaged.safetensors");
    assert!(said.contains("`damaged.safetensors` is damaged"), "{said}");
}

#[test]
fn a_file_that_is_no_checkpoint_is_said_to_be_none() {
    let mollify = trained();
    mollify.write("notes.safetensors", "These are my notes about the experiment, and no weights.");
    let said = sample(&mollify, "notes.safetensors");
    assert!(said.contains("`notes.safetensors` is not a safetensors file"), "{said}");
}

#[test]
fn weights_of_another_network_name_the_first_parameter_with_both_shapes() {
    let mollify = trained();
    let mut weights = read_weights(&mollify.path(&newest(&mollify, "-ema"))).expect("good weights");
    let (name, array) =
        weights.arrays.iter_mut().find(|(name, _)| name.contains("conv")).expect("a convolution");
    let mut shape = array.shape.clone();
    shape[0] += 1;
    *array = Array::from_f32s(&shape, &vec![0.0; shape.iter().product()]).expect("an array");
    let name = name.clone();
    let views: Vec<(&str, View)> =
        weights.arrays.iter().map(|(name, array)| (name.as_str(), array.view().expect("a view"))).collect();
    write_weights(&mollify.path("other.safetensors"), &views, &weights.metadata).expect("it can be written");
    let said = sample(&mollify, "other.safetensors");
    assert!(said.contains("of another network") && said.contains(&format!("{shape:?}")), "{said}");
    assert!(said.contains(name.trim_start_matches("model.")), "{said}");
}

#[test]
fn a_folder_without_weights_says_what_to_do() {
    let mollify = trained();
    fs::create_dir(mollify.path("empty")).expect("a folder");
    let said = sample(&mollify, "empty");
    assert!(said.contains("there are no weights in `empty`; train a network first"), "{said}");
}

#[test]
fn resuming_as_another_network_shows_the_first_node_that_differs() {
    let mollify = trained();
    let ran = mollify.fail(&["run", "tiny.ron", "--resume", "--quiet", "--set", "unet.channels=16"]);
    assert!(ran.stderr.contains("`unet` was `SongUNet(") && ran.stderr.contains("channels: 16"), "{ran}");
}

#[test]
fn an_old_run_is_not_overwritten_unasked() {
    let mollify = trained();
    let before = mollify.files("runs");
    let ran = mollify.fail(&["run", "tiny.ron"]);
    assert!(ran.stderr.contains("`--resume` goes on with that run"), "{ran}");
    assert!(mollify.files("runs") == before, "something changed in the run's folder");
    mollify.succeed(&["run", "tiny.ron", "--fresh", "--quiet"]);
    let folder =
        |name: &str| -> Vec<Vec<u8>> { mollify.files(name).into_iter().map(|(_, bytes)| bytes).collect() };
    assert!(folder("runs/tiny") == folder("runs/tiny.1"), "a fresh run of the same pipeline ends the same");
}

#[test]
fn a_fresh_run_puts_a_longer_one_aside_whole() {
    let mollify = trained();
    let before = mollify.files("runs/tiny");
    mollify.succeed(&["run", "tiny.ron", "--fresh", "--quiet", "--set", "images=16"]);
    let fresh: Mollify = mollify!().with_tiny();
    fresh.succeed(&["run", "tiny.ron", "--quiet", "--set", "images=16"]);
    assert!(mollify.files("runs/tiny") == fresh.files("runs/tiny"), "something of the longer run is left");
    assert_eq!(mollify.files("runs/tiny.1").len(), before.len(), "something of the longer run is lost");
}

#[test]
fn a_file_in_the_way_of_the_run_folder_is_an_error() {
    let mollify: Mollify = mollify!().with_tiny();
    mollify.write("runs", "in the way");
    let ran = mollify.fail(&["run", "tiny.ron"]);
    assert!(ran.stderr.contains("cannot make the run folder `runs/tiny`"), "{ran}");
    assert_eq!(mollify.read("runs"), b"in the way");
}

#[test]
fn a_file_in_the_way_of_the_pictures_is_an_error() {
    let mollify: Mollify = mollify!().with_tiny();
    mollify.write("out", "in the way");
    let ran = mollify.fail(&["run", "tiny.ron", "--quiet"]);
    assert!(ran.stderr.contains("`files` failed on tick") && ran.stderr.contains("out"), "{ran}");
    assert_eq!(mollify.read("out"), b"in the way");
}

/// The shell's limit on the size of a file stands in for a full disk: writing fails in the middle of a state.
#[cfg(unix)]
#[test]
fn a_disk_that_is_full_while_saving_leaves_the_last_state_good() {
    let mollify: Mollify = mollify!().with_tiny();
    mollify.succeed(&["run", "tiny.ron", "--quiet", "--set", "images=16"]);
    let before = mollify.files("runs");
    let command = mollify.command(&["run", "tiny.ron", "--quiet", "--resume"]);
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    // A few kilobytes are enough for metrics and too little for weights; ignoring the signal leaves an error instead.
    let script = format!("ulimit -f 8; trap '' XFSZ; exec {}", words.join(" "));
    let mut shell = std::process::Command::new("sh");
    let ran = shell.args(["-c", &script]).current_dir(mollify.path("")).output().expect("a shell");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("`save` cannot write") && said.contains("weights-"), "{said}");
    assert!(said.contains("`--resume` goes on from the last state, that after"), "{said}");
    for file in before.iter().filter(|(name, _)| name.ends_with("safetensors")) {
        assert!(mollify.files("runs").contains(file), "`{}` was harmed", file.0);
    }
    mollify.succeed(&["run", "tiny.ron", "--quiet", "--resume"]);
}
