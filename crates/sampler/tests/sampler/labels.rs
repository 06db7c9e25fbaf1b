//! What sampled images show.

use crate::small::{mistake, sample, wire};

/// Every class has the mean of its number.
pub const CLASSES: &str = r#"(
    given: (seeds: "0-11"),
    nodes: {
        "ideal":  Normal(std: 0.001, image: (2, 1, 3), classes: 3),
        "times":  TimeSteps(steps: 18),
        "seeds":  Batches(of: seeds, size: 4, step: "x"),
        "labels": Classes(seeds: "seeds", classes: 3, each: 2),
        "start":  Latents(seeds: "seeds", times: "times", like: "ideal"),
        "x":      Trajectory(start: "start", next: "heun", times: "times"),
        "first":  Denoise(x: "x", by: "ideal", labels: "labels"),
        "euler":  Euler(x: "x", denoised: "first"),
        "second": Denoise(x: "euler", by: "ideal", labels: "labels"),
        "heun":   Heun(x: "x", first: "first", euler: "euler", second: "second"),
    },
)"#;

/// The class of each of the seeds 0 to 11, as its mean tells.
fn classes(settings: &[&str]) -> Vec<i32> {
    let samples = sample(&mut wire(CLASSES, settings).unwrap(), "heun");
    samples.images.values().map(|image| (image.iter().sum::<f64>() / 6.0).round() as i32).collect()
}

#[test]
fn classes_take_turns_or_only_one_is_drawn() {
    assert_eq!(classes(&[]), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
    assert_eq!(classes(&["labels.each=1"]), [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
    assert_eq!(classes(&["labels.only=2"]), [2; 12]);
}

#[test]
fn a_denoiser_gets_the_labels_that_it_takes() {
    let missing = mistake(CLASSES, &["first.labels=None"]);
    assert!(
        missing.starts_with("`ideal` takes labels of 3 classes, and none are wired here; add `labels:"),
        "{missing}"
    );
    let other = mistake(CLASSES, &["labels.classes=4", "second.labels=None"]);
    assert!(other.contains("`ideal` takes labels of 3 classes, but these have 4"), "{other}");
    assert!(other.contains("none are wired here"), "both mistakes at once: {other}");
    let none = mistake(CLASSES, &["ideal.classes=0", "second.labels=None"]);
    assert_eq!(none, "`ideal` takes no labels; leave out `labels`");
}
