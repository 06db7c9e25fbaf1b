//! The preconditionings, weights and noise distributions of table 1, against its formulas and its numbers.

use mollify_diffusion::{
    BETA_D, BETA_MIN, EPSILON_T, IddpmLevels, Scheme, SigmaData, Vp, Weight, log_uniform, vp_uniform,
};

const SIGMAS: [f64; 6] = [0.002, 0.05, 0.3, 0.5, 2.0, 80.0];

#[track_caller]
fn near(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{found} for {expected}");
}

fn schemes() -> [Scheme; 4] {
    [Scheme::vp(), Scheme::ve(), Scheme::iddpm(), Scheme::default()]
}

#[test]
fn vp_predicts_the_noise_and_is_told_the_time() {
    for sigma in SIGMAS {
        let c = Scheme::vp().coefficients(sigma, 0);
        assert_eq!((c.c_skip, c.c_out), (1.0, -sigma));
        near(c.c_in, 1.0 / (sigma * sigma + 1.0).sqrt(), 1e-15);
        // The inverse as the paper writes it, which has fewer digits where there is little noise.
        let root = (0.01 + 2.0 * 19.9 * (1.0 + sigma * sigma).ln()).sqrt();
        near(c.c_noise, 999.0 * (root - 0.1) / 19.9, 1e-9);
    }
}

#[test]
fn the_time_of_vp_undoes_its_noise_level_at_every_scale() {
    let vp = Vp::default();
    for t in [1e-9, EPSILON_T, 1e-3, 0.1, 0.5, 1.0] {
        near(vp.time(vp.sigma(t)), t, 1e-13);
    }
    near(vp.sigma(EPSILON_T), 0.0010005, 1e-4);
    near(vp.sigma(1.0), 152.167, 1e-5);
}

#[test]
fn ve_predicts_the_negative_noise_from_the_image_as_it_is() {
    for sigma in SIGMAS {
        let c = Scheme::ve().coefficients(sigma, 0);
        assert_eq!((c.c_skip, c.c_out, c.c_in), (1.0, sigma, 1.0));
        near(c.c_noise, (sigma / 2.0).ln(), 1e-15);
    }
}

#[test]
fn iddpm_knows_the_levels_of_the_paper() {
    let Scheme::Iddpm { c_1, c_2, timesteps } = Scheme::iddpm() else { panic!("another scheme") };
    let levels = IddpmLevels::new(c_1, c_2, timesteps);
    let u = levels.all();
    assert_eq!((u.len(), u[1000]), (1001, 0.0));
    for (u, expected) in u.iter().zip([20291.17, 641.66, 320.83, 213.89, 160.41, 128.33]) {
        near(*u, expected, 5e-5);
    }
    near(u[999], 0.0064254, 1e-5);
    assert!(u.is_sorted_by(|a, b| a > b));
    for (place, sigma) in u.iter().enumerate() {
        assert_eq!(levels.nearest(*sigma), place);
        assert_eq!(Scheme::iddpm().round_sigma(*sigma), *sigma);
    }
}

#[test]
fn iddpm_is_told_the_place_of_the_nearest_level() {
    let levels = IddpmLevels::new(0.001, 0.008, 1000);
    for sigma in SIGMAS.into_iter().chain([0.001, 1e5, 3.333]) {
        let distance = |place: &usize| (levels.all()[*place] - sigma).abs();
        let nearest = (0..=1000).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap();
        let c = Scheme::iddpm().coefficients(sigma, 0);
        assert_eq!(c.c_noise, 999.0 - nearest as f64, "at {sigma}");
        assert_eq!((c.c_skip, c.c_out), (1.0, -sigma));
        assert_eq!(Scheme::iddpm().round_sigma(sigma), levels.all()[nearest]);
    }
}

#[test]
fn each_scheme_knows_the_noise_levels_that_it_was_trained_on() {
    let [vp, ve, iddpm, edm] = schemes().map(|scheme| scheme.sigma_range());
    near(vp.0, 0.0010005, 1e-4);
    near(vp.1, 152.167, 1e-5);
    assert_eq!(ve, (0.02, 100.0));
    near(iddpm.0, 0.0064254, 1e-5);
    near(iddpm.1, 20291.17, 1e-6);
    assert_eq!(edm, (0.0, f64::INFINITY));
    for scheme in [Scheme::vp(), Scheme::ve(), Scheme::default()] {
        SIGMAS.iter().for_each(|sigma| assert_eq!(scheme.round_sigma(*sigma), *sigma));
    }
}

#[test]
fn at_no_noise_the_input_passes_and_at_much_noise_the_network_answers() {
    let (little, much) = (Scheme::default().coefficients(1e-9, 0), Scheme::default().coefficients(1e9, 0));
    near(little.c_skip, 1.0, 1e-15);
    near(little.c_out, 1e-9, 1e-15);
    assert!(much.c_skip < 1e-17);
    near(much.c_out, 0.5, 1e-15);
    for scheme in schemes() {
        let c = scheme.coefficients(1e-9, 0);
        assert!((c.c_skip - 1.0).abs() < 1e-15 && c.c_out.abs() < 1e-8, "{c:?}");
    }
}

#[test]
fn each_weight_undoes_c_out_of_its_own_scheme() {
    let edm = Scheme::Edm { sigma_data: 1.3.into() };
    let pairs = [
        (Weight::Vp, Scheme::vp()),
        (Weight::Ve, Scheme::ve()),
        (Weight::Vp, Scheme::iddpm()),
        (Weight::Edm { sigma_data: 1.3.into() }, edm),
    ];
    for (weight, scheme) in pairs {
        for sigma in SIGMAS {
            near(weight.lambda(sigma, 0) * scheme.coefficients(sigma, 0).c_out.powi(2), 1.0, 1e-14);
        }
    }
}

#[test]
fn a_silent_network_has_a_loss_of_1_where_sigma_data_is_right() {
    for (mean_square, at_most_noise) in [(0.25, 1.0), (0.3025, 1.21)] {
        let loss = |sigma: f64| {
            let c_skip = Scheme::default().coefficients(sigma, 0).c_skip;
            let error = (1.0 - c_skip).powi(2) * mean_square + c_skip.powi(2) * sigma * sigma;
            Weight::default().lambda(sigma, 0) * error
        };
        near(loss(1e-6), 1.0, 1e-9);
        near(loss(1e6), at_most_noise, 1e-9);
        for sigma in SIGMAS {
            let expected = (sigma * sigma * mean_square / 0.25 + 0.25) / (sigma * sigma + 0.25);
            near(loss(sigma), expected, 1e-12);
        }
    }
}

#[test]
fn each_channel_has_its_own_sigma_data() {
    let sigma_data = SigmaData::Each(vec![0.5, 0.2, 1.3]);
    let (scheme, weight) = (Scheme::Edm { sigma_data: sigma_data.clone() }, Weight::Edm { sigma_data });
    for (channel, number) in [0.5, 0.2, 1.3].into_iter().enumerate() {
        let one = Scheme::Edm { sigma_data: number.into() };
        let one_weight = Weight::Edm { sigma_data: number.into() };
        for sigma in SIGMAS {
            assert_eq!(scheme.coefficients(sigma, channel), one.coefficients(sigma, 0));
            assert_eq!(weight.lambda(sigma, channel), one_weight.lambda(sigma, 0));
        }
    }
    assert_eq!(scheme.check_channels(3), Ok(()));
    let mistake = weight.check_channels(4).unwrap_err();
    assert!(mistake.contains("a list of 3, but the images have 4 channels"), "{mistake}");
    assert!(scheme.check_channels(1).is_err());
}

#[test]
fn noise_levels_of_vp_and_ve_run_between_their_ends() {
    let vp = |uniform| vp_uniform(uniform, Vp::default(), EPSILON_T);
    near(vp(0.0), 152.167, 1e-5);
    near(vp(1.0), 0.0010005, 1e-4);
    near(vp(0.5), Vp { beta_d: BETA_D, beta_min: BETA_MIN }.sigma(0.500005), 1e-12);
    let ve = |uniform| log_uniform(uniform, 0.02, 100.0);
    assert_eq!(ve(0.0), 0.02);
    near(ve(1.0), 100.0, 1e-14);
    near(ve(0.5), 2.0f64.sqrt(), 1e-14);
}

#[test]
fn every_constant_has_the_papers_number_unless_given() {
    assert_eq!(ron::from_str("Vp()"), Ok(Scheme::vp()));
    assert_eq!(ron::from_str("Ve()"), Ok(Scheme::ve()));
    assert_eq!(ron::from_str("Iddpm()"), Ok(Scheme::iddpm()));
    assert_eq!(ron::from_str("Ve(sigma_max: 50.0)"), Ok(Scheme::Ve { sigma_min: 0.02, sigma_max: 50.0 }));
    assert_eq!(ron::from_str("Vp"), Ok(Weight::Vp));
    let list = SigmaData::Each(vec![0.5, 1.0]);
    assert_eq!(ron::from_str("Edm(sigma_data: [0.5, 1])"), Ok(Scheme::Edm { sigma_data: list }));
    for scheme in
        schemes().into_iter().chain([ron::from_str("Edm(sigma_data: [0.1, 0.30000000000000004])").unwrap()])
    {
        assert_eq!(scheme.check(), Ok(()));
        assert_eq!(ron::from_str(&ron::to_string(&scheme).unwrap()), Ok(scheme));
    }
}

#[test]
fn constants_that_contradict_each_other_are_refused_with_the_way_out() {
    for (scheme, says) in [
        ("Ve(sigma_min: 100, sigma_max: 0.02)", "swap the two"),
        ("Vp(epsilon_t: 1.0)", "`epsilon_t` is 1, expected a time above 0 and below 1"),
        ("Vp(beta_d: 5000)", "lower `beta_d`"),
        ("Vp(timesteps: 1)", "`timesteps` is 1, expected 2 to 100000"),
        ("Iddpm(timesteps: 999999999999)", "expected 2 to 100000"),
        ("Iddpm(c_1: 1.5)", "`c_1: 0.001`"),
    ] {
        let found = ron::from_str::<Scheme>(scheme).unwrap().check().unwrap_err();
        assert!(found.contains(says), "{scheme}: {found}");
    }
    for scheme in
        ["Vp(beta_min: -0.1)", "Iddpm(c_1: 0.0)", "Edm(sigma_data: [0.5, 0.0])", "Ddpm()", "Ve(sigma: 1.0)"]
    {
        assert!(ron::from_str::<Scheme>(scheme).is_err(), "{scheme}");
    }
    assert!(ron::from_str::<Weight>("Ve(sigma_min: 0.02)").is_err());
}
