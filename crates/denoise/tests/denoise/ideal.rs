//! Ideal denoisers against closed forms.

use mollify_denoise::IdealDenoiser;

use crate::small::{ask, denoiser, mistake, numbers, upload, wire};

#[test]
fn between_two_points_it_is_a_hyperbolic_tangent() {
    let net = denoiser("\"net\": Points(at: [(1.0, 0.0), (-1.0, 0.0)])");
    for sigma in [0.3, 1.0, 20.0] {
        for x in [-2.0, -0.1, 0.0, 0.7] {
            let found = ask(net.0.as_ref(), &[x, 0.4], &[sigma]);
            let expected = (x / (sigma * sigma)).tanh();
            assert!((found[0] - expected).abs() < 1e-14 && found[1] == 0.0, "{found:?} {expected}");
        }
    }
}

#[test]
fn little_noise_leaves_the_nearest_point_and_much_noise_the_mean() {
    let points = numbers(200 * 64);
    let net = IdealDenoiser::new("net", [8, 8, 1].into(), upload([200, 64], points.clone()));
    let near: Vec<f64> = points[64 * 7..64 * 8].iter().map(|y| y + 1e-4).collect();
    let found = ask(&net, &[near.clone(), near].concat(), &[0.002, 1e6]);
    let mean = |pixel: usize| points.iter().skip(pixel).step_by(64).sum::<f64>() / 200.0;
    for pixel in 0..64 {
        assert_eq!(found[pixel], points[64 * 7 + pixel]);
        assert!((found[64 + pixel] - mean(pixel)).abs() < 1e-9);
    }
}

#[test]
fn a_set_of_images_can_be_as_large_as_all_digits() {
    let given = "\"set\": Given(shape: (1797, 8, 8, 1), pixels: [0.5, -1.0, 0.25, 1.0, -0.75])";
    let net = denoiser(&format!("{given}, \"net\": Ideal(images: \"set\")"));
    assert_eq!((net.0.image(), net.0.labels()), ([8, 8, 1].into(), 0));
    let found = ask(net.0.as_ref(), &[0.0; 128], &[0.002, 80.0]);
    assert!(found.iter().all(|pixel| (-1.0..=1.0).contains(pixel)), "{found:?}");
}

#[test]
fn the_order_of_a_set_does_not_matter() {
    let net = |pixels: &str| {
        let given = format!("\"set\": Given(shape: (3, 1, 1, 2), pixels: [{pixels}])");
        denoiser(&format!("{given}, \"net\": Ideal(images: \"set\")"))
    };
    let (one, other) = (net("0.1, 0.2, 0.7, -0.3, 0.1, -0.9"), net("0.1, -0.9, 0.1, 0.2, 0.7, -0.3"));
    let x = [0.3, 0.3, -0.5, 0.1];
    assert_eq!(ask(one.0.as_ref(), &x, &[0.5, 2.0]), ask(other.0.as_ref(), &x, &[0.5, 2.0]));
}

#[test]
fn a_set_is_clean_and_points_are_finite_and_there() {
    let mut noisy = wire(
        "\"set\": Given(shape: (2, 1, 1, 1), pixels: [1.0], sigma: 0.5), \"net\": Ideal(images: \"set\")",
    )
    .unwrap();
    let failure = noisy.tick().unwrap_err().to_string();
    assert!(failure.contains("`net` failed on tick 0: the images of the set have noise"), "{failure}");
    assert!(mistake("\"net\": Points(at: [])").contains("there are no points"));
    assert!(mistake("\"net\": Points(at: [(0.0, inf)])").contains("the point (0.0, inf) is not finite"));
}
