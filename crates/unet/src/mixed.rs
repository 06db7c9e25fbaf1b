//! Mixed precision: a network whose activations may be stored in 16 bits.

use std::sync::Arc;

use serde::Deserialize;
use tensor::{Graph, Value};

use crate::{Inputs, Layout, Network, Parameters};

/// How the activations of a network are stored. Parameters, statistics and sums always have 32 bits, and everything is
/// computed with as many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Precision {
    #[default]
    Full,
    /// In 16 bits, on devices that can store those: bf16 on the CPU, f16 on GPUs. Half the memory, and faster on a GPU.
    Mixed,
}

impl Precision {
    /// A network of full precision with its activations stored so.
    pub fn of(self, network: Arc<dyn Network>) -> Arc<dyn Network> {
        match (self, network.precision()) {
            (Precision::Mixed, Precision::Full) => Arc::new(Mixed(network)),
            _ => network,
        }
    }
}

struct Mixed(Arc<dyn Network>);

impl Network for Mixed {
    fn layout(&self) -> &Layout {
        self.0.layout()
    }

    fn image(&self) -> [usize; 3] {
        self.0.image()
    }

    fn out_channels(&self) -> usize {
        self.0.out_channels()
    }

    fn label_dim(&self) -> usize {
        self.0.label_dim()
    }

    fn augment_dim(&self) -> usize {
        self.0.augment_dim()
    }

    fn precision(&self) -> Precision {
        Precision::Mixed
    }

    fn build(&self, graph: &mut Graph, parameters: &Parameters, inputs: &Inputs) -> Value {
        graph.halves(|graph| self.0.build(graph, parameters, inputs))
    }
}
