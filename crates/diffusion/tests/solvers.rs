//! Solvers on data from a normal distribution, where all is linear and nothing is left to chance; schedules and
//! scalings; the Brownian path.

use std::collections::BTreeMap;

use mollify_diffusion::{
    Path, Scaling, Schedule, Share, Spacing, Update, Vp, ancestral, brownian, dpm_pp, dpm_pp_sde, lms,
    unipc_corrector,
};

/// y as a sum of independent unit normals: the latent, and the noise of each step.
type Sum = Vec<f64>;

fn combine(x: &Sum, update: &Update, answers: &[Sum]) -> Sum {
    let mut y: Sum = x.iter().map(|x| update.x * x).collect();
    for (weight, answer) in update.answers.iter().zip(answers) {
        y.resize(y.len().max(answer.len()), 0.0);
        y.iter_mut().zip(answer).for_each(|(y, answer)| *y += weight * answer);
    }
    y.push(update.noise);
    y
}

/// The variance of y at each noise level, as a part of what it should be, when this many answers are remembered.
fn variances(steps: usize, order: usize, update: impl Fn(&[f64], f64) -> Update) -> Vec<f64> {
    let levels = Spacing::default().noise_levels(steps, 0.002, 80.0).unwrap();
    let mut y: Sum = vec![80.0f64.hypot(0.5)];
    let (mut known, mut answers) = (Vec::new(), Vec::new());
    let mut found = Vec::new();
    for pair in levels[..steps].windows(2) {
        known.insert(0, pair[0]);
        answers.insert(0, y.iter().map(|y| y * 0.25 / (pair[0] * pair[0] + 0.25)).collect::<Sum>());
        known.truncate(order);
        answers.truncate(order);
        y = combine(&y, &update(&known, pair[1]), &answers);
        found.push(y.iter().map(|y| y * y).sum::<f64>() / (pair[1] * pair[1] + 0.25));
    }
    found
}

/// How far the variance is off at the worst level.
fn worst(steps: usize, order: usize, update: impl Fn(&[f64], f64) -> Update) -> f64 {
    variances(steps, order, update).iter().map(|found| (found - 1.0).abs()).fold(0.0, f64::max)
}

#[test]
fn solvers_of_the_sde_keep_the_variance_at_every_level() {
    let slope = |order: usize, update: &dyn Fn(&[f64], f64) -> Update| {
        let found = [128, 256, 512].map(|steps| worst(steps, order, update));
        ((found[0] / found[1]).log2(), (found[1] / found[2]).log2(), found[2])
    };
    for eta in [0.5, 1.0] {
        let (_, last, far) = slope(1, &|levels, to| ancestral(levels[0], to, eta));
        assert!((last - 1.0).abs() < 0.1 && far < 0.03, "ancestral {eta}: {last} {far}");
        for order in 1..=3 {
            let (_, last, far) = slope(order, &|levels, to| dpm_pp_sde(levels, to, eta));
            // Answers along a path of noise are no smooth curve: the second order is the last that is gained.
            assert!(last > 0.85 * order.min(2) as f64, "order {order}, eta {eta}: {last}");
            assert!(far < [0.03, 1e-3, 1e-4][order - 1], "order {order}, eta {eta}: {far}");
        }
    }
}

#[test]
fn louder_noise_does_not_hide_in_the_weights() {
    let quiet = |levels: &[f64], to: f64| Update { noise: 0.0, ..dpm_pp_sde(levels, to, 1.0) };
    assert!(worst(128, 2, quiet) > 0.5, "without its noise the variance is lost");
}

#[test]
fn every_method_keeps_what_is_constant() {
    // A denoiser that always says 3 takes images straight to 3.
    for (update, to) in [
        (dpm_pp(&[5.0, 7.0, 8.0], 1.0), 1.0),
        (dpm_pp(&[5.0, 7.0], 1.0), 1.0),
        (dpm_pp(&[0.5, 0.50001, 0.50002], 0.49999), 0.49999),
    ] {
        let y = 3.0 + [5.0, 0.5][usize::from(to < 0.9)];
        let found = update.x * y + update.answers.iter().sum::<f64>() * 3.0;
        assert!((found - 3.0 - to).abs() < 1e-12, "{found}");
    }
    let corrected = unipc_corrector(&[5.0, 7.0], 1.0);
    assert!((corrected.x + corrected.answers.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn lms_with_equal_steps_has_the_weights_of_adams_and_bashforth() {
    let found = lms(&[4.0, 5.0, 6.0, 7.0], 3.0).answers;
    let golden = [55.0, -59.0, 37.0, -9.0].map(|weight| -weight / 24.0);
    assert!(found.iter().zip(golden).all(|(found, golden)| (found - golden).abs() < 1e-12), "{found:?}");
}

#[test]
fn parabolas_are_integrated_exactly() {
    // ∫ e^-(h - l) l^2 dl from 0 to h, once by the series and once by the recurrence.
    for h in [0.1f64, 1.0, 1.9, 2.1, 5.0] {
        let levels = [1.0, (0.3f64).exp(), (0.8f64).exp()];
        let update = dpm_pp(&levels, (-h).exp());
        let squares = [0.0, 0.09, 0.64];
        let found: f64 = update.answers.iter().zip(squares).map(|(weight, square)| weight * square).sum();
        let golden = h * h - 2.0 * h + 2.0 - 2.0 * (-h).exp();
        assert!((found - golden).abs() < 1e-12 * golden.max(1.0), "h = {h}: {found} for {golden}");
    }
}

/// Every schedule with every scaling.
fn paths() -> Vec<Path> {
    let schedules = [Schedule::Vp { epsilon_s: 1e-3 }, Schedule::Ve, Schedule::Linear];
    let with = |schedule: Schedule| [Scaling::Vp, Scaling::Unit].map(|s| schedule.path(s, 0.002, 80.0));
    schedules.into_iter().flat_map(with).collect()
}

#[test]
fn noise_levels_have_times_and_times_noise_levels() {
    for path in paths() {
        for sigma in [0.002, 0.01, 0.5, 7.0, 80.0] {
            let found = path.sigma(path.time(sigma));
            assert!((found / sigma - 1.0).abs() < 1e-9, "{path:?} at {sigma}: {found}");
        }
        assert_eq!((path.sigma(0.0), path.scale(0.0)), (0.0, 1.0), "{path:?}");
    }
}

#[test]
fn slopes_are_the_derivatives_of_schedule_and_scaling() {
    for path in paths() {
        for sigma in [0.01, 0.5, 7.0, 60.0] {
            let t = path.time(sigma);
            let h = 1e-6 * t;
            let difference = |of: &dyn Fn(f64) -> f64| (of(t + h) - of(t - h)) / (2.0 * h);
            let (sigma_dot, scale_dot) = (difference(&|t| path.sigma(t)), difference(&|t| path.scale(t)));
            let slope = path.slope(t);
            let tau = path.sigma(t) / sigma_dot;
            assert!((slope.tau / tau - 1.0).abs() < 1e-6, "{path:?} at {sigma}");
            let keep = 1.0 + tau * scale_dot / path.scale(t);
            assert!((slope.keep - keep).abs() < 1e-5, "{path:?} at {sigma}: {} for {keep}", slope.keep);
            assert_eq!(slope.scale, path.scale(t));
        }
    }
}

#[test]
fn vp_through_two_levels_is_the_papers_fit() {
    let vp = Vp::through(0.002, 1e-3, 80.0);
    assert!((vp.beta_d - 17.5380).abs() < 1e-4 && (vp.beta_min + 0.004769).abs() < 1e-6, "{vp:?}");
    assert!((vp.sigma(1e-3) / 0.002 - 1.0).abs() < 1e-9 && (vp.sigma(1.0) / 80.0 - 1.0).abs() < 1e-12);
}

#[test]
fn every_spacing_has_its_own_range() {
    let (low, high) = Spacing::Vp { epsilon_s: 1e-3 }.sigma_range();
    assert!((low - 0.0104860).abs() < 1e-7 && (high - 152.167).abs() < 1e-3);
    let iddpm = Spacing::Iddpm { c_1: 0.001, c_2: 0.008, timesteps: 1000 };
    let levels = iddpm.noise_levels(992, 0.002, 81.0).unwrap();
    assert!((levels[0] - 80.2037).abs() < 1e-3, "all 992 entries in the range: {}", levels[0]);
    let error = iddpm.noise_levels(993, 0.002, 81.0).unwrap_err().to_string();
    assert_eq!(error, "`steps` is 993, but only 992 noise levels of iDDPM are in the range");
}

/// The noise between two levels: its covariance with the noise between two others.
fn covariance(a: &[Share], b: &[Share]) -> f64 {
    let b: BTreeMap<u64, f64> = b.iter().map(|share| (share.node, share.weight)).collect();
    a.iter().map(|share| share.weight * b.get(&share.node).copied().unwrap_or(0.0)).sum()
}

#[test]
fn noise_between_levels_is_the_increments_of_one_path() {
    for eta in [0.3, 1.0] {
        let clock = |sigma: f64| sigma.powf(-2.0 * eta);
        let (first, second, whole) =
            (brownian(80.0, 3.0, eta), brownian(3.0, 0.1, eta), brownian(80.0, 0.1, eta));
        assert!(covariance(&first, &second).abs() < 1e-9, "steps that follow one another share nothing");
        for noise in [&first, &second, &whole] {
            assert!((covariance(noise, noise) - 1.0).abs() < 1e-12 && noise.len() <= 44, "{}", noise.len());
        }
        let golden = ((clock(0.1) - clock(3.0)) / (clock(0.1) - clock(80.0))).sqrt();
        let found = covariance(&second, &whole);
        assert!((found / golden - 1.0).abs() < 1e-5, "{found} for {golden}");
    }
}
