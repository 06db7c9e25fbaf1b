//! Runs between two ticks as files, and back.

use std::collections::BTreeMap;

use ::checkpoint::RunState;
use bevy_ecs::error::Result;
use pipeline::{Array, Dtype, Kept, Saved};

/// Under which the texts hold the names of the nodes that have finished; paths of nodes have a slash.
const FINISHED: &str = "finished";

/// Under which the texts hold, as a map, what is the same as something else: an optimiser makes the parameters of the
/// network that it trains.
const SAME: &str = "same";

/// A saved run as the content of a file: texts are called `node/Component`, arrays `node/Component/array`. What nodes
/// keep in common is there once.
///
/// # Errors
/// If an array's bytes do not fill its shape.
pub fn to_state(saved: &Saved, metadata: BTreeMap<String, String>) -> Result<RunState> {
    let mut state = RunState { tick: saved.tick, act: saved.act, metadata, ..RunState::default() };
    state.texts.insert(FINISHED.into(), ron::to_string(&saved.finished)?);
    let mut same = BTreeMap::new();
    for (node, components) in &saved.nodes {
        for (component, kept) in components {
            let path = format!("{node}/{component}");
            if let Some(first) = first_like(saved, component, kept).filter(|first| *first != node) {
                same.insert(path, format!("{first}/{component}"));
                continue;
            }
            for (name, Array { dtype, shape, bytes }) in &kept.arrays {
                let array = ::checkpoint::Array::new(in_file(*dtype), shape, bytes.clone())?;
                state.arrays.push((format!("{path}/{name}"), array));
            }
            state.texts.insert(path, kept.text.clone());
        }
    }
    state.texts.insert(SAME.into(), ron::to_string(&same)?);
    Ok(state)
}

/// The first node that keeps the same arrays.
fn first_like<'a>(saved: &'a Saved, component: &str, kept: &Kept) -> Option<&'a String> {
    let alike = |components: &BTreeMap<String, Kept>| components.get(component) == Some(kept);
    let mut nodes = saved.nodes.iter().filter(|_| !kept.arrays.is_empty());
    nodes.find(|(_, components)| alike(components)).map(|(node, _)| node)
}

/// What [`to_state`] was given, without the metadata.
///
/// # Errors
/// If the file was not made by [`to_state`].
pub fn from_state(state: RunState) -> Result<Saved> {
    let mut saved = Saved { tick: state.tick, act: state.act, ..Saved::default() };
    let mut same: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in state.texts {
        match path.rsplit_once('/') {
            Some((node, component)) => kept(&mut saved, node, component).text = text,
            None if path == FINISHED => saved.finished = ron::from_str(&text)?,
            None if path == SAME => same = ron::from_str(&text)?,
            None => return Err(format!("the state of the run has an unknown entry `{path}`").into()),
        }
    }
    for (path, array) in state.arrays {
        let mut parts = path.rsplitn(3, '/');
        let (Some(name), Some(component), Some(node)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("the state of the run has an array `{path}` of no node").into());
        };
        let dtype = in_memory(array.dtype).ok_or_else(|| format!("`{path}` is of type {}", array.dtype))?;
        let array = Array { dtype, shape: array.shape, bytes: array.bytes };
        kept(&mut saved, node, component).arrays.push((name.to_owned(), array));
    }
    for (path, first) in &same {
        let (Some((node, component)), Some((first, _))) = (path.rsplit_once('/'), first.rsplit_once('/'))
        else {
            return Err(
                format!("the state of the run has no `{first}` that `{path}` could be the same as").into()
            );
        };
        let first = kept(&mut saved, first, component).clone();
        *kept(&mut saved, node, component) = first;
    }
    Ok(saved)
}

fn kept<'a>(saved: &'a mut Saved, node: &str, component: &str) -> &'a mut Kept {
    saved.nodes.entry(node.to_owned()).or_default().entry(component.to_owned()).or_default()
}

fn in_file(dtype: Dtype) -> ::checkpoint::Dtype {
    match dtype {
        Dtype::F32 => ::checkpoint::Dtype::F32,
        Dtype::F64 => ::checkpoint::Dtype::F64,
        Dtype::U32 => ::checkpoint::Dtype::U32,
        Dtype::U8 => ::checkpoint::Dtype::U8,
    }
}

fn in_memory(dtype: ::checkpoint::Dtype) -> Option<Dtype> {
    [Dtype::F32, Dtype::F64, Dtype::U32, Dtype::U8].into_iter().find(|known| in_file(*known) == dtype)
}
