//! Runs a wired pipeline: ticks, acts, and what ends them.

use std::cell::RefCell;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bevy_ecs::error::{BevyError, ErrorContext};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleLabel;
use bevy_ecs::system::{RegisteredSystemError, SystemId};
use ron_tree::{Error, Report, Span};

use crate::{Constant, Engine, Pipeline, Pure, Unfinished};

/// Runs before the nodes of every tick.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Before;

/// Runs after the nodes of every tick.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
pub struct After;

/// The node that is running now.
#[derive(Resource, Clone, Copy, Debug)]
pub struct Running(pub Entity);

/// How many ticks have passed, over all acts.
#[derive(Resource, Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick(pub u64);

/// The act that is playing, counted from 0; the number of acts once the run is finished.
#[derive(Resource, Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act(pub usize);

/// Whether this tick is the last of its act or the run was interrupted. Known in [`After`].
#[derive(Resource, Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing(pub bool);

/// Asks a run to end after the current tick. Clones share one flag, so a signal handler can hold one.
#[derive(Resource, Default, Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends the run after the current tick.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to end.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a run ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every act is over.
    Finished,
    /// [`Interrupt`] was set.
    Interrupted,
}

/// A node's system, or a system around the nodes, returned an error.
#[derive(Debug)]
pub struct Failure {
    /// The node's name, or the system's if it is none of a node.
    pub node: String,
    pub tick: u64,
    pub report: Report,
    pub cause: BevyError,
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}

impl std::error::Error for Failure {}

/// The nodes in running order, each with its act.
#[derive(Resource, Default)]
pub(crate) struct Plan {
    pub(crate) order: Vec<(Entity, usize)>,
    /// Those that keep their act going until they have finished.
    pub(crate) unfinished: Vec<Entity>,
}

impl Plan {
    pub(crate) fn acts(&self) -> usize {
        self.order.last().map_or(0, |(_, act)| act + 1)
    }

    pub(crate) fn find(&self, world: &World, name: &str) -> Option<Entity> {
        let named = |node: &Entity| world.get::<Name>(*node).is_some_and(|n| n.as_str() == name);
        self.order.iter().map(|(node, _)| *node).find(named)
    }
}

/// How far the nodes have come. In [`After`] this is one tick ahead of [`Tick`], and it is what a checkpoint keeps.
#[derive(Resource, Default, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) ticks: u64,
    pub(crate) act: usize,
    interrupted: bool,
}

impl Progress {
    pub(crate) fn at(ticks: u64, act: usize) -> Self {
        Self { ticks, act, interrupted: false }
    }
}

/// The node's place in its file.
#[derive(Component, Clone, Copy)]
pub(crate) struct Place(pub(crate) Span);

/// Runs the node on every n-th tick only.
#[derive(Component, Clone, Copy)]
pub(crate) struct Every(pub(crate) u64);

impl Engine {
    /// Runs ticks until every act is over or [`Interrupt`] is set. A finished run does nothing.
    pub fn run(&mut self) -> Result<Outcome, Failure> {
        let mut interrupted = self.world.resource::<Interrupt>().is_set();
        while !self.is_finished() {
            if interrupted {
                return Ok(Outcome::Interrupted);
            }
            self.tick()?;
            interrupted = self.world.resource::<Progress>().interrupted;
        }
        Ok(Outcome::Finished)
    }

    /// Runs every node of the current act once, inputs first.
    pub fn tick(&mut self) -> Result<(), Failure> {
        if self.is_finished() {
            return Ok(());
        }
        self.world.insert_resource(Closing(false));
        self.around(Before)?;
        for at in 0..self.world.resource::<Plan>().order.len() {
            let (node, act) = self.world.resource::<Plan>().order[at];
            if self.is_due(node, act) {
                self.run_node(node)?;
            }
        }
        self.close();
        self.around(After)?;
        let Progress { ticks, act, .. } = *self.world.resource::<Progress>();
        self.world.insert_resource(Tick(ticks));
        self.world.insert_resource(Act(act));
        Ok(())
    }

    /// Whether every act is over.
    pub fn is_finished(&self) -> bool {
        self.world.resource::<Act>().0 >= self.world.resource::<Plan>().acts()
    }

    /// The flag that ends the run after the current tick.
    pub fn interrupt(&self) -> Interrupt {
        self.world.resource::<Interrupt>().clone()
    }

    /// Whether a node runs in this tick: those of this act do, and what a resumed world lacks of earlier ones.
    fn is_due(&mut self, node: Entity, act: usize) -> bool {
        let now = self.world.resource::<Act>().0;
        let tick = self.world.resource::<Tick>().0;
        if let Some(mut constant) = self.world.get_mut::<Constant>(node) {
            return act <= now && !std::mem::replace(&mut constant.made, true);
        }
        let every = self.world.get::<Every>(node).map_or(1, |every| every.0);
        let due = act == now && (tick + 1).is_multiple_of(every);
        match self.world.get_mut::<Pure>(node) {
            Some(mut pure) if due || act < now => !std::mem::replace(&mut pure.made, true) || due,
            _ => due,
        }
    }

    fn run_node(&mut self, node: Entity) -> Result<(), Failure> {
        self.world.insert_resource(Running(node));
        match self.world.run_system(SystemId::<(), ()>::from_entity(node)) {
            Ok(()) | Err(RegisteredSystemError::Skipped(_)) => {}
            Err(RegisteredSystemError::Failed(error)) => return Err(self.blame(node, error)),
            Err(other) => return Err(self.blame(node, other.to_string().into())),
        }
        // Commands run after their system, and their errors go to the fallback handler.
        ASIDE.take().map_or(Ok(()), |(error, _)| Err(self.blame(node, error)))
    }

    /// Works out where the run stands now that the nodes have run.
    fn close(&mut self) {
        let (tick, act) = (self.world.resource::<Tick>().0, self.world.resource::<Act>().0);
        let nodes = self.world.resource::<Plan>().order.iter().filter(|(_, its)| *its == act);
        let ended = nodes.clone().all(|(node, _)| !self.world.entity(*node).contains::<Unfinished>());
        let interrupted = self.world.resource::<Interrupt>().is_set();
        let progress = Progress { ticks: tick + 1, act: act + usize::from(ended), interrupted };
        self.world.insert_resource(progress);
        self.world.insert_resource(Closing(ended || interrupted));
    }

    fn around(&mut self, label: impl ScheduleLabel) -> Result<(), Failure> {
        let when = format!("{label:?}").to_lowercase();
        self.world.run_schedule(label);
        let Some((cause, name)) = ASIDE.take() else { return Ok(()) };
        let tick = self.world.resource::<Tick>().0;
        let what = format!("`{name}` failed {when} tick {tick}: {}", cause.to_string().trim_end());
        let report = Report { errors: vec![Error::new(what)], sources: Default::default() };
        Err(Failure { node: name, tick, report, cause })
    }

    fn blame(&self, node: Entity, cause: BevyError) -> Failure {
        let name = self.world.get::<Name>(node).map_or_else(|| node.to_string(), ToString::to_string);
        let tick = self.world.resource::<Tick>().0;
        let mut error =
            Error::new(format!("`{name}` failed on tick {tick}: {}", cause.to_string().trim_end()));
        error.span = self.world.get::<Place>(node).map(|place| place.0);
        let sources = self.world.get_resource::<Pipeline>().map(|pipeline| pipeline.sources.clone());
        let report = Report { errors: vec![error], sources: sources.unwrap_or_default() };
        Failure { node: name, tick, report, cause }
    }
}

thread_local! {
    static ASIDE: RefCell<Option<(BevyError, String)>> = const { RefCell::new(None) };
}

/// The fallback handler is a bare function, so it can only leave the first error where [`Engine::tick`] looks.
pub(crate) fn set_aside(error: BevyError, context: ErrorContext) {
    ASIDE.with_borrow_mut(|aside| {
        aside.get_or_insert((error, context.name().to_string()));
    });
}
