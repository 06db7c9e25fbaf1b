//! The folder in which a run keeps its states: `state-0000001200.safetensors` after 1200 ticks.

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic::UNFINISHED;
use crate::{Error, RunState, read_state, write_state};

const START: &str = "state-";
const END: &str = ".safetensors";

/// What [`newest_good`] finds.
#[derive(Debug, Default)]
pub struct Newest {
    /// The newest state that is whole, and where it is.
    pub good: Option<(PathBuf, RunState)>,
    /// States newer than that which cannot be used, newest first.
    pub broken: Vec<Broken>,
}

/// A state that cannot be used.
#[derive(Debug)]
pub struct Broken {
    pub path: PathBuf,
    /// Why; the message names the file.
    pub error: Error,
}

/// Writes a state into the run's folder and says where.
pub fn save(folder: &Path, state: &RunState) -> Result<PathBuf, Error> {
    let path = folder.join(format!("{START}{:010}{END}", state.tick));
    write_state(&path, state)?;
    Ok(path)
}

/// Reads the newest state that is whole, walking past broken ones; a folder that does not exist has none.
pub fn newest_good(folder: &Path) -> Result<Newest, Error> {
    let mut newest = Newest::default();
    for path in states(folder)? {
        match read_state(&path) {
            Ok(state) => {
                newest.good = Some((path, state));
                break;
            }
            Err(error) => newest.broken.push(Broken { path, error }),
        }
    }
    Ok(newest)
}

/// Removes all but the newest `keep` states (at least one), and what interrupted writes left; says which.
///
/// Call it right after [`save`], so that the newest state is known to be good.
pub fn prune(folder: &Path, keep: usize) -> Result<Vec<PathBuf>, Error> {
    let mut removed: Vec<PathBuf> = states(folder)?.into_iter().skip(keep.max(1)).collect();
    let left_over = |name: &str| name.starts_with(&format!(".{START}")) && name.ends_with(UNFINISHED);
    removed.extend(files(folder)?.into_iter().filter(|(name, _)| left_over(name)).map(|(_, path)| path));
    for path in &removed {
        fs::remove_file(path).map_err(Error::io("remove", path))?;
    }
    Ok(removed)
}

/// Every state in the folder, newest first.
fn states(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let tick = |name: &str| name.strip_prefix(START)?.strip_suffix(END)?.parse::<u64>().ok();
    let with_tick = |(name, path): (String, PathBuf)| Some((tick(&name)?, path));
    let mut states: Vec<(u64, PathBuf)> = files(folder)?.into_iter().filter_map(with_tick).collect();
    states.sort_by_key(|(tick, _)| Reverse(*tick));
    Ok(states.into_iter().map(|(_, path)| path).collect())
}

/// The names and paths in a folder; a folder that does not exist is empty.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let io = Error::io("read the folder", folder);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(&io)?,
    };
    let file = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.map_err(&io)?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry.path()))
    };
    entries.map(file).collect()
}
