//! What a kind of node is.

use bevy_ecs::prelude::*;
use serde::de::DeserializeOwned;

use crate::{Inputs, Shapes};

/// A kind of node. The struct is what the RON file says; `Value` is what the node makes each tick.
pub trait Node: Component + DeserializeOwned {
    /// The components that other nodes may read.
    type Value: Bundle;

    /// What the kind does, in a sentence or more; the first line stands in the list of kinds.
    const DOC: &'static str = "";

    /// What its fields mean, by name.
    const FIELDS: &'static [(&'static str, &'static str)] = &[];

    /// Looks for settings that make no sense. Called while wiring, before anything runs.
    fn check(&self) -> Result<(), Mistake> {
        Ok(())
    }

    /// The shapes of what it makes, from the shapes of what it reads. Called while wiring, inputs first.
    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let _ = inputs;
        Ok(Shapes::default())
    }

    /// Looks at shapes again when those of all nodes are known, for the sake of `Past` inputs.
    fn check_shapes(&self, inputs: &Inputs) -> Result<(), Mistake> {
        let _ = inputs;
        Ok(())
    }
}

/// A setting that makes no sense, or an input whose shape does not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// The field it is about; a path such as `spacing.rho` or `of.1` points into it.
    pub field: String,
    /// What is there, and what was expected.
    pub what: String,
    /// The next step to take.
    pub help: Option<String>,
}

impl Mistake {
    /// A mistake in a field.
    pub fn new(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self { field: field.into(), what: what.into(), help: None }
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A node that still has something to do. The act ends when none of its nodes has it.
///
/// A kind starts with it by `#[require(Unfinished)]` and its system removes it from the node at the end.
#[derive(Component, Default)]
pub struct Unfinished;

/// A node whose value never changes: it runs once in every world, resumed or not.
#[derive(Component, Default)]
pub struct Constant {
    pub(crate) made: bool,
}

/// A node whose value follows from what it reads and nothing else.
///
/// In a world that is resumed in a later act, it runs once more, so that nodes of that act can read it. Other nodes of
/// earlier acts do not: what later acts read of them has to be [`Keep`](crate::Keep), and kept always or where it is handed on.
#[derive(Component, Default)]
pub struct Pure {
    pub(crate) made: bool,
}

/// A number worth telling the user, sent by any node.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    /// The tick that it is about, counted from 0; devices may take a tick longer than that.
    pub tick: u64,
    pub value: f64,
}

/// A number about this machine rather than about results, such as a share of time. It is shown like a metric, and kept
/// apart from them: metrics of a resumed run are the same byte for byte.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct Timing {
    pub name: &'static str,
    pub value: f64,
}

/// A line worth telling the user, sent by any node.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct Note(pub String);
