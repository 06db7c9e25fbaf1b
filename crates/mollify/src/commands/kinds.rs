//! `mollify kinds`: which kinds of nodes there are.

use pipeline::Plugin;

use crate::problem::{Problem, print};
use crate::world;

pub(crate) fn kinds(kind: Option<&str>, plugins: &[&dyn Plugin]) -> Result<(), Problem> {
    let engine = world::engine(plugins);
    match kind {
        None => print(&engine.kinds()),
        Some(name) => print(&engine.kind(name)?),
    }
}
