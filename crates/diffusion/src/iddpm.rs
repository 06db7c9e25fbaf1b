//! The noise levels of iDDPM (table 1, column "iDDPM + DDIM"), the only ones that its networks know.

/// `C_1` in the paper: how much of the signal one level keeps of the next at least.
pub const C_1: f64 = 0.001;

/// `C_2` in the paper: keeps the first levels apart.
pub const C_2: f64 = 0.008;

/// `M` in the paper, the number of noise levels above 0.
pub const TIMESTEPS: usize = 1000;

/// `u_0 > … > u_M = 0`.
#[derive(Clone, Debug, PartialEq)]
pub struct IddpmLevels(Vec<f64>);

impl IddpmLevels {
    /// The levels of a network of `timesteps` = M time steps.
    pub fn new(c_1: f64, c_2: f64, timesteps: usize) -> Self {
        let alpha_bar = |j: usize| {
            (std::f64::consts::FRAC_PI_2 * j as f64 / (timesteps as f64 * (c_2 + 1.0))).sin().powi(2)
        };
        let mut levels = vec![0.0f64; timesteps + 1];
        for j in (1..=timesteps).rev() {
            let kept = (alpha_bar(j - 1) / alpha_bar(j)).max(c_1);
            levels[j - 1] = ((levels[j].powi(2) + 1.0) / kept - 1.0).sqrt();
        }
        Self(levels)
    }

    /// `u_0 … u_M`.
    pub fn all(&self) -> &[f64] {
        &self.0
    }

    /// Between each two levels, highest first: below midpoint j, level j + 1 is nearer than level j.
    pub fn midpoints(&self) -> Vec<f64> {
        self.0.windows(2).map(|pair| 0.5 * (pair[0] + pair[1])).collect()
    }

    /// The place of the level that is nearest to `sigma`.
    pub fn nearest(&self, sigma: f64) -> usize {
        self.midpoints().partition_point(|midpoint| sigma < *midpoint)
    }
}
