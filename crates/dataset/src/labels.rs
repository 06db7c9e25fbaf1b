//! Labels of pictures: classes or vectors, and `dataset.json`, the file that holds them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Serialize};

/// The name of the file of labels in a data set.
pub const FILE: &str = "dataset.json";
/// A file of labels has no more bytes than this.
pub const MOST_BYTES: u64 = 1 << 28;

/// What one picture shows: the number of a class, or numbers to condition on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Label {
    Class(u32),
    Vector(Vec<f64>),
}

/// By hand, since what serde derives would keep each number four times as large before it knows the sort of label.
impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Either)
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Label;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a class from 0 or a list of numbers")
    }

    fn visit_u64<E: Error>(self, class: u64) -> Result<Label, E> {
        let wrong = |_| E::invalid_value(Unexpected::Unsigned(class), &self);
        u32::try_from(class).map(Label::Class).map_err(wrong)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, numbers: A) -> Result<Label, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(numbers)).map(Label::Vector)
    }
}

/// The labels of all pictures, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// Empty where there are none.
    pub each: Vec<Label>,
    /// What the classes are called, where folders say so.
    pub names: Vec<String>,
    /// Why there are none, where that may come as a surprise.
    pub note: Option<String>,
}

/// `{"labels": [["00000/img00000000.png", 6], …]}`, or null instead of the list.
#[derive(Serialize, Deserialize)]
struct Contents {
    labels: Option<Vec<(String, Label)>>,
}

impl Labels {
    /// Reads `dataset.json` for pictures of these names; fails with what follows its name in a sentence.
    pub fn parse(json: &[u8], names: &[String]) -> Result<Self, String> {
        let expected = r#"expected {"labels": [[NAME, CLASS or [NUMBER…]]…]} or null for the list"#;
        let contents: Contents = serde_json::from_slice(json)
            .map_err(|error| format!("is not understood: {error}; {expected}"))?;
        let Some(list) = contents.labels else { return Ok(Self::default()) };
        check_alike(&list)?;
        let count = list.len();
        let mut known: HashMap<String, Label> = list.into_iter().collect();
        if known.len() != count {
            return Err("has two labels for one picture".into());
        }
        let each: Vec<Label> = names.iter().filter_map(|name| known.remove(name)).collect();
        if !known.is_empty() {
            return Err(missing(known.into_keys().collect()));
        }
        if each.len() < names.len() {
            let without = names.len() - each.len();
            let note =
                format!("`{FILE}` has no label for {without} of {} pictures, so none has one", names.len());
            return Ok(Self { note: Some(note), ..Self::default() });
        }
        Ok(Self { each, ..Self::default() })
    }

    /// Folders are classes where there are several side by side; folders around all pictures do not count.
    pub fn of_folders(names: &[String]) -> Self {
        let around = around_all(names);
        let first = |name: &String| Some(name[around..].split_once('/')?.0.to_owned());
        let Some(tops) = names.iter().map(first).collect::<Option<Vec<String>>>() else {
            return Self::default();
        };
        let classes: Vec<String> = tops.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        if classes.len() < 2 {
            return Self::default();
        }
        let class = |top: &String| Label::Class(classes.binary_search(top).unwrap_or(0) as u32);
        Self { each: tops.iter().map(class).collect(), names: classes, note: None }
    }

    /// `10 classes`, `vectors of 4 numbers` or `no labels`.
    pub fn describe(&self) -> String {
        match self.each.first() {
            None => "no labels".into(),
            Some(Label::Vector(numbers)) => format!("vectors of {} numbers", numbers.len()),
            Some(Label::Class(_)) => format!("{} classes", self.counts().len()),
        }
    }

    /// How many pictures each class has that occurs.
    pub fn counts(&self) -> BTreeMap<u32, usize> {
        let mut counts = BTreeMap::new();
        for label in &self.each {
            if let Label::Class(class) = label {
                *counts.entry(*class).or_default() += 1;
            }
        }
        counts
    }

    /// The file for pictures that have got new names, `keep` saying which they were.
    pub fn write(&self, keep: &[(String, usize)]) -> Vec<u8> {
        let label = |(name, old): &(String, usize)| Some((name.clone(), self.each.get(*old)?.clone()));
        let labels = (!self.each.is_empty()).then(|| keep.iter().filter_map(label).collect());
        serde_json::to_vec(&Contents { labels }).expect("names and numbers are JSON")
    }
}

fn check_alike(list: &[(String, Label)]) -> Result<(), String> {
    let size = |label: &Label| match label {
        Label::Class(_) => None,
        Label::Vector(numbers) => Some(numbers.len()),
    };
    let told = |size: Option<usize>| size.map_or("a class".into(), |len| format!("{len} numbers"));
    let Some((first, label)) = list.first() else { return Ok(()) };
    match list.iter().find(|(_, other)| size(other) != size(label)) {
        None => Ok(()),
        Some((name, other)) => Err(format!(
            "labels `{name}` with {}, but `{first}` with {}",
            told(size(other)),
            told(size(label))
        )),
    }
}

fn missing(mut names: Vec<String>) -> String {
    names.sort();
    let first = &names[0];
    match names.len() {
        1 => format!("has a label for `{first}`, which is not there"),
        count => format!("has labels for {count} pictures that are not there, such as `{first}`"),
    }
}

/// How long the folders are that all names begin with, their `/` included.
fn around_all(names: &[String]) -> usize {
    let Some((first, others)) = names.split_first() else { return 0 };
    let alike = |len: usize, name: &String| {
        first.bytes().take(len).zip(name.bytes()).take_while(|(one, other)| one == other).count()
    };
    let common = others.iter().fold(first.len(), alike);
    first.as_bytes()[..common].iter().rposition(|byte| *byte == b'/').map_or(0, |last| last + 1)
}
