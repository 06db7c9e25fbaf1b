//! Networks that know some noise levels only, to which time steps are rounded: neighbours may become one.

use ports::{Images, Step, Table};

use crate::edit::{likelihood, log_normal, metric, run};
use crate::small::{numbers, wire};
use crate::solvers::{EULER, HEUN, pipeline, plain};

/// Knows the powers of 1.5.
const COARSE: &str = "Normal(std: 0.5, image: (1, 1, 1), powers: 1.5)";

/// Walks down 40 steps; how many had no length, and where the images ended.
fn walk(solver: &str) -> (usize, Vec<f64>) {
    let text = pipeline(COARSE, "by: \"ideal\"", solver);
    let mut engine = wire(&text, &["steps=40"]).unwrap_or_else(|report| panic!("{report}"));
    let mut idle = 0;
    while !engine.is_finished() {
        engine.tick().unwrap_or_else(|failure| panic!("{failure}"));
        let step = *engine.value::<Step>("x").unwrap();
        if step.from == step.to {
            idle += 1;
            assert_eq!(numbers(&engine, "next"), numbers(&engine, "x"), "{solver} at {}", step.sigma());
        }
    }
    let asked = engine.value::<Images>("next").unwrap().step.unwrap().evaluations;
    assert!(asked == 40 || asked == 79, "{asked} evaluations, of 40 steps");
    (idle, numbers(&engine, "next"))
}

#[test]
fn a_step_between_levels_that_are_rounded_to_one_leaves_images_as_they_are() {
    let midpoint = HEUN.replace("denoised: \"d\"", "denoised: \"d\", alpha: 0.5");
    let others = ["Lms", "Deis", "Ipndm", "DpmPP", "UniPC"].map(|kind| plain(kind, 2));
    for solver in [EULER, HEUN, &midpoint].into_iter().chain(others.iter().map(String::as_str)) {
        let (idle, ends) = walk(solver);
        assert!(idle > 5, "{idle}");
        // Normal data of standard deviation 0.5, of 16 seeds.
        let rms = (ends.iter().map(|x| x * x).sum::<f64>() / 16.0).sqrt();
        assert!((0.25..0.8).contains(&rms), "{solver}: {ends:?}");
    }
}

#[test]
fn a_likelihood_counts_no_step_twice_where_two_levels_are_rounded_to_one() {
    let pixels = [0.1, -0.4, 0.9];
    let data = "Normal(std: 0.5, image: (1, 1, 3), powers: 1.05)";
    let engine = run(&likelihood(data, &pixels, 3), &["steps=400", "times.by=\"ideal\""]);
    let times = &engine.value::<ports::Times>("times").unwrap().t;
    assert!(times.windows(2).any(|pair| pair[0] == pair[1]));
    let expected = pixels.iter().map(|y| log_normal(*y, 0.0, 0.5)).sum::<f64>();
    let found = metric(&engine, "log_likelihood");
    assert!((found / expected - 1.0).abs() < 0.01, "{found} for {expected}");
}

#[test]
fn the_error_of_a_step_without_length_is_refused_with_a_way_out() {
    let text = r#"(nodes: {
        "ideal": Normal(std: 0.5, image: (1, 1, 2), powers: 1.5),
        "y":     Noisy(pixels: [0.1, 0.2], levels: [0.0], channels: 2),
        "times": TimeSteps(steps: 40, by: "ideal"),
        "error": Truncation(images: "y", by: "ideal", times: "times", parts: 2),
    })"#;
    let failure = wire(text, &[]).unwrap().run().unwrap_err().to_string();
    assert!(failure.contains("begins and ends at the noise level"), "{failure}");
    assert!(failure.contains("take fewer steps, or leave out `by`"), "{failure}");
    let engine = run(&text.replace("steps: 40, by: \"ideal\"", "steps: 40"), &[]);
    assert_eq!(engine.value::<Table>("error").unwrap().rows().len(), 2 * 39);
}
