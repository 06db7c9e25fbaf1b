//! Where a data set is written: a folder, or a zip archive of stored entries. It is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use crate::zip::ZipWriter;

/// A data set in the making, under a name of its own until it is whole.
pub struct Destination {
    path: PathBuf,
    unfinished: PathBuf,
    sort: Sort,
}

enum Sort {
    Folder,
    Zip(ZipWriter<BufWriter<File>>),
    Done,
}

impl Destination {
    /// Begins an archive where the name ends in `.zip`, or else a folder. What is there already is left alone.
    pub fn create(path: &Path) -> Result<Self, String> {
        if path.exists() && !is_empty_folder(path) {
            return Err(format!("`{}` is there already; remove it or choose another name", path.display()));
        }
        let cannot_write = cannot_write(path);
        let name = path.file_name().ok_or(format!("`{}` is no name for a data set", path.display()))?;
        let name = format!(".{}.{}.unfinished", name.to_string_lossy(), std::process::id());
        let unfinished = path.with_file_name(name);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(&cannot_write)?;
        }
        let sort = if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip")) {
            let file = File::create(&unfinished).map_err(&cannot_write)?;
            Sort::Zip(ZipWriter::new(BufWriter::with_capacity(1 << 20, file)))
        } else {
            fs::create_dir(&unfinished).map_err(&cannot_write)?;
            Sort::Folder
        };
        Ok(Self { path: path.to_owned(), unfinished, sort })
    }

    /// Adds a file; in names `/` is between folders.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let added = match &mut self.sort {
            Sort::Zip(zip) => zip.add(name, bytes),
            Sort::Folder | Sort::Done => add_to_folder(&self.unfinished.join(name), bytes),
        };
        added.map_err(cannot_write(&self.path))
    }

    /// Gives the data set its name.
    pub fn finish(mut self) -> Result<(), String> {
        let cannot_write = cannot_write(&self.path);
        let sort = std::mem::replace(&mut self.sort, Sort::Done);
        if let Sort::Zip(zip) = sort {
            let file = zip.finish().and_then(|out| out.into_inner().map_err(io::Error::from));
            file.and_then(|file| file.sync_all()).map_err(&cannot_write)?;
        }
        if is_empty_folder(&self.path) {
            fs::remove_dir(&self.path).map_err(&cannot_write)?;
        }
        fs::rename(&self.unfinished, &self.path).map_err(&cannot_write)
    }
}

/// Takes away what has not been finished; after [`Destination::finish`] there is nothing of it.
impl Drop for Destination {
    fn drop(&mut self) {
        match self.sort {
            Sort::Folder => fs::remove_dir_all(&self.unfinished).ok(),
            _ => fs::remove_file(&self.unfinished).or_else(|_| fs::remove_dir_all(&self.unfinished)).ok(),
        };
    }
}

fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn add_to_folder(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = fs::write(path, bytes);
    match (written, path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            fs::write(path, bytes)
        }
        (written, _) => written,
    }
}

fn cannot_write(path: &Path) -> impl Fn(io::Error) -> String + use<> {
    let path = path.to_owned();
    move |error| format!("`{}` cannot be written: {error}", path.display())
}
