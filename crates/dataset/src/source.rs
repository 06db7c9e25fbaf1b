//! Where pictures come from, whatever it is.

mod array;
mod cifar;
mod folder;
mod lmdb;
mod lsun;
mod mnist;
mod names;
mod packed;
mod pickle;
mod tar;
mod zipped;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::labels::Labels;
use crate::picture::{Format, Picture};

/// Pictures that any thread may read by their number.
pub trait Pictures: Send + Sync {
    fn count(&self) -> usize;

    /// What to call a picture where something is wrong with it.
    fn name(&self, picture: usize) -> String;

    /// Fails with what follows the name in a sentence.
    fn read(&self, picture: usize) -> Result<Picture, String>;

    /// Its size and channels, which a file says at its start; fails as reading does.
    fn format(&self, picture: usize) -> Result<Format, String> {
        Ok(self.read(picture)?.format)
    }

    /// Which one it is in its source, wherever that lies: its path inside, or its number.
    fn path(&self, picture: usize) -> String {
        picture.to_string()
    }
}

/// Pictures with their labels.
pub struct Source {
    pub pictures: Box<dyn Pictures>,
    pub labels: Labels,
}

/// Opens a folder or a file, which is known by what it contains and not by its name.
///
/// Takes folders and zip archives of pictures, `cifar-10-python.tar.gz`, MNIST's `…-images-idx3-ubyte` with its labels
/// beside it, LSUN's `…_lmdb` folders, and `.npy` and `.npz` arrays of bytes; tar and idx packed by gzip or not.
pub fn open(path: &Path) -> Result<Source, String> {
    let source = match sort_of(path)? {
        Sort::Lmdb => lsun::open(path),
        Sort::Folder => folder::open(path),
        Sort::Zip => zipped::open(path),
        Sort::Arrays => array::open_npz(path),
        Sort::Array => array::open_npy(path),
        Sort::Idx => mnist::open(path),
        Sort::Tar => cifar::open(path),
    }?;
    if source.pictures.count() == 0 {
        return Err(format!("`{}` holds no pictures", path.display()));
    }
    Ok(source)
}

enum Sort {
    Lmdb,
    Folder,
    Zip,
    Arrays,
    Array,
    Idx,
    Tar,
}

fn sort_of(path: &Path) -> Result<Sort, String> {
    let cannot_read = |error| format!("`{}` cannot be read: {error}", path.display());
    if path.is_dir() {
        return Ok(if path.join(lsun::FILE).is_file() { Sort::Lmdb } else { Sort::Folder });
    }
    let mut start = Vec::new();
    let file = File::open(path).map_err(cannot_read)?;
    packed::unpacked(file).map_err(cannot_read)?.take(512).read_to_end(&mut start).map_err(cannot_read)?;
    match &start[..] {
        [] => Err(format!("`{}` is empty: 0 bytes, expected pictures", path.display())),
        [b'P', b'K', 3 | 5, ..] if path.extension().is_some_and(|end| end == "npz") => Ok(Sort::Arrays),
        [b'P', b'K', 3 | 5, ..] => Ok(Sort::Zip),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Ok(Sort::Array),
        [0, 0, 8, 3, ..] => Ok(Sort::Idx),
        _ if tar::begins(&start) => Ok(Sort::Tar),
        _ => Err(format!(
            "`{}` is no data set: expected a folder, a zip archive, CIFAR-10's tar.gz, MNIST's images-idx3, LSUN's lmdb \
             or arrays in `.npy` or `.npz`",
            path.display()
        )),
    }
}
