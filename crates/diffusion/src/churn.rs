//! Churn: the fresh noise that stochastic sampling adds before each step (algorithm 2, lines 4 to 6).

/// How much noise is added, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// `S_churn`: the noise of all steps together; 0 samples deterministically.
    pub amount: f64,
    /// `S_tmin`: no noise is added below this noise level.
    pub min: f64,
    /// `S_tmax`: no noise is added above this noise level.
    pub max: f64,
    /// `S_noise`: standard deviation of the added noise, a little above 1 to keep detail.
    pub noise: f64,
}

impl Default for Churn {
    /// Deterministic sampling.
    fn default() -> Self {
        Self { amount: 0.0, min: 0.0, max: f64::INFINITY, noise: 1.0 }
    }
}

impl Churn {
    /// `gamma_i` for a run of `steps` steps at noise level `t`: the share by which the level is raised (line
    /// 5, both bounds included).
    pub fn gamma(&self, t: f64, steps: usize) -> f64 {
        if t < self.min || t > self.max {
            return 0.0;
        }
        (self.amount / steps.max(1) as f64).clamp(0.0, std::f64::consts::SQRT_2 - 1.0)
    }

    /// The raised noise level `t_hat = t + gamma t` (line 5); exactly `t` where no noise is added.
    pub fn t_hat(&self, t: f64, steps: usize) -> f64 {
        t + self.gamma(t, steps) * t
    }

    /// The standard deviation of the noise that lifts `t` to `t_hat`, `S_noise` included (lines 4 and 6).
    pub fn noise_std(&self, t: f64, t_hat: f64) -> f64 {
        (t_hat * t_hat - t * t).max(0.0).sqrt() * self.noise
    }
}
