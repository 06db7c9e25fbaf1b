//! Training losses by the names of the reference: a noise distribution and a weight.

use diffusion::{P_MEAN, P_STD, Vp, Weight};
use serde_json::{Map, Value as Json};
use tensor::Graph;
use train::{log_normal_graph, log_uniform_graph, vp_uniform_graph};

use crate::fixtures::Settings;
use crate::report::Failure;

/// What a case is trained by.
pub enum Objective {
    Vp { vp: Vp, epsilon_t: f64 },
    Ve { range: (f64, f64) },
    Edm { mean: f64, std: f64, sigma_data: f64 },
}

impl Objective {
    pub fn new(class: &str, kwargs: &Map<String, Json>) -> Result<Self, Failure> {
        let kwargs = Settings(kwargs);
        match class {
            "VPLoss" => Ok(Objective::Vp {
                vp: Vp { beta_d: kwargs.number("beta_d", 19.9), beta_min: kwargs.number("beta_min", 0.1) },
                epsilon_t: kwargs.number("epsilon_t", 1e-5),
            }),
            "VELoss" => Ok(Objective::Ve {
                range: (kwargs.number("sigma_min", 0.02), kwargs.number("sigma_max", 100.0)),
            }),
            "EDMLoss" => Ok(Objective::Edm {
                mean: kwargs.number("P_mean", P_MEAN),
                std: kwargs.number("P_std", P_STD),
                sigma_data: kwargs.number("sigma_data", 0.5),
            }),
            other => Err(Failure::NotBuilt(other.to_owned())),
        }
    }

    /// The noise levels of `n` images, as the product draws them.
    pub fn levels(&self, graph: &mut Graph, n: usize) {
        match *self {
            Objective::Vp { vp, epsilon_t } => vp_uniform_graph(graph, n, vp, epsilon_t, false),
            Objective::Ve { range } => log_uniform_graph(graph, n, range, false),
            Objective::Edm { mean, std, .. } => log_normal_graph(graph, n, (mean, std), false),
        }
    }

    pub fn weight(&self) -> Weight {
        match *self {
            Objective::Vp { .. } => Weight::Vp,
            Objective::Ve { .. } => Weight::Ve,
            Objective::Edm { sigma_data, .. } => Weight::Edm { sigma_data: sigma_data.into() },
        }
    }
}
