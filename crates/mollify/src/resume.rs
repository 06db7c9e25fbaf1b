//! Goes on with a run from its newest good state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bevy_ecs::prelude::*;
use checkpoint::{RunState, newest_good, read_state};
use pipeline::{Edge, Engine, Error, Outgoing, Pipeline, Saved};
use ports::Run;
use train::Checkpoint;

use crate::adopt::adopt;
use crate::goal::reopen;
use crate::problem::Problem;
use crate::stderr::say;

/// Puts the newest good state of a run into its freshly wired world, and says how many ticks that has behind it.
///
/// A node may differ from what it was if nobody reads it and it keeps nothing: targets such as `Until`, `Checkpoint`,
/// pictures. Everything else has to be as it was, since the rest of the run would not follow from its first part.
pub(crate) fn resume(engine: &mut Engine, states: &Path, quiet: bool) -> Result<Option<u64>, Problem> {
    let newest = newest_good(states)?;
    for broken in &newest.broken {
        if !quiet {
            say(format_args!("warning: passing over a state: {}", broken.error));
        }
    }
    let Some((path, state)) = newest.good else {
        return match newest.broken.into_iter().next() {
            Some(broken) => Err(broken.error.into()),
            None => Ok(None),
        };
    };
    go_on(engine, &path, state).map(Some)
}

/// Puts a state into a freshly wired world: of a run of this pipeline, or an imported one.
pub(crate) fn resume_from(engine: &mut Engine, path: &Path) -> Result<u64, Problem> {
    match read_state(path) {
        Ok(state) => go_on(engine, path, state),
        Err(checkpoint::Error::NotAState { .. }) => {
            let saved = adopt(engine, path)?;
            load(engine, path, &saved)
        }
        Err(error) => Err(error.into()),
    }
}

fn go_on(engine: &mut Engine, path: &Path, state: RunState) -> Result<u64, Problem> {
    let cannot = |what: String| format!("cannot resume from `{}`: {what}", path.display());
    let same = expect_same(engine, state);
    let (mut saved, changed) = same.map_err(|error| Error { what: cannot(error.what), ..error })?;
    reopen(engine, &mut saved, &changed);
    load(engine, path, &saved)
}

/// Says how many ticks the run has behind it.
fn load(engine: &mut Engine, path: &Path, saved: &Saved) -> Result<u64, Problem> {
    engine.load(saved).map_err(|error| {
        Problem::new(format!("cannot resume from `{}`: {}", path.display(), error.to_string().trim_end()))
    })?;
    Ok(saved.tick)
}

/// Where the run keeps its states, if it keeps any.
pub(crate) fn states(engine: &mut Engine, run: &Run) -> Option<PathBuf> {
    let mut checkpoints = engine.world.query::<&Checkpoint>();
    let checkpoint = checkpoints.iter(&engine.world).next()?;
    Some(checkpoint.folder().unwrap_or(&run.folder).to_owned())
}

/// The saved run, if it is one of this pipeline, and the nodes that changed without harm.
fn expect_same(engine: &Engine, state: RunState) -> Result<(Saved, Vec<String>), Error> {
    let old = state.metadata.get("pipeline").map(|text| Pipeline::read("the state", text, &[]));
    let saved = train::from_state(state).map_err(|error| Error::new(error.to_string().trim_end()))?;
    let (Some(Ok(old)), Some(new)) = (old, engine.world.get_resource::<Pipeline>()) else {
        return Err(Error::new("it does not say which pipeline it is of"));
    };
    let new = nodes(new);
    if let Some(name) = saved.nodes.keys().find(|name| !new.contains_key(*name)) {
        return Err(Error::new(format!("`{name}` has state there, and this pipeline has no such node")));
    }
    let old = nodes(&old);
    let mut changed = Vec::new();
    for (name, now) in new.into_iter().filter(|(name, now)| old.get(name) != Some(now)) {
        if is_read(engine, &name) || saved.nodes.contains_key(&name) {
            let was = old.get(&name).map_or_else(|| "was not there".to_owned(), |was| format!("was `{was}`"));
            return Err(Error::new(format!("`{name}` {was} when that run began, and is `{now}` now")).help(
                "put that back, or start over with `--fresh`; only nodes that nobody reads may change",
            ));
        }
        changed.push(name);
    }
    Ok((saved, changed))
}

fn nodes(pipeline: &Pipeline) -> BTreeMap<String, String> {
    pipeline.nodes.iter().map(|(name, tree)| (name.text.clone(), tree.to_string())).collect()
}

/// Whether another node reads what this one makes.
fn is_read(engine: &Engine, name: &str) -> bool {
    let world = &engine.world;
    let edges = engine.find(name).and_then(|node| world.get::<Outgoing>(node));
    edges
        .into_iter()
        .flat_map(Outgoing::iter)
        .any(|edge| world.get::<Edge>(edge).is_some_and(|edge| edge.port.is_some()))
}
