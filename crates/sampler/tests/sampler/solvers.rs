//! What solvers cost, what their noise does, and what they remember.

use crate::small::{numbers, sample, wire};

/// A pipeline of one solver, which is the node `next`.
pub fn pipeline(data: &str, times: &str, solver: &str) -> String {
    format!(
        r#"(
        given: (steps: 18, seeds: "0-15", batch: 4096),
        nodes: {{
            "ideal": {data},
            "times": TimeSteps(steps: steps, {times}),
            "seeds": Batches(of: seeds, size: batch, step: "x"),
            "start": Latents(seeds: "seeds", times: "times", like: "ideal"),
            "x":     Trajectory(start: "start", next: "next", times: "times"),
            "d":     Denoise(x: "x", by: "ideal"),
            {solver}
        }},
    )"#
    )
}

pub const NORMAL: &str = "Normal(std: 0.5, image: (1, 1, 1))";
pub const MIXTURE: &str = "Mixture(std: 0.3)";
pub const EULER: &str = r#""next": Euler(x: "x", denoised: "d"),"#;
pub const HEUN: &str = r#"
    "euler": Euler(x: "x", denoised: "d"), "d2": Denoise(x: "euler", by: "ideal"),
    "next": Heun(x: "x", first: "d", euler: "euler", second: "d2"),"#;

pub fn plain(kind: &str, order: usize) -> String {
    format!(r#""next": {kind}(x: "x", denoised: "d", order: {order}),"#)
}

fn with_noise(kind: &str, fields: &str) -> String {
    format!(r#""next": {kind}(x: "x", denoised: "d", seeds: "seeds", {fields}),"#)
}

#[test]
fn every_method_of_one_evaluation_a_step_asks_once_a_step() {
    let noisy = [with_noise("DpmPPSde", "order: 3"), with_noise("Ancestral", "eta: 1.0")];
    let others = ["Lms", "Deis", "Ipndm", "DpmPP", "UniPC"].map(|kind| plain(kind, 3));
    for solver in others.iter().chain(&noisy) {
        let nfe = sample(&mut wire(&pipeline(NORMAL, "", solver), &["batch=8"]).unwrap(), "next").nfe;
        assert_eq!(nfe, [18.0, 18.0], "{solver}");
    }
}

/// The variance of y = x/s where each step begins, as a part of what it should be.
fn variances(text: &str) -> Vec<f64> {
    let mut engine = wire(text, &["steps=64", "seeds=\"0-2047\""]).unwrap();
    let mut found = Vec::new();
    while !engine.is_finished() {
        engine.tick().unwrap();
        let step = *engine.value::<ports::Step>("x").unwrap();
        let scale = step.path.scale(step.at);
        let squares: f64 = numbers(&engine, "x").iter().map(|x| (x / scale).powi(2)).sum();
        found.push(squares / 2048.0 / (step.sigma().powi(2) + 0.25));
    }
    found
}

/// Of 2048 squares the mean has a standard deviation of √(2 / 2048) = 3 %.
const SPREAD: f64 = 0.1;

#[test]
fn solvers_of_the_sde_keep_the_variance_at_every_level() {
    let vp = "schedule: Vp(), scaling: Vp";
    for (ode, solver) in [
        ("", with_noise("Ancestral", "eta: 1.0")),
        ("", with_noise("Ancestral", "eta: 0.5")),
        ("", with_noise("DpmPPSde", "order: 2")),
        ("", with_noise("DpmPPSde", "order: 3")),
        (vp, with_noise("DpmPPSde", "order: 2, eta: 0.5")),
    ] {
        let found = variances(&pipeline(NORMAL, ode, &solver));
        assert_eq!(found.len(), 64);
        // `diffusion` tests without chance how little the steps themselves cost: for Ancestral up to a tenth.
        let most = if solver.contains("Ancestral") { SPREAD + 0.1 } else { SPREAD };
        assert!(found.iter().all(|found| (found - 1.0).abs() < most), "{solver} {ode}: {found:?}");
    }
}

#[test]
fn solvers_of_the_sde_keep_the_variance_where_a_churn_takes_images_up() {
    let hat = r#""hat": Churn(x: "x", seeds: "seeds", amount: 20.0),"#;
    for kind in ["Ancestral", "DpmPPSde"] {
        let solver = with_noise(kind, "eta: 1.0").replace(r#"x: "x""#, r#"x: "hat""#) + hat;
        let text = pipeline(NORMAL, "", &solver).replace(r#"Denoise(x: "x""#, r#"Denoise(x: "hat""#);
        // Below a noise level of 2 the data count, of which such long steps lose some.
        let found = &variances(&text)[..30];
        assert!(found.iter().all(|found| (found - 1.0).abs() < SPREAD), "{kind}: {found:?}");
    }
}

#[test]
fn louder_noise_is_heard() {
    let end = |noise: &str| {
        let solver = with_noise("DpmPPSde", &format!("noise: {noise}"));
        *variances(&pipeline(NORMAL, "", &solver)).last().unwrap()
    };
    assert!(end("1.1") > end("1.0") * 1.05);
}

/// How far the images of one number of steps are from those of twice as many, over all seeds.
fn apart(solver: &str, steps: usize) -> f64 {
    let images = |steps: usize| {
        let mut engine = wire(&pipeline(MIXTURE, "", solver), &[&format!("steps={steps}")]).unwrap();
        sample(&mut engine, "next").images
    };
    let (coarse, fine) = (images(steps), images(2 * steps));
    let squares: f64 = coarse.iter().map(|(seed, x)| (x[0] - fine[seed][0]).powi(2)).sum();
    (squares / coarse.len() as f64).sqrt()
}

#[test]
fn the_noise_of_a_seed_is_the_same_whatever_the_number_of_steps() {
    for solver in [with_noise("DpmPPSde", "order: 2"), with_noise("Ancestral", "eta: 1.0")] {
        let found = [64, 256, 1024].map(|steps| apart(&solver, steps));
        assert!(found[2] < 0.02 && found[2] < found[0] / 2.0, "{solver}: {found:?}");
    }
}

#[test]
fn without_noise_the_solvers_of_the_sde_are_those_of_the_ode() {
    let images =
        |solver: &str| sample(&mut wire(&pipeline(MIXTURE, "", solver), &[]).unwrap(), "next").images;
    for order in [2, 3] {
        let sde = images(&with_noise("DpmPPSde", &format!("order: {order}, eta: 0.0")));
        assert_eq!(sde, images(&plain("DpmPP", order)));
    }
    let (ancestral, euler) = (images(&with_noise("Ancestral", "eta: 0.0")), images(EULER));
    let near = ancestral.iter().all(|(seed, x)| (x[0] - euler[seed][0]).abs() < 1e-12);
    assert!(near, "{ancestral:?} {euler:?}");
}

const RESTARTED: &str = r#"(
    given: (steps: 18, seeds: "0-15", batch: 4096),
    nodes: {
        "ideal": Normal(std: 0.5, image: (1, 1, 1)),
        "down":  TimeSteps(steps: steps),
        "low":   Restart(times: "down", min: 0.1, max: 1.0, steps: 12, repeat: 3),
        "times": Restart(times: "low", min: 2.0, max: 10.0, steps: 8),
        "seeds": Batches(of: seeds, size: batch, step: "x"),
        "start": Latents(seeds: "seeds", times: "times", like: "ideal"),
        "x":     Trajectory(start: "start", next: "next", times: "times"),
        "hat":   Churn(x: "x", seeds: "seeds"),
        "d":     Denoise(x: "hat", by: "ideal"),
        "euler": Euler(x: "hat", denoised: "d"),
        "d2":    Denoise(x: "euler", by: "ideal"),
        "next":  Heun(x: "hat", first: "d", euler: "euler", second: "d2"),
    },
)"#;

#[test]
fn a_restart_goes_up_and_down_again() {
    let mut engine = wire(RESTARTED, &[]).unwrap();
    let nfe = sample(&mut engine, "next").nfe;
    let times = engine.value::<ports::Times>("times").unwrap();
    assert_eq!(times.t.len(), 18 + 3 * 12 + 8 + 1);
    let ups: Vec<f64> = times.restarts.iter().map(|(index, top)| top / times.t[*index]).collect();
    assert_eq!(ups.len(), 4);
    // The levels nearest to 2 and to 0.1 are 1.923 and 0.1395.
    assert!((ups[0] / (10.0 / 1.92334) - 1.0).abs() < 1e-5 && (ups[3] / (1.0 / 0.139516) - 1.0).abs() < 1e-5);
    assert_eq!(nfe, [2.0 * (18.0 + 36.0 + 8.0) - 1.0]);
    let found = variances(RESTARTED);
    assert!(found.iter().all(|found| (found - 1.0).abs() < SPREAD), "{found:?}");
}

#[test]
fn a_restart_without_a_churn_is_an_error() {
    let mut engine =
        wire(RESTARTED, &["d.x=\"x\"", "euler.x=\"x\""]).unwrap_or_else(|report| panic!("{report}"));
    let failure = engine.run().unwrap_err().to_string();
    assert!(
        failure.contains("a restart is due here, and nothing has added its noise; wire a `Churn`"),
        "{failure}"
    );
}

/// Every solver with its settings, on the points of the plane.
fn all() -> Vec<String> {
    let noisy = [with_noise("DpmPPSde", "order: 3"), with_noise("Ancestral", "eta: 1.0")];
    let others = ["Lms", "Deis", "Ipndm", "DpmPP", "UniPC"].map(|kind| plain(kind, 3));
    let points = |solver: String| pipeline("Points(at: [(1.0, 0.0), (-0.5, 0.8)])", "", &solver);
    others.into_iter().chain(noisy).map(points).collect()
}

#[test]
fn what_a_seed_draws_is_no_matter_of_its_batch() {
    for text in all() {
        let images =
            |batch: usize| sample(&mut wire(&text, &[&format!("batch={batch}")]).unwrap(), "next").images;
        let whole = images(16);
        assert_eq!(whole.len(), 16);
        assert!([1, 7].iter().all(|batch| images(*batch) == whole), "{text}");
    }
}

#[test]
fn a_run_that_is_resumed_on_the_way_ends_with_the_same_images() {
    for text in all() {
        let whole = sample(&mut wire(&text, &["batch=8"]).unwrap(), "next").images;
        // At the end of the first batch, and in the middle of the second.
        for ticks in [18, 25] {
            let mut first = wire(&text, &["batch=8"]).unwrap();
            (0..ticks).for_each(|_| first.tick().unwrap());
            let mut second = wire(&text, &["batch=8"]).unwrap();
            second.load(&first.save().unwrap()).unwrap();
            let rest = sample(&mut second, "next").images;
            assert!((8..16).all(|seed| rest.contains_key(&seed)), "{text}");
            assert!(rest.iter().all(|(seed, image)| whole[seed] == *image), "{text}");
        }
    }
}
