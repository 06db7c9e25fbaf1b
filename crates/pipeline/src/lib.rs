//! Pipelines as entities: nodes, wires, ticks.
