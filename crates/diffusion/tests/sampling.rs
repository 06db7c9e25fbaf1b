//! Time steps, churn and the price of a sample, against the reference's own numbers and a case with an exact
//! answer.

use std::collections::BTreeMap;

use mollify_diffusion::{Churn, Spacing, TimeStepsError, nfe};

/// The noise level of every evaluation of the network in deterministic sampling, from `oracle/samplers/`.
const CALLS: &str = include_str!("fixtures/call_sigmas_edm.json");

fn times(steps: usize) -> Vec<f64> {
    Spacing::default().noise_levels(steps, 0.002, 80.0).unwrap()
}

#[test]
fn eighteen_steps_are_those_of_the_paper() {
    let golden = [
        80.0, 57.5860, 40.7856, 28.3746, 19.3525, 12.9101, 8.40094, 5.31519, 3.25682, 1.92334, 1.08817,
        0.585348, 0.296442, 0.139516, 0.0599473, 0.0229345, 0.00752802, 0.002,
    ];
    let found = times(18);
    assert_eq!(found.len(), 19);
    assert_eq!(found[18], 0.0);
    for (found, golden) in found.iter().zip(golden) {
        assert!((found / golden - 1.0).abs() < 5e-6, "{found} for {golden}");
    }
}

#[test]
fn the_network_is_called_at_the_noise_levels_of_the_reference() {
    let calls: BTreeMap<String, Vec<f64>> = serde_json::from_str(CALLS).unwrap();
    for (name, golden) in calls {
        let steps = golden.len().div_ceil(2);
        let t = times(steps);
        let found: Vec<f64> =
            (0..steps).flat_map(|i| [t[i], t[i + 1]]).filter(|sigma| *sigma > 0.0).collect();
        assert_eq!((found.len(), nfe(steps)), (golden.len(), golden.len()), "{name}");
        for (found, golden) in found.iter().zip(&golden) {
            assert!((found / golden - 1.0).abs() < 1e-13, "{name}: {found} for {golden}");
        }
    }
}

#[test]
fn the_ends_are_the_range_whatever_rho_is() {
    for rho in [0.5, 1.0, 3.0, 7.0, 100.0] {
        let t = Spacing::Edm { rho }.noise_levels(5, 0.01, 20.0).unwrap();
        assert!((t[0] / 20.0 - 1.0).abs() < 1e-12 && (t[4] / 0.01 - 1.0).abs() < 1e-6, "rho {rho}: {t:?}");
    }
    let even = Spacing::Edm { rho: 1.0 }.noise_levels(3, 1.0, 3.0).unwrap();
    assert_eq!(even, [3.0, 2.0, 1.0, 0.0]);
}

#[test]
fn impossible_time_steps_say_what_is_wrong() {
    let say =
        |steps, low, high, rho| Spacing::Edm { rho }.noise_levels(steps, low, high).unwrap_err().to_string();
    for steps in [0, 1] {
        assert_eq!(say(steps, 0.002, 80.0, 7.0), format!("`steps` must be at least 2, not {steps}"));
    }
    assert_eq!(
        say(18, 80.0, 0.002, 7.0),
        "noise levels must run from a low one above 0 up to a finite higher one, not from 80 to 0.002; swap the two"
    );
    for (low, high) in [(0.0, 80.0), (-1.0, 80.0), (1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
        assert!(say(18, low, high, 7.0).ends_with(&format!("not from {low} to {high}")));
    }
    for rho in [0.0, -7.0, f64::NAN, f64::INFINITY, 1e-3, 1e300] {
        let found = Spacing::Edm { rho }.noise_levels(18, 0.002, 80.0).unwrap_err();
        assert!(matches!(found, TimeStepsError::Constants(_)), "{rho}: {found:?}");
    }
}

/// Data from a normal distribution of standard deviation 0.5: the ideal denoiser only shrinks, and so does
/// the exact answer. Gives the relative error of what a solver ends with.
fn gaussian_error(steps: usize, heun: bool) -> f64 {
    let sigma_data = 0.5f64;
    let t = times(steps);
    let slope = |x: f64, t: f64| (x - x * sigma_data.powi(2) / (sigma_data.powi(2) + t * t)) / t;
    let mut x = t[0];
    let exact = x * sigma_data / t[0].hypot(sigma_data);
    for pair in t.windows(2) {
        let h = pair[1] - pair[0];
        let first = slope(x, pair[0]);
        let euler = x + h * first;
        let correct = heun && pair[1] > 0.0;
        x = if correct { x + h * (first + slope(euler, pair[1])) / 2.0 } else { euler };
    }
    x / exact - 1.0
}

#[test]
fn gaussian_data_shows_the_order_of_euler_and_heun() {
    let table = [
        (18, -0.154, 0.0553),
        (40, -0.0703, 0.00977),
        (80, -0.0353, 0.00231),
        (160, -0.0177, 0.000557),
        (256, -0.0111, 0.000210),
    ];
    for (steps, euler, heun) in table {
        for (found, golden) in [(gaussian_error(steps, false), euler), (gaussian_error(steps, true), heun)] {
            assert!((found / golden - 1.0).abs() < 5e-3, "{steps} steps: {found} for {golden}");
        }
    }
}

#[test]
fn without_churn_nothing_moves() {
    let churn = Churn::default();
    for t in times(18) {
        assert_eq!(churn.t_hat(t, 18), t);
        assert_eq!(churn.noise_std(t, t), 0.0);
    }
}

#[test]
fn churn_is_capped_and_stays_between_its_bounds() {
    let cap = std::f64::consts::SQRT_2 - 1.0;
    let churn = Churn { amount: 4.0, min: 0.05, max: 50.0, noise: 1.003 };
    assert_eq!(churn.gamma(1.0, 16), 0.25);
    assert_eq!(churn.gamma(1.0, 4), cap);
    assert_eq!([churn.gamma(0.05, 16), churn.gamma(50.0, 16)], [0.25, 0.25]);
    assert_eq!([churn.gamma(0.049, 16), churn.gamma(50.1, 16)], [0.0, 0.0]);
    assert_eq!(Churn { amount: -1.0, ..churn }.gamma(1.0, 16), 0.0);
}

#[test]
fn churn_is_active_on_191_of_the_256_steps_of_imagenet() {
    let churn = Churn { amount: 40.0, min: 0.05, max: 50.0, noise: 1.003 };
    let active = times(256).iter().filter(|t| churn.gamma(**t, 256) > 0.0).count();
    assert_eq!(active, 191);
}

#[test]
fn added_noise_lifts_the_variance_to_the_raised_level() {
    let churn = Churn { amount: 40.0, ..Churn::default() };
    let (t, t_hat) = (2.0, churn.t_hat(2.0, 20));
    assert!((t_hat / t - std::f64::consts::SQRT_2).abs() < 1e-15);
    assert!((churn.noise_std(t, t_hat).powi(2) + t * t - t_hat * t_hat).abs() < 1e-12);
    let louder = Churn { noise: 1.007, ..churn };
    assert!((louder.noise_std(t, t_hat) / churn.noise_std(t, t_hat) - 1.007).abs() < 1e-12);
}
