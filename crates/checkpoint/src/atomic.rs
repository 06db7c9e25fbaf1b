//! Writes a file whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// Ends the names of files that are not yet whole.
pub(crate) const UNFINISHED: &str = ".unfinished";

/// Writes a file through a temporary one in the same folder, which is synced and then renamed.
///
/// If anything fails, the temporary file is removed and whatever was at `path` stays as it was. Folders on
/// the way to `path` are made.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
    let temporary = folder.join(temporary_name(path)?);
    let written = write_and_sync(&temporary, write).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // A second failure would only hide the first; `prune` takes what is left.
        fs::remove_file(&temporary).ok();
        return Err(Error::io("write", path)(error));
    }
    sync_folder(folder).map_err(Error::io("sync the folder", folder))
}

/// Two processes never share a temporary file.
fn temporary_name(path: &Path) -> Result<PathBuf, Error> {
    let nameless = || Error::io("write", path)(io::Error::other("it has no file name"));
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or_else(nameless)?);
    name.push(format!(".{}{UNFINISHED}", std::process::id()));
    Ok(name.into())
}

fn write_and_sync(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    write(&mut file)?;
    file.into_inner()?.sync_all()
}

/// Makes the rename itself survive a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Only Unix opens folders as files; elsewhere the file system orders the rename itself.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
