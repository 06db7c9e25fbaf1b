//! GPUs for tests, or software that stands in for one.

use std::io::{Write, stderr};
use std::sync::Arc;

use gpu::{Gpu, Mode};

/// Set by `cargo xtask test --no-gpu`.
const LEFT_OUT: &str = "MOLLIFY_NO_GPU";

/// Whether tests on a GPU are left out; if so, says that one is.
#[track_caller]
pub fn left_out() -> bool {
    let left_out = std::env::var_os(LEFT_OUT).is_some();
    if left_out {
        let place = std::panic::Location::caller();
        // Straight to the stream, as what tests print is shown only when they fail.
        writeln!(stderr(), "skipped: a test on a GPU ({place}), because of `--no-gpu`").ok();
    }
    left_out
}

/// The GPU to test on; none where such tests are left out, which is said.
///
/// # Panics
/// If there is none.
#[track_caller]
pub fn gpu(mode: Mode) -> Option<Arc<Gpu>> {
    if left_out() {
        return None;
    }
    match gpu::find(None).and_then(|adapter| Gpu::open(&adapter, mode)) {
        Ok(gpu) => Some(Arc::new(gpu)),
        Err(error) => panic!(
            "{error}\n`cargo xtask test` installs a software driver, `cargo xtask test --no-gpu` does without"
        ),
    }
}
