//! A folder of pictures, whose top-level folders are classes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::picture_file::{self, Format};
use crate::pictures::Pictures;

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// The pictures of a folder and all folders in it, sorted by path.
#[derive(Debug)]
pub struct Folder {
    files: Vec<PathBuf>,
    /// The class of each file; empty where there are none.
    classes: Vec<u32>,
    class_names: Vec<String>,
    format: Format,
}

impl Folder {
    /// Lists the folder and reads the first picture's size; looks at no other picture.
    pub fn list(path: &Path, at_most: Option<usize>) -> Result<Self, String> {
        let mut found = Found::default();
        found.walk(path)?;
        found.pictures.sort();
        let files = thin_out(found.pictures, at_most);
        let first = files.first().ok_or_else(|| no_pictures(path, &found.others))?;
        let format = picture_file::format(first)?;
        let (class_names, classes) = classes(path, &files);
        Ok(Self { files, classes, class_names, format })
    }

    /// Lists the folder and makes sure that all pictures are alike.
    pub fn open(path: &Path, at_most: Option<usize>) -> Result<Self, String> {
        let folder = Self::list(path, at_most)?;
        folder.files.iter().try_for_each(|file| folder.expect(file, picture_file::format(file)?))?;
        Ok(folder)
    }

    /// The names of the classes, in the order of their numbers.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn expect(&self, file: &Path, found: Format) -> Result<(), String> {
        let expected = self.format;
        if found == expected {
            return Ok(());
        }
        let (file, first) = (file.display(), self.files[0].display());
        Err(if found.channels == expected.channels {
            let [f, e] = [found, expected].map(|format| format!("{}x{}", format.width, format.height));
            format!("`{file}` is {f} pixels, but `{first}` is {e}; all pictures have to have one size")
        } else {
            let [f, e] = [found, expected].map(Format::colours);
            format!("`{file}` is {f}, but `{first}` is {e}; all pictures have to have the same channels")
        })
    }
}

impl Pictures for Folder {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn shape(&self) -> [usize; 3] {
        self.format.shape()
    }

    fn classes(&self) -> usize {
        self.class_names.len()
    }

    fn class(&self, picture: usize) -> u32 {
        self.classes.get(picture).copied().unwrap_or(0)
    }

    fn read(&self, picture: usize, pixels: &mut Vec<f32>) -> Result<(), String> {
        let file = &self.files[picture];
        let (format, bytes) = picture_file::bytes(file)?;
        self.expect(file, format)?;
        pixels.extend(bytes.iter().map(|byte| f32::from(*byte) / 127.5 - 1.0));
        Ok(())
    }
}

/// What lies in a folder.
#[derive(Default)]
struct Found {
    pictures: Vec<PathBuf>,
    others: Vec<PathBuf>,
    /// Where links lead to is visited once, so that they may form loops.
    visited: BTreeSet<PathBuf>,
}

impl Found {
    fn walk(&mut self, folder: &Path) -> Result<(), String> {
        let cannot_read = |error| format!("the folder `{}` cannot be read: {error}", folder.display());
        if folder.is_file() {
            return Err(format!(
                "`{}` is a file, expected a folder of pictures; unpack it",
                folder.display()
            ));
        }
        if !self.visited.insert(folder.canonicalize().map_err(cannot_read)?) {
            return Ok(());
        }
        for entry in fs::read_dir(folder).map_err(cannot_read)? {
            let path = entry.map_err(cannot_read)?.path();
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            match () {
                () if hidden => {}
                () if path.is_dir() => self.walk(&path)?,
                () if is_picture(&path) => self.pictures.push(path),
                () => self.others.push(path),
            }
        }
        Ok(())
    }
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// Keeps `at_most` files, spread evenly, so that every class keeps its share.
fn thin_out(files: Vec<PathBuf>, at_most: Option<usize>) -> Vec<PathBuf> {
    match at_most {
        Some(keep) if keep < files.len() => {
            (0..keep).map(|i| files[i * files.len() / keep].clone()).collect()
        }
        _ => files,
    }
}

fn no_pictures(folder: &Path, others: &[PathBuf]) -> String {
    let found = match others {
        [] => "it is empty".to_owned(),
        [only] => format!("found only `{}`", only.display()),
        [first, ..] => format!("found {} other files, such as `{}`", others.len(), first.display()),
    };
    format!("no pictures (png, jpg, jpeg) are in `{}`: {found}", folder.display())
}

/// Top-level folders are classes, if there are several and no picture lies outside of them.
fn classes(root: &Path, files: &[PathBuf]) -> (Vec<String>, Vec<u32>) {
    let top = |file: &PathBuf| {
        let mut parts = file.strip_prefix(root).ok()?.components();
        match (parts.next()?, parts.next()) {
            (Component::Normal(top), Some(_)) => Some(top.to_string_lossy().into_owned()),
            _ => None,
        }
    };
    let tops: Option<Vec<String>> = files.iter().map(top).collect();
    let tops = tops.unwrap_or_default();
    let names: Vec<String> = tops.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    if names.len() < 2 {
        return Default::default();
    }
    let class = |top: &String| names.binary_search(top).unwrap_or(0) as u32;
    let classes = tops.iter().map(class).collect();
    (names, classes)
}
