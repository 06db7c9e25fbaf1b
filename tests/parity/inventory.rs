//! The published networks: every name and shape of their files, in order, and how many parameters they have.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::fixtures::{Oracle, Settings};
use crate::nets::architecture;
use crate::report::{Checks, Failure, Report};

#[derive(Deserialize)]
struct Published {
    precond: String,
    config: Map<String, Json>,
    num_params: usize,
    parameter_order: Vec<String>,
    state_dict: Vec<(String, Vec<usize>)>,
}

pub fn run(oracle: &Oracle, report: &mut Report) {
    let published: BTreeMap<String, Published> = oracle.json("inventory/full_size_state_dicts.json");
    for (name, case) in &published {
        report.case("inventory", name, "names", |checks| inventory(case, checks));
    }
}

fn inventory(case: &Published, checks: &mut Checks) -> Result<(), Failure> {
    let network = architecture(&case.precond, &Settings(&case.config)).build()?;
    let layout = network.layout();
    checks.hold("number of parameters", layout.count() == case.num_params);

    let learned = layout.parameters.iter().filter(|parameter| parameter.learned);
    let order: Vec<String> = learned.map(|parameter| format!("model.{}", parameter.name)).collect();
    checks.hold("order of parameters", order == case.parameter_order);

    // Beside the network there is the table of iDDPM's noise levels, which belongs to the preconditioning.
    let theirs = case.state_dict.iter().filter(|(name, _)| name != "u");
    let ours = layout.state().into_iter().map(|(name, shape)| (format!("model.{name}"), shape.to_vec()));
    checks.hold("names, shapes and order", ours.eq(theirs.cloned()));
    Ok(())
}
