//! Sampling by a pipeline of the product's own nodes, step by step, with captured latents and noise.

use std::sync::Arc;

use denoise::IdealDenoiser;
use diffusion::Spacing;
use philox::stream;
use pipeline::{Engine, Pipeline};
use ports::{Denoise, Images, Machine, Sigma};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tensor::{Array, Device};

use crate::algorithm::Algorithm;
use crate::compare::Tolerance;
use crate::fixtures::{Noise, Numbers, Oracle, Settings, Tensors, number};
use crate::given_draws::GivenDraws;
use crate::given_nodes::{self, Limited, TheDenoiser, TheLabels};
use crate::nets::{self, Net};
use crate::report::{Checks, Failure, Report};

#[derive(Deserialize)]
struct Case {
    name: String,
    sampler: String,
    net: Map<String, Json>,
    kwargs: Map<String, Json>,
    #[serde(default)]
    sensitivity: f64,
    f32_vs_f64_final: Option<Noise>,
}

pub fn run(oracle: &Oracle, devices: &[Arc<dyn Device>], report: &mut Report) {
    let cases: Vec<Case> = oracle.cases("samplers");
    if cases.is_empty() {
        return;
    }
    let tensors = oracle.tensors("samplers/samplers.safetensors");
    let nets: Vec<nets::Case> = oracle.cases("nets");
    for case in &cases {
        let Some(asked) = report.built("samplers", &case.name, Asked::new(case, &nets)) else { continue };
        for device in devices {
            report.case("samplers", &case.name, &device.name(), |checks| {
                sample(case, &asked, &tensors, oracle, device, checks)
            });
        }
    }
    report.case("samplers", "call_sigmas_edm", "-", |checks| call_sigmas(oracle, checks));
    report.case("samplers", "quantize", "-", |checks| quantize(oracle, checks));
}

/// The denoiser that a case asks.
enum Asked<'a> {
    Ideal,
    Network(Net, &'a nets::Case),
}

impl<'a> Asked<'a> {
    fn new(case: &Case, nets: &'a [nets::Case]) -> Result<Self, Failure> {
        let settings = Settings(&case.net);
        if settings.text("kind", "") == "analytic" {
            return Ok(Asked::Ideal);
        }
        let name = settings.text("case", "");
        let net = nets
            .iter()
            .find(|net| net.name == name)
            .ok_or_else(|| format!("no network is called `{name}`"))?;
        Ok(Asked::Network(Net::new(&net.precond, &net.config)?, net))
    }

    fn denoiser(
        &self,
        case: &Case,
        tensors: &Tensors,
        oracle: &Oracle,
        device: &dyn Device,
    ) -> Result<Arc<dyn Denoise>, Failure> {
        match self {
            Asked::Network(net, of) => {
                let tensors = oracle.tensors(&of.params);
                let denoiser = Arc::new(net.denoiser(&net.arena(&tensors, "model.", device)?));
                // The network's own table, as the reference has computed it in f32.
                let Some(Numbers { values: u, .. }) = tensors.find("u") else { return Ok(denoiser) };
                let range = (u[u.len() - 2], u[0]);
                Ok(Arc::new(Limited { denoiser, range, levels: Some(u.clone()) }))
            }
            Asked::Ideal => {
                let points = tensors.get("points").channels_last();
                let (count, image) = (points.shape[0], points.shape[1..].to_vec());
                let rows = device.upload(&Array::new([count, image.iter().product()], points.values))?;
                let denoiser = Arc::new(IdealDenoiser::new("net", image.into(), rows));
                let settings = Settings(&case.net);
                let range = (settings.number("sigma_min", 0.0), settings.number("sigma_max", f64::INFINITY));
                let levels = table(case).map(|name| tensors.get(&name).values.clone());
                Ok(Arc::new(Limited { denoiser, range, levels }))
            }
        }
    }
}

/// The noise levels that a case is rounded to: the denoiser's own, or the table of iDDPM as the reference has it, which
/// computes a part of it in f32.
fn table(case: &Case) -> Option<String> {
    let round = case.net.get("round_table").and_then(Json::as_str).map(str::to_owned);
    let k = Settings(&case.kwargs);
    let iddpm = k.text("discretization", "edm") == "iddpm";
    round.or(iddpm.then(|| format!("iddpm_u_M{}", k.size("M", 1000))))
}

/// What a run of the sampler showed: x at every step and at the end, and the noise levels that the denoiser was asked about.
struct Trace {
    x: Vec<Vec<f64>>,
    asked: Vec<f64>,
}

fn trace(engine: &mut Engine, last: &str, device: &dyn Device) -> Result<Trace, Failure> {
    let mut trace = Trace { x: Vec::new(), asked: Vec::new() };
    while !engine.is_finished() {
        engine.tick().map_err(|failure| failure.to_string())?;
        let images =
            |node: &str| engine.value::<Images>(node).ok_or_else(|| format!("`{node}` has no value"));
        trace.x.push(device.download(&images("x")?.pixels)?.f64s());
        for node in if last == "heun" { &["hat", "euler"][..] } else { &["hat"] } {
            let image = images(node)?;
            match image.sigma {
                Sigma::Same(0.0) => {}
                Sigma::Same(level) => trace.asked.push(level),
                Sigma::Each(_) => return Err("one noise level is expected for all".to_owned().into()),
            }
        }
        if engine.is_finished() {
            trace.x.push(device.download(&images(last)?.pixels)?.f64s());
        }
    }
    Ok(trace)
}

fn sample(
    case: &Case,
    asked: &Asked,
    tensors: &Tensors,
    oracle: &Oracle,
    device: &Arc<dyn Device>,
    checks: &mut Checks,
) -> Result<(), Failure> {
    let find = |what: &str| tensors.find(&format!("{}/{what}", case.name));
    let latents = find("latents").unwrap_or_else(|| tensors.get("latents")).channels_last();
    let mut given = GivenDraws::new(device).draw(stream::LATENT, 0, &latents);
    for (step, noise) in find("noise").map(Numbers::rows).unwrap_or_default().iter().enumerate() {
        given = given.draw(stream::CHURN, step as u64, &noise.channels_last());
    }
    let labels = find("class_labels");
    let algorithm = Algorithm::new(&case.kwargs);
    let text = algorithm.pipeline(latents.shape[0], labels.is_some());
    let pipeline = Pipeline::read(&case.name, &text, &[]).map_err(|report| report.to_string())?;
    let mut engine = Engine::default().with(ports::plugin).with(sampler::plugin).with(given_nodes::plugin);
    engine.world.insert_resource(TheDenoiser(asked.denoiser(case, tensors, oracle, device.as_ref())?));
    if let Some(labels) = labels {
        engine.world.insert_resource(TheLabels(device.upload(&labels.array())?));
    }
    engine.world.insert_resource(Machine(Arc::new(given)));
    engine.wire(&pipeline).map_err(|report| report.to_string())?;
    let trace = trace(&mut engine, algorithm.last, device.as_ref())?;

    let call_sigma = tensors.get(&format!("{}/call_sigma", case.name));
    let sigma = Tolerance { absolute: 0.0, relative: 1e-14 + rounding(case, &call_sigma.values) };
    checks.compare("call_sigma", &trace.asked, &call_sigma.values, sigma);
    let steps = tensors.get(&format!("{}/x_steps", case.name)).rows();
    checks.hold("steps", trace.x.len() == steps.len());
    let in_f64 = device.name() == "reference";
    let tolerance = tolerance(case, &call_sigma.values, in_f64);
    for (index, (x, expected)) in trace.x.iter().zip(&steps).enumerate() {
        checks.compare(&format!("x at step {index}"), x, &expected.channels_last().values, tolerance);
    }
    finish(case, &trace, tensors, in_f64, tolerance, checks);
    Ok(())
}

/// How far the reference's noise levels are from exact ones in f64, relatively. For VP it takes 1 from an exponential,
/// which is near 1 at little noise; and it comes to the end of a step by adding its length to its start.
fn rounding(case: &Case, asked: &[f64]) -> f64 {
    let k = Settings(&case.kwargs);
    let vp = [k.text("discretization", "edm"), k.text("schedule", "linear")].contains(&"vp");
    let lowest = asked.iter().copied().fold(f64::INFINITY, f64::min);
    let subtraction = if vp { f64::EPSILON / (lowest * lowest) } else { 0.0 };
    let time = |sigma: f64| if k.text("schedule", "linear") == "ve" { sigma * sigma } else { sigma };
    let steps = asked.windows(2).map(|pair| time(pair[0]) / time(pair[1]));
    let addition = if case.sampler == "edm_sampler" { 0.0 } else { steps.fold(0.0, f64::max) * f64::EPSILON };
    subtraction + addition
}

/// What is tolerated of x: the rounding of f64 where all is f64, 30 times the reference's own noise for a network.
fn tolerance(case: &Case, asked: &[f64], in_f64: bool) -> Tolerance {
    match (case.f32_vs_f64_final, in_f64) {
        (Some(noise), _) => {
            Tolerance { absolute: 30.0 * noise.max_abs, relative: 30.0 * noise.max_abs_over_rms }
        }
        (None, true) => Tolerance::absolute((1e-11 + rounding(case, asked)) * (1.0 + case.sensitivity)),
        (None, false) => {
            // An x of about t that is rounded has a slope that is wrong by t ε / t' at the end of the step, which is
            // then followed for about t: harmless in all but the coarsest steps.
            let step = |t: &[f64]| t[0] * t[0] / t[1];
            let rounding = asked.windows(2).map(step).fold(0.0, f64::max) * f64::from(f32::EPSILON);
            Tolerance { absolute: 1e-5 * (1.0 + case.sensitivity) + rounding, relative: 1e-5 }
        }
    }
}

/// The final images of a network.
fn finish(
    case: &Case,
    trace: &Trace,
    tensors: &Tensors,
    in_f64: bool,
    tolerance: Tolerance,
    checks: &mut Checks,
) {
    let find = |what: &str| tensors.find(&format!("{}/{what}", case.name));
    let Some(last) = trace.x.last() else { return };
    if let Some(exact) = find("final_f64") {
        let tolerance = if in_f64 { Tolerance::absolute(1e-9) } else { tolerance };
        checks.compare("final_f64", last, &exact.channels_last().values, tolerance);
    }
    if let Some(bytes) = find("image_u8_nhwc") {
        let ours: Vec<f64> = sampler::bytes(last).into_iter().map(f64::from).collect();
        checks.compare("image_u8_nhwc", &ours, &bytes.values, Tolerance::absolute(1.0));
    }
}

/// The noise levels of published runs: `{"edm_18": [80, …], …}`.
fn call_sigmas(oracle: &Oracle, checks: &mut Checks) -> Result<(), Failure> {
    let sequences: Map<String, Json> = oracle.json("samplers/call_sigmas_edm.json");
    for (name, sequence) in &sequences {
        let steps: usize =
            name.trim_start_matches("edm_").parse().map_err(|_| format!("`{name}` names no steps"))?;
        let expected: Vec<f64> = sequence.as_array().into_iter().flatten().map(number).collect();
        let times = Spacing::default().noise_levels(steps, 0.002, 80.0).map_err(|error| error.to_string())?;
        let calls: Vec<f64> =
            (0..steps).flat_map(|i| [times[i], times[i + 1]]).filter(|t| *t > 0.0).collect();
        checks.compare(name, &calls, &expected, Tolerance { absolute: 0.0, relative: 1e-14 });
    }
    Ok(())
}

fn quantize(oracle: &Oracle, checks: &mut Checks) -> Result<(), Failure> {
    let table: Map<String, Json> = oracle.json("samplers/quantize.json");
    let list = |name: &str| Settings(&table).list(name, &[]);
    // The reference computes in f32.
    let x: Vec<f64> = list("x").iter().map(|x| f64::from(*x as f32)).collect();
    let bytes: Vec<f64> = sampler::bytes(&x).into_iter().map(f64::from).collect();
    checks.compare("u8", &bytes, &list("u8"), Tolerance::absolute(0.0));
    Ok(())
}
