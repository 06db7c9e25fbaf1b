//! Larger networks as denoisers, whose parameters follow from their names.
//!
//! The published, full-size ones take minutes and gigabytes: they run where `MOLLIFY_ORACLE_FULL` is 1.

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tensor::{Array, Device, Tensor};
use unet::Parameter;

use crate::compare::Tolerance;
use crate::fixtures::{Noise, Oracle};
use crate::nets::Net;
use crate::report::{Checks, Failure, Report};

#[derive(Deserialize)]
struct Case {
    name: String,
    size: String,
    precond: String,
    config: Map<String, Json>,
    num_params: usize,
    f32_vs_f64: Noise,
}

#[derive(Deserialize)]
struct Generated {
    first8: Vec<f64>,
}

pub fn run(oracle: &Oracle, devices: &[Arc<dyn Device>], report: &mut Report) {
    report.case("procedural", "generator", "-", |checks| {
        generator(&oracle.json("procedural/generator_check.json"), checks);
        Ok(())
    });
    let full = env::var("MOLLIFY_ORACLE_FULL").is_ok_and(|value| value == "1");
    let cases: Vec<Case> = oracle.cases("procedural");
    for case in cases.iter().filter(|case| full || case.size != "full") {
        let Some(net) = report.built("procedural", &case.name, Net::new(&case.precond, &case.config)) else {
            continue;
        };
        // Plain loops in f64 would take hours.
        for device in devices.iter().filter(|device| device.name() != "reference") {
            report.case("procedural", &case.name, &device.name(), |checks| {
                checks.hold("number of parameters", net.layout().count() == case.num_params);
                let io = oracle.tensors("procedural/io.safetensors");
                let arena = arena(&net, device.as_ref())?;
                let start = format!("{}/", case.name);
                net.compare(&arena, &io, &start, case.f32_vs_f64, device.as_ref(), checks)
            });
        }
    }
}

fn generator(names: &BTreeMap<String, Generated>, checks: &mut Checks) {
    for (name, generated) in names {
        let first: Vec<f64> = signed(name).map(f64::from).take(8).collect();
        checks.compare(name, &first, &generated.first8, Tolerance::absolute(1e-15));
    }
}

fn arena(net: &Net, device: &dyn Device) -> Result<Tensor, Failure> {
    let arena = net.layout().import(|parameter| Ok(values(parameter)))?;
    Ok(device.upload(&Array::new([arena.len()], arena))?)
}

/// What a parameter holds: uniform numbers that keep activations at a variance of about 1.
fn values(parameter: &Parameter) -> Vec<f32> {
    let name = format!("model.{}", parameter.name);
    let module = name.rsplit_once('.').map_or("", |(module, _)| module);
    let module = module.rsplit_once('.').map_or(module, |(_, module)| module);
    let fan_in = parameter.len() / parameter.file_shape[0];
    let bound = (3.0 / fan_in as f64).sqrt() as f32;
    let fill: &dyn Fn(f32) -> f32 = match parameter.file_shape.len() {
        _ if !parameter.learned => &|v| 16.0 * v,
        1 if name.ends_with(".weight") && module.contains("norm") => &|v| 1.0 + 0.2 * v,
        1 => &|v| 0.1 * v,
        _ => &|v| v * bound,
    };
    signed(&name).map(fill).take(parameter.len()).collect()
}

/// Numbers from -1 to 1 that follow from a name: splitmix64 from its FNV-1a hash.
fn signed(name: &str) -> impl Iterator<Item = f32> + use<> {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    (1..).map(move |i: u64| {
        let z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ (z >> 31);
        2.0 * ((z >> 40) as f32 / (1 << 24) as f32) - 1.0
    })
}
