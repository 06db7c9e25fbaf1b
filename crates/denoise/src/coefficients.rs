//! The coefficients of preconditioning as values of a graph (table 1).

use diffusion::{IddpmLevels, Scheme, SigmaData};
use tensor::{Binary, Expr, Fold, Graph, Value};

/// The coefficients at every noise level of a graph: `[n, 1, 1, 1]`, or `[n, 1, 1, c]` where they differ from
/// channel to channel.
#[derive(Clone, Copy, Debug)]
pub struct Coefficients {
    pub c_skip: Value,
    pub c_out: Value,
    pub c_in: Value,
    /// `[n, 1, 1, 1]` in any case.
    pub c_noise: Value,
}

/// [`Scheme::coefficients`] for σ `[n, 1, 1, 1]`.
pub fn coefficients(graph: &mut Graph, scheme: &Scheme, sigma: Value) -> Coefficients {
    match *scheme {
        Scheme::Vp { beta_d, beta_min, timesteps, .. } => {
            let last = timesteps as f64 - 1.0;
            let c_noise = graph.map(&[sigma], |v| vp_time(v(0), beta_d, beta_min) * last);
            of_noise(graph, sigma, c_noise)
        }
        Scheme::Ve { .. } => Coefficients {
            c_skip: graph.map(&[sigma], |_| 1.0.into()),
            c_out: sigma,
            c_in: graph.map(&[sigma], |_| 1.0.into()),
            c_noise: graph.map(&[sigma], |v| (v(0) * 0.5).ln()),
        },
        Scheme::Iddpm { c_1, c_2, timesteps } => {
            let place = place(graph, &IddpmLevels::new(c_1, c_2, timesteps), sigma);
            let c_noise = graph.map(&[place], |v| Expr::from(timesteps as f64 - 1.0) - v(0));
            of_noise(graph, sigma, c_noise)
        }
        Scheme::Edm { ref sigma_data } => edm(graph, sigma_data, sigma),
    }
}

/// Those of a network that predicts the noise from an image of unit variance.
fn of_noise(graph: &mut Graph, sigma: Value, c_noise: Value) -> Coefficients {
    Coefficients {
        c_skip: graph.map(&[sigma], |_| 1.0.into()),
        c_out: graph.map(&[sigma], |v| -v(0)),
        c_in: graph.map(&[sigma], |v| Expr::from(1.0) / (v(0).square() + 1.0).sqrt()),
        c_noise,
    }
}

fn edm(graph: &mut Graph, sigma_data: &SigmaData, sigma: Value) -> Coefficients {
    let inputs: Vec<Value> = match sigma_data {
        SigmaData::All(_) => vec![sigma],
        SigmaData::Each(each) => vec![sigma, graph.table(each.clone(), [1, 1, 1, each.len()])],
    };
    let data = |v: fn(usize) -> Expr| match sigma_data {
        SigmaData::All(number) => Expr::from(*number),
        SigmaData::Each(_) => v(1),
    };
    let mut of_sigma = |formula: fn(Expr, Expr) -> Expr| graph.map(&inputs, |v| formula(v(0), data(v)));
    fn variance(sigma: Expr, data: Expr) -> Expr {
        sigma.square() + data.square()
    }
    Coefficients {
        c_skip: of_sigma(|sigma, data| data.clone().square() / variance(sigma, data)),
        c_out: of_sigma(|sigma, data| sigma.clone() * data.clone() / variance(sigma, data).sqrt()),
        c_in: of_sigma(|sigma, data| Expr::from(1.0) / variance(sigma, data).sqrt()),
        c_noise: graph.map(&[sigma], |v| v(0).ln() * 0.25),
    }
}

/// [`diffusion::Vp::time`] in few digits: ln(1 + σ²) would lose all of them at little noise, so it is divided by
/// what is left of σ² after it was added to 1.
fn vp_time(sigma: Expr, beta_d: f64, beta_min: f64) -> Expr {
    let square = sigma.square();
    let sum = square.clone() + 1.0;
    let log = sum.clone().ln() * square.clone() / (sum.clone() - 1.0);
    let log = Expr::select(sum.binary(Binary::Equal, 1.0), square, log);
    log.clone() * 2.0 / ((log * (2.0 * beta_d) + beta_min * beta_min).sqrt() + beta_min)
}

/// [`IddpmLevels::nearest`]: how many midpoints lie above σ.
fn place(graph: &mut Graph, levels: &IddpmLevels, sigma: Value) -> Value {
    let midpoints = levels.midpoints();
    let shape = [1, 1, 1, midpoints.len()];
    let midpoints = graph.table(midpoints, shape);
    let below = graph.map(&[sigma, midpoints], |v| v(0).binary(Binary::Less, v(1)));
    graph.reduce(Fold::Sum, below, &[3])
}
