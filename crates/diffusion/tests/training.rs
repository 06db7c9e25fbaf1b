//! Preconditioning, loss weight, noise levels and ramps, against the paper's own conditions and the
//! reference's runs.

use mollify_diffusion::{
    P_MEAN, P_STD, Scheme, Spacing, Weight, ema_beta, ema_halflife, learning_rate, log_normal,
};

const SIGMAS: [f64; 6] = [0.002, 0.05, 0.3, 0.5, 2.0, 80.0];

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1e-3), "{found} for {expected}");
}

#[test]
fn inputs_and_targets_of_the_network_have_unit_variance() {
    for sigma_data in [0.5f64, 1.3] {
        for sigma in SIGMAS {
            let c = Scheme::Edm { sigma_data: sigma_data.into() }.coefficients(sigma, 0);
            near(c.c_in.powi(2) * (sigma_data.powi(2) + sigma.powi(2)), 1.0);
            let target = (1.0 - c.c_skip).powi(2) * sigma_data.powi(2) + c.c_skip.powi(2) * sigma.powi(2);
            near(target / c.c_out.powi(2), 1.0);
            near(c.c_noise, sigma.ln() / 4.0);
        }
    }
}

#[test]
fn c_skip_makes_the_networks_errors_count_least() {
    for sigma in SIGMAS {
        let c = Scheme::default().coefficients(sigma, 0);
        let c_out_squared = |c_skip: f64| (1.0 - c_skip).powi(2) * 0.25 + c_skip.powi(2) * sigma.powi(2);
        assert!(c_out_squared(c.c_skip) < c_out_squared(c.c_skip + 1e-3));
        assert!(c_out_squared(c.c_skip) < c_out_squared(c.c_skip - 1e-3));
    }
}

#[test]
fn at_sigma_data_the_numbers_are_those_worked_out_by_hand() {
    let c = Scheme::Edm { sigma_data: 0.5.into() }.coefficients(0.5, 0);
    near(c.c_skip, 0.5);
    near(c.c_out, 0.125f64.sqrt());
    near(c.c_in, 2.0f64.sqrt());
    near(c.c_noise, -0.25 * 2.0f64.ln());
    near(Weight::Edm { sigma_data: 0.5.into() }.lambda(0.5, 0), 8.0);
}

#[test]
fn the_weight_undoes_c_out() {
    for sigma in SIGMAS {
        near(
            Weight::default().lambda(sigma, 0) * Scheme::default().coefficients(sigma, 0).c_out.powi(2),
            1.0,
        );
    }
}

#[test]
fn noise_levels_have_the_median_and_tails_of_the_paper() {
    let level = |normal| log_normal(normal, P_MEAN, P_STD);
    for (normal, expected) in [(0.0, 0.301), (-1.644854, 0.0418), (1.644854, 2.17)] {
        assert!((level(normal) / expected - 1.0).abs() < 3e-3, "{} for {expected}", level(normal));
    }
}

#[test]
fn ramps_are_those_of_the_references_runs() {
    let short = [
        (0.0, 0.0, 0.0),
        (8.0, 0.0006666666666666666, 0.25),
        (16.0, 0.0013333333333333333, 0.5),
        (24.0, 0.002, 0.6299605249474366),
        (32.0, 0.002, std::f64::consts::FRAC_1_SQRT_2),
    ];
    for (images, rate, beta) in short {
        near(learning_rate(0.002, 24.0, images), rate);
        near(ema_beta(8.0, ema_halflife(40.0, Some(0.5), images)), beta);
    }
    let long = [(0.0, 0.0), (4.0, 9.5367431640625e-07), (8.0, 0.0009765625), (16.0, 0.03125)];
    for (images, beta) in long {
        near(ema_beta(4.0, ema_halflife(500.0, Some(0.05), images)), beta);
    }
}

#[test]
fn without_ramps_rate_and_half_life_hold_from_the_start() {
    assert_eq!(learning_rate(1e-3, 0.0, 0.0), 1e-3);
    assert_eq!(ema_halflife(5e5, None, 0.0), 5e5);
    assert!((ema_beta(512.0, 5e5) - 0.99929).abs() < 1e-5);
    assert_eq!(ema_beta(5e5, 5e5), 0.5);
}

#[test]
fn settings_default_to_the_paper_and_refuse_what_cannot_be() {
    assert_eq!(ron::from_str("Edm()"), Ok(Scheme::Edm { sigma_data: 0.5.into() }));
    assert_eq!(ron::from_str("Edm(sigma_data: 1)"), Ok(Weight::Edm { sigma_data: 1.0.into() }));
    assert_eq!(ron::from_str("Edm(rho: 3.0)"), Ok(Spacing::Edm { rho: 3.0 }));
    assert_eq!(ron::from_str("Edm()"), Ok(Spacing::default()));

    let mistake = ron::from_str::<Scheme>("Edm(sigma_data: 0.0)").unwrap_err().to_string();
    assert!(mistake.contains("must be a finite number above 0, not 0"), "{mistake}");
    let mistake = ron::from_str::<Weight>("Edm(sigma: 0.5)").unwrap_err().to_string();
    assert!(mistake.contains("sigma_data"), "{mistake}");
    assert!(ron::from_str::<Spacing>("Edm(rho: -7.0)").is_err());
    assert!(ron::from_str::<Spacing>("Karras(rho: 7.0)").is_err());
}

/// A draw u has the density 1, so that of ln(sigma) is |du / d ln(sigma)|.
#[test]
fn densities_are_those_of_the_draws() {
    use mollify_diffusion::{
        EPSILON_T, Vp, log_uniform, log_uniform_density, vp_uniform, vp_uniform_density,
    };
    let slope = |draw: &dyn Fn(f64) -> f64, u: f64| {
        let step = 1e-6;
        2.0 * step / (draw(u + step).ln() - draw(u - step).ln()).abs()
    };
    for u in [0.1, 0.3, 0.5, 0.7, 0.9] {
        let ve = |u: f64| log_uniform(u, 0.02, 100.0);
        assert!((log_uniform_density(ve(u), 0.02, 100.0) / slope(&ve, u) - 1.0).abs() < 1e-6);
        let vp = |u: f64| vp_uniform(u, Vp::default(), EPSILON_T);
        assert!((vp_uniform_density(vp(u), Vp::default(), EPSILON_T) / slope(&vp, u) - 1.0).abs() < 1e-6);
    }
    assert_eq!(log_uniform_density(101.0, 0.02, 100.0), 0.0);
    assert_eq!(vp_uniform_density(1000.0, Vp::default(), EPSILON_T), 0.0);
}

#[test]
fn the_density_of_normal_draws_is_one_in_all() {
    let step = 0.01;
    let density = |i: i32| mollify_diffusion::log_normal_density((f64::from(i) * step).exp(), -1.2, 1.2);
    let all: f64 = (-1200..1200).map(density).sum::<f64>() * step;
    assert!((all - 1.0).abs() < 1e-9, "{all}");
}
