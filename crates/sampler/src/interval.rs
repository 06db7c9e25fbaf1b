//! The stretch of noise levels that a step crosses, as numbers that change from run to run of one program.

use tensor::{Bindings, Graph, Value};

/// From t̂_i down to t_{i+1}, as scalars of a graph. Their difference is taken on the host, in f64.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// t̂_i.
    pub t_hat: Value,
    /// t_{i+1}.
    pub t_next: Value,
    /// t_{i+1} - t̂_i.
    pub h: Value,
}

impl Interval {
    pub fn of(graph: &mut Graph) -> Self {
        Interval { t_hat: graph.scalar("t_hat"), t_next: graph.scalar("t_next"), h: graph.scalar("h") }
    }

    /// Gives the numbers of one step.
    pub fn bind(bindings: Bindings, t_hat: f64, t_next: f64) -> Bindings {
        bindings.scalar("t_hat", t_hat).scalar("t_next", t_next).scalar("h", t_next - t_hat)
    }
}
