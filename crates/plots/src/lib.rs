#![doc = include_str!("../README.md")]

mod axis;
mod clip;
mod compare;
mod csv;
mod curve;
mod draw;
mod figure;
mod gather;
mod groups;
mod heatmap;
mod look;
mod panel;
mod save_table;
mod statistics;
mod style;
mod trajectories;

pub use axis::{Axis, Scale};
pub use compare::{Compare, compare};
pub use curve::{Band, Center, Curve, curve};
pub use figure::Figure;
pub use gather::{Gather, gather};
pub use heatmap::{Heatmap, heatmap};
pub use panel::{Cells, Layer, Line, Panel};
pub use save_table::{SaveTable, Saved, save_table};
pub use statistics::{Statistics, statistics};
pub use trajectories::{Trajectories, trajectories};

use pipeline::{After, Engine};

/// The kinds that measure, gather and plot.
pub fn plugin(engine: &mut Engine) {
    engine.node::<Compare, _>(compare).node::<Gather, _>(gather).node::<SaveTable, _>(save_table);
    engine.node::<Statistics, _>(statistics);
    engine.node::<Curve, _>(curve).node::<Heatmap, _>(heatmap).node::<Trajectories, _>(trajectories);
    engine.add_systems(After, (figure::write_figures, save_table::write_tables));
}
