//! Networks with their parameters, and whatever else denoises.

use std::ops::Range;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use tensor::{Binary, Bindings, Expr, Graph, Shape, Tensor, Value};
use unet::{DhariwalUNet, DhariwalUNetConfig, Network, SongUNet, SongUNetConfig};

/// The format of files of weights: safetensors with PyTorch's names and order, `model.` before each name, and
/// as metadata `mollify` (this), `recipe` ([`Denoise::recipe`]), `pipeline` (resolved), `images` (seen), `of`
/// (the node).
pub const WEIGHTS_FORMAT: &str = "1";

/// In a file of weights, the start of the names of what training alone needs: `training.mean.` and `training.square.` for
/// Adam's moments of a parameter, `training.ema.` for its average. Such a file says as `steps` how many Adam has made.
pub const TRAINING: &str = "training.";

/// A network and one set of its parameters: the ones in training, or an average of them.
#[derive(Component, Clone)]
pub struct Parameters {
    pub network: Arc<dyn Network>,
    /// All parameters side by side, as the network's layout says. Training changes them in place: from tick
    /// to tick a node makes the same tensor.
    pub arena: Tensor,
    /// How to build the network again: the RON of an [`Architecture`].
    pub recipe: String,
}

/// A network without its parameters, as files remember it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Architecture {
    SongUNet(SongUNetConfig),
    DhariwalUNet(DhariwalUNetConfig),
}

impl Architecture {
    /// Reads a [recipe](Parameters::recipe).
    pub fn read(recipe: &str) -> Result<Self, String> {
        ron::from_str(recipe).map_err(|error| format!("no network can be built from `{recipe}`: {error}"))
    }

    /// As a [recipe](Parameters::recipe).
    pub fn recipe(&self) -> String {
        ron::to_string(self).expect("sizes are plain data")
    }

    /// Whether both compute the same, however they are trained.
    pub fn computes_as(&self, other: &Self) -> bool {
        let trained_alike = |network: &Self| {
            let mut network = network.clone();
            let (dropout, label_dropout) = match &mut network {
                Self::SongUNet(config) => (&mut config.dropout, &mut config.label_dropout),
                Self::DhariwalUNet(config) => (&mut config.dropout, &mut config.label_dropout),
            };
            (*dropout, *label_dropout) = (0.0, 0.0);
            network
        };
        trained_alike(self) == trained_alike(other)
    }

    /// Lays the network out, or says which sizes do not fit.
    pub fn build(self) -> Result<Arc<dyn Network>, String> {
        match self {
            Architecture::SongUNet(config) => Ok(Arc::new(SongUNet::new(config)?)),
            Architecture::DhariwalUNet(config) => Ok(Arc::new(DhariwalUNet::new(config)?)),
        }
    }
}

/// A parameter as an entity, under the entity of its layer, which is under its node: where it lives in the
/// arena.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Slice {
    pub range: Range<usize>,
    /// As files have it: PyTorch's order.
    pub shape: Shape,
}

/// D(x; σ): an estimate of the clean image behind a noisy one, whatever makes it.
#[derive(Component, Clone)]
pub struct Denoiser(pub Arc<dyn Denoise>);

/// What can be asked for D(x; σ).
///
/// A denoiser is a part of a graph, so that sampling, training and guidance are each one compiled program.
pub trait Denoise: Send + Sync {
    /// `[h, w, c]` of the images.
    fn image(&self) -> Shape;

    /// The length of a label; 0 where there are none.
    fn labels(&self) -> usize;

    /// The length of an augmentation label; 0 where there are none.
    fn augment(&self) -> usize {
        0
    }

    /// The noise levels it can be asked about.
    fn sigma_range(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }

    /// The noise level nearest to `sigma` that it knows: `sigma` itself, unless it was trained on a few levels
    /// only.
    fn round_sigma(&self, sigma: f64) -> f64 {
        sigma
    }

    /// How many evaluations of networks an answer takes.
    fn evaluations(&self) -> usize {
        1
    }

    /// The part of it that gives the same answers at one noise level by fewer evaluations, if there is one.
    fn at(&self, sigma: f64) -> Option<&dyn Denoise> {
        let _ = sigma;
        None
    }

    /// Adds D(x; σ) to a graph.
    fn build(&self, graph: &mut Graph, query: &Query) -> Value;

    /// What has to be bound wherever it has been built in: its parameters.
    fn bindings(&self) -> Bindings;

    /// The input that holds the parameters which can be trained, and those parameters.
    fn trainable(&self) -> Option<(&str, &Parameters)> {
        None
    }

    /// How to build the denoiser again from a file of its parameters: RON.
    fn recipe(&self) -> Option<String> {
        None
    }
}

/// What a denoiser is asked, as values of the graph that it is built into.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// `[n, h, w, c]`.
    pub x: Value,
    /// The noise level of each image: `[n, 1, 1, 1]`.
    pub sigma: Value,
    /// `[n, labels]`.
    pub labels: Option<Value>,
    /// The labels of the augmentation.
    pub augment: Option<Value>,
    /// The keys of dropout, `[n, 4]`: there in training only.
    pub dropout: Option<Value>,
}

/// The gradients of the parameters that a denoiser can train, ready for an optimiser.
#[derive(Component, Clone)]
pub struct Gradients {
    pub gathered: Gathered,
    /// How many images the run had seen before this batch.
    pub before: u64,
    /// How many images they are the gradients of.
    pub batch: usize,
    /// What they are multiplied by, in mixed precision.
    pub scale: Option<LossScale>,
}

/// Where gradients are.
#[derive(Clone, Debug)]
pub enum Gathered {
    /// Side by side like the parameters; whoever uses them leaves zeros.
    Arena(Tensor),
    /// In the moments of the [`Adam`](https://arxiv.org/abs/1412.6980) that alone reads them, which have moved by each as soon
    /// as it was made: a large network's gradients need no memory of their own then. `nonfinite [1]` is how many were not
    /// finite.
    Moments { m: Tensor, v: Tensor, nonfinite: Tensor },
}

impl Gradients {
    /// The gradients side by side like the parameters, where they are.
    pub fn arena(&self) -> Option<&Tensor> {
        match &self.gathered {
            Gathered::Arena(arena) => Some(arena),
            Gathered::Moments { .. } => None,
        }
    }
}

/// What a loss is multiplied by before it is propagated back, so that gradients in 16 bits do not vanish.
///
/// It lives on the device, as `[2]`: the scale, and how many steps in a row have been finite with it. Whoever uses the
/// gradients divides by it, leaves out a step that is not finite, and calls [`update_graph`](Self::update_graph).
#[derive(Clone, Debug)]
pub struct LossScale(pub Tensor);

impl LossScale {
    /// The scale to begin with.
    pub const FIRST: [f32; 2] = [65536.0, 0.0];
    /// After so many finite steps it doubles; after one that is not it halves.
    const PATIENCE: f64 = 2000.0;
    /// Where it stops growing.
    const LARGEST: f64 = 16777216.0;

    /// Reads `scale [2]`, in place, and `nonfinite [1]`, how many gradients were not finite.
    pub fn update_graph(graph: &mut Graph) {
        let (state, nonfinite) = (graph.input("scale", [2]), graph.input("nonfinite", [1]));
        let [scale, good] = [0, 1].map(|at| graph.slice(state, 0, at..at + 1));
        let ready = |good: Expr| Expr::from(Self::PATIENCE - 1.5).binary(Binary::Less, good);
        let new_scale = graph.map(&[nonfinite, scale, good], |v| {
            let grown = Expr::select(ready(v(2)), (v(1) * 2.0).min(Self::LARGEST), v(1));
            Expr::select(v(0), (v(1) * 0.5).max(1.0), grown)
        });
        let new_good = graph
            .map(&[nonfinite, good], |v| Expr::select(v(0), 0.0, Expr::select(ready(v(1)), 0.0, v(1) + 1.0)));
        let new = graph.concat(&[new_scale, new_good], 0);
        graph.store(state, 0, new);
    }
}
