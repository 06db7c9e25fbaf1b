//! The standard deviation of the data: one number, or one for each channel.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::setting::check_positive;

/// `sigma_data`, 0.5 in the paper. In a settings file it is a number or a list: `0.5`, `[0.5, 0.48, 0.53]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SigmaData {
    /// The same for all channels.
    All(f64),
    /// One for each channel.
    Each(Vec<f64>),
}

impl Default for SigmaData {
    fn default() -> Self {
        Self::All(0.5)
    }
}

impl From<f64> for SigmaData {
    fn from(number: f64) -> Self {
        Self::All(number)
    }
}

impl SigmaData {
    /// That of a channel; NaN for one that is not in the list.
    pub fn of(&self, channel: usize) -> f64 {
        match self {
            Self::All(number) => *number,
            Self::Each(numbers) => numbers.get(channel).copied().unwrap_or(f64::NAN),
        }
    }

    /// Refuses a list that is not of as many numbers as images have channels.
    pub fn check_channels(&self, channels: usize) -> Result<(), String> {
        match self {
            Self::Each(numbers) if numbers.len() != channels => Err(format!(
                "`sigma_data` is a list of {}, but the images have {channels} channels; give a number for each channel, \
                 or one number for all",
                numbers.len()
            )),
            _ => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for SigmaData {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NumberOrList)
    }
}

struct NumberOrList;

impl<'de> Visitor<'de> for NumberOrList {
    type Value = SigmaData;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number, or a list of a number for each channel")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<SigmaData, E> {
        Ok(SigmaData::All(check_positive(number)?))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<SigmaData, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<SigmaData, E> {
        self.visit_f64(number as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<SigmaData, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = list.next_element::<f64>()? {
            numbers.push(check_positive(number)?);
        }
        Ok(SigmaData::Each(numbers))
    }
}
