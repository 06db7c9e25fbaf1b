//! `mollify score`.

use std::io::Cursor;

use image::{GrayImage, ImageFormat, Luma};
use mollify_tests::{Mollify, Ran, mollify};

/// Pictures of stripes as wide as `width` and their number say, named by seeds.
fn pictures(folder: &Mollify, name: &str, count: u32, width: u32) {
    for seed in 0..count {
        let shade = |x: u32, y: u32| Luma([((x * width + y * (seed % 5) + seed * 7) * 13 % 256) as u8]);
        let mut bytes = Cursor::new(Vec::new());
        GrayImage::from_fn(8, 8, shade).write_to(&mut bytes, ImageFormat::Png).expect("a picture in memory");
        folder.write(&format!("{name}/{seed:06}.png"), bytes.into_inner());
    }
}

fn folder() -> Mollify {
    let folder = mollify!();
    pictures(&folder, "real", 50, 3);
    pictures(&folder, "near", 24, 3);
    pictures(&folder, "far", 24, 9);
    folder
}

/// The number after a metric's name, line by line.
fn values(ran: &Ran, metric: &str) -> Vec<f64> {
    let lines = ran.stdout.lines().filter_map(|line| line.strip_prefix(metric)?.split(':').next());
    lines
        .map(|value| value.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number"))
        .collect()
}

const DISTANCE: &str = "FD-SqueezeNet512@64 ";

#[test]
fn score_tells_a_distance_with_all_that_it_depends_on_and_the_floor() {
    let folder = folder();
    let ran = folder.succeed(&[
        "score",
        "near",
        "far",
        "--against",
        "real",
        "--device",
        "cpu",
        "--weights",
        "near/000000.png",
    ]);
    let distances = values(&ran, DISTANCE);
    assert!(distances.len() == 2 && distances[0] < distances[1], "{ran}");
    let line = ran.stdout.lines().next().unwrap_or_default();
    for told in
        ["n 24 against 50", "network SqueezeNet512@64 ", "resize bilinear to 64x64", "seeds 0-23", "weights "]
    {
        assert!(line.contains(told), "{told} in {line}");
    }
    assert!(!line.contains("unknown"), "{line}");
    let floor = values(&ran, "floor of FD-SqueezeNet512@64 ")[0];
    assert!(floor > 0.0 && floor < distances[1], "{ran}");
    assert!(ran.stdout.contains("24 real images against the other 26"), "{ran}");
}

#[test]
fn scores_of_different_numbers_of_images_are_refused() {
    let folder = folder();
    folder.succeed(&["score", "near", "--against", "real", "--device", "cpu", "--to", "near.json"]);
    let beside = ["score", "far", "--against", "real", "--device", "cpu", "--beside", "near.json"];
    assert_eq!(values(&folder.succeed(&beside), DISTANCE).len(), 2);
    let ran = folder.fail(&[&beside[..], &["--n", "20"]].concat());
    assert!(ran.stderr.contains("n 24") && ran.stderr.contains("n 20"), "{ran}");
    assert_eq!(ran.stdout, "");
    pictures(&folder, "few", 10, 3);
    let ran = folder.fail(&["score", "near", "few", "--against", "real", "--device", "cpu"]);
    assert!(ran.stderr.contains("cannot be compared"), "{ran}");
    let ran = folder.fail(&["score", "few", "--against", "real", "--device", "cpu", "--n", "11"]);
    assert!(ran.stderr.contains("`few` has 10 images"), "{ran}");
}

#[test]
fn noise_is_far_above_the_floor_of_real_images() {
    let folder = mollify!();
    folder.write(
        "noise.ron",
        r#"(nodes: {
            "digits": Digits(batch: 400),
            "level":  Levels(like: "digits", sigmas: [80.0]),
            "noise":  Corrupt(images: "digits", sigmas: "level"),
            "half":   Features(x: "digits", count: 200),
            "other":  Features(x: "digits", skip: 200, count: 200),
            "noisy":  Features(x: "noise", count: 200),
            "floor":  FrechetDistance(x: "other", against: "half"),
            "far":    FrechetDistance(x: "noisy", against: "half"),
            "save":   SaveTable(of: ["floor", "far"], to: "scores.csv"),
        })"#,
    );
    folder.succeed(&["run", "noise.ron", "--quiet", "--device", "cpu"]);
    let scores = String::from_utf8(folder.read("scores.csv")).expect("text");
    let value = |line: &str| line.split(',').nth(1).and_then(|value| value.parse::<f64>().ok());
    let values: Vec<f64> = scores.lines().filter_map(value).collect();
    assert!(values.len() == 2 && values[0] > 0.0 && values[1] > 20.0 * values[0], "{scores}");
}

#[test]
fn statistics_in_a_file_give_the_same_distance_as_the_images() {
    let folder = folder();
    let images = ["score", "near", "--against", "real", "--device", "cpu", "--save-statistics", "real.npz"];
    let images = folder.succeed(&images);
    let file = folder.succeed(&["score", "near", "--against", "real.npz", "--device", "cpu"]);
    assert_eq!(file.stdout.lines().next(), images.stdout.lines().next());
    assert!(file.stderr.contains("no floor"), "{file}");
    let ran = folder.fail(&["score", "near", "--against", "real.npz", "--device", "cpu", "--also", "kid"]);
    assert!(ran.stderr.contains("needs the images"), "{ran}");
}

#[test]
fn other_metrics_stand_beside_the_distance() {
    let folder = folder();
    let score = ["score", "near", "--against", "real", "--device", "cpu", "--also"];
    let ran =
        folder.succeed(&[&score[..], &["kid,precision-recall,memorisation", "--held-out", "far"]].concat());
    for metric in ["KID", "precision", "recall", "nearest generated", "nearest held out", "memorised"] {
        assert_eq!(values(&ran, &format!("{metric} ")).len(), 1, "{metric}\n{ran}");
    }
    // The generated pictures are the first of the real ones.
    assert!(values(&ran, "nearest generated ")[0] < 1e-3, "{ran}");
    assert_eq!(values(&ran, "memorised ")[0], 1.0, "{ran}");
    let ran = folder.fail(&[&score[..], &["memorisation"]].concat());
    assert!(ran.stderr.contains("--held-out"), "{ran}");
}
