//! The way up, what is done with latents, and likelihood, on data with known answers.

use bevy_ecs::message::Messages;
use pipeline::{Engine, Metric};
use ports::{Denoised, Images, Labels, Step};
use tensor::{Device, Reference};

use crate::orders::exact;
use crate::small::{mistake, numbers, wire};
use crate::solvers::{EULER, HEUN, NORMAL, plain};

/// Up and down again: `held` to `next`, which is what `solver` calls its last node.
fn round_trip(data: &str, pixels: &[f64], times: &str, solver: &str) -> String {
    let down = solver;
    let up = ["x", "d", "d2", "euler", "next"]
        .iter()
        .fold(solver.to_owned(), |up, name| up.replace(&format!("\"{name}\""), &format!("\"{name}-up\"")));
    format!(
        r#"(
        given: (steps: 18),
        nodes: {{
            "ideal": {data},
            "times": TimeSteps(steps: steps, {times}),
            "up":    Upwards(times: "times"),
            "held":  Noisy(pixels: {pixels:?}, levels: [0.0]),
            "x-up":  Trajectory(start: "held", next: "next-up", times: "up"),
            "d-up":  Denoise(x: "x-up", by: "ideal"),
            {up}
            "x":     Trajectory(start: "next-up", next: "next", times: "times", after: ["x-up"]),
            "d":     Denoise(x: "x", by: "ideal"),
            {down}
        }},
    )"#
    )
}

/// Pixels of the mixture of two normal distributions around -1 and 1, by Box and Muller from numbers that fill the square.
fn mixture(std: f64, count: usize) -> Vec<f64> {
    let normal = |i: usize| {
        let (u, v) = ((i as f64 + 0.5) / count as f64, (i as f64 * 0.618_033_988_749_895).fract());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    (0..count).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 } + std * normal(i)).collect()
}

fn rms(numbers: impl Iterator<Item = f64>) -> f64 {
    let squares: Vec<f64> = numbers.map(|x| x * x).collect();
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

/// Runs to the end.
pub fn run(text: &str, settings: &[&str]) -> Engine {
    let mut engine = wire(text, settings).unwrap_or_else(|report| panic!("{report}"));
    engine.run().unwrap_or_else(|failure| panic!("{failure}"));
    engine
}

/// What a round trip leaves of the images where they came from, at the lowest noise level.
fn error(text: &str, steps: usize) -> f64 {
    let engine = run(text, &[&format!("steps={steps}")]);
    let scale = engine.value::<Images>("x").unwrap().scale();
    let (back, images) = (numbers(&engine, "x"), numbers(&engine, "held"));
    rms(back.iter().zip(&images).map(|(x, y)| x / scale - y))
}

/// The ideal denoiser of the mixture whose parts have a standard deviation of 0.1.
fn narrow(x: f64, sigma: f64) -> f64 {
    let all = sigma * sigma + 0.01;
    let mean = (x / all).tanh();
    mean + (x - mean) * 0.01 / all
}

/// The slopes of errors where steps double.
fn orders(errors: &[f64]) -> Vec<f64> {
    errors.windows(2).map(|pair| (pair[0] / pair[1]).log2()).collect()
}

#[test]
fn latents_by_heun_have_an_error_of_second_order() {
    let pixels = mixture(0.1, 128);
    let truth: Vec<f64> = pixels.iter().map(|y| exact(narrow, *y, 0.002, 80.0) / 80.0).collect();
    let text = round_trip("Mixture(std: 0.1)", &pixels, "", HEUN);
    let errors = [40, 80, 160, 320].map(|steps| {
        let engine = run(&text, &[&format!("steps={steps}")]);
        rms(numbers(&engine, "next-up").iter().zip(&truth).map(|(x, z)| x / 80.0 - z))
    });
    let orders = orders(&errors);
    assert!(orders.iter().all(|order| (1.7..2.3).contains(order)), "{errors:?} fall by {orders:?}");
}

#[test]
fn what_heun_encodes_and_decodes_comes_back_and_the_error_falls_with_the_square_of_the_steps_or_faster() {
    let text = round_trip("Mixture(std: 0.1)", &mixture(0.1, 256), "", HEUN);
    let errors = [40, 80, 160, 320].map(|steps| error(&text, steps));
    let orders = orders(&errors);
    // With ever more steps the errors of the two ways cancel: those of odd powers of a step change their sign with it.
    assert!(orders.iter().all(|order| (1.9..3.1).contains(order)), "{errors:?} fall by {orders:?}");
}

#[test]
fn a_round_trip_loses_what_was_worked_out_elsewhere() {
    let pixels = mixture(0.1, 512);
    for (rho, steps, expected) in
        [(7.0, 40, 0.0028), (7.0, 80, 0.00073), (7.0, 256, 0.00005), (3.0, 80, 0.0018), (3.0, 256, 0.00011)]
    {
        let times = format!("spacing: Edm(rho: {rho:?})");
        let engine =
            run(&round_trip("Mixture(std: 0.1)", &pixels, &times, HEUN), &[&format!("steps={steps}")]);
        let error = rms(numbers(&engine, "next").iter().zip(&pixels).map(|(x, y)| x - y));
        // Of other images drawn from the same mixture.
        assert!((error / expected).ln().abs() < 0.4, "{error} for rho = {rho}, N = {steps}, not {expected}");
    }
}

#[test]
fn any_solver_of_the_ode_goes_up_as_well_as_down() {
    let pixels = mixture(0.3, 32);
    let others = ["Lms", "Deis", "Ipndm", "DpmPP", "UniPC"].map(|kind| plain(kind, 2));
    for solver in others.iter().map(String::as_str).chain([HEUN]) {
        let text = round_trip("Mixture(std: 0.3)", &pixels, "", solver);
        let errors = [64, 256].map(|steps| error(&text, steps));
        assert!(errors[1] < 2e-3 && errors[0] / errors[1] > 8.0, "{solver}: {errors:?}");
    }
    let euler = [64, 256].map(|steps| error(&round_trip("Mixture(std: 0.3)", &pixels, "", EULER), steps));
    assert!((3.0..6.0).contains(&(euler[0] / euler[1])), "{euler:?}");
}

#[test]
fn latents_on_a_path_with_a_scale_are_those_without() {
    let latents = |times: &str| {
        let engine = run(&round_trip(NORMAL, &[0.5, -0.25], times, &plain("DpmPP", 2)), &[]);
        let end = engine.value::<Images>("next-up").unwrap();
        let scale = end.scale();
        assert_eq!(engine.value::<Step>("x-up").unwrap().steps, 17);
        assert_eq!(end.step.map(|step| step.evaluations), Some(17));
        (numbers(&engine, "next-up").iter().map(|x| x / scale).collect::<Vec<_>>(), numbers(&engine, "next"))
    };
    let (plain, back) = latents("");
    let (scaled, scaled_back) = latents("sigma_min: 0.002, sigma_max: 80.0, schedule: Vp(), scaling: Vp");
    for (one, other) in plain.iter().chain(&back).zip(scaled.iter().chain(&scaled_back)) {
        assert!((one / other - 1.0).abs() < 1e-6, "{plain:?} and {scaled:?}, {back:?} and {scaled_back:?}");
    }
    // The exact latent of y is y sqrt(80² + s²) / s, a normal number of that level.
    assert!((plain[0] / 80.0 - 1.0).abs() < 0.05, "{plain:?}");
}

#[test]
fn the_latents_of_data_are_normal_noise() {
    let engine = run(&round_trip("Mixture(std: 0.1)", &mixture(0.1, 2048), "", HEUN), &["steps=80"]);
    let mut latents: Vec<f64> = numbers(&engine, "next-up").iter().map(|x| x / 80.0).collect();
    assert!((rms(latents.iter().copied()) - 1.0).abs() < 0.03);
    latents.sort_by(f64::total_cmp);
    // Quantiles of the normal distribution.
    for (share, quantile) in [(0.1587, -1.0), (0.5, 0.0), (0.8413, 1.0), (0.9772, 2.0)] {
        let found = latents[(share * 2048.0) as usize];
        assert!((found - quantile).abs() < 0.1, "{found} for {quantile}");
    }
}

#[test]
fn noise_is_not_added_on_the_way_up() {
    let noisy = |solver: &str, nodes: &str| {
        let text = round_trip(NORMAL, &[0.5], "", solver).replace("nodes: {", &format!("nodes: {{ {nodes}"));
        wire(&text, &[]).unwrap().run().unwrap_err().to_string()
    };
    let seeds = r#""seeds": Batches(of: "0", size: 1, step: "x"), "#;
    for kind in ["Ancestral", "DpmPPSde"] {
        let solver = format!(r#""next": {kind}(x: "x", denoised: "d", seeds: "seeds"),"#);
        let said = noisy(&solver, seeds);
        assert!(said.contains("`next-up` failed") && said.contains("on the way down only"), "{said}");
    }
    let hat = r#""hat": Churn(x: "x-up", seeds: "seeds", amount: 10.0), "#;
    let said = noisy(HEUN, &format!("{seeds}{hat}"));
    assert!(said.contains("`hat` failed") && said.contains("on the way down only"), "{said}");
}

#[test]
fn there_is_no_way_back_through_a_restart() {
    let text = round_trip(NORMAL, &[0.5], "", EULER).replace(
        "Upwards(times: \"times\")",
        "Upwards(times: \"again\"), \"again\": Restart(times: \"times\", min: 0.1, max: 2.0, steps: 3)",
    );
    let said = wire(&text, &[]).unwrap().run().unwrap_err().to_string();
    assert!(said.contains("no way back"), "{said}");
}

#[test]
fn ways_between_latents_keep_their_length_and_mix_labels() {
    let text = r#"(nodes: {
        "x": Noisy(pixels: [3.0, 4.0, -4.0, 3.0, 1.0, 0.0, 2.0, 0.0], levels: [80.0], channels: 2),
        "twice": EachClass(x: "one", classes: 2), "one": Noisy(pixels: [0.0, 0.0, 0.0, 0.0], levels: [80.0], channels: 2),
        "between": Slerp(x: "x", labels: "twice", images: 3),
    })"#;
    let mut engine = wire(text, &[]).unwrap();
    engine.tick().unwrap_or_else(|failure| panic!("{failure}"));
    let found = numbers(&engine, "between");
    let half = 0.5f64.sqrt();
    // A quarter of a circle of radius 5, and two latents on one line.
    let expected = [3.0, 4.0, -half, half * 7.0, -4.0, 3.0, 1.0, 0.0, 1.5, 0.0, 2.0, 0.0];
    assert_eq!(found.len(), expected.len());
    let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12);
    assert!(near, "{found:?}");
    let labels = engine.value::<Labels>("between").unwrap();
    let rows = Reference.download(&labels.rows).unwrap().f64s();
    assert_eq!(rows, [1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 1.0, 0.0, 0.5, 0.5, 0.0, 1.0]);
    assert_eq!(mistake(text, &["between.images=1"]), "`images` is 1, expected 2 or more; ");
    let odd = text.replace("3.0, 4.0, -4.0, 3.0, 1.0, 0.0,", "3.0, 4.0, -4.0, 3.0,");
    let said = wire(&odd, &[]).unwrap().tick().unwrap_err().to_string();
    assert!(said.contains("there are 3 images, which do not make pairs"), "{said}");
}

#[test]
fn every_image_stands_under_each_label() {
    let text = r#"(nodes: {
        "x": Noisy(pixels: [1.0, 2.0], levels: [80.0]), "each": EachClass(x: "x", classes: 3),
    })"#;
    let mut engine = wire(text, &[]).unwrap();
    engine.tick().unwrap();
    assert_eq!(numbers(&engine, "each"), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    let classes = engine.value::<Labels>("each").unwrap().classes.clone();
    assert_eq!(classes, Some(vec![0, 1, 2, 0, 1, 2]));
    assert!(mistake(text, &["each.classes=0"]).contains("at least 1"));
}

/// Three points in the plane, of which x is known to be -0.5.
const KNOWN: &str = r#"(
    given: (steps: 18),
    nodes: {
        "ideal": Points(at: [(1.0, 0.0), (-0.5, 0.866), (-0.5, -0.866)]),
        "times": TimeSteps(steps: steps),
        "seeds": Batches(of: "0-63", size: 64, step: "x"),
        "start": Latents(seeds: "seeds", times: "times", like: "ideal"),
        "known": Noisy(pixels: [-0.5, 9.0], levels: [0.0], channels: 2),
        "mask":  Noisy(pixels: [1.0, -1.0], levels: [0.0], channels: 2),
        "x":     Trajectory(start: "start", next: "next", times: "times"),
        "all":   Denoise(x: "x", by: "ideal"),
        "d":     Inpaint(denoised: "all", known: "known", hole: Dark("mask")),
        "euler": Euler(x: "x", denoised: "d"),
        "all-2": Denoise(x: "euler", by: "ideal"),
        "d2":    Inpaint(denoised: "all-2", known: "known", hole: Dark("mask")),
        "next":  Heun(x: "x", first: "d", euler: "euler", second: "d2"),
    },
)"#;

#[test]
fn known_pixels_stay_and_the_others_are_drawn_to_fit_them() {
    let mut engine = wire(KNOWN, &[]).unwrap();
    let mut latents = Vec::new();
    while !engine.is_finished() {
        engine.tick().unwrap_or_else(|failure| panic!("{failure}"));
        let x = engine.value::<Images>("x").unwrap();
        let (sigma, x) = (x.step.unwrap().sigma(), numbers(&engine, "x"));
        if latents.is_empty() {
            latents = x.clone();
        }
        for (now, first) in x.chunks(2).zip(latents.chunks(2)) {
            let line = -0.5 + sigma / 80.0 * (first[0] + 0.5);
            assert!((now[0] - line).abs() < 1e-9 * sigma.max(1.0), "{} at {sigma}, not {line}", now[0]);
        }
    }
    let ends = numbers(&engine, "next");
    let above = ends.chunks(2).filter(|end| end[1] > 0.0).count();
    for end in ends.chunks(2) {
        assert!(end[0] == -0.5 && (end[1].abs() - 0.866).abs() < 1e-3, "{end:?}");
    }
    assert!((16..=48).contains(&above), "{above} of 64 are above");
    let outside = mistake(KNOWN, &["d.hole=Box(top: 0, left: 1, height: 1, width: 1)"]);
    assert!(outside.starts_with("a hole of 1x1 pixels at (0, 1) is not in 1x1 ones"), "{outside}");
}

/// Metrics of a run, each as it was last told.
pub fn metric(engine: &Engine, name: &str) -> f64 {
    let messages = engine.world.resource::<Messages<Metric>>();
    let mut cursor = messages.get_cursor();
    cursor.read(messages).filter(|metric| metric.name == name).last().map(|metric| metric.value).unwrap()
}

pub fn likelihood(data: &str, pixels: &[f64], channels: usize) -> String {
    format!(
        r#"(
        given: (steps: 80),
        nodes: {{
            "ideal":  {data},
            "times":  TimeSteps(steps: steps),
            "up":     Upwards(times: "times"),
            "held":   Noisy(pixels: {pixels:?}, levels: [0.0], channels: {channels}),
            "x":      Trajectory(start: "held", next: "heun", times: "up"),
            "first":  Hutchinson(x: "x", by: "ideal"),
            "euler":  Euler(x: "x", denoised: "first"),
            "second": Hutchinson(x: "euler", by: "ideal"),
            "heun":   Heun(x: "x", first: "first", euler: "euler", second: "second"),
            "nats":   Likelihood(x: "x", first: "first", euler: "euler", second: "second", end: "heun"),
        }},
    )"#
    )
}

/// log N(y; mean, std²).
pub fn log_normal(y: f64, mean: f64, std: f64) -> f64 {
    -0.5 * ((y - mean) / std).powi(2) - 0.5 * (std::f64::consts::TAU * std * std).ln()
}

/// Nothing is left to chance: the Jacobian is a multiple of 1, of which vectors of random signs tell the trace exactly. So
/// the only error is that of the steps, which is of second order: 1.6 % of 40 steps, 0.39 % of 80, 0.10 % of 160.
#[test]
fn the_likelihood_of_normal_data_is_known_to_a_hundredth_by_80_steps_and_better_by_more() {
    let pixels = [0.1, -0.4, 0.9, 0.0, -1.2, 0.3];
    let text = likelihood("Normal(std: 0.5, image: (1, 1, 3))", &pixels, 3);
    let expected = pixels.iter().map(|y| log_normal(*y, 0.0, 0.5)).sum::<f64>() / 2.0;
    let error = |steps: usize| {
        let engine = run(&text, &[&format!("steps={steps}"), "first.seed=7"]);
        metric(&engine, "log_likelihood") / expected - 1.0
    };
    let errors = [40, 80, 160].map(error);
    assert!(errors[1].abs() < 0.01, "{errors:?}");
    let orders = orders(&errors);
    assert!(orders.iter().all(|order| (order - 2.0).abs() < 0.1), "{errors:?} fall by {orders:?}");
}

#[test]
fn bits_count_the_levels_and_a_step_asks_twice() {
    let pixels = [0.1, -0.4, 0.9, 0.0, -1.2, 0.3];
    let engine = run(&likelihood("Normal(std: 0.5, image: (1, 1, 3))", &pixels, 3), &["nats.levels=256"]);
    let expected = metric(&engine, "log_likelihood");
    let bits = -expected / 3.0 / std::f64::consts::LN_2 - (2.0f64 / 255.0).log2();
    assert!((metric(&engine, "bits_per_dim") / bits - 1.0).abs() < 1e-12);
    assert_eq!(engine.value::<Images>("heun").unwrap().step.map(|step| step.evaluations), Some(158));
}

#[test]
fn the_likelihood_of_a_mixture_has_its_standard_error() {
    let pixels = mixture(0.3, 200);
    let engine = run(&likelihood("Mixture(std: 0.3)", &pixels, 1), &["steps=64"]);
    let density = |y: f64| (0.5 * (log_normal(y, 1.0, 0.3).exp() + log_normal(y, -1.0, 0.3).exp())).ln();
    let logs: Vec<f64> = pixels.iter().map(|y| density(*y)).collect();
    let mean = logs.iter().sum::<f64>() / 200.0;
    let found = metric(&engine, "log_likelihood");
    assert!((found / mean - 1.0).abs() < 0.01, "{found} for {mean}");
    let std = rms(logs.iter().map(|log| log - mean)) / 199.0f64.sqrt() / std::f64::consts::LN_2;
    assert!((metric(&engine, "bits_per_dim_error") / std - 1.0).abs() < 0.03);
}

#[test]
fn traces_are_right_on_average_and_probes_make_them_better() {
    let points = "Points(at: [(1.0, 0.0), (-0.5, 0.866), (-0.5, -0.866)])";
    let pixels: Vec<f64> = std::iter::repeat_n([0.3, -0.2], 4096).flatten().collect();
    let traces = |probes: &str| {
        let settings = ["times.sigma_min=0.7", probes, probes].map(str::to_owned);
        let settings = [settings[0].clone(), format!("first.{probes}"), format!("second.{probes}")];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut engine = wire(&likelihood(points, &pixels, 2), &settings).unwrap();
        engine.tick().unwrap_or_else(|failure| panic!("{failure}"));
        let traces = &engine.value::<mollify_sampler::Trace>("first").unwrap().0;
        Reference.download(traces).unwrap().f64s()
    };
    // By differences of the answer.
    let answer = |x: f64, y: f64| {
        let text = format!(
            r#"(nodes: {{ "ideal": {points}, "x": Noisy(pixels: [{x:?}, {y:?}], levels: [0.7], channels: 2),
            "d": Denoise(x: "x", by: "ideal") }})"#
        );
        let mut engine = wire(&text, &[]).unwrap();
        engine.tick().unwrap();
        Reference.download(&engine.value::<Denoised>("d").unwrap().pixels).unwrap().f64s()
    };
    let h = 1e-4;
    let trace = (answer(0.3 + h, -0.2)[0] - answer(0.3 - h, -0.2)[0] + answer(0.3, -0.2 + h)[1]
        - answer(0.3, -0.2 - h)[1])
        / (2.0 * h);
    let spread = |traces: &[f64]| {
        let mean = traces.iter().sum::<f64>() / traces.len() as f64;
        (mean, rms(traces.iter().map(|x| x - mean)))
    };
    let (mean, std) = spread(&traces("probes=1"));
    assert!(std > 0.01 && (mean - trace).abs() < 4.0 * std / 64.0, "{mean} ± {} for {trace}", std / 64.0);
    let (mean, of_four) = spread(&traces("probes=4"));
    assert!((mean - trace).abs() < 4.0 * of_four / 64.0, "{mean} for {trace}");
    assert!((std / of_four - 2.0).abs() < 0.15, "{std} and {of_four}");
}

#[test]
fn likelihoods_that_make_no_sense_are_refused() {
    let text = likelihood(NORMAL, &[0.5], 1);
    assert_eq!(mistake(&text, &["nats.levels=1"]), "`levels` is 1, expected 2 or more; ");
    assert_eq!(mistake(&text, &["first.probes=0"]), "`probes` is 0, expected 1 to 64; ");
    let down = wire(&text, &["x.times=\"times\""]).unwrap().run().unwrap_err().to_string();
    assert!(down.contains("a likelihood is worked out on the way up"), "{down}");
}
