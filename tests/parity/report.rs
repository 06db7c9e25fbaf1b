//! Prints what became of each case, and decides whether the whole passed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;

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

    fn wrong(&self) -> String {
        let wrong = self.0.iter().filter(|(_, part)| *part > 1.0);
        wrong.map(|(what, part)| format!("{part:.3} {what}")).collect::<Vec<_>>().join(", ")
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

impl Group {
    /// Counts a case and says what became of it.
    fn count(&mut self, end: thread::Result<Result<(), Failure>>, checks: &Checks) -> String {
        let wrong = match end {
            Ok(Err(Failure::NotBuilt(what))) => {
                self.not_built += 1;
                return format!("not built yet: {what}");
            }
            Ok(Err(Failure::Broken(what))) => what,
            Err(_) => "panicked".to_owned(),
            Ok(Ok(())) => match checks.worst() {
                Some((what, part)) if *part <= 1.0 => {
                    self.passed += 1;
                    self.worst = self.worst.max(*part);
                    return format!("{part:<8.3} {what}");
                }
                Some(_) => checks.wrong(),
                None => "nothing was compared".to_owned(),
            },
        };
        self.failed += 1;
        format!("WRONG {wrong}")
    }
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
        let line = self.groups.entry(group.to_owned()).or_default().count(end, &checks);
        println!("{group:10} {name:44} {on:24} {line}");
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
        let found = sum(|group| group.passed + group.failed) > 0;
        if !found {
            println!("no cases were found");
        }
        // Words that name other tests find nothing here.
        let right = sum(|group| group.failed) == 0 && (found || !self.words.is_empty());
        if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
