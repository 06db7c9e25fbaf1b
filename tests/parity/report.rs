//! Prints what became of each case, and decides whether the whole passed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use crate::compare::{Tolerance, worst};

/// The errors of one case: what was compared, and its worst error as a part of the tolerance.
#[derive(Default)]
pub struct Checks(Vec<(String, f64)>);

/// Why a case has no errors to show.
pub enum Failure {
    /// It needs a part that the product does not have yet.
    NotBuilt(String),
    Broken(String),
}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Failure::Broken(what)
    }
}

impl From<tensor::Error> for Failure {
    fn from(error: tensor::Error) -> Self {
        Failure::Broken(error.to_string())
    }
}

impl Checks {
    pub fn compare(&mut self, what: &str, got: &[f64], expected: &[f64], tolerance: Tolerance) {
        self.0.push((what.to_owned(), worst(got, expected, tolerance)));
    }

    /// Something that is right or wrong.
    pub fn hold(&mut self, what: &str, right: bool) {
        self.0.push((what.to_owned(), if right { 0.0 } else { f64::INFINITY }));
    }

    fn worst(&self) -> Option<&(String, f64)> {
        self.0.iter().max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// What became of the cases so far.
pub struct Report {
    words: Vec<String>,
    groups: BTreeMap<String, Group>,
}

#[derive(Default)]
struct Group {
    passed: usize,
    failed: usize,
    not_built: usize,
    worst: f64,
}

impl Report {
    pub fn new(words: Vec<String>) -> Self {
        println!("{:10} {:44} {:24} error / tolerance", "group", "case", "on");
        Report { words, groups: BTreeMap::new() }
    }

    /// Runs a case on one device (or `-`), unless the words leave it out.
    pub fn case(
        &mut self,
        group: &str,
        name: &str,
        on: &str,
        run: impl FnOnce(&mut Checks) -> Result<(), Failure>,
    ) {
        if !self.words.iter().all(|word| group.contains(word) || name.contains(word)) {
            return;
        }
        let mut checks = Checks::default();
        let end = catch_unwind(AssertUnwindSafe(|| run(&mut checks)));
        let counts = self.groups.entry(group.to_owned()).or_default();
        let line = |what: &str| println!("{group:10} {name:44} {on:24} {what}");
        match (end, checks.worst()) {
            (Ok(Ok(())), Some((what, part))) if *part <= 1.0 => {
                counts.passed += 1;
                counts.worst = counts.worst.max(*part);
                line(&format!("{part:<8.3} {what}"));
            }
            (Ok(Ok(())), Some(_)) => {
                counts.failed += 1;
                let wrong = checks.0.iter().filter(|(_, part)| *part > 1.0);
                let wrong: Vec<_> = wrong.map(|(what, part)| format!("{part:.3} {what}")).collect();
                line(&format!("WRONG {}", wrong.join(", ")));
            }
            (Ok(Ok(())), None) => {
                counts.failed += 1;
                line("WRONG nothing was compared");
            }
            (Ok(Err(Failure::NotBuilt(what))), _) => {
                counts.not_built += 1;
                line(&format!("not built yet: {what}"));
            }
            (Ok(Err(Failure::Broken(what))), _) => {
                counts.failed += 1;
                line(&format!("WRONG {what}"));
            }
            (Err(_), _) => {
                counts.failed += 1;
                line("WRONG panicked");
            }
        }
    }

    /// What a case needs, or a line that says why it is not there.
    pub fn built<T>(&mut self, group: &str, name: &str, needed: Result<T, Failure>) -> Option<T> {
        match needed {
            Ok(needed) => Some(needed),
            Err(failure) => {
                self.case(group, name, "-", |_| Err(failure));
                None
            }
        }
    }

    /// Prints the groups; fails if a case did, or if there was none.
    pub fn finish(self) -> ExitCode {
        println!();
        for (name, group) in &self.groups {
            let Group { passed, failed, not_built, worst } = group;
            println!(
                "{name:10} {passed} passed, worst {worst:.3}; {failed} failed; {not_built} not built yet"
            );
        }
        let sum = |count: fn(&Group) -> usize| self.groups.values().map(count).sum::<usize>();
        if sum(|group| group.passed + group.failed) == 0 {
            println!("no cases were found");
            return ExitCode::FAILURE;
        }
        if sum(|group| group.failed) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
