//! The sampler of a case of `samplers/` as a pipeline.

use serde_json::{Map, Value as Json};

use crate::fixtures::Settings;

/// The sampler of a case, as a user would write it.
pub struct Algorithm<'a> {
    k: Settings<'a>,
    /// The last node of a step.
    pub last: &'static str,
}

impl<'a> Algorithm<'a> {
    pub fn new(kwargs: &'a Map<String, Json>) -> Self {
        let k = Settings(kwargs);
        let last = if k.text("solver", "heun") == "euler" { "euler" } else { "heun" };
        Algorithm { k, last }
    }

    pub fn pipeline(&self, batch: usize, labels: bool) -> String {
        let (k, last) = (&self.k, self.last);
        let max = k.number("S_max", f64::INFINITY);
        let max = if max.is_finite() { format!(", max: {max:?}") } else { String::new() };
        let (churn, min, noise) =
            (k.number("S_churn", 0.0), k.number("S_min", 0.0), k.number("S_noise", 1.0));
        let (labels, wire) = match labels {
            true => ("\"labels\": GivenLabels(),", ", labels: \"labels\""),
            false => ("", ""),
        };
        let second = format!(
            r#""second": Denoise(x: "euler", by: "net"{wire}),
               "heun": Heun(x: "hat", first: "first", euler: "euler", second: "second"),"#
        );
        format!(
            r#"(nodes: {{
                "net": GivenDenoiser(),
                {labels}
                "times": TimeSteps({times}, by: "net"),
                "seeds": Batches(of: "0-{}", size: {batch}, step: "x"),
                "start": Latents(seeds: "seeds", times: "times", like: "net"),
                "x": Trajectory(start: "start", next: "{last}", times: "times"),
                "hat": Churn(x: "x", seeds: "seeds", amount: {churn:?}, min: {min:?}{max}, noise: {noise:?}, by: "net"),
                "first": Denoise(x: "hat", by: "net"{wire}),
                "euler": Euler(x: "hat", denoised: "first", alpha: {alpha:?}),
                {second}
            }})"#,
            batch - 1,
            times = self.times(),
            alpha = k.number("alpha", 1.0),
            second = if last == "heun" { &second } else { "" },
        )
    }

    /// The settings of the time steps.
    fn times(&self) -> String {
        let k = &self.k;
        let epsilon = k.number("epsilon_s", 1e-3);
        let vp = format!("Vp(epsilon_s: {epsilon:?})");
        let spacing = match k.text("discretization", "edm") {
            "vp" => vp.clone(),
            "ve" => "Ve".to_owned(),
            "iddpm" => {
                let (c_1, c_2, m) = (k.number("C_1", 0.001), k.number("C_2", 0.008), k.size("M", 1000));
                format!("Iddpm(c_1: {c_1:?}, c_2: {c_2:?}, timesteps: {m})")
            }
            _ => format!("Edm(rho: {:?})", k.number("rho", 7.0)),
        };
        let schedule = match k.text("schedule", "linear") {
            "vp" => &vp,
            "ve" => "Ve",
            _ => "Linear",
        };
        let scaling = if k.text("scaling", "none") == "vp" { "Vp" } else { "Unit" };
        let sigma = |name: &str| {
            let sigma = k.number(name, f64::NAN);
            if sigma.is_nan() { "None".to_owned() } else { format!("Some({sigma:?})") }
        };
        let (low, high) = (sigma("sigma_min"), sigma("sigma_max"));
        format!(
            "steps: {}, spacing: {spacing}, schedule: {schedule}, scaling: {scaling}, \
             sigma_min: {low}, sigma_max: {high}",
            k.size("num_steps", 18)
        )
    }
}
