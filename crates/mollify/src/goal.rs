//! How far a run has to go, and how far it is.

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use pipeline::{Engine, Saved};
use ports::{Images, Seeds, Step};
use sampler::Batches;
use train::Until;

/// Images that are done, of those that the act has to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Goal {
    pub(crate) done: u64,
    pub(crate) of: u64,
}

/// What shows how far a run is. Nodes of other acts hold values too, but no new ones.
#[derive(SystemParam)]
pub(crate) struct Goals<'w, 's> {
    targets: Query<'w, 's, &'static Until>,
    images: Query<'w, 's, Ref<'static, Images>>,
    batches: Query<'w, 's, (&'static Batches, &'static Seeds)>,
    steps: Query<'w, 's, Ref<'static, Step>>,
}

impl Goals<'_, '_> {
    /// The goal of the act that is playing: of its training, or else of its sampling.
    pub(crate) fn now(&self) -> Option<Goal> {
        self.training().or_else(|| self.sampling())
    }

    /// What an `Until` waits for.
    fn training(&self) -> Option<Goal> {
        let goal = |until: &Until| {
            let images = self.images.get(until.images().node()).ok().filter(Ref::is_changed)?;
            Some(Goal { done: images.before + images.batch() as u64, of: until.target().ceil() as u64 })
        };
        self.targets.iter().filter_map(goal).max_by_key(|goal| goal.of)
    }

    /// All seeds; of the batch in flight, as much as its steps are done.
    fn sampling(&self) -> Option<Goal> {
        let goal = |(batches, seeds): (&Batches, &Seeds)| {
            let step = self.steps.get(batches.step().node()).ok().filter(Ref::is_changed)?;
            let (list, batch) = (batches.seeds()?, seeds.ids.len() as u64);
            let before = list.count_until(*seeds.ids.last()?) - batch;
            let part = batch * (step.index as u64 + 1) / step.steps as u64;
            Some(Goal { done: before + part, of: list.count() })
        };
        self.batches.iter().filter_map(goal).max_by_key(|goal| goal.of)
    }
}

/// Goes back to the act of an `Until` that says something else than in the saved run, so that it is asked again.
///
/// The acts after it start anew.
pub(crate) fn reopen(engine: &mut Engine, saved: &mut Saved, changed: &[String]) {
    let mut targets = engine.world.query::<(&Name, &Until)>();
    let names: Vec<String> = targets.iter(&engine.world).map(|(name, _)| name.as_str().to_owned()).collect();
    let acts = names.iter().filter(|name| changed.contains(name)).filter_map(|name| engine.act(name));
    let Some(act) = acts.min().filter(|act| *act <= saved.act) else { return };
    saved.act = act;
    saved.finished.retain(|name| engine.act(name).is_some_and(|other| other < act));
    saved.nodes.retain(|name, _| engine.act(name).is_none_or(|other| other <= act));
}
