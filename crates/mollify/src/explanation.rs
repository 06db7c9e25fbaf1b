//! What the nodes of a pipeline say about their choices, put together: tables and warnings.

mod levels;
mod sampling;
mod warnings;

use std::fmt::{self, Display, Formatter};

use bevy_ecs::prelude::*;
use pipeline::Engine;
use ports::{Fact, Others};

use levels::Levels;
use sampling::Sampling;

/// What every node says, in running order.
pub(crate) struct Explanation {
    nodes: Vec<Told>,
}

/// What one node says.
struct Told {
    entity: Entity,
    name: String,
    facts: Vec<Fact>,
}

impl Explanation {
    pub(crate) fn of(engine: &Engine) -> Self {
        let others = Others::new(&engine.world);
        let told = |name: &str| {
            let entity = engine.find(name)?;
            Some(Told { entity, name: name.to_owned(), facts: others.facts(entity) })
        };
        Self { nodes: engine.nodes().into_iter().filter_map(told).collect() }
    }

    fn node(&self, entity: Entity) -> Option<&Told> {
        self.nodes.iter().find(|told| told.entity == entity)
    }

    /// Everything of a sort that is said, and by whom.
    fn all<'a, T: 'a>(
        &'a self,
        sort: impl Fn(&'a Fact) -> Option<T> + 'a,
    ) -> impl Iterator<Item = (&'a Told, T)> {
        let sort = std::rc::Rc::new(sort);
        self.nodes.iter().flat_map(move |told| {
            let sort = sort.clone();
            told.facts.iter().filter_map(move |fact| Some((told, sort(fact)?)))
        })
    }

    /// Each way down the noise levels.
    fn samplings(&self) -> Vec<Sampling<'_>> {
        // Whatever walks says what its time steps are, and others begin with what it makes.
        let walks = |told: &&Told| self.all(after).any(|(_, node)| node == told.entity);
        self.nodes.iter().filter(walks).filter_map(|told| Sampling::of(self, told)).collect()
    }
}

fn after(fact: &Fact) -> Option<Entity> {
    match fact {
        Fact::After(node) => Some(*node),
        _ => None,
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let samplings = self.samplings();
        let levels = Levels::of(self, &samplings);
        let warnings = self.warnings(&samplings);
        if levels.is_empty() && samplings.is_empty() {
            return writeln!(f, "\nnothing in it has to do with noise levels");
        }
        write!(f, "{levels}")?;
        samplings.iter().try_for_each(|sampling| write!(f, "{sampling}"))?;
        warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}\n"))
    }
}

/// A number to four digits.
fn short(number: f64) -> String {
    let size = number.abs();
    if size < 1e-99 {
        "0".to_owned()
    } else if !(1e-3..1e5).contains(&size) {
        format!("{number:.2e}")
    } else {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 6);
        format!("{number:.*}", digits as usize)
    }
}

/// Writes rows of cells, each column as wide as its widest cell, to the right.
fn write_table(f: &mut Formatter, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
