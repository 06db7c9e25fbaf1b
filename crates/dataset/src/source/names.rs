//! Which files of a folder or an archive are pictures, and in what order they come.

use crate::labels::{self, Labels};
use crate::picture::EXTENSIONS;

/// Names are sorted folder by folder, in the order of code points.
pub fn sort<T>(named: &mut [T], name: impl Fn(&T) -> &str) {
    named.sort_by(|one, other| name(one).split('/').cmp(name(other).split('/')));
}

pub fn is_picture(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// Hidden files and those that macOS adds to archives are no part of a data set.
pub fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.') || part == "__MACOSX")
}

/// The labels of `dataset.json` if there is one, or else those that folders say.
pub fn labels(json: Option<Vec<u8>>, names: &[String], place: &str) -> Result<Labels, String> {
    match json {
        Some(json) => {
            Labels::parse(&json, names).map_err(|what| format!("`{}` in `{place}` {what}", labels::FILE))
        }
        None => Ok(Labels::of_folders(names)),
    }
}

pub fn no_pictures(place: &str, others: usize) -> String {
    let found = if others == 0 { "it is empty".into() } else { format!("found {others} other files") };
    format!("no pictures ({}) are in `{place}`: {found}", EXTENSIONS.join(", "))
}
