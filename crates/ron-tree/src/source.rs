//! The texts that trees were read from, and places in them.

/// A stretch of one source, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub source: u16,
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The stretch `start..end` of a source.
    pub fn new(source: u16, start: usize, end: usize) -> Self {
        Self { source, start: start as u32, end: end as u32 }
    }

    /// Whether `other` lies within this stretch.
    pub fn contains(self, other: Span) -> bool {
        self.source == other.source && self.start <= other.start && other.end <= self.end
    }
}

/// Every text that trees were read from: files, and texts of other origin under a name of their own.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<(String, String)>);

impl Sources {
    /// Adds a text and returns the number by which its [`Span`]s know it.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u16 {
        self.0.push((name.into(), text.into()));
        (self.0.len() - 1) as u16
    }

    /// The whole text of a source.
    pub fn text(&self, source: u16) -> &str {
        &self.0[source as usize].1
    }

    /// The name of a source, such as its path.
    pub fn name(&self, source: u16) -> &str {
        &self.0[source as usize].0
    }
}
