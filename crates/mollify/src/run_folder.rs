//! The folder of a run: its states and metrics, in `runs/NAME`.

use std::fs;
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
        (None, false) => ("broken states only".to_owned(), "`--fresh` puts them aside and starts over"),
        (Some((_, state)), _) => (
            format!("the state of a run after {} ticks", state.tick),
            "`--resume` goes on with that run, `--fresh` puts it aside and starts over",
        ),
    };
    Err(Error::new(format!("`{}` already holds {what}", folder.display())).help(help).into())
}

/// Puts the folder of an earlier run aside under the first free name, `runs/NAME.1` and on: its weights must not pass
/// for the new run's, and nothing of it is lost if the new run comes to nothing. A folder without
/// any is left alone. Says where the earlier run is now.
pub(crate) fn set_aside(folder: &Path) -> Result<Option<PathBuf>, Problem> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    if !entries.into_iter().any(|entry| entry.path().extension().is_some_and(|ext| ext == "safetensors")) {
        return Ok(None);
    }
    let numbered = |n: u32| PathBuf::from(format!("{}.{n}", folder.display()));
    let aside = (1..).map(numbered).find(|path| !path.exists()).unwrap_or_default();
    fs::rename(folder, &aside).map_err(|error| {
        Problem::new(format!("cannot rename `{}` to `{}`: {error}", folder.display(), aside.display()))
    })?;
    make(folder)?;
    Ok(Some(aside))
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
