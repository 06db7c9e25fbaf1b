//! What nodes can say about their choices before anything runs.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use diffusion::Churn;
use pipeline::Engine;

use crate::Times;

/// A kind of node that can say something about its choices.
pub trait Explain: Component + Sized {
    /// What follows from its settings, and from what other nodes say.
    fn explain(&self, others: &Others) -> Vec<Fact>;
}

/// A number that depends on a noise level.
pub type Curve = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

/// Something that follows from the settings of a node.
#[derive(Clone)]
pub enum Fact {
    /// A number that is worth a column in a table of noise levels.
    Column { name: &'static str, of: Curve },
    /// A denoiser was made for noise levels from `low` to `high`, and rounds those in between.
    Levels { low: f64, high: f64, round: Curve },
    /// Training visits noise levels from `low` to `high`, others hardly ever.
    Visited { low: f64, high: f64 },
    /// How many evaluations of networks an answer takes.
    Evaluations(Curve),
    /// The standard deviation that something is made for.
    SigmaData(f64),
    /// The standard deviation that pictures have, and of how many of them it is.
    Data { std: f64, pictures: usize },
    /// The time steps of a sampling run.
    Times(Times),
    /// Noise that is added on the way.
    Churn(Churn),
    /// A part of a step that begins with what another node made.
    After(Entity),
    /// It brings images to the end of the step.
    Ahead,
    /// It asks a denoiser.
    Asks(Entity),
}

impl Fact {
    /// A column.
    pub fn column(name: &'static str, of: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        Self::Column { name, of: Arc::new(of) }
    }
}

/// The nodes of a wired world, to be asked for what they say.
pub struct Others<'w>(&'w World);

impl<'w> Others<'w> {
    pub fn new(world: &'w World) -> Self {
        Self(world)
    }

    /// What a node says about itself; nothing if its kind has nothing to say.
    pub fn facts(&self, node: Entity) -> Vec<Fact> {
        let explainers = self.0.get_resource::<Explainers>().into_iter();
        explainers.flat_map(|explainers| &explainers.0).flat_map(|explain| explain(self.0, node)).collect()
    }

    /// The first thing of a sort that a node says.
    pub fn find<T>(&self, node: Entity, sort: impl FnMut(Fact) -> Option<T>) -> Option<T> {
        self.facts(node).into_iter().find_map(sort)
    }

    /// The noise levels that a denoiser was made for, and how it rounds those in between.
    pub fn levels(&self, denoiser: Option<Entity>) -> (f64, f64, Curve) {
        let levels = |fact| match fact {
            Fact::Levels { low, high, round } => Some((low, high, round)),
            _ => None,
        };
        let found = denoiser.and_then(|node| self.find(node, levels));
        found.unwrap_or_else(|| (0.0, f64::INFINITY, Arc::new(|sigma| sigma)))
    }
}

/// How to ask each kind.
#[derive(Resource, Default)]
pub struct Explainers(Vec<fn(&World, Entity) -> Vec<Fact>>);

/// Lets nodes of a kind be asked.
pub fn explain<K: Explain>(engine: &mut Engine) {
    engine
        .world
        .get_resource_or_init::<Explainers>()
        .0
        .push(|world, node| world.get::<K>(node).map_or_else(Vec::new, |kind| kind.explain(&Others(world))));
}
