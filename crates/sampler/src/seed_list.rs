//! Lists of seeds as people write them: `0-63` or `1,2,5-10`.

use std::ops::RangeInclusive;

/// Seeds in the order in which they are drawn, each of them once.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedList(Vec<RangeInclusive<u64>>);

impl SeedList {
    /// Reads numbers and ranges between commas; both ends of a range belong to it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let ranges = text.split(',').map(range).collect::<Result<Vec<_>, String>>()?;
        for (i, range) in ranges.iter().enumerate() {
            let twice =
                ranges[..i].iter().find(|other| other.start() <= range.end() && range.start() <= other.end());
            if let Some(other) = twice {
                let seed = other.start().max(range.start());
                return Err(format!(
                    "seed {seed} is there twice in `{text}`, and would be the same image twice"
                ));
            }
        }
        Ok(SeedList(ranges))
    }

    /// Up to `size` seeds from the one after `last` on, or from the first.
    pub fn after(&self, last: Option<u64>, size: usize) -> Vec<u64> {
        let at = last.and_then(|last| self.0.iter().position(|range| range.contains(&last)));
        let rest = match (at, last) {
            (Some(at), Some(last)) => self.0[at..].iter().map(|range| from(range, last)).collect(),
            _ => self.0.clone(),
        };
        rest.into_iter().flatten().take(size).collect()
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(len).fold(0, u64::saturating_add)
    }

    /// How many there are up to this one and with it.
    pub fn count_until(&self, seed: u64) -> u64 {
        let at = self.0.iter().position(|range| range.contains(&seed)).unwrap_or(0);
        let before = self.0[..at].iter().map(len).fold(0, u64::saturating_add);
        before.saturating_add(seed.saturating_sub(*self.0[at].start())).saturating_add(1)
    }

    pub fn last(&self) -> u64 {
        self.0.last().map_or(0, |range| *range.end())
    }
}

/// How many seeds a range has; all numbers of 64 bits are one more than can be counted.
fn len(range: &RangeInclusive<u64>) -> u64 {
    (range.end() - range.start()).saturating_add(1)
}

/// What is left of a range after `last`, the whole of it if `last` is not in it.
fn from(range: &RangeInclusive<u64>, last: u64) -> RangeInclusive<u64> {
    match last {
        last if last == *range.end() => RangeInclusive::new(1, 0),
        last if range.contains(&last) => last + 1..=*range.end(),
        _ => range.clone(),
    }
}

fn range(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str| {
        let wrong = |_| {
            format!(
                "`{}` is no seed; seeds are whole numbers and ranges, like `0-63` or `1,2,5-10`",
                text.trim()
            )
        };
        text.trim().parse::<u64>().map_err(wrong)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("the range of seeds `{}` runs backwards; write `{last}-{first}`", text.trim()));
    }
    Ok(first..=last)
}
