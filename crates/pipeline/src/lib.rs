#![doc = include_str!("../README.md")]

mod base;
mod document;
mod engine;
mod feed;
mod keep;
mod kinds;
mod node;
mod order;
mod outline;
mod probe;
mod readers;
mod reading;
mod run;
mod setting;
mod shape;
mod show;
mod sweep;
mod wire;
mod wiring;

pub use document::Pipeline;
pub use engine::{Engine, Plugin};
pub use feed::Feed;
pub use keep::{Array, Dtype, Element, Keep, Kept, Saved};
pub use node::{Constant, Metric, Mistake, Node, Note, Pure, Timing, Unfinished};
pub use readers::Readers;
pub use ron_tree::{Error, Report};
pub use run::{Act, After, Before, Closing, Failure, Interrupt, Outcome, Running, Tick};
pub use shape::{Inputs, Shape, Shapes};
pub use wire::{
    ComesFrom, Edge, File, Incoming, LeadsTo, Link, Outgoing, Past, Port, Read, This, Wire, Wires,
};
