//! Shared by the tests of the whole: pipelines from files and texts, and the binary in a folder of its own.

pub mod gpus;
pub mod on_paper;
pub mod translations;

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pipeline::{Engine, Pipeline, Report};
use tempfile::TempDir;

/// A pipeline that trains for 8 ticks, saving after every second one, and then draws ten images.
pub const TINY: &str = include_str!("tiny.ron");

/// The workspace.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Opens a pipeline file, named from the workspace's folder, and wires it; or says what is wrong with it.
pub fn wired(file: &Path, settings: &[&str]) -> Result<Engine, String> {
    let pipeline = Pipeline::open(root().join(file), settings).map_err(|report| plain(&report))?;
    let mut engine = Engine::default().with(mollify::plugin);
    engine.wire(&pipeline).map_err(|report| plain(&report))?;
    Ok(engine)
}

/// What is wrong with a pipeline file.
pub fn report(file: &Path) -> String {
    wired(file, &[]).err().unwrap_or_else(|| "nothing is wrong".to_owned())
}

/// A report that does not tell where the workspace is.
fn plain(report: &Report) -> String {
    report.to_string().replace(&format!("{}/", root().display()), "")
}

/// The binary at work in a new folder.
pub struct Mollify {
    binary: &'static str,
    folder: TempDir,
}

/// The binary of this package, in a folder of its own that is removed in the end.
#[macro_export]
macro_rules! mollify {
    () => {
        $crate::Mollify::new(env!("CARGO_BIN_EXE_mollify-under-test"))
    };
}

impl Mollify {
    pub fn new(binary: &'static str) -> Self {
        Self { binary, folder: TempDir::new().expect("a folder for temporary files") }
    }

    /// The same with the tiny pipeline in it, as `tiny.ron`.
    pub fn with_tiny(self) -> Self {
        self.write("tiny.ron", TINY);
        self
    }

    /// A path in the folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file into the folder.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        path.parent().map(fs::create_dir_all).transpose().expect("a folder in a temporary folder");
        fs::write(path, content).expect("a file in a temporary folder");
        self
    }

    /// Reads a file of the folder.
    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Every file below a folder of the folder, by path, with what it holds.
    pub fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.path(&folder)).into_iter().flatten().flatten() {
                let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    folders.push(path)
                } else {
                    files.push((path.clone(), self.read(&path)))
                }
            }
        }
        files.sort();
        files
    }

    /// The command, for those who want to start it themselves.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().expect("the binary starts").into()
    }

    /// Runs the binary and insists that it succeeds.
    pub fn succeed(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{}\n{ran}", args.join(" "));
        ran
    }

    /// Runs the binary and insists that it fails with an error of the user's.
    pub fn fail(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(1), "{}\n{ran}", args.join(" "));
        ran
    }
}

/// How a process ended; as text, all of it.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Display for Ran {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { code, stdout, stderr } = self;
        write!(f, "exit code: {code:?}\n----- stdout -----\n{stdout}----- stderr -----\n{stderr}")
    }
}
