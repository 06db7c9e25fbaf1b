//! Tells the user what nodes find worth telling.

use bevy_ecs::prelude::*;
use pipeline::{After, Engine, Note};

use crate::stderr::say;

/// Shows the notes of this engine's nodes on the standard error.
pub(crate) fn show(engine: &mut Engine) {
    engine.add_systems(After, tell);
}

fn tell(mut notes: MessageReader<Note>) {
    notes.read().for_each(|Note(text)| say(text));
}
