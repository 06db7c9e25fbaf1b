//! Ctrl-C: ends the run after the current tick; twice, at once.

use std::process::exit;

use pipeline::{Error, Interrupt};

use crate::INTERRUPTED;
use crate::problem::Problem;
use crate::stderr::say;

/// A flag that Ctrl-C sets from now on.
pub(crate) fn on_ctrl_c() -> Result<Interrupt, Problem> {
    let interrupt = Interrupt::default();
    let flag = interrupt.clone();
    let handler = move || {
        if flag.is_set() {
            exit(i32::from(INTERRUPTED));
        }
        flag.set();
        say("\nending after this tick; press Ctrl-C again to end at once");
    };
    ctrlc::set_handler(handler)
        .map_err(|error| Problem::from(Error::new(format!("cannot listen to Ctrl-C: {error}"))))?;
    Ok(interrupt)
}
