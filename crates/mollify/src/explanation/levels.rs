//! The table of noise levels: preconditioning, loss weight and density of training.

use std::fmt::{self, Display, Formatter};

use ports::{Curve, Fact};

use super::sampling::Sampling;
use super::{Explanation, short, write_table};

const ROWS: usize = 12;
/// The noise levels that are shown where nothing says which: those that the paper samples.
const USUAL: (f64, f64) = (0.002, 80.0);

pub(super) struct Levels {
    sigmas: Vec<f64>,
    columns: Vec<Column>,
}

struct Column {
    name: &'static str,
    nodes: Vec<String>,
    of: Curve,
    values: Vec<f64>,
}

impl Levels {
    /// A dozen levels between those of the time steps, and what nodes say of them; the same said twice is told once.
    pub(super) fn of(explanation: &Explanation, samplings: &[Sampling]) -> Self {
        let lows = samplings.iter().map(|sampling| sampling.range().0);
        let highs = samplings.iter().map(|sampling| sampling.range().1);
        let low = lows.min_by(f64::total_cmp).unwrap_or(USUAL.0);
        let high = highs.max_by(f64::total_cmp).unwrap_or(USUAL.1).max(low * 1.01);
        let sigma = |row: usize| high * (low / high).powf(row as f64 / (ROWS - 1) as f64);
        let sigmas: Vec<f64> = (0..ROWS).map(sigma).collect();
        let mut columns: Vec<Column> = Vec::new();
        for told in &explanation.nodes {
            for fact in &told.facts {
                let Fact::Column { name, of } = fact else { continue };
                let values: Vec<f64> = sigmas.iter().map(|sigma| of(*sigma)).collect();
                match columns.iter_mut().find(|column| column.name == *name && column.values == values) {
                    Some(same) => same.nodes.push(told.name.clone()),
                    None => {
                        let nodes = vec![told.name.clone()];
                        columns.push(Column { name, nodes, of: of.clone(), values });
                    }
                }
            }
        }
        // What the denoiser does comes first, whatever runs first.
        let order = |column: &Column| {
            ["c_skip", "c_out", "c_in", "c_noise", "weight", "density"]
                .iter()
                .position(|name| *name == column.name)
        };
        columns.sort_by_key(|column| (order(column).is_none(), order(column)));
        Self { sigmas, columns }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The name of a column, with its nodes where others have the same name.
    fn title(&self, column: &Column) -> String {
        let alone = self.columns.iter().filter(|other| other.name == column.name).count() == 1;
        if alone { column.name.to_owned() } else { format!("{} of {}", column.name, column.nodes.join(", ")) }
    }
}

impl Display for Levels {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        let mut said: Vec<(Vec<&str>, &[String])> = Vec::new();
        for column in &self.columns {
            match said.iter_mut().find(|(_, nodes)| *nodes == column.nodes) {
                Some((names, _)) => names.push(column.name),
                None => said.push((vec![column.name], &column.nodes)),
            }
        }
        writeln!(f, "\nnoise levels")?;
        for (names, nodes) in said {
            writeln!(f, "  {}: {}", names.join(", "), nodes.join(", "))?;
        }
        writeln!(f)?;
        let head =
            ["sigma".to_owned()].into_iter().chain(self.columns.iter().map(|column| self.title(column)));
        let mut rows = vec![head.collect::<Vec<_>>()];
        for sigma in &self.sigmas {
            let cells = self.columns.iter().map(|column| short((column.of)(*sigma)));
            rows.push([short(*sigma)].into_iter().chain(cells).collect());
        }
        write_table(f, &rows)
    }
}
