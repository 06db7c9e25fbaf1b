//! Algorithm 2 on denoisers in closed form.

use crate::small::{numbers, sample, wire};

/// Heun's method on normal data without churn; every image has one pixel.
const NORMAL: &str = r#"(
    given: (steps: 18, seeds: "0-15", batch: 64),
    nodes: {
        "ideal":  Normal(std: 0.5, image: (1, 1, 1)),
        "times":  TimeSteps(steps: steps),
        "seeds":  Batches(of: seeds, size: batch, step: "x"),
        "start":  Latents(seeds: "seeds", times: "times", like: "ideal"),
        "x":      Trajectory(start: "start", next: "heun", times: "times"),
        "hat":    Churn(x: "x", seeds: "seeds"),
        "first":  Denoise(x: "hat", by: "ideal"),
        "euler":  Euler(x: "hat", denoised: "first"),
        "second": Denoise(x: "euler", by: "ideal"),
        "heun":   Heun(x: "hat", first: "first", euler: "euler", second: "second"),
    },
)"#;

const TOY: &str = include_str!("../../../../pipelines/toy.ron");

/// toy.ron with its picture in a folder that goes away.
fn toy(folder: &tempfile::TempDir, settings: &[&str]) -> pipeline::Engine {
    let to = format!("files.to={:?}", folder.path().join("toy.png"));
    wire(TOY, &[&[to.as_str()], settings].concat()).unwrap()
}

#[test]
fn the_toy_ends_on_its_points() {
    let folder = tempfile::tempdir().unwrap();
    let samples = sample(&mut toy(&folder, &[]), "heun");
    let points = [[1.0, 0.0], [-0.5, 0.866], [-0.5, -0.866]];
    let mut counts = [0; 3];
    for image in samples.images.values() {
        let far = |point: &[f64; 2]| (image[0] - point[0]).hypot(image[1] - point[1]);
        let nearest = (0..3).min_by(|a, b| far(&points[*a]).total_cmp(&far(&points[*b]))).unwrap();
        assert!(far(&points[nearest]) < 1e-3, "{image:?} is on no point");
        counts[nearest] += 1;
    }
    assert_eq!(counts.iter().sum::<i32>(), 64);
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
    assert!(folder.path().join("toy.png").exists());
}

#[test]
fn the_same_seed_gives_the_same_image_in_batches_of_1_7_and_64() {
    let folder = tempfile::tempdir().unwrap();
    let all = sample(&mut toy(&folder, &["batch=64"]), "heun").images;
    assert_eq!(all.len(), 64);
    for batch in ["batch=1", "batch=7"] {
        assert_eq!(sample(&mut toy(&folder, &[batch]), "heun").images, all, "{batch}");
    }
    let some = sample(&mut toy(&folder, &["seeds=\"40,3,7-9\"", "batch=2"]), "heun").images;
    assert_eq!(some.keys().copied().collect::<Vec<_>>(), [3, 7, 8, 9, 40]);
    assert!(some.iter().all(|(seed, image)| all[seed] == *image));
}

/// dx/dσ = σ x / (σ² + s²), so x falls like √(σ² + s²).
fn error(settings: &[&str], node: &str) -> f64 {
    let mut engine = wire(NORMAL, settings).unwrap();
    let samples = sample(&mut engine, node);
    let shrink = 0.5 / (80.0f64 * 80.0 + 0.25).sqrt();
    let starts = numbers(&engine, "start");
    assert_eq!(starts.len(), 16);
    let far = samples.images.values().zip(starts).map(|(end, start)| (end[0] / (start * shrink) - 1.0).abs());
    far.fold(0.0, f64::max)
}

#[test]
fn heun_is_of_second_order_and_euler_of_first() {
    let heun = [64, 128].map(|steps| error(&[&format!("steps={steps}")], "heun"));
    let euler = [64, 128].map(|steps| error(&[&format!("steps={steps}"), "x.next=\"euler\""], "euler"));
    assert!((3.5..4.6).contains(&(heun[0] / heun[1])), "{heun:?}");
    assert!((1.8..2.2).contains(&(euler[0] / euler[1])), "{euler:?}");
    assert!(heun[1] < 1e-3 && euler[1] < 0.1, "{heun:?} {euler:?}");
}

#[test]
fn heun_asks_twice_a_step_but_once_in_the_last_and_euler_once() {
    for steps in [2, 18] {
        let setting = format!("steps={steps}");
        let heun = sample(&mut wire(NORMAL, &[&setting, "batch=8"]).unwrap(), "heun").nfe;
        assert_eq!(heun, [diffusion::nfe(steps) as f64; 2], "once for each of two batches");
        let euler = sample(&mut wire(NORMAL, &[&setting, "x.next=\"euler\""]).unwrap(), "euler").nfe;
        assert_eq!(euler, [steps as f64]);
    }
}

#[test]
fn churn_keeps_the_distribution() {
    let settings = ["steps=64", "seeds=\"0-2047\"", "batch=2048", "hat.amount=40.0"];
    let ends = sample(&mut wire(NORMAL, &settings).unwrap(), "heun").images;
    let variance = ends.values().map(|image| image[0] * image[0]).sum::<f64>() / 2048.0;
    // Of 2048 squares the mean has a standard deviation of √(2 / 2048) = 3 %.
    assert!((variance / 0.25 - 1.0).abs() < 0.1, "{variance}");
    let without = sample(&mut wire(NORMAL, &settings[..3]).unwrap(), "heun").images;
    assert!(ends.values().zip(without.values()).all(|(a, b)| a != b), "nothing was churned");
}

#[test]
fn churn_outside_of_its_range_changes_nothing() {
    let without = sample(&mut wire(NORMAL, &[]).unwrap(), "heun").images;
    let settings = ["hat.amount=4.0", "hat.min=81.0"];
    assert_eq!(sample(&mut wire(NORMAL, &settings).unwrap(), "heun").images, without);
    let settings = ["hat.amount=4.0", "hat.max=0.001", "hat.noise=9.0"];
    assert_eq!(sample(&mut wire(NORMAL, &settings).unwrap(), "heun").images, without);
    let both_ends = ["hat.amount=4.0", "hat.min=80.0", "hat.max=80.0"];
    assert_ne!(
        sample(&mut wire(NORMAL, &both_ends).unwrap(), "heun").images,
        without,
        "the ends belong to the range"
    );
}

#[test]
fn time_steps_stay_where_the_denoiser_can_be_asked() {
    let settings = ["times.by=\"ideal\"", "ideal.sigma_min=0.1"];
    let mut engine = wire(NORMAL, &settings).unwrap();
    engine.run().unwrap();
    let times = &engine.value::<ports::Times>("times").unwrap().t;
    assert_eq!((times.len(), times[18]), (19, 0.0));
    assert!((times[0] - 80.0).abs() < 1e-9 && (times[17] - 0.1).abs() < 1e-12, "{times:?}");
}

#[test]
fn a_resumed_run_ends_with_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let whole = sample(&mut toy(&folder, &[]), "heun").images;
    let picture = std::fs::read(folder.path().join("toy.png")).unwrap();
    std::fs::remove_file(folder.path().join("toy.png")).unwrap();
    // In the middle of the second batch, and right at its end.
    for ticks in [25, 36] {
        let mut first = toy(&folder, &[]);
        (0..ticks).for_each(|_| first.tick().unwrap());
        let mut second = toy(&folder, &[]);
        second.load(&first.save().unwrap()).unwrap();
        let rest = sample(&mut second, "heun").images;
        assert_eq!(rest.keys().copied().collect::<Vec<_>>(), (16..64).collect::<Vec<_>>());
        assert!(rest.iter().all(|(seed, image)| whole[seed] == *image));
        assert_eq!(std::fs::read(folder.path().join("toy.png")).unwrap(), picture);
    }
}

#[test]
fn the_plan_of_the_house_wires() {
    let text = r#"(
        about: "Three points, no network",
        given: (steps: 18, seeds: "0-63", batch: 16),
        nodes: {
            "ideal":  Points(at: [(1.0, 0.0), (-0.5, 0.866), (-0.5, -0.866)]),
            "times":  TimeSteps(steps: steps, spacing: Edm(rho: 7.0)),
            "seeds":  Batches(of: seeds, size: batch, step: "x"),
            "start":  Latents(seeds: "seeds", times: "times", like: "ideal"),
            "x":      Trajectory(start: "start", next: "heun", times: "times"),
            "hat":    Churn(x: "x", seeds: "seeds", amount: 4.0, min: 0.05, max: 50.0, noise: 1.003),
            "first":  Denoise(x: "hat", by: "ideal"),
            "euler":  Euler(x: "hat", denoised: "first"),
            "second": Denoise(x: "euler", by: "ideal"),
            "heun":   Heun(x: "hat", first: "first", euler: "euler", second: "second"),
            "files":  Png(x: "heun", seeds: "seeds", to: "out/{seed:06}.png"),
        },
    )"#;
    let engine = wire(text, &[]).unwrap();
    assert!(engine.describe().contains("→ Images 1x1x2"), "{}", engine.describe());
}
