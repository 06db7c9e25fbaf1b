//! Prints what became of each case, and decides whether the whole passed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;

use crate::compare::{Tolerance, rms, worst};

/// One case on one device.
#[derive(Default)]
pub struct Checks {
    /// What was compared, and its worst error as a part of the tolerance.
    errors: Vec<(String, f64)>,
    /// The numbers that were compared.
    found: Vec<(String, Vec<f64>)>,
}

/// Groups whose numbers a GPU and the CPU agree on. Samplers and training multiply what rounding makes of them.
const AGREED: [&str; 4] = ["layers", "nets", "losses", "procedural"];
/// How far they may be apart, in units of their root mean square.
const APART: f64 = 1e-4;

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
        self.errors.push((what.to_owned(), worst(got, expected, tolerance)));
        self.found.push((what.to_owned(), got.to_vec()));
    }

    /// Something that is right or wrong.
    pub fn hold(&mut self, what: &str, right: bool) {
        self.errors.push((what.to_owned(), if right { 0.0 } else { f64::INFINITY }));
    }

    /// Holds everything against what the CPU found.
    fn agree(&mut self, on_cpu: &[(String, Vec<f64>)]) {
        self.hold("as many numbers as on the CPU", self.found.len() == on_cpu.len());
        for ((what, found), (_, expected)) in self.found.iter().zip(on_cpu) {
            let error = worst(found, expected, Tolerance::absolute(APART * rms(expected)));
            self.errors.push((format!("{what}, against the CPU"), error));
        }
    }

    fn worst(&self) -> Option<&(String, f64)> {
        self.errors.iter().max_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn wrong(&self) -> String {
        let wrong = self.errors.iter().filter(|(_, part)| *part > 1.0);
        wrong.map(|(what, part)| format!("{part:.3} {what}")).collect::<Vec<_>>().join(", ")
    }
}

/// What became of the cases so far.
pub struct Report {
    words: Vec<String>,
    groups: BTreeMap<String, Group>,
    /// What the CPU found, by group and case.
    on_cpu: BTreeMap<(String, String), Vec<(String, Vec<f64>)>>,
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
        Report { words, groups: BTreeMap::new(), on_cpu: BTreeMap::new() }
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
        let case = (group.to_owned(), name.to_owned());
        if on.starts_with("gpu")
            && AGREED.contains(&group)
            && let Some(on_cpu) = self.on_cpu.get(&case)
        {
            checks.agree(on_cpu);
        }
        let line = self.groups.entry(group.to_owned()).or_default().count(end, &checks);
        println!("{group:10} {name:44} {:24} {line}", short(on));
        if on.starts_with("cpu") {
            self.on_cpu.insert(case, checks.found);
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
        let found = sum(|group| group.passed + group.failed) > 0;
        if !found {
            println!("no cases were found");
        }
        // Words that name other tests find nothing here.
        let right = sum(|group| group.failed) == 0 && (found || !self.words.is_empty());
        if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The name of a device without that of its driver.
fn short(device: &str) -> String {
    let checked = if device.ends_with(", checked") { ", checked" } else { "" };
    device.split_once(" (").map_or_else(|| device.to_owned(), |(name, _)| format!("{name}{checked}"))
}
