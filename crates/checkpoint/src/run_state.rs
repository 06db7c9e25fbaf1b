//! The state of a run as one file: what every node keeps, in arrays and in texts.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::archive::{self, Archive};
use crate::{Array, Error, digest};

/// The layout of the state's own metadata, to be raised when it changes.
pub(crate) const FORMAT: u64 = 1;

/// The key of the metadata under which the state keeps what is not an array.
pub(crate) const KEY: &str = "run_state";

const WHAT: &str = "the whole state of a run";

/// Everything that a run needs to go on as if it had never stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunState {
    /// Ticks done.
    pub tick: u64,
    /// The act of the pipeline that is playing.
    pub act: usize,
    /// What nodes keep as text, by path.
    pub texts: BTreeMap<String, String>,
    /// What nodes keep as numbers, by path; read back wider types first, then by name.
    pub arrays: Vec<(String, Array)>,
    /// Free strings, such as the resolved pipeline; the keys `run_state` and `digest` are overwritten.
    pub metadata: BTreeMap<String, String>,
}

/// What is not an array, as it is kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    format: u64,
    pub tick: u64,
    pub act: usize,
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
}

/// Writes a state to any path; [`save`](crate::save) names the file itself.
pub fn write_state(path: &Path, state: &RunState) -> Result<(), Error> {
    let kept = Kept { format: FORMAT, tick: state.tick, act: state.act, texts: state.texts.clone() };
    let mut metadata = state.metadata.clone();
    metadata.insert(KEY.to_string(), serde_json::to_string(&kept).expect("strings and numbers are JSON"));
    let mut views = Vec::new();
    for (name, array) in &state.arrays {
        views.push((name.as_str(), array.view()?));
    }
    archive::write(path, &views, &metadata)
}

/// Reads a state and checks it against its digest.
pub fn read_state(path: &Path) -> Result<RunState, Error> {
    let mut archive = Archive::open(path)?;
    let kept = kept(path, &archive.metadata)?.ok_or(Error::NotAState { path: path.to_owned() })?;
    if !archive.metadata.contains_key(digest::KEY) {
        return Err(Error::format(path, WHAT, "it has no digest"));
    }
    let mut arrays = Vec::new();
    archive.arrays(|name, array| arrays.push((name, array)))?;
    let mut metadata = archive.metadata;
    metadata.remove(KEY);
    Ok(RunState { tick: kept.tick, act: kept.act, texts: kept.texts, arrays, metadata })
}

/// Reads the state's own entry of a file's metadata; `None` if the file is not a state.
pub(crate) fn kept(path: &Path, metadata: &BTreeMap<String, String>) -> Result<Option<Kept>, Error> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }

    let Some(text) = metadata.get(KEY) else { return Ok(None) };
    let broken = |error| Error::format(path, WHAT, error);
    // Another format may have other fields, so its number is read before them.
    let Format { format } = serde_json::from_str(text).map_err(broken)?;
    if format != FORMAT {
        return Err(Error::Version { path: path.to_owned(), found: format });
    }
    serde_json::from_str(text).map(Some).map_err(broken)
}
