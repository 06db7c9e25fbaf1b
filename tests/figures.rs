//! The experiments of the paper: what the committed numbers in `docs/figures` say, and small versions of each pipeline.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;

use image::{GrayImage, ImageFormat, Luma};
use mollify_tests::{Mollify, mollify, root};

/// The rows of a committed figure, by column.
fn figure(name: &str) -> Vec<BTreeMap<String, String>> {
    let text =
        fs::read_to_string(root().join(format!("docs/figures/{name}.csv"))).expect("a committed figure");
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().expect("names of columns").split(',').collect();
    let row = |line: &str| {
        columns.iter().map(|name| name.to_string()).zip(line.split(',').map(str::to_owned)).collect()
    };
    lines.map(row).collect()
}

/// The points of a line of a figure: of the rows that say `by` what `is`.
fn line(name: &str, by: &[(&str, &str)], [x, y]: [&str; 2]) -> Vec<(f64, f64)> {
    let number = |row: &BTreeMap<String, String>, column: &str| row[column].parse::<f64>().expect("a number");
    let rows = figure(name).into_iter().filter(|row| by.iter().all(|(column, is)| row[*column] == *is));
    let points: Vec<(f64, f64)> = rows.map(|row| (number(&row, x), number(&row, y))).collect();
    assert!(!points.is_empty(), "{name} has no line {by:?}");
    points
}

#[test]
fn the_ideal_denoiser_copies_then_blends_then_averages() {
    let error = line("ideal-error", &[], ["sigma", "rms"]);
    assert!(error.iter().filter(|(sigma, _)| *sigma <= 0.2).all(|(_, rms)| *rms < 1e-3), "{error:?}");
    assert!(
        error.iter().filter(|(sigma, _)| *sigma >= 10.0).all(|(_, rms)| (0.5..0.56).contains(rms)),
        "{error:?}"
    );
    assert!(error.windows(2).all(|pair| pair[0].1 <= pair[1].1 + 0.02), "{error:?}");
}

#[test]
fn trajectories_of_all_schedules_end_at_the_same_points() {
    for of in ["vp", "ve", "edm"] {
        for image in 0..12 {
            let image = image.to_string();
            let way = line("curvature", &[("of", of), ("image", &image)], ["sigma", "x"]);
            let (sigma, end) = way[way.len() - 1];
            let side = if image.parse::<u32>().expect("a number") < 6 { -1.0 } else { 1.0 };
            assert!((end - side).abs() < 2.5 * sigma, "image {image} of {of} ends at {end}");
        }
    }
}

/// How far from straight a way is: its farthest point from the line between its ends, as a part of its height.
fn bend(of: &str) -> f64 {
    let way = line("curvature", &[("of", of), ("image", "11")], ["t", "x"]);
    let ((t0, x0), (t1, x1)) = (way[0], way[way.len() - 1]);
    let off = way.iter().map(|(t, x)| (x - x0 - (x1 - x0) * (t - t0) / (t1 - t0)).abs());
    off.fold(0.0, f64::max) / (x1 - x0).abs()
}

#[test]
fn the_way_of_sigma_equal_to_t_is_the_straightest() {
    let [vp, ve, edm] = ["vp", "ve", "edm"].map(bend);
    assert!(edm < 0.05 && ve > 0.2 && vp > 0.2, "{vp} {ve} {edm}");
}

/// The order of a method between two counts of evaluations.
fn order(of: &str, [first, last]: [f64; 2]) -> f64 {
    let error = line("nfe", &[("of", of)], ["nfe", "rms"]);
    let at = |nfe: f64| error.iter().find(|(count, _)| *count == nfe).expect("a point").1;
    (at(first) / at(last)).ln() / (last / first).ln()
}

#[test]
fn solvers_have_their_orders_in_the_committed_figure() {
    let euler = order("Euler", [40.0, 128.0]);
    let heun = order("Heun", [79.0, 255.0]);
    assert!((euler - 1.0).abs() < 0.15, "{euler}");
    assert!((heun - 2.0).abs() < 0.15, "{heun}");
    assert!(order("UniPC", [64.0, 128.0]) > 2.5);
}

#[test]
fn rho_of_3_makes_all_steps_of_heun_err_alike_below_sigma_1() {
    let error = line("truncation", &[("solver", "Heun"), ("rho", "ρ = 3")], ["sigma", "rms"]);
    let flat: Vec<f64> =
        error.iter().filter(|(sigma, _)| (0.05..1.3).contains(sigma)).map(|(_, rms)| *rms).collect();
    assert!(flat.len() > 4 && flat.iter().all(|rms| (0.0025..0.0045).contains(rms)), "{flat:?}");
    let worst = |rho: &str| {
        let error = line("truncation", &[("solver", "Euler"), ("rho", rho)], ["sigma", "rms"]);
        error.iter().map(|(_, rms)| *rms).fold(0.0, f64::max)
    };
    assert!(worst("ρ = 1") > 5.0 * worst("ρ = 2") && worst("ρ = 2") > worst("ρ = 7"));
}

#[test]
fn training_digs_a_dip_into_the_loss_where_it_looks() {
    let of = |name| line("loss", &[("of", name)], ["sigma", "loss"]);
    let (before, after) = (of("before training"), of("after training"));
    // (σ² m₂ / σ_data² + σ_data²) / (σ² + σ_data²), where digits have a mean square of 0.717.
    for (sigma, loss) in &before {
        let expected = (sigma * sigma * 0.7167 / 0.25 + 0.25) / (sigma * sigma + 0.25);
        assert!((loss - expected).abs() < 0.02 * expected, "{loss} at {sigma}, expected {expected}");
    }
    let (dip, least) = after.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).expect("points");
    assert!((0.1..1.0).contains(&dip) && least < 0.35, "{least} at {dip}");
    assert!(before.iter().zip(&after).all(|(before, after)| after.1 < before.1));
}

/// The only number of a figure that stands beside `word` in a column.
fn beside(name: &str, column: &str, word: &str, number: &str) -> f64 {
    let rows = figure(name);
    let row = rows.iter().find(|row| row[column] == word).expect("a row of that name");
    row[number].parse().expect("a number")
}

/// Against 300 digits; the floor is 332 with a standard deviation of 48 over three pairs of sets, and samples vary as much.
#[test]
fn quality_is_near_its_floor_from_25_evaluations_on() {
    let heun = line("quality", &[("of", "Heun")], ["nfe", "value"]);
    let floor = beside("quality", "of", "real-digits", "value");
    let at = |nfe: f64| heun.iter().find(|(count, _)| *count == nfe).expect("a point").1;
    assert!((230.0..430.0).contains(&floor), "{floor}");
    assert!(at(3.0) > 20.0 * floor && at(9.0) > 5.0 * floor && at(13.0) > 2.0 * floor, "{heun:?}");
    assert!(at(25.0) < 1.5 * floor && at(35.0) < 1.5 * floor, "{heun:?}");
    let euler = line("quality", &[("of", "Euler")], ["nfe", "value"]);
    assert!(
        euler.iter().filter(|(nfe, _)| *nfe < 10.0).all(|(nfe, value)| *value < at(*nfe) / 3.0),
        "{euler:?}"
    );
}

#[test]
fn few_evaluations_of_heuns_method_end_farther_from_the_exact_samples_than_as_many_of_eulers() {
    let [heun, euler] = ["Heun", "Euler"].map(|of| line("quality-error", &[("of", of)], ["nfe", "rms"]));
    let at = |line: &[(f64, f64)], nfe: f64| line.iter().find(|(count, _)| *count == nfe).expect("a point").1;
    assert!([3.0, 5.0, 9.0, 13.0].into_iter().all(|nfe| at(&heun, nfe) > 1.5 * at(&euler, nfe)), "{heun:?}");
    assert!([25.0, 35.0].into_iter().all(|nfe| at(&heun, nfe) < 0.8 * at(&euler, nfe)), "{euler:?}");
}

/// 300 samples each: distances of real digits have a standard deviation of 48.
#[test]
fn much_churn_does_harm_but_for_low_noise_levels() {
    let at = |name: &str, x: &str| beside(name, name, x, "value");
    let none = at("churn", "0");
    assert!((at("churn", "0.5") - none).abs() < 100.0 && (at("churn", "1") - none).abs() < 100.0);
    assert!(at("churn", "3.7") > none + 140.0);
    assert!((at("tmax", "0.2") - none).abs() < 100.0 && at("tmax", "80") > none + 140.0);
    for noise in ["0.98", "1.01", "1.03"] {
        assert!((at("noise", noise) - at("churn", "3.7")).abs() < 100.0, "S_noise of {noise}");
    }
}

/// 500 samples each: shares have standard deviations of 0.02 at most.
#[test]
fn samples_stand_upright_where_the_network_was_told_how_digits_were_turned() {
    let upright = |of| beside("leak", "of", of, "upright");
    assert!(upright("real-digits") > 0.88);
    assert!((0.62..0.76).contains(&upright("told")));
    assert!((upright("not-told") - 0.125).abs() < 0.05, "chance is one of eight directions");
}

#[test]
fn the_upper_half_of_the_ladder_leads_the_lower_by_far() {
    let distance = |rung| beside("ladder", "rung", rung, "value");
    let lower = ["A", "B", "C"].map(distance);
    let upper = ["D", "E", "F"].map(distance);
    assert!(upper.iter().all(|upper| lower.iter().all(|lower| *upper < 0.85 * lower)), "{lower:?} {upper:?}");
    assert!(upper[1] < upper[0] && upper[1] < upper[2], "{upper:?}");
    assert!((300.0..480.0).contains(&distance("real-digits")));
}

/// A folder with the pipelines of figures in it, but for those sweeps that are cut short.
fn small(sweeps: &[(&str, &str)]) -> Mollify {
    let mollify = mollify!().with_tiny();
    for (name, sweep) in sweeps {
        let base = root().join(format!("pipelines/figures/{name}.ron"));
        mollify.write(&format!("{name}.ron"), format!("(base: {base:?}, sweep: {{{sweep}}})"));
    }
    mollify
}

fn shipped(name: &str) -> String {
    root().join(format!("pipelines/figures/{name}.ron")).display().to_string()
}

fn drawn(mollify: &Mollify, name: &str) {
    for extension in ["svg", "png", "csv"] {
        assert!(mollify.read(&format!("docs/figures/{name}.{extension}")).len() > 40, "{name}.{extension}");
    }
}

#[test]
fn figures_without_a_network_draw_small_versions_of_themselves() {
    let mollify = small(&[("nfe-runs", "\"steps\": [4, 8]")]);
    mollify.succeed(&["run", &shipped("ideal"), "--quiet", "--set", "test=2"]);
    drawn(&mollify, "ideal-error");
    mollify.succeed(&["run", &shipped("curvature"), "--quiet", "--set", "steps=6"]);
    drawn(&mollify, "curvature");
    mollify.succeed(&["run", "nfe-runs.ron", "--quiet", "--set", "samples=\"0-7\""]);
    mollify.succeed(&["run", &shipped("nfe"), "--quiet"]);
    drawn(&mollify, "nfe");
}

#[test]
fn figures_of_quality_draw_small_versions_of_themselves() {
    let steps = "\"steps\": [2, 3]";
    let mollify = small(&[
        ("quality-runs", steps),
        ("quality-euler-runs", steps),
        ("quality-error-runs", steps),
        ("churn-runs", "\"steps\": [2], \"churn\": [0.0, 1.0]"),
        ("tmin-runs", "\"steps\": [2], \"tmin\": [0.1, 1.0]"),
        ("tmax-runs", "\"steps\": [2], \"tmax\": [0.1, 1.0]"),
        ("noise-runs", "\"steps\": [2], \"noise\": [1.0, 1.1]"),
    ]);
    mollify.succeed(&["run", "tiny.ron", "--quiet"]);
    let set = ["net=\"runs/tiny\"", "seeds=\"0-3\"", "n=4"].map(|set| ["--set", set]).concat();
    for sweep in ["quality-runs", "quality-euler-runs", "churn-runs", "tmin-runs", "tmax-runs", "noise-runs"]
    {
        mollify.succeed(&[&["run", &format!("{sweep}.ron"), "--quiet"], &set[..]].concat());
    }
    mollify.succeed(&["run", &shipped("quality"), "--quiet", "--set", "n=4"]);
    drawn(&mollify, "quality");
    let short = ["--set", "net=\"runs/tiny\"", "--set", "seeds=\"0-3\"", "--set", "exact=8"];
    mollify.succeed(&[&["run", "quality-error-runs.ron", "--quiet"], &short[..]].concat());
    mollify.succeed(&["run", &shipped("quality-error"), "--quiet"]);
    drawn(&mollify, "quality-error");
    mollify.succeed(&["run", &shipped("churn"), "--quiet", "--set", "n=4"]);
    for name in ["churn", "tmin", "tmax", "noise"] {
        drawn(&mollify, name);
    }
}

#[test]
fn the_figure_of_leaks_draws_a_small_version_of_itself() {
    let mollify = small(&[]);
    let tiny =
        ["kimg=0.032", "batch=8", "seeds=\"0-9\"", "unet.channels=8", "times.steps=2", "labels.each=1"];
    let tiny = tiny.map(|set| ["--set", set]).concat();
    for name in ["../leak", "../leak-untold"] {
        mollify.succeed(&[&["run", &shipped(name), "--quiet"], &tiny[..]].concat());
    }
    mollify.succeed(&["run", &shipped("leak"), "--quiet"]);
    drawn(&mollify, "leak");
}

#[test]
fn the_ladder_draws_a_small_version_of_itself() {
    let mollify = small(&[]);
    for n in 0..20_u8 {
        let shade = |x: u32, y: u32| Luma([(x as u8 * 16).wrapping_add(n * 10) ^ (y as u8 * 8)]);
        let mut bytes = Cursor::new(Vec::new());
        GrayImage::from_fn(16, 16, shade).write_to(&mut bytes, ImageFormat::Png).expect("a picture");
        mollify.write(&format!("pictures/{}/{n}.png", n % 10), bytes.into_inner());
    }
    let data = ["data=\"pictures\"", "n=10", "set.batch=10"].map(|set| ["--set", set]).concat();
    let tiny = ["kimg=0.032", "batch=8", "seeds=\"0-9\"", "steps=2"].map(|set| ["--set", set]).concat();
    for rung in ["a", "b", "c", "d", "e", "f"] {
        let rung = shipped(&format!("ladder-{rung}"));
        mollify.succeed(&[&["run", &rung, "--quiet"], &data[..], &tiny[..]].concat());
    }
    mollify.succeed(&[&["run", &shipped("ladder"), "--quiet"], &data[..]].concat());
    drawn(&mollify, "ladder");
    let rungs = String::from_utf8(mollify.read("docs/figures/ladder.csv")).expect("text");
    let names: Vec<&str> = rungs.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(names, ["A", "B", "C", "D", "E", "F", "real-digits"]);
}

#[test]
fn figures_with_a_network_draw_small_versions_of_themselves() {
    let mollify = small(&[
        ("truncation-runs", "\"rho\": [3.0, 7.0]"),
        ("langevin-runs", "\"noise\": [1.0], \"sigma\": [0.5, 3.0]"),
    ]);
    mollify.succeed(&["run", "tiny.ron", "--quiet"]);
    let net = ["--quiet", "--set", "net=\"runs/tiny\""];
    mollify.succeed(
        &[
            &["run", "truncation-runs.ron", "--set", "steps=4", "--set", "batch=2", "--set", "parts=3"],
            &net[..],
        ]
        .concat(),
    );
    mollify.succeed(&["run", &shipped("truncation"), "--quiet"]);
    drawn(&mollify, "truncation");
    mollify.succeed(&[&["run", "langevin-runs.ron", "--set", "steps=40"], &net[..]].concat());
    mollify.succeed(&["run", &shipped("langevin"), "--quiet"]);
    drawn(&mollify, "langevin");
    drawn(&mollify, "langevin-ideal");
    mollify.succeed(
        &[
            &[
                "run",
                &shipped("loss"),
                "--set",
                "count=4",
                "--set",
                "data.batch=4",
                "--set",
                "sigmas=[0.1, 1.0]",
            ],
            &net[..],
        ]
        .concat(),
    );
    drawn(&mollify, "loss");
}
