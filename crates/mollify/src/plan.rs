//! What a pipeline takes of a GPU's memory, found out before it runs: its first tick on paper.

use std::path::Path;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use gpu::{Footprint, Offer, Paper, mebibytes};
use pipeline::{Note, Plugin};
use ports::{Machine, Run};

use crate::problem::Problem;
use crate::world;

/// How much memory the first tick of a pipeline takes of a GPU that offers so much, and how large the parts are that it
/// goes through it in: a line each.
pub(crate) fn lines(
    file: &Path,
    settings: &[String],
    plugins: &[&dyn Plugin],
    offer: Offer,
) -> Result<Vec<String>, Problem> {
    let (mut engine, _) = world::wired(file, settings, plugins)?;
    let paper = Paper::new(offer);
    let folder = std::env::temp_dir().join(format!("mollify-plan-{}", std::process::id()));
    engine.world.insert_resource(Machine(Arc::new(paper.clone())));
    engine.world.insert_resource(Run { name: "plan".into(), folder: folder.clone(), ..Run::default() });
    let ticked = engine.tick();
    // A tick that saved something has left it there.
    std::fs::remove_dir_all(folder).ok();
    ticked?;
    let mut lines = memory(&paper.footprint(), offer);
    let notes =
        engine.world.resource_mut::<Messages<Note>>().drain().map(|Note(text)| text).collect::<Vec<_>>();
    lines.extend(notes);
    Ok(lines)
}

fn memory(footprint: &Footprint, offer: Offer) -> Vec<String> {
    let Footprint { tensors, slots, largest: (largest, what) } = footprint;
    let [all, tensors, slots, largest, most] =
        [tensors + slots, *tensors, *slots, *largest, offer.largest_binding as u64].map(mebibytes);
    vec![
        format!(
            "GPU memory: {all} at most, {tensors} of parameters, images and the like, {slots} to compute in"
        ),
        format!("largest binding: {largest} of the {most} that this GPU binds, {what}"),
    ]
}
