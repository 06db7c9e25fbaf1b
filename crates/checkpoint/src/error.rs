//! What can be wrong with a file, in words for the person who gave it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use crate::Shape;

/// Why a file could not be written, read or used.
#[derive(Debug)]
pub enum Error {
    /// The system refused to read or write.
    Io { doing: &'static str, path: PathBuf, error: io::Error },
    /// The file ends before its arrays do.
    Truncated { path: PathBuf, expected: u64, found: u64 },
    /// The file is not what its reader takes.
    Format { path: PathBuf, expected: &'static str, reason: String },
    /// Something in the file has changed since it was written.
    Digest { path: PathBuf, expected: String, found: String },
    /// A good file of arrays, but not the state of a run.
    NotAState { path: PathBuf },
    /// The state of a run of another version of mollify.
    Version { path: PathBuf, found: u64 },
    /// A file holds no array of that name, or several and no name was given.
    Name { path: PathBuf, wanted: Option<String>, suggestion: Option<String>, names: Vec<String> },
    /// The numbers of an array are of a type that does not fit.
    Dtype { found: Dtype, wanted: String },
    /// The bytes of an array do not fill its shape.
    Size { dtype: Dtype, shape: Shape, bytes: usize },
    /// An array that was to be copied from another file cannot be read there.
    Array { name: String, error: io::Error },
    /// Two arrays to be written have the same name, or one has a name that the format keeps for itself.
    Duplicate { name: String },
    /// The arrays found are not the parameters expected.
    Mismatch(Mismatch),
}

/// The first parameter by which a file and a network differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Both have it, in different shapes.
    Shape { name: String, expected: Shape, found: Shape },
    /// Only the network has it; perhaps the file calls it something else.
    Missing { name: String, suggestion: Option<String>, count: usize },
    /// Only the file has it.
    Extra { name: String, count: usize },
}

impl Error {
    pub(crate) fn io<'a>(doing: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |error| Self::Io { doing, path: path.to_owned(), error }
    }

    pub(crate) fn format(path: &Path, expected: &'static str, reason: impl ToString) -> Self {
        Self::Format { path: path.to_owned(), expected, reason: reason.to_string() }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } | Self::Array { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Io { doing, path, error } => {
                write!(f, "cannot {doing} `{}`: {error}", path.display())?;
                let full = error.kind() == io::ErrorKind::StorageFull;
                if full {
                    f.write_str("; what was there before is unharmed, so free some space")
                } else {
                    Ok(())
                }
            }
            Self::Truncated { path, expected, found } => {
                write!(f, "`{}` is truncated: it has {found} of {expected} bytes", path.display())
            }
            Self::Format { path, expected, reason } => {
                write!(f, "`{}` is not {expected}: {reason}", path.display())
            }
            Self::Digest { path, expected, found } => write!(
                f,
                "`{}` is damaged: its content has digest `{found}` where `{expected}` was written",
                path.display()
            ),
            Self::NotAState { path } => {
                write!(
                    f,
                    "`{}` holds arrays but not the state of a run, so nothing can resume from it",
                    path.display()
                )
            }
            Self::Version { path, found } => write!(
                f,
                "`{}` is in format {found} and this mollify reads format {}; resume with the one that wrote it",
                path.display(),
                crate::run_state::FORMAT
            ),
            Self::Name { path, wanted, suggestion, names } => name(f, path, wanted, suggestion, names),
            Self::Dtype { found, wanted } => write!(f, "numbers of type `{found}` cannot be {wanted}"),
            Self::Size { dtype, shape, bytes } => {
                write!(f, "{bytes} bytes do not fill an array of `{dtype}` of shape {shape:?}")
            }
            Self::Array { name, error } => write!(f, "`{name}` cannot be copied: {error}"),
            Self::Duplicate { name } => {
                write!(f, "the name `{name}` is taken, so no second array can have it")
            }
            Self::Mismatch(mismatch) => mismatch.fmt(f),
        }
    }
}

fn name(
    f: &mut fmt::Formatter,
    path: &Path,
    wanted: &Option<String>,
    suggestion: &Option<String>,
    names: &[String],
) -> fmt::Result {
    match wanted {
        Some(wanted) => write!(f, "`{}` has no array `{wanted}`", path.display())?,
        None => write!(f, "`{}` has {} arrays and none was named", path.display(), names.len())?,
    }
    if let Some(suggestion) = suggestion {
        return write!(f, "; did you mean `{suggestion}`?");
    }
    const SHOWN: usize = 12;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => write!(f, "; it is empty"),
        1..=SHOWN => write!(f, "; it has {}", shown.join(", ")),
        count => write!(f, "; it has {} and {} more", shown.join(", "), count - SHOWN),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let among = |count: usize| if count > 1 { format!(" (the first of {count})") } else { String::new() };
        match self {
            Self::Shape { name, expected, found } => {
                write!(f, "`{name}` is {found:?} in the file and {expected:?} in the network")
            }
            Self::Missing { name, suggestion, count } => {
                write!(f, "the file has no `{name}`{}, which the network needs", among(*count))?;
                let Some(suggestion) = suggestion else { return Ok(()) };
                write!(f, "; is it what the file calls `{suggestion}`?")
            }
            Self::Extra { name, count } => {
                write!(f, "the file has `{name}`{}, which the network does not have", among(*count))
            }
        }
    }
}
