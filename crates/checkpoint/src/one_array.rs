//! One array in or out, in the format that the file's name says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::archive::{self, Archive};
use crate::matching::nearest;
use crate::npy;
use crate::{Array, Error, View};

/// Reads an array from a `.npy` file, or from a safetensors file by its name.
///
/// The name may be left out where the file has only one array. What a file is shows in its first bytes,
/// whatever its name ends in.
pub fn read_array(path: &Path, name: Option<&str>) -> Result<Array, Error> {
    if is_npy(path)? {
        return npy::read(path);
    }
    let mut archive = Archive::open(path)?;
    let names = archive.names();
    let chosen = match (name, &names[..]) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, _) => "",
    };
    if let Some(array) = archive.array(chosen)? {
        return Ok(array);
    }
    let suggestion = name.and_then(|name| nearest(name, names.iter().map(String::as_str)));
    Err(Error::Name { path: path.to_owned(), wanted: name.map(str::to_owned), suggestion, names })
}

/// Writes an array as `.npy`, or under a name as `.safetensors`, whichever the path ends in.
pub fn write_array(path: &Path, name: &str, array: View) -> Result<(), Error> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => npy::write(path, array),
        Some("safetensors") => archive::write(path, &[(name, array)], &BTreeMap::new()),
        _ => Err(Error::format(
            path,
            "the name of a file of arrays",
            "it must end in `.npy` or `.safetensors`",
        )),
    }
}

pub(crate) fn is_npy(path: &Path) -> Result<bool, Error> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(Error::io("read", path))?;
    file.take(npy::MAGIC.len() as u64).read_to_end(&mut start).map_err(Error::io("read", path))?;
    Ok(start == npy::MAGIC)
}
