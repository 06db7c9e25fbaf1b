//! Any valid combination of choices wires, trains and samples without a number that is not finite; what makes no sense is
//! refused while wiring.

use std::sync::Arc;

use mollify::Values;
use philox::{Key, words};
use pipeline::{Engine, Outcome, Pipeline};
use ports::Machine;

/// How many combinations are drawn: enough for any two choices to meet a few times.
const COMBINATIONS: u64 = 120;

const NETWORKS: &[&str] = &[
    "SongUNet(LIKE, channels: 4, multipliers: [1], blocks: 0, attention: [])",
    "SongUNet(LIKE, channels: 4, multipliers: [1, 2], blocks: 1, attention: [4], preset: NcsnPP, label_dropout: 0.3)",
    "SongUNet(LIKE, channels: 6, multipliers: [1, 1], blocks: 0, attention: [8], encoder: Skip, decoder: Skip, out_channels: 2)",
    "SongUNet(LIKE, channels: 4, multipliers: [2], blocks: 1, attention: [8], embedding: Fourier, augment: 3, dropout: 0.5)",
    "DhariwalUNet(LIKE, channels: 4, multipliers: [1, 2], blocks: 1, attention: [4])",
    "DhariwalUNet(LIKE, channels: 64, multipliers: [1], blocks: 0, attention: [8], out_channels: 2)",
];
const SCHEMES: &[&str] = &[
    "Edm()",
    "Edm(sigma_data: [0.7])",
    "Vp()",
    "Vp(timesteps: 50)",
    "Ve()",
    "Iddpm()",
    "Iddpm(timesteps: 40)",
];
const WEIGHTS: &[&str] = &["Edm()", "Edm(sigma_data: [0.3])", "Vp", "Ve"];
const DISTRIBUTIONS: &[&str] =
    &["LogNormal(LIKE", "LogUniform(LIKE", "VpUniform(LIKE", "LogNormal(LIKE, std: 3.0"];
const STRATIFIED: &[&str] = &["", ", stratified: true"];
const SPACINGS: &[&str] = &["Edm()", "Edm(rho: 1.0)", "Vp()", "Ve", "Iddpm()"];
const SCHEDULES: &[&str] = &["Linear", "Vp()", "Ve"];
const SCALINGS: &[&str] = &["Unit", "Vp"];
const RANGES: &[&str] = &["", r#", by: "smooth""#, ", sigma_min: 0.05, sigma_max: 20.0"];
const CHURNS: &[&str] = &["", ", amount: 2.0", ", amount: 40.0, min: 0.05, max: 50.0, noise: 1.003"];
const GUIDANCES: &[&str] = &[
    r#""guided": Guidance(by: "smooth", weight: 1.5, min: 0.1, max: 10.0)"#,
    r#""guided": Guidance(by: "smooth", from: "raw", weight: 0.5)"#,
    r#""guided": Guidance(by: "smooth", weight: 2.0)"#,
];
/// The nodes of a step, of which the last is called `end`.
const SOLVERS: &[&str] = &[
    r#""end": Euler(x: "hat", denoised: "first")"#,
    HEUN,
    r#""half": Euler(x: "hat", denoised: "first", alpha: 0.5),
       "second": Denoise(x: "half", by: "guided", labels: "classes"),
       "end": Heun(x: "hat", first: "first", euler: "half", second: "second")"#,
    r#""end": Lms(x: "hat", denoised: "first", order: 4)"#,
    r#""end": Deis(x: "hat", denoised: "first", order: 3)"#,
    r#""end": Ipndm(x: "hat", denoised: "first", order: 4)"#,
    r#""end": DpmPP(x: "hat", denoised: "first", order: 3)"#,
    r#""end": UniPC(x: "hat", denoised: "first", order: 2)"#,
    r#""end": DpmPPSde(x: "hat", denoised: "first", seeds: "seeds")"#,
    r#""end": Ancestral(x: "hat", denoised: "first", seeds: "seeds")"#,
];
const HEUN: &str = r#""full": Euler(x: "hat", denoised: "first"),
    "second": Denoise(x: "full", by: "guided", labels: "classes"),
    "end": Heun(x: "hat", first: "first", euler: "full", second: "second")"#;

/// Draws one choice after the other, the same ones in every run.
struct Choices {
    seed: u64,
    drawn: u32,
}

impl Choices {
    fn of(&mut self, choices: &[&'static str]) -> &'static str {
        let row = Key { seed: self.seed, stream: 0, step: 0 }.words();
        self.drawn += 1;
        choices[words(row, self.drawn)[0] as usize % choices.len()]
    }
}

/// A pipeline of one combination: two steps of training, then four of sampling with the average.
fn combination(seed: u64) -> String {
    let mut choices = Choices { seed, drawn: 0 };
    let mut choose = |from| choices.of(from);
    let (network, scheme, weight) = (choose(NETWORKS), choose(SCHEMES), choose(WEIGHTS));
    let (sigmas, stratified) = (choose(DISTRIBUTIONS), choose(STRATIFIED));
    let (spacing, schedule, scaling) = (choose(SPACINGS), choose(SCHEDULES), choose(SCALINGS));
    let (range, churn, guidance, solver) =
        (choose(RANGES), choose(CHURNS), choose(GUIDANCES), choose(SOLVERS));
    let labelled = network.replace("LIKE", r#"like: "data", labels: "data""#);
    let sigmas = sigmas.replace("LIKE", r#"like: "data""#);
    format!(
        r#"(nodes: {{
            "data":   Digits(batch: 3),
            "sigmas": {sigmas}{stratified}),
            "noisy":  Corrupt(images: "data", sigmas: "sigmas"),
            "unet":   {labelled},
            "net":    Precondition(by: "unet", scheme: {scheme}),
            "grads":  Gradient(noisy: "noisy", target: "data", by: "net", labels: "data", weight: {weight}),
            "adam":   Adam(grads: "grads", of: "unet", rate: 1e-4, rampup_mimg: 0.0),
            "ema":    Ema(of: "adam"),
            "stop":   Until(images: "data", count: 6),
            "smooth": Precondition(by: "ema", scheme: {scheme}),
            "raw":    Precondition(by: "adam", scheme: {scheme}),
            {guidance},
            "seeds":  Batches(of: "0-1", size: 2, step: "x", after: ["stop"]),
            "classes": Classes(seeds: "seeds", classes: 10),
            "times":  TimeSteps(steps: 4, spacing: {spacing}, schedule: {schedule}, scaling: {scaling}{range}),
            "start":  Latents(seeds: "seeds", times: "times", like: "smooth"),
            "x":      Trajectory(start: "start", next: "end", times: "times"),
            "hat":    Churn(x: "x", seeds: "seeds"{churn}),
            "first":  Denoise(x: "hat", by: "guided", labels: "classes"),
            {solver},
        }})"#
    )
}

fn wired(text: &str, settings: &[&str]) -> Result<Engine, String> {
    let pipeline = Pipeline::read("combination.ron", text, settings).map_err(|report| report.to_string())?;
    let mut engine = Engine::default().with(mollify::plugin);
    engine.wire(&pipeline).map_err(|report| report.to_string())?;
    Ok(engine)
}

#[test]
fn any_combination_of_choices_trains_and_samples_with_finite_numbers() {
    for seed in 0..COMBINATIONS {
        let text = combination(seed);
        let mut engine = wired(&text, &[]).unwrap_or_else(|report| panic!("{text}\n{report}"));
        engine.world.insert_resource(Machine(Arc::new(cpu::Cpu::new(1))));
        let outcome = engine.run().unwrap_or_else(|failure| panic!("{text}\n{failure}"));
        assert_eq!(outcome, Outcome::Finished);
        for name in engine.nodes() {
            let node = engine.find(name).expect("a node");
            for (port, numbers) in Values::of(&engine.world, node).expect("its values") {
                let finite = numbers.values.iter().all(|number| number.is_finite());
                assert!(finite, "{port} of `{name}` has numbers that are not finite\n{text}");
            }
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_while_wiring() {
    // One combination of which every part can be spoilt.
    let text = (0..COMBINATIONS)
        .map(combination)
        .find(|text| text.contains("SongUNet") && text.contains("Heun") && text.contains("Edm(rho: 1.0)"));
    let text = text.expect("such a combination");
    assert!(wired(&text, &[]).is_ok());
    for (setting, wanted) in [
        ("data.batch=0", "`batch`"),
        ("unet.channels=5", "`channels`"),
        ("unet.multipliers=[]", "`multipliers`"),
        ("unet.multipliers=[1, 1, 1, 1, 1]", "do not halve"),
        ("unet.attention=[5]", "`attention`"),
        ("unet.dropout=1.0", "`dropout`"),
        ("unet.filter=[1.0]", "`filter`"),
        ("unet.out_channels=0", "`out_channels`"),
        ("net.scheme=Edm(sigma_data: 0.0)", "above 0"),
        ("net.scheme=Edm(sigma_data: [0.5, 0.5])", "list of 2"),
        ("net.scheme=Vp(epsilon_t: 1.0)", "`epsilon_t`"),
        ("net.scheme=Ve(sigma_min: 2.0, sigma_max: 1.0)", "swap"),
        ("net.scheme=Iddpm(timesteps: 1)", "`timesteps`"),
        ("grads.weight=Edm(sigma_data: [0.5, 0.5])", "list of 2"),
        ("grads.labels=None", "label"),
        ("adam.rate=0.0", "`rate`"),
        ("ema.halflife_mimg=-1.0", "`halflife_mimg`"),
        ("times.steps=1", "steps"),
        ("times.sigma_min=90.0", "`sigma_min`"),
        ("times.spacing=Iddpm(timesteps: 3)", "steps"),
        ("hat.max=-1.0", "none at all"),
        ("hat.amount=-1.0", "`amount`"),
        ("guided.weight=inf", "finite"),
        ("classes.classes=4", "classes"),
        ("second.by=\"data\"", "Denoiser"),
    ] {
        let report = wired(&text, &[setting]).err().unwrap_or_else(|| panic!("`{setting}` wires\n{text}"));
        assert!(report.contains(wanted), "{setting} → {wanted}:\n{report}");
    }
}
