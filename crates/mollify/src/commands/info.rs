//! `mollify info`: what is in a file.

use std::path::Path;

use crate::problem::{Problem, print};
use crate::run_folder;

/// Describes a file, or the newest good state of a run's folder.
pub(crate) fn info(path: &Path) -> Result<(), Problem> {
    if path.is_dir() {
        let file = run_folder::newest_state(path)?;
        print(&format!("{}\n", file.display()))?;
        return info(&file);
    }
    print(&format!("{}\n", checkpoint::inspect(path)?))
}
