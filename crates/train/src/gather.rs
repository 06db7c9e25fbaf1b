//! Where gradients go: side by side, or straight to the moments of the optimiser that alone reads them.

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use pipeline::Readers;
use ports::{Compute, Gathered, Gradients, Parameters};
use tensor::{Bindings, Dtype, Outputs, Tensor};
use unet::Precision;

use crate::adam::{Adam, Betas, Moments};

/// From so many parameters on, gradients are used up as soon as they are made: those of smaller networks take little memory,
/// and the steps that each parameter then takes cost them 3 to 5 % of their time (`docs/performance.md`).
const LARGE: usize = 1 << 22;

/// What becomes of the gradients of [`gradient_graph`](crate::gradient_graph).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gather {
    /// They are added to `gradients`, which lies as the parameters do.
    Arena,
    /// They move the moments `m` and `v` of Adam, which lie so as well: see [`moments_graph`](crate::moments_graph).
    Moments(Betas),
}

/// The optimisers of a world.
#[derive(SystemParam)]
pub struct Optimisers<'w, 's> {
    readers: Readers<'w, 's>,
    adams: Query<'w, 's, &'static Adam>,
    moments: Query<'w, 's, &'static Moments>,
}

impl Optimisers<'_, '_> {
    /// The optimiser that can use up the gradients of `node` as soon as they are made, if that is worth it. In mixed precision
    /// it is known too late whether there is a step at all.
    pub fn at_once(&self, node: Entity, of: &Parameters, compute: &Compute) -> Option<(Entity, Gather)> {
        let worth_it = of.network.layout().len >= LARGE && compute.device().takes_small_steps();
        if !worth_it || of.network.precision() == Precision::Mixed {
            return None;
        }
        let reader = self.readers.only_in_step(node)?;
        Some((reader, Gather::Moments(self.adams.get(reader).ok()?.betas())))
    }

    /// The moments of one, which are zero before its first step.
    pub fn moments(&self, adam: Entity, of: &Parameters, compute: &Compute) -> Result<Destination> {
        let own = self.moments.get(adam).map(Moments::tensors);
        Ok(Destination::Moments(own.or_else(|_| Moments::zeros(of, compute))?))
    }
}

/// The tensors that gradients go to.
pub enum Destination {
    Arena(Tensor),
    Moments([Tensor; 2]),
}

impl Destination {
    /// Those that a node has gathered before, or zeros.
    pub fn arena(own: Option<&Gradients>, of: &Parameters, compute: &Compute) -> Result<Self> {
        let own = own.and_then(Gradients::arena).cloned();
        Ok(Destination::Arena(own.map_or_else(|| compute.device().zeros(of.arena.shape(), Dtype::Real), Ok)?))
    }

    pub fn bind(&self, bindings: Bindings) -> Bindings {
        match self {
            Destination::Arena(arena) => bindings.tensor("gradients", arena),
            Destination::Moments([m, v]) => bindings.tensor("m", m).tensor("v", v),
        }
    }

    /// What has become of them in the last run, which made this.
    pub fn gathered(self, mut made: Outputs) -> Result<Gathered> {
        Ok(match self {
            Destination::Arena(arena) => Gathered::Arena(arena),
            Destination::Moments([m, v]) => Gathered::Moments { m, v, nonfinite: made.take("nonfinite")? },
        })
    }
}
