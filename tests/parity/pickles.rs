//! Checkpoints of the reference, imported by the command: every tensor's digest, and D(x; σ) of what was imported.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use checkpoint::{Weights, read_weights};
use denoise::{PreconditionedNetwork, Trained, read_network};
use mollify_tests::{Mollify, mollify};
use ports::Parameters;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tensor::{Array, Device};

use crate::compare::Tolerance;
use crate::fixtures::Oracle;
use crate::nets::Seen;
use crate::report::{Checks, Failure, Report};
use crate::trial::Trial;

const OUT: &str = "imported.safetensors";

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
    expected: String,
    state_dict: Vec<(String, Vec<usize>, String, String)>,
}

#[derive(Deserialize)]
struct State {
    file: String,
    step: f64,
    sha256_f32_le: BTreeMap<String, String>,
}

pub fn run(oracle: &Oracle, devices: &[Arc<dyn Device>], report: &mut Report) {
    let cases: Vec<Case> = oracle.cases("pickles");
    for case in &cases {
        report.case("pickles", &case.name, "digests", |checks| {
            let imported = Imported::of(oracle, &case.file)?;
            for (name, shape, _, sha256) in &case.state_dict {
                imported.compare(name, name, Some(shape), sha256, checks);
            }
            checks.hold("no other tensors", imported.weights.arrays.len() == case.state_dict.len());
            Ok(())
        });
        for device in devices {
            report.case("pickles", &case.name, &device.name(), |checks| {
                denoise(oracle, case, device.as_ref(), checks)
            });
        }
    }
    if !cases.is_empty() {
        report.case("pickles", "training-state", "digests", |checks| training_state(oracle, checks));
    }
}

/// A checkpoint that `mollify import` has made a file of weights of.
struct Imported {
    folder: Mollify,
    weights: Weights,
}

impl Imported {
    fn of(oracle: &Oracle, file: &str) -> Result<Self, String> {
        let folder = mollify!();
        let file = std::path::absolute(oracle.folder().join(file)).map_err(|error| error.to_string())?;
        folder.succeed(&["import", &file.to_string_lossy(), OUT]);
        let weights = read_weights(&folder.path(OUT)).map_err(|error| error.to_string())?;
        Ok(Self { folder, weights })
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path(OUT)
    }

    /// Whether the array `name` holds what the oracle calls `what`.
    fn compare(&self, name: &str, what: &str, shape: Option<&Vec<usize>>, sha256: &str, checks: &mut Checks) {
        let array = self.weights.arrays.get(name);
        let right = array.is_some_and(|array| {
            digest(&array.bytes) == sha256 && shape.is_none_or(|shape| *shape == array.shape)
        });
        checks.hold(what, right);
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn denoise(oracle: &Oracle, case: &Case, device: &dyn Device, checks: &mut Checks) -> Result<(), Failure> {
    let imported = Imported::of(oracle, &case.file)?;
    let Trained { recipe, network, arena } = trained(&imported.path())?;
    let arena = device.upload(&Array::new([arena.len()], arena))?;
    let parameters = Parameters { network, arena, recipe: recipe.network.recipe() };
    let denoiser = PreconditionedNetwork::new("net", parameters, recipe.scheme);
    let expected = oracle.tensors(&case.expected);
    let seen = Seen {
        x: expected.get("x").clone(),
        sigma: expected.get("sigma").values.clone(),
        labels: expected.find("class_labels").cloned(),
        augment: None,
    };
    let mut trial = Trial::new(device);
    let [d, _] = seen.ask(&mut trial, &denoiser, None)?;
    trial.graph.output("D", d);
    let expected = expected.get("D").channels_last().values;
    checks.compare("D", &trial.run()?["D"], &expected, Tolerance::gradient(&expected));
    Ok(())
}

fn trained(path: &Path) -> Result<Trained, Failure> {
    Ok(read_network(path)?)
}

/// The oracle counts the parameters of the optimiser in the order of the network.
fn training_state(oracle: &Oracle, checks: &mut Checks) -> Result<(), Failure> {
    let state: State = oracle.json("pickles/training-state.expected.json");
    let imported = Imported::of(oracle, &state.file)?;
    let Trained { network, .. } = trained(&imported.path())?;
    let learned: Vec<&str> =
        network.layout().parameters.iter().filter(|p| p.learned).map(|p| p.name.as_str()).collect();
    for (what, sha256) in &state.sha256_f32_le {
        let name = match what.split('.').collect::<Vec<_>>()[..] {
            ["opt", _, "step"] => {
                checks.hold(what, *sha256 == digest(&(state.step as f32).to_le_bytes()));
                continue;
            }
            ["opt", index, moment] => {
                let moment = if moment == "exp_avg" { "mean" } else { "square" };
                let parameter = index.parse().ok().and_then(|index: usize| learned.get(index));
                format!("training.{moment}.{}", parameter.ok_or("the oracle has more parameters".to_owned())?)
            }
            _ => what.trim_start_matches("net.").to_owned(),
        };
        imported.compare(&name, what, None, sha256, checks);
    }
    checks.hold("steps", imported.weights.metadata["steps"].parse() == Ok(state.step));
    Ok(())
}
