//! Solvers that remember: the noise level as the variable, polynomials through the last answers of the denoiser.
//!
//! Images without their scale follow `dy/dsigma = (y - D) / sigma`. With `lambda = -ln(sigma)` the answer over a
//! step of length `h = lambda' - lambda` is `y' = e^-h y + ∫ e^-(lambda' - l) D(l) dl`, so that a method is a
//! choice of a polynomial in the place of D, or of the slope. The step to `sigma = 0` is not for these methods: it
//! ends at D.

/// A step as a sum: `y' = x y + Σ answers_j m_j + noise ε`, where m_0 is the newest answer or slope.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// How much of the images stays.
    pub x: f64,
    /// The weights of the answers, newest first.
    pub answers: Vec<f64>,
    /// The standard deviation of fresh noise.
    pub noise: f64,
}

impl Update {
    /// A step of the ODE, which adds no noise.
    fn of(x: f64, answers: Vec<f64>) -> Self {
        Self { x, answers, noise: 0.0 }
    }

    /// The same step for images that are scaled by `s`, to where they are scaled by `s_next`.
    pub fn scaled(self, s: f64, s_next: f64) -> Self {
        let answers = self.answers.iter().map(|weight| weight * s_next).collect();
        Self { x: self.x * (s_next / s), answers, noise: self.noise * s_next }
    }
}

/// LMS, the linear multistep method: Adams' and Bashforth's with steps of any length. Answers are slopes
/// `(y - D) / sigma`; `levels` are those they belong to, newest first, and their number is the order.
pub fn lms(levels: &[f64], to: f64) -> Update {
    let h = to - levels[0];
    let nodes: Vec<f64> = levels.iter().map(|level| (level - levels[0]) / h).collect();
    let moments: Vec<f64> = (1..=levels.len()).map(|j| h / j as f64).collect();
    Update::of(1.0, interpolate(&nodes, &moments))
}

/// iPNDM (Zhang and Chen 2023, appendix): the weights of Adams and Bashforth for equal steps, whatever the steps
/// are. Answers are slopes; `order` is 1 to 4.
pub fn ipndm(order: usize, from: f64, to: f64) -> Update {
    let (weights, over): (&[f64], f64) = match order {
        1 => (&[1.0], 1.0),
        2 => (&[3.0, -1.0], 2.0),
        3 => (&[23.0, -16.0, 5.0], 12.0),
        _ => (&[55.0, -59.0, 37.0, -9.0], 24.0),
    };
    Update::of(1.0, weights.iter().map(|weight| (to - from) * weight / over).collect())
}

/// DEIS (Zhang and Chen 2023, AB-DEIS with a polynomial in `ln(sigma)`). Answers are slopes.
pub fn deis(levels: &[f64], to: f64) -> Update {
    let (h, nodes) = log_nodes(levels, to);
    let moments: Vec<f64> = falling(h, levels.len()).iter().map(|moment| -levels[0] * moment).collect();
    Update::of(1.0, interpolate(&nodes, &moments))
}

/// DPM-Solver++ (Lu et al. 2022): 2M for two levels, 3M for three. Answers are those of the denoiser.
///
/// The second order is the paper's algorithm 2. The third integrates the parabola exactly; weighing its last term
/// half, as is often done, would be a method of second order.
pub fn dpm_pp(levels: &[f64], to: f64) -> Update {
    Update::of(to / levels[0], exponential(levels, to, 0.0))
}

/// SDE-DPM-Solver++ (Lu et al. 2022, section 5): DPM++ 2M SDE and 3M SDE. `eta` is how fast noise is replaced: 0
/// never, which is [`dpm_pp`]; 1 as in the reverse diffusion.
pub fn dpm_pp_sde(levels: &[f64], to: f64, eta: f64) -> Update {
    let left = (to / levels[0]).powf(eta);
    let noise = to * (1.0 - left * left).max(0.0).sqrt();
    Update { x: to / levels[0] * left, answers: exponential(levels, to, eta), noise }
}

/// Ancestral sampling (Song et al. 2021; DDIM of Song, Meng and Ermon 2021, equation 16): an Euler step to below
/// the next noise level, then fresh noise up to it. Takes one answer.
pub fn ancestral(from: f64, to: f64, eta: f64) -> Update {
    let noise = (eta * to * (1.0 - (to / from).powi(2)).max(0.0).sqrt()).min(to);
    let down = (to * to - noise * noise).max(0.0).sqrt();
    Update { x: down / from, answers: vec![1.0 - down / from], noise }
}

/// The corrector of UniPC (Zhao et al. 2023, B_2): the step up to `to` again, now that the answer there is known.
/// The newest answer is the one at `to`, the others are at `levels`; the order is one more than those are.
pub fn unipc_corrector(levels: &[f64], to: f64) -> Update {
    let (h, mut nodes) = log_nodes(levels, to);
    nodes.insert(0, 1.0);
    let weights = match levels.len() {
        1 => vec![-0.5 * (-h).exp_m1(); 2],
        count => interpolate(&nodes, &rising(h, count + 1)),
    };
    Update::of(to / levels[0], weights)
}

/// Weights of answers under `k ∫ e^-k(lambda' - l) D(l) dl`, where k = 1 + eta.
fn exponential(levels: &[f64], to: f64, eta: f64) -> Vec<f64> {
    let (h, nodes) = log_nodes(levels, to);
    let kh = (1.0 + eta) * h;
    match nodes[..] {
        // Half of the difference over a step is D in the middle of the next.
        [_, last] => {
            let (gained, ratio) = (-(-kh).exp_m1(), -0.5 / last);
            vec![gained * (1.0 + ratio), -gained * ratio]
        }
        _ => interpolate(&nodes, &rising(kh, nodes.len())),
    }
}

/// The step in `lambda`, and where the answers lie in units of it: the newest at 0, older ones below.
fn log_nodes(levels: &[f64], to: f64) -> (f64, Vec<f64>) {
    let h = (levels[0] / to).ln();
    (h, levels.iter().map(|level| (levels[0] / level).ln() / h).collect())
}

/// `k ∫_0^1 e^-k(1 - u) u^j du` for j from 0 to `count` - 1.
fn rising(k: f64, count: usize) -> Vec<f64> {
    let first = -(-k).exp_m1();
    let next = |last: &f64, j: usize| 1.0 - j as f64 / k * last;
    moments(k, count, first, next, |j, m| (1..=m + 1).map(|i| (j + i) as f64).product())
}

/// `k ∫_0^1 e^-ku u^j du` for j from 0 to `count` - 1.
fn falling(k: f64, count: usize) -> Vec<f64> {
    let first = -(-k).exp_m1();
    let next = |last: &f64, j: usize| j as f64 / k * last - (-k).exp();
    moments(k, count, first, next, |j, m| (1..=m).map(|i| i as f64).product::<f64>() * (j + m + 1) as f64)
}

/// By recurrence, or where that would cancel by the series `Σ_m (-1)^m k^(m + 1) / divisor(j, m)`.
fn moments(
    k: f64,
    count: usize,
    first: f64,
    next: impl Fn(&f64, usize) -> f64,
    divisor: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    if k < 2.0 {
        let term = |j, m: usize| k * (-k).powi(m as i32) / divisor(j, m);
        return (0..count).map(|j| (0..30).map(|m| term(j, m)).sum()).collect();
    }
    let mut moments = vec![first];
    for j in 1..count {
        moments.push(next(&moments[j - 1], j));
    }
    moments
}

/// The weights of values at `nodes` under the functional that takes u^j to `moments[j]`, exact for polynomials
/// through as many nodes as there are.
fn interpolate(nodes: &[f64], moments: &[f64]) -> Vec<f64> {
    let weight = |i: usize| {
        // The coefficients of the polynomial that is 1 at node i and 0 at all others.
        let mut basis = vec![1.0];
        for (_, node) in nodes.iter().enumerate().filter(|(j, _)| *j != i) {
            let apart = nodes[i] - node;
            basis.push(0.0);
            for power in (0..basis.len()).rev() {
                let lower = if power > 0 { basis[power - 1] } else { 0.0 };
                basis[power] = (lower - node * basis[power]) / apart;
            }
        }
        basis.iter().zip(moments).map(|(coefficient, moment)| coefficient * moment).sum()
    };
    (0..nodes.len()).map(weight).collect()
}
