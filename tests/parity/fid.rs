//! The Fréchet distance: features of images, their statistics, and the distance between them, with ranks and means of
//! every sort.

use std::fs;
use std::sync::Arc;

use metrics::{Extractor, FeatureNetwork, Moments, Rows, Statistics, frechet_distance};
use mollify_tests::root;
use safetensors::SafeTensors;
use serde::Deserialize;
use tensor::Device;

use crate::compare::Tolerance;
use crate::fixtures::{Numbers, Oracle};
use crate::report::{Checks, Failure, Report};

#[derive(Deserialize)]
struct Case {
    name: String,
    fid: f64,
    fid_eigh: f64,
}

/// Relative; the distance of a set from itself is nothing but rounding.
const CLOSE: Tolerance = Tolerance { absolute: 1e-12, relative: 1e-8 };

/// What PyTorch makes of images with the network that comes with the program.
const EXPECTED: &str = "crates/metrics/tests/fixtures/squeezenet1_1-expected.safetensors";

pub fn run(oracle: &Oracle, devices: &[Arc<dyn Device>], report: &mut Report) {
    for device in devices {
        for (images, features) in [("images", "features"), ("large", "large_features")] {
            report.case("features", images, &device.name(), |checks| {
                look(device.as_ref(), images, features, checks)
            });
        }
    }
    let cases: Vec<Case> = oracle.cases("fid");
    if cases.is_empty() {
        return;
    }
    let tensors = oracle.tensors("fid/fid.safetensors");
    for case in &cases {
        report.case("fid", &case.name, "-", |checks| {
            let [a, b] = ["a", "b"].map(|set| {
                let get = |what: &str| tensors.get(&format!("{}/{what}_{set}", case.name)).clone();
                statistics(&get("features"), &get("mu"), &get("sigma"), checks)
            });
            let distance = frechet_distance(&a?, &b?)?;
            checks.compare("distance", &[distance], &[case.fid], CLOSE);
            checks.compare("distance by eigenvalues", &[distance], &[case.fid_eigh], CLOSE);
            Ok(())
        });
    }
    report.case("fid", "ref_stats_full_rank.npz", "-", |checks| {
        let file = oracle.folder().join("fid/ref_stats_full_rank.npz");
        let statistics = Statistics::read(&file)?;
        let tensor = |what: &str| tensors.get(&format!("full_rank/{what}")).values.clone();
        let exact = Tolerance::absolute(0.0);
        let found = [("a", statistics.mu.as_slice()), ("b", statistics.mu.as_slice())];
        let same = found.iter().find(|(set, mu)| tensor(&format!("mu_{set}")) == *mu).map(|(set, _)| set);
        let set = same.ok_or_else(|| "it is the mean of neither set".to_owned())?;
        checks.compare("sigma", statistics.sigma.as_slice(), &tensor(&format!("sigma_{set}")), exact);
        Ok(())
    });
}

/// Our features of images, held against the expected ones.
fn look(device: &dyn Device, images: &str, features: &str, checks: &mut Checks) -> Result<(), Failure> {
    let file = fs::read(root().join(EXPECTED)).map_err(|error| format!("{EXPECTED}: {error}"))?;
    let file = SafeTensors::deserialize(&file).map_err(|error| error.to_string())?;
    let get = |name: &str| file.tensor(name).map_err(|error| error.to_string());
    let (images, expected) = (get(images)?, get(features)?);
    let &[_, h, w, c] = images.shape() else { return Err("images are [n, h, w, c]".to_owned().into()) };
    let rows = Extractor::new(FeatureNetwork::squeezenet()).rows(device, [h, w, c], images.data())?;
    let expected: Vec<f64> =
        expected.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect();
    let found: Vec<f64> = rows.numbers().iter().map(|number| f64::from(*number)).collect();
    checks.compare("features", &found, &expected, Tolerance::absolute(1e-3));
    Ok(())
}

/// Our statistics of features, held against those of the reference.
fn statistics(
    features: &Numbers,
    mu: &Numbers,
    sigma: &Numbers,
    checks: &mut Checks,
) -> Result<Statistics, Failure> {
    let numbers: Vec<f32> = features.values.iter().map(|number| *number as f32).collect();
    let mut moments = Moments::default();
    moments.add(&Rows::new(features.shape[1], numbers))?;
    let found = moments.statistics()?;
    let largest = sigma.values.iter().fold(0.0, |most: f64, number| most.max(number.abs()));
    checks.compare("mu", found.mu.as_slice(), &mu.values, Tolerance { absolute: 1e-12, relative: 1e-12 });
    checks.compare("sigma", found.sigma.as_slice(), &sigma.values, Tolerance::absolute(1e-11 * largest));
    Ok(found)
}
