//! Prints a wired pipeline, for people and for snapshots.

use std::fmt::Write;

use bevy_ecs::prelude::*;

use crate::run::Plan;
use crate::{ComesFrom, Edge, Engine, Incoming, Pipeline, Shapes};

impl Engine {
    /// The resolved pipeline: nodes in running order, each with its settings, inputs and shapes, act by act.
    pub fn describe(&self) -> String {
        let Some(pipeline) = self.world.get_resource::<Pipeline>() else { return String::new() };
        let plan = self.world.resource::<Plan>();
        let mut out = format!("{}\n", pipeline.about);
        for (i, (node, act)) in plan.order.iter().enumerate() {
            if plan.acts() > 1 && (i == 0 || plan.order[i - 1].1 != *act) {
                writeln!(out, "\nact {}", act + 1).unwrap();
            }
            let name = self.name(*node);
            let tree = pipeline.nodes.iter().find(|(word, _)| word.text == name).map(|(_, tree)| tree);
            writeln!(out, "{:>2}. {name} = {}", i + 1, tree.map(ToString::to_string).unwrap_or_default())
                .unwrap();
            for (from, edge) in self.inputs(*node) {
                let from = self.name(from);
                match (edge.port, edge.past) {
                    (Some(port), false) => writeln!(out, "      {} ← {port} of {from}", edge.field).unwrap(),
                    (Some(port), true) => writeln!(out, "      {} ⇠ {port} of {from}", edge.field).unwrap(),
                    (None, _) => writeln!(out, "      after {from}").unwrap(),
                }
            }
            for (port, shape) in self.world.get::<Shapes>(*node).into_iter().flat_map(Shapes::iter) {
                writeln!(out, "      → {port} {shape}").unwrap();
            }
        }
        out
    }

    /// The pipeline as a Mermaid chart; dotted arrows carry last tick's values, thick ones only say `after`.
    pub fn mermaid(&self) -> String {
        let order: Vec<Entity> = self.world.resource::<Plan>().order.iter().map(|(node, _)| *node).collect();
        let id = |node: Entity| order.iter().position(|other| *other == node).unwrap_or(usize::MAX);
        let mut out = "graph TD\n".to_owned();
        for (i, node) in order.iter().enumerate() {
            writeln!(out, "    n{i}[\"{}\"]", self.name(*node)).unwrap();
        }
        for (i, node) in order.iter().enumerate() {
            for (from, edge) in self.inputs(*node) {
                let arrow = match (edge.port, edge.past) {
                    (Some(port), false) => format!("-->|{port}|"),
                    (Some(port), true) => format!("-.->|{port}|"),
                    (None, _) => "==>".to_owned(),
                };
                writeln!(out, "    n{} {arrow} n{i}", id(from)).unwrap();
            }
        }
        out
    }

    fn name(&self, node: Entity) -> &str {
        self.world.get::<Name>(node).map_or("?", Name::as_str)
    }

    fn inputs(&self, node: Entity) -> Vec<(Entity, &Edge)> {
        let edges = self.world.get::<Incoming>(node).into_iter().flat_map(Incoming::iter);
        edges
            .filter_map(|edge| Some((self.world.get::<ComesFrom>(edge)?.0, self.world.get::<Edge>(edge)?)))
            .collect()
    }
}
