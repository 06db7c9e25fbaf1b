//! The kinds of nodes, a file each, and what they share.

pub mod features;
pub mod frechet;
pub mod kernel;
pub mod loss_by_sigma;
pub mod memorisation;
pub mod precision_recall;
pub mod upright;

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use pipeline::{Metric, Note, Running, Tick};
use ports::Table;

use crate::Score;
use crate::kinds::features::FeatureSet;

/// Tells scores once: as metrics, as a line with all that they depend on, and as a table for figures.
#[derive(SystemParam)]
pub struct Teller<'w, 's> {
    running: Res<'w, Running>,
    tables: Query<'w, 's, &'static Table>,
    tick: Res<'w, Tick>,
    metrics: MessageWriter<'w, Metric>,
    notes: MessageWriter<'w, Note>,
}

impl Teller<'_, '_> {
    /// The table of the node, or what `score` makes of complete sets; an empty one until then.
    pub fn tell(
        &mut self,
        sets: &[&FeatureSet],
        score: impl FnOnce() -> Result<Vec<(&'static str, Score)>, String>,
    ) -> Result<Table> {
        if let Ok(table) = self.tables.get(self.running.0)
            && !table.rows().is_empty()
        {
            return Ok(table.clone());
        }
        if !sets.iter().all(|set| set.complete) {
            return Ok(Table::default());
        }
        let scores = score()?;
        for (name, score) in &scores {
            self.metrics.write(Metric { name, tick: self.tick.0, value: score.value });
            self.notes.write(Note(score.to_string()));
        }
        Ok(Score::table(scores.iter().map(|(_, score)| score)))
    }
}
