//! The folder of a run: its states and metrics, in `runs/NAME`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use checkpoint::{Newest, newest_good};
use pipeline::{Error, Pipeline};
use ports::Run;

use crate::problem::Problem;

/// The run of a pipeline at a point of its sweep, in the folder that is its own.
pub(crate) fn run(file: &Path, point: &str, pipeline: &Pipeline) -> Run {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut run = in_folder(file, Path::new("runs").join(stem.as_ref()), pipeline);
    if !point.is_empty() {
        // A point may set a path, and that is no folder in the folder.
        run.folder.push(point.replace(['/', '\\', '"'], "_"));
    }
    run
}

fn in_folder(file: &Path, folder: PathBuf, pipeline: &Pipeline) -> Run {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Run { name, folder, pipeline: pipeline.to_string() }
}

/// Makes a folder, with those it is in.
pub(crate) fn make(folder: &Path) -> Result<(), Problem> {
    fs::create_dir_all(folder).map_err(|error| {
        Error::new(format!("cannot make the run folder `{}`: {error}", folder.display()))
            .help("runs go to `runs/` in the working directory")
            .into()
    })
}

/// Refuses to run over the states of an earlier run.
pub(crate) fn expect_no_states(folder: &Path) -> Result<(), Problem> {
    let Newest { good, broken } = newest_good(folder)?;
    let (what, help) = match (good, broken.is_empty()) {
        (None, true) => return Ok(()),
        (None, false) => ("broken states only".to_owned(), "`--fresh` removes them and starts over"),
        (Some((_, state)), _) => (
            format!("the state of a run after {} ticks", state.tick),
            "`--resume` goes on with that run, `--fresh` removes its states and weights and starts over",
        ),
    };
    Err(Error::new(format!("`{}` already holds {what}", folder.display())).help(help).into())
}

/// Removes the states and weights of an earlier run: older weights of a longer run would pass for the newest.
pub(crate) fn remove_states(folder: &Path) -> Result<(), Problem> {
    for path in weights(folder)
        .map_err(|error| Problem::new(format!("cannot read `{}`: {error}", folder.display())))?
    {
        remove(&path)?;
    }
    loop {
        let Newest { good, broken } = newest_good(folder)?;
        let paths: Vec<PathBuf> =
            broken.into_iter().map(|broken| broken.path).chain(good.map(|(path, _)| path)).collect();
        if paths.is_empty() {
            return Ok(());
        }
        paths.iter().try_for_each(|path| remove(path))?;
    }
}

fn remove(path: &Path) -> Result<(), Problem> {
    fs::remove_file(path)
        .map_err(|error| Problem::new(format!("cannot remove `{}`: {error}", path.display())))
}

/// What the `Checkpoint`s of an earlier run wrote besides states.
fn weights(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("weights-") && name.ends_with(".safetensors") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The newest good state in a run's folder.
pub(crate) fn newest_state(folder: &Path) -> Result<PathBuf, Problem> {
    let Newest { good, broken } = newest_good(folder)?;
    match (good, broken.into_iter().next()) {
        (Some((path, _)), _) => Ok(path),
        (None, Some(broken)) => Err(broken.error.into()),
        (None, None) => Err(Problem::new(format!("`{}` holds no state of a run", folder.display()))),
    }
}

/// A run folder that is removed in the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self, Problem> {
        let folder = std::env::temp_dir().join(format!("mollify-{}", std::process::id()));
        make(&folder)?;
        Ok(Self(folder))
    }

    pub(crate) fn run(&self, file: &Path, pipeline: &Pipeline) -> Run {
        in_folder(file, self.0.clone(), pipeline)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed from the folder of temporary files is left to the system.
        let _ = fs::remove_dir_all(&self.0);
    }
}
