//! Feature networks on devices.

use std::path::Path;

use mollify_metrics::{Extractor, FeatureNetwork};
use safetensors::SafeTensors;
use tensor::{Device, Reference};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Features that PyTorch made, and how far ours are from them at most.
fn error(device: &dyn Device, images: &str, features: &str) -> Result<f32> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/squeezenet1_1-expected.safetensors");
    let file = std::fs::read(file)?;
    let file = SafeTensors::deserialize(&file)?;
    let images = file.tensor(images)?;
    let &[n, h, w, c] = images.shape() else { return Err("images are [n, h, w, c]".into()) };
    let (expected, _) = file.tensor(features)?.data().as_chunks();
    let expected: Vec<f32> = expected.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let mut extractor = Extractor::new(FeatureNetwork::squeezenet());
    let rows = extractor.rows(device, [h, w, c], images.data())?;
    assert_eq!((rows.count(), rows.numbers().len()), (n, expected.len()));
    assert!(expected.iter().any(|number| *number > 50.0));
    Ok(rows.numbers().iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
}

#[test]
fn squeezenet_makes_the_expected_features_of_small_and_large_images() -> Result {
    for (images, features) in [("images", "features"), ("large", "large_features")] {
        let error = error(&cpu::Cpu::new(2), images, features)?;
        assert!(error < 1e-3, "{images} are off by {error}");
    }
    Ok(())
}

#[test]
fn grey_images_are_those_with_three_equal_channels() -> Result {
    let grey: Vec<u8> = (0..2 * 20 * 12).map(|i| (i * 7 % 251) as u8).collect();
    let coloured: Vec<u8> = grey.iter().flat_map(|byte| [*byte; 3]).collect();
    let mut extractor = Extractor::new(FeatureNetwork::squeezenet());
    let device = cpu::Cpu::new(2);
    let one = extractor.rows(&device, [20, 12, 1], &grey)?;
    let three = extractor.rows(&device, [20, 12, 3], &coloured)?;
    let apart = one.numbers().iter().zip(three.numbers()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-4, "{apart}");
    Ok(())
}

/// The convolutions of Inception-v3 with a sixteenth of their channels, `(name, [out, in, height, width])`.
fn inception() -> Vec<(String, [usize; 4])> {
    let thin = |channels: usize| (channels / 16).max(1);
    let mut layers: Vec<(String, [usize; 4])> = Vec::new();
    let mut from = 3;
    for (name, out, size) in
        [("1a_3x3", 32, 3), ("2a_3x3", 32, 3), ("2b_3x3", 64, 3), ("3b_1x1", 80, 1), ("4a_3x3", 192, 3)]
    {
        layers.push((format!("Conv2d_{name}"), [thin(out), from, size, size]));
        from = thin(out);
    }
    // Chains of `out height width`; a part with a second name beside it reads the same.
    const A: &str = "branch1x1 64 1 1|branch5x5_1 48 1 1,branch5x5_2 64 5 5|branch3x3dbl_1 64 1 1,branch3x3dbl_2 96 3 3,\
        branch3x3dbl_3 96 3 3|branch_pool 64 1 1";
    const B: &str = "branch3x3 384 3 3|branch3x3dbl_1 64 1 1,branch3x3dbl_2 96 3 3,branch3x3dbl_3 96 3 3";
    const C: &str = "branch1x1 192 1 1|branch7x7_1 160 1 1,branch7x7_2 160 1 7,branch7x7_3 192 7 1|branch7x7dbl_1 160 1 1,\
        branch7x7dbl_2 160 7 1,branch7x7dbl_3 160 1 7,branch7x7dbl_4 160 7 1,branch7x7dbl_5 192 1 7|branch_pool 192 1 1";
    const D: &str = "branch3x3_1 192 1 1,branch3x3_2 320 3 3|branch7x7x3_1 192 1 1,branch7x7x3_2 192 1 7,\
        branch7x7x3_3 192 7 1,branch7x7x3_4 192 3 3";
    const E: &str = "branch1x1 320 1 1|branch3x3_1 384 1 1,branch3x3_2a 384 1 3&branch3x3_2b 384 3 1|branch3x3dbl_1 448 1 1,\
        branch3x3dbl_2 384 3 3,branch3x3dbl_3a 384 1 3&branch3x3dbl_3b 384 3 1|branch_pool 192 1 1";
    let blocks = [
        ("5b", A),
        ("5c", A),
        ("5d", A),
        ("6a", B),
        ("6b", C),
        ("6c", C),
        ("6d", C),
        ("6e", C),
        ("7a", D),
        ("7b", E),
        ("7c", E),
    ];
    for (block, branches) in blocks {
        let halves = matches!(block, "6a" | "7a");
        let mut all = if halves { from } else { 0 };
        for branch in branches.split('|') {
            let mut before = from;
            for step in branch.split(',') {
                let mut out = 0;
                for part in step.split('&') {
                    let words: Vec<&str> = part.split_whitespace().collect();
                    let [width, kh, kw] = [1, 2, 3].map(|at| words[at].parse().expect("numbers"));
                    layers.push((format!("Mixed_{block}.{}", words[0]), [thin(width), before, kh, kw]));
                    out += thin(width);
                }
                before = out;
            }
            all += before;
        }
        from = all;
    }
    layers
}

/// A file of weights that keep the size of activations.
fn file(layers: &[(String, [usize; 4])]) -> Result<Vec<u8>> {
    let random = |seed: usize, at: usize| {
        philox::unit(philox::block([seed as u32, 7], [at as u32, 0, 0, 0])[0]) * 2.0 - 1.0
    };
    let mut arrays: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (seed, (name, shape)) in layers.iter().enumerate() {
        let [out, rest] = [shape[0], shape[1..].iter().product()];
        let mut add = |what: &str, shape: Vec<usize>, number: &dyn Fn(usize) -> f32| {
            let bytes = (0..shape.iter().product()).flat_map(|at| number(at).to_le_bytes()).collect();
            arrays.push((format!("{name}.{what}"), shape, bytes));
        };
        let scale = (6.0 / rest as f32).sqrt();
        add("conv.weight", shape.to_vec(), &|at| scale * random(seed, at));
        add("bn.weight", vec![out], &|at| 1.0 + 0.1 * random(seed, at + 100_000));
        add("bn.bias", vec![out], &|at| 0.1 * random(seed, at + 200_000));
        add("bn.running_mean", vec![out], &|at| 0.1 * random(seed, at + 300_000));
        add("bn.running_var", vec![out], &|at| 1.0 + 0.1 * random(seed, at + 400_000));
    }
    let views = arrays.iter().map(|(name, shape, bytes)| {
        Ok((name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    Ok(safetensors::serialize(views, None)?)
}

/// The published weights are not here, so this holds the devices against one another: not the network against PyTorch.
#[test]
fn inception_with_random_weights_agrees_with_the_reference() -> Result {
    let file = file(&inception())?;
    let network = FeatureNetwork::inception_of(&file, 75)?;
    assert_eq!(network.width(), 20 + 4 * 24 + 12);
    let image: Vec<u8> = (0..2 * 30 * 40 * 3).map(|i| (i * 131 % 256) as u8).collect();
    let rows = |device: &dyn Device| Extractor::new(network.clone()).rows(device, [30, 40, 3], &image);
    let (found, expected) = (rows(&cpu::Cpu::new(2))?, rows(&Reference)?);
    assert_eq!((found.count(), found.width()), (2, network.width()));
    let largest = expected.numbers().iter().fold(0.0, |most: f32, number| most.max(*number));
    let apart =
        found.numbers().iter().zip(expected.numbers()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest > 1e-3 && apart < 1e-4 * largest, "{apart} of {largest}");
    assert_ne!(expected.pick([0]), expected.pick([1]));
    Ok(())
}

#[test]
fn weights_of_another_network_are_refused() -> Result {
    let mut layers = inception();
    layers[40].1[1] += 1;
    let wrong = FeatureNetwork::inception_of(&file(&layers)?, 75).expect_err("channels do not fit");
    assert!(wrong.contains("expected"), "{wrong}");
    layers.remove(40);
    assert!(FeatureNetwork::inception_of(&file(&layers)?, 75).is_err());
    assert!(FeatureNetwork::inception_of(b"nothing", 75).is_err());
    Ok(())
}
