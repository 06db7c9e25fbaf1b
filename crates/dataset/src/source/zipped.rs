//! An archive of pictures.

use std::path::Path;

use super::{Pictures, Source, names};
use crate::labels;
use crate::picture::{Format, MOST_BYTES, Picture};
use crate::zip::{Entry, Zip};

struct Zipped {
    zip: Zip,
    pictures: Vec<Entry>,
}

pub fn open(path: &Path) -> Result<Source, String> {
    let zip = Zip::open(path)?;
    let place = path.display().to_string();
    let seen = zip.entries().iter().filter(|entry| !names::is_hidden(&entry.name));
    let (mut pictures, others): (Vec<Entry>, Vec<Entry>) =
        seen.cloned().partition(|entry| names::is_picture(&entry.name));
    if pictures.is_empty() {
        return Err(names::no_pictures(&place, others.len()));
    }
    names::sort(&mut pictures, |entry| &entry.name);
    let json = others.iter().find(|entry| entry.name == labels::FILE);
    let json = json.map(|entry| zip.read(entry, labels::MOST_BYTES)).transpose()?;
    let listed: Vec<String> = pictures.iter().map(|entry| entry.name.clone()).collect();
    let labels = names::labels(json, &listed, &place)?;
    Ok(Source { pictures: Box::new(Zipped { zip, pictures }), labels })
}

fn cannot_unpack(what: String) -> String {
    format!("cannot be unpacked: {what}")
}

impl Pictures for Zipped {
    fn count(&self) -> usize {
        self.pictures.len()
    }

    fn name(&self, picture: usize) -> String {
        self.pictures[picture].name.clone()
    }

    fn read(&self, picture: usize) -> Result<Picture, String> {
        let file = self.zip.read(&self.pictures[picture], MOST_BYTES);
        Picture::decode(&file.map_err(cannot_unpack)?)
    }

    fn format(&self, picture: usize) -> Result<Format, String> {
        Format::read(|most| self.zip.start(&self.pictures[picture], most).map_err(cannot_unpack))
    }

    fn path(&self, picture: usize) -> String {
        self.name(picture)
    }
}
