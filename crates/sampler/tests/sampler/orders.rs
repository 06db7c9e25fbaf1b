//! Orders of convergence, on data whose ODE has a known solution.

use crate::small::{numbers, sample, wire};
use crate::solvers::{EULER, HEUN, MIXTURE, NORMAL, pipeline, plain};

/// dx/dσ = (x - D) / σ from σ = `from` to `to`, by many steps of Runge's and Kutta's method in ln σ.
pub fn exact(denoise: impl Fn(f64, f64) -> f64, x: f64, from: f64, to: f64) -> f64 {
    let steps = 4_000;
    let h = (to / from).ln() / steps as f64;
    let slope = |x: f64, log: f64| x - denoise(x, log.exp());
    (0..steps).fold(x, |x, i| {
        let log = from.ln() + i as f64 * h;
        let a = slope(x, log);
        let b = slope(x + 0.5 * h * a, log + 0.5 * h);
        let c = slope(x + 0.5 * h * b, log + 0.5 * h);
        let d = slope(x + h * c, log + h);
        x + h / 6.0 * (a + 2.0 * b + 2.0 * c + d)
    })
}

fn normal(x: f64, sigma: f64) -> f64 {
    x * 0.25 / (sigma * sigma + 0.25)
}

fn mixture(x: f64, sigma: f64) -> f64 {
    let all = sigma * sigma + 0.09;
    let mean = (x / all).tanh();
    mean + (x - mean) * 0.09 / all
}

/// The root of the mean square error of x where the last step begins.
fn error(text: &str, denoise: fn(f64, f64) -> f64, steps: usize) -> f64 {
    let mut engine = wire(text, &[&format!("steps={steps}")]).unwrap();
    sample(&mut engine, "next");
    let times = engine.value::<ports::Times>("times").unwrap().clone();
    let [high, low] = [0, steps - 1].map(|i| times.path.sigma(times.t[i]));
    let scale = times.path.scale(times.t[steps - 1]);
    let starts = numbers(&engine, "start");
    let squares = numbers(&engine, "x")
        .into_iter()
        .zip(&starts)
        .map(|(x, start)| (x / scale - exact(denoise, *start, high, low)).powi(2));
    (squares.sum::<f64>() / starts.len() as f64).sqrt()
}

/// The slopes of the error between these numbers of steps.
fn orders(text: &str, denoise: fn(f64, f64) -> f64, steps: &[usize]) -> Vec<f64> {
    let errors: Vec<f64> = steps.iter().map(|steps| error(text, denoise, *steps)).collect();
    let slope = |i: usize| (errors[i] / errors[i + 1]).ln() / (steps[i + 1] as f64 / steps[i] as f64).ln();
    (0..errors.len() - 1).map(slope).collect()
}

/// Whether the solver has this order on both data, between 128 and 512 steps.
fn has_order(solver: &str, order: f64) {
    for (data, denoise) in [(NORMAL, normal as fn(f64, f64) -> f64), (MIXTURE, mixture)] {
        let found = orders(&pipeline(data, "", solver), denoise, &[128, 256, 512]);
        let near = found.iter().all(|found| (found - order).abs() < 0.15 * order);
        assert!(near, "{solver} on {data}: {found:?}, not {order}");
    }
}

#[test]
fn one_step_methods_have_their_orders() {
    has_order(EULER, 1.0);
    has_order(HEUN, 2.0);
}

#[test]
fn the_methods_between_midpoint_and_heun_are_of_second_order() {
    for alpha in ["0.5", "0.6666666666666666", "1.1"] {
        let solver = HEUN.replace("denoised: \"d\"", &format!("denoised: \"d\", alpha: {alpha}"));
        let found = orders(&pipeline(MIXTURE, "", &solver), mixture, &[128, 256, 512]);
        assert!(found.iter().all(|found| (1.85..2.5).contains(found)), "{alpha}: {found:?}");
    }
}

#[test]
fn lms_has_the_order_of_the_slopes_it_remembers() {
    (1..=4).for_each(|order| has_order(&plain("Lms", order), order as f64));
}

#[test]
fn deis_has_the_order_of_the_slopes_it_remembers() {
    (1..=3).for_each(|order| has_order(&plain("Deis", order), order as f64));
}

#[test]
fn ipndm_is_of_second_order_where_steps_change_in_length() {
    has_order(&plain("Ipndm", 1), 1.0);
    (2..=4).for_each(|order| has_order(&plain("Ipndm", order), 2.0));
}

#[test]
fn dpm_solver_2m_is_of_second_order_and_3m_of_third() {
    (1..=3).for_each(|order| has_order(&plain("DpmPP", order), order as f64));
}

#[test]
fn unipc_is_one_order_better_than_its_predictor() {
    has_order(&plain("UniPC", 1), 2.0);
    has_order(&plain("UniPC", 2), 3.0);
    let found = orders(&pipeline(NORMAL, "", &plain("UniPC", 3)), normal, &[32, 64, 128]);
    assert!(found.iter().all(|found| (found - 4.0).abs() < 0.2), "{found:?}");
}

#[test]
fn solvers_that_remember_know_nothing_of_schedule_and_scaling() {
    for solver in [plain("Lms", 4), plain("DpmPP", 3), plain("UniPC", 3), plain("Deis", 3)] {
        let plain = error(&pipeline(NORMAL, "", &solver), normal, 24);
        for ode in ["schedule: Vp(), scaling: Vp", "schedule: Ve", "scaling: Vp"] {
            let other = error(&pipeline(NORMAL, ode, &solver), normal, 24);
            assert!((other / plain - 1.0).abs() < 1e-6, "{solver} with {ode}: {other} for {plain}");
        }
    }
}
