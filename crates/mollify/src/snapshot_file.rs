//! Snapshots in insta's format, so that `cargo insta review` works on them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use similar::TextDiff;

use crate::problem::Problem;

/// A snapshot file and what it would have to hold.
pub(crate) struct SnapshotFile {
    path: PathBuf,
    /// The pipeline, as the user named it.
    source: String,
    content: String,
}

impl SnapshotFile {
    /// The snapshot of a pipeline: `snapshots/NAME.snap` beside it.
    pub(crate) fn beside(pipeline: &Path, content: String) -> Self {
        let name = pipeline.file_stem().unwrap_or_default().to_string_lossy();
        let path = pipeline.with_file_name("snapshots").join(format!("{name}.snap"));
        Self { path, source: pipeline.display().to_string(), content: content.trim_end().to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the snapshot, and takes away one that was waiting for review.
    pub(crate) fn write(&self) -> Result<(), Problem> {
        self.put(&self.path)?;
        match fs::remove_file(self.pending()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(problem("remove", &self.pending(), &error))
            }
            _ => Ok(()),
        }
    }

    /// Compares with the snapshot that is there; if they differ, leaves the new one beside it for review.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let old = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            text => Some(text.map_err(|error| problem("read", &self.path, &error))?),
        };
        let old_content = old.as_deref().map(content);
        if old_content == Some(&self.content) {
            return Ok(());
        }
        self.put(&self.pending())?;
        let pending = self.pending();
        let help = format!("`cargo insta review` accepts or rejects `{}`", pending.display());
        let what = match old_content {
            None => format!("`{}` has no snapshot yet", self.source),
            Some(old) => format!(
                "`{}` differs from `{}`\n{}",
                self.source,
                self.path.display(),
                diff(old, &self.content)
            ),
        };
        Err(pipeline::Error::new(what.trim_end()).help(help).into())
    }

    fn pending(&self) -> PathBuf {
        self.path.with_extension("snap.new")
    }

    fn put(&self, path: &Path) -> Result<(), Problem> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| problem("make the folder", folder, &error))?;
        }
        let Self { source, content, .. } = self;
        let text = format!("---\nsource: {source:?}\nexpression: mollify snapshot\n---\n{content}\n");
        fs::write(path, text).map_err(|error| problem("write", path, &error))
    }
}

/// What follows the header of a snapshot.
fn content(text: &str) -> &str {
    let body = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    body.map_or(text, |(_, body)| body).trim_end()
}

/// The lines that changed, each with two around it.
fn diff(old: &str, new: &str) -> String {
    let [old, new] = [old, new].map(|text| format!("{text}\n"));
    TextDiff::from_lines(&old, &new)
        .unified_diff()
        .context_radius(2)
        .header("the snapshot", "this run")
        .to_string()
}

fn problem(doing: &str, path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("cannot {doing} `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_no_part_of_the_content() {
        assert_eq!(content("---\nsource: a.ron\n---\none\ntwo\n"), "one\ntwo");
        assert_eq!(content("no header"), "no header");
    }

    #[test]
    fn a_diff_shows_what_changed_and_what_it_is_now() {
        let diff = diff("a\nb\nc", "a\nB\nc");
        assert!(diff.contains("-b\n") && diff.contains("+B\n"), "{diff}");
    }
}
