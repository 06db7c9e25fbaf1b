//! The GPU that tests run on, or software that stands in for one.

use std::io::{Write, stderr};
use std::panic::Location;

use mollify_gpu::{Gpu, Mode, find};

/// Opens it; none, which is said, where `cargo xtask test --no-gpu` leaves such tests out.
#[track_caller]
pub fn gpu(mode: Mode) -> Option<Gpu> {
    if std::env::var_os("MOLLIFY_NO_GPU").is_some() {
        // Straight to the stream, as what tests print is shown only when they fail.
        writeln!(stderr(), "skipped: a test on a GPU ({}), because of `--no-gpu`", Location::caller()).ok();
        return None;
    }
    let opened = find(None).and_then(|adapter| Gpu::open(&adapter, mode));
    Some(opened.unwrap_or_else(|error| {
        panic!(
            "{error}\n`cargo xtask test` installs a software driver, `cargo xtask test --no-gpu` does without"
        )
    }))
}
