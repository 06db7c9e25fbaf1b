//! The slope of a trajectory at one time, as numbers that change from run to run of one program.

use diffusion::Path;
use tensor::{Bindings, Expr, Graph, Value};

/// dx/dt at one time, as scalars of a graph that follow from the time on the host, in f64.
#[derive(Clone, Copy, Debug)]
pub struct Slope {
    /// 1 + τ s'/s.
    pub keep: Value,
    /// s.
    pub scale: Value,
    /// τ = σ / σ'.
    pub tau: Value,
}

impl Slope {
    /// The scalars of the time that is called `at`.
    pub fn of(graph: &mut Graph, at: &str) -> Self {
        let mut scalar = |name: &str| graph.scalar(&format!("{name} at {at}"));
        Slope { keep: scalar("keep"), scale: scalar("scale"), tau: scalar("tau") }
    }

    /// Gives the numbers of a time.
    pub fn bind(bindings: Bindings, at: &str, path: Path, t: f64) -> Bindings {
        let diffusion::Slope { keep, scale, tau } = path.slope(t);
        [("keep", keep), ("scale", scale), ("tau", tau)]
            .into_iter()
            .fold(bindings, |bindings, (name, number)| bindings.scalar(&format!("{name} at {at}"), number))
    }

    /// What a formula reads to have the slope of these images: five inputs.
    pub fn inputs(self, x: Value, denoised: Value) -> [Value; 5] {
        [x, denoised, self.keep, self.scale, self.tau]
    }

    /// d = (keep x - s D) / τ, where the [inputs](Self::inputs) of the formula start at `first`.
    pub fn formula(v: fn(usize) -> Expr, first: usize) -> Expr {
        (v(first + 2) * v(first) - v(first + 3) * v(first + 1)) / v(first + 4)
    }
}
