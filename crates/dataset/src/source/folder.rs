//! A folder of pictures, with all folders in it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Pictures, Source, names};
use crate::labels;
use crate::picture::{Format, MOST_BYTES, Picture};

struct Folder {
    root: PathBuf,
    /// Names relative to the root, with `/` on every system, and where they are.
    files: Vec<(String, PathBuf)>,
}

pub fn open(root: &Path) -> Result<Source, String> {
    let place = root.display().to_string();
    let mut found = Found::default();
    found.walk(root, "")?;
    let mut files = found.pictures;
    if files.is_empty() {
        return Err(names::no_pictures(&place, found.others));
    }
    names::sort(&mut files, |(name, _)| name);
    let json = root.join(labels::FILE);
    let json = json.exists().then(|| read(&json, labels::MOST_BYTES)).transpose();
    let json = json.map_err(|what| format!("`{}` in `{place}` {what}", labels::FILE))?;
    let listed: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    let labels = names::labels(json, &listed, &place)?;
    Ok(Source { pictures: Box::new(Folder { root: root.to_owned(), files }), labels })
}

/// A whole file, unless it is larger than `most`.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let bytes = start(path, most + 1)?;
    if bytes.len() as u64 > most {
        return Err(format!("has more than {most} bytes"));
    }
    Ok(bytes)
}

/// The first bytes of a file, `most` at most.
fn start(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let cannot_read = |error| format!("cannot be read: {error}");
    // To open a pipe would be to wait for ever.
    if !fs::metadata(path).map_err(cannot_read)?.is_file() {
        return Err("is a pipe or a device, expected a file".into());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot_read)?.take(most).read_to_end(&mut bytes).map_err(cannot_read)?;
    Ok(bytes)
}

impl Pictures for Folder {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn name(&self, picture: usize) -> String {
        self.root.join(&self.files[picture].0).display().to_string()
    }

    fn read(&self, picture: usize) -> Result<Picture, String> {
        Picture::decode(&read(&self.files[picture].1, MOST_BYTES)?)
    }

    fn format(&self, picture: usize) -> Result<Format, String> {
        Format::read(|most| start(&self.files[picture].1, most))
    }

    fn path(&self, picture: usize) -> String {
        self.files[picture].0.clone()
    }
}

#[derive(Default)]
struct Found {
    pictures: Vec<(String, PathBuf)>,
    others: usize,
    /// Where links lead to is visited once, so that they may form loops.
    visited: HashSet<PathBuf>,
}

impl Found {
    fn walk(&mut self, folder: &Path, around: &str) -> Result<(), String> {
        let cannot_read = |error| format!("the folder `{}` cannot be read: {error}", folder.display());
        if !self.visited.insert(folder.canonicalize().map_err(cannot_read)?) {
            return Ok(());
        }
        for entry in fs::read_dir(folder).map_err(cannot_read)? {
            let path = entry.map_err(cannot_read)?.path();
            let name = format!("{around}{}", path.file_name().unwrap_or_default().to_string_lossy());
            match () {
                () if names::is_hidden(&name) => {}
                () if path.is_dir() => self.walk(&path, &format!("{name}/"))?,
                () if names::is_picture(&name) => self.pictures.push((name, path)),
                () => self.others += 1,
            }
        }
        Ok(())
    }
}
