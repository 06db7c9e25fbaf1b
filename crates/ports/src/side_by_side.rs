//! Which scores may stand side by side: a Fréchet distance falls with the number of images, whatever they show.

use crate::{Cell, Table};

/// The columns that make a table one of scores, and what to do where two scores do not say the same in one of them.
const SHARED: [(&str, &str); 6] = [
    ("metric", "tell them apart by `metric`"),
    ("n", "score as many images of each"),
    ("against", "hold each against the same images"),
    ("network", "let one network look at all images"),
    ("digest", "let one network look at all images"),
    ("resize", "let one network look at all images"),
];

/// Scores that are to be compared.
#[derive(Default)]
pub struct SideBySide<'a> {
    /// The columns by which a reader tells scores apart, of which those in `SHARED` may differ.
    apart: Vec<&'a str>,
    /// For each group that is told apart, its first score: what it shares, and where it is from.
    groups: Vec<(Vec<String>, Vec<String>, String)>,
}

impl<'a> SideBySide<'a> {
    /// None yet, of those that differ in the columns `apart`.
    pub fn told_apart_by(apart: impl IntoIterator<Item = &'a str>) -> Self {
        Self { apart: apart.into_iter().collect(), groups: Vec::new() }
    }

    /// Adds the scores in a table `from` a place, as it is called in a sentence. Tables of anything else are none.
    ///
    /// # Errors
    /// If scores do not mean the same: of another number of images, or of features of another network.
    pub fn add(&mut self, table: &Table, from: &str) -> Result<(), String> {
        let Ok(columns) = SHARED.iter().map(|(name, _)| table.cells(name)).collect::<Result<Vec<_>, _>>()
        else {
            return Ok(());
        };
        let (apart, same): (Vec<_>, Vec<_>) =
            SHARED.iter().zip(&columns).partition(|((name, _), _)| self.apart(name));
        for row in 0..table.rows().len() {
            let [group, shared]: [Vec<String>; 2] =
                [&apart, &same].map(|some| some.iter().map(|(_, column)| written(column[row])).collect());
            match self.groups.iter().find(|(known, ..)| *known == group) {
                Some((_, first, origin)) => self.expect_the_same([first, &shared], [origin, from])?,
                None => self.groups.push((group, shared, from.to_owned())),
            }
        }
        Ok(())
    }

    fn apart(&self, name: &str) -> bool {
        self.apart.contains(&name)
    }

    fn expect_the_same(&self, [one, other]: [&[String]; 2], [from, to]: [&str; 2]) -> Result<(), String> {
        let shared = SHARED.iter().filter(|(name, _)| !self.apart(name)).zip(one.iter().zip(other));
        match shared.into_iter().find(|(_, (one, other))| one != other) {
            Some(((name, help), (one, other))) => Err(format!(
                "{from} has a score of {name} {one}, {to} one of {name} {other}, so they cannot be compared: {help}"
            )),
            None => Ok(()),
        }
    }
}

/// A cell as a file has it, from which a word may have come back as a number.
fn written(cell: &Cell) -> String {
    match cell {
        Cell::Word(word) => word.parse().map_or_else(|_| word.clone(), |number: f64| number.to_string()),
        Cell::Number(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(n: f64, against: Cell, network: &str) -> Table {
        let mut table = Table::new(["metric", "value", "n", "against", "network", "digest", "resize"]);
        let words = [network, "0123", "bilinear"].map(Cell::from);
        let numbers = [format!("FD-{network}").as_str().into(), 1.5.into(), n.into(), against];
        table.push(numbers.into_iter().chain(words).collect());
        table
    }

    fn refused(apart: &[&str], one: &Table, other: &Table) -> Option<String> {
        let mut scores = SideBySide::told_apart_by(apart.iter().copied());
        scores.add(one, "`a.csv`").expect("the first one");
        scores.add(other, "`b.csv`").err()
    }

    #[test]
    fn scores_of_different_numbers_of_images_are_refused_with_both_numbers() {
        let (few, many) = (score(50.0, "70".into(), "Squeeze"), score(60.0, "70".into(), "Squeeze"));
        assert_eq!(refused(&[], &few, &few), None);
        let what = "`a.csv` has a score of n 50, `b.csv` one of n 60, so they cannot be compared: score as many \
                    images of each";
        assert_eq!(refused(&["steps"], &few, &many).as_deref(), Some(what));
        assert_eq!(refused(&["n"], &few, &many), None);
    }

    #[test]
    fn scores_of_different_networks_are_refused_even_if_they_are_told_apart_by_other_columns() {
        let (one, other) = (score(50.0, "70".into(), "Squeeze"), score(50.0, "70".into(), "Inception"));
        let what = refused(&["steps"], &one, &other).expect("other metrics");
        assert!(what.contains("FD-Squeeze") && what.contains("by `metric`"), "{what}");
        assert_eq!(refused(&["metric"], &one, &other), None);
    }

    #[test]
    fn what_has_been_to_a_file_and_back_is_still_the_same() {
        let (fresh, read) = (score(50.0, "70".into(), "Squeeze"), score(50.0, 70.0.into(), "Squeeze"));
        assert_eq!(refused(&[], &fresh, &read), None);
    }

    #[test]
    fn other_tables_have_no_scores_in_them() {
        let mut losses = Table::new(["sigma", "loss", "n"]);
        losses.push([0.5, 1.0, 64.0].map(Cell::from).to_vec());
        losses.push([0.5, 1.0, 32.0].map(Cell::from).to_vec());
        assert_eq!(refused(&[], &losses, &losses), None);
    }
}
