//! Runs between two ticks as files, and back.

use std::collections::BTreeMap;

use ::checkpoint::RunState;
use bevy_ecs::error::Result;
use pipeline::{Array, Dtype, Kept, Saved};

/// Under which the texts hold the names of the nodes that have finished; paths of nodes have a slash.
const FINISHED: &str = "finished";

/// A saved run as the content of a file: texts are called `node/Component`, arrays `node/Component/array`.
///
/// # Errors
/// If an array's bytes do not fill its shape.
pub fn to_state(saved: Saved, metadata: BTreeMap<String, String>) -> Result<RunState> {
    let mut state = RunState { tick: saved.tick, act: saved.act, metadata, ..RunState::default() };
    state.texts.insert(FINISHED.into(), ron::to_string(&saved.finished)?);
    for (node, components) in saved.nodes {
        for (component, kept) in components {
            let path = format!("{node}/{component}");
            for (name, Array { dtype, shape, bytes }) in kept.arrays {
                let array = ::checkpoint::Array::new(in_file(dtype), &shape, bytes)?;
                state.arrays.push((format!("{path}/{name}"), array));
            }
            state.texts.insert(path, kept.text);
        }
    }
    Ok(state)
}

/// What [`to_state`] was given, without the metadata.
///
/// # Errors
/// If the file was not made by [`to_state`].
pub fn from_state(state: RunState) -> Result<Saved> {
    let mut saved = Saved { tick: state.tick, act: state.act, ..Saved::default() };
    for (path, text) in state.texts {
        match path.rsplit_once('/') {
            Some((node, component)) => kept(&mut saved, node, component).text = text,
            None if path == FINISHED => saved.finished = ron::from_str(&text)?,
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
