//! Who reads what a node makes.

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;

use crate::run::{Every, Plan};
use crate::{Edge, LeadsTo, Outgoing};

/// Asks a wired world who reads what a node makes.
#[derive(SystemParam)]
pub struct Readers<'w, 's> {
    plan: Res<'w, Plan>,
    outgoing: Query<'w, 's, &'static Outgoing>,
    edges: Query<'w, 's, (&'static Edge, &'static LeadsTo)>,
    every: Query<'w, 's, &'static Every>,
}

impl Readers<'_, '_> {
    /// The only node that reads what `node` makes, if it does so in every tick that `node` runs in, and in no other.
    pub fn only_in_step(&self, node: Entity) -> Option<Entity> {
        let edges = self.outgoing.get(node).ok()?.iter().filter_map(|edge| self.edges.get(edge).ok());
        let reads: Vec<_> = edges.filter(|(edge, _)| edge.port.is_some()).collect();
        let [(Edge { past: false, .. }, LeadsTo(reader))] = reads[..] else { return None };
        (self.when(node) == self.when(*reader)).then_some(*reader)
    }

    /// In which act a node runs, and every how many ticks.
    fn when(&self, node: Entity) -> (Option<usize>, u64) {
        let act = self.plan.order.iter().find(|(other, _)| *other == node).map(|(_, act)| *act);
        (act, self.every.get(node).map_or(1, |every| every.0))
    }
}
