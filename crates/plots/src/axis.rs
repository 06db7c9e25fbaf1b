//! Axes: what stands along them, how numbers lie on them, and where their ticks are.

use std::ops::Range;

use pipeline::Mistake;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use serde::Deserialize;

/// An axis, as a pipeline describes it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Axis {
    /// The column of the table, where there is one.
    pub of: String,
    /// Its symbol and unit; the name of the column unless given.
    pub label: Option<String>,
    pub scale: Scale,
    /// What part is shown; all of the data unless given.
    pub range: Option<(f64, f64)>,
    /// What stands at 0, 1, 2 …, where the column holds words.
    #[serde(skip)]
    pub names: Vec<String>,
}

/// How numbers lie on an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub enum Scale {
    #[default]
    Linear,
    Log,
}

impl Scale {
    /// The place of a number, in decades on a logarithmic axis.
    pub(crate) fn place(self, number: f64) -> f64 {
        match self {
            Self::Linear => number,
            Self::Log => number.log10(),
        }
    }

    fn number(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Log => 10f64.powf(place),
        }
    }
}

impl Axis {
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.of)
    }

    pub(crate) fn check(&self, field: &str) -> Result<(), Mistake> {
        let Some((low, high)) = self.range else { return Ok(()) };
        let possible = self.scale == Scale::Linear || low > 0.0;
        if low < high && possible && high.is_finite() && low.is_finite() {
            return Ok(());
        }
        let what = format!("an axis from {low} to {high} cannot be drawn");
        let least = if possible { "" } else { " above 0 where the scale is `Log`" };
        Err(Mistake::new(format!("{field}.range"), what).help(format!("give two rising numbers{least}")))
    }

    /// The same axis with room for all of these.
    pub(crate) fn spanning(&self, numbers: impl Iterator<Item = f64>) -> Self {
        let Range { start, end } = self.ticks(numbers).range;
        let range = (self.scale.number(start), self.scale.number(end));
        Self { range: Some(range), ..self.clone() }
    }

    /// Ticks over the range that is asked for, or else over all numbers with a little room.
    pub(crate) fn ticks(&self, numbers: impl Iterator<Item = f64>) -> Ticks {
        let place = |number| self.scale.place(number);
        if !self.names.is_empty() {
            return Ticks::of_names(&self.names);
        }
        if let Some((low, high)) = self.range {
            return Ticks::new(self.scale, place(low)..place(high));
        }
        let places = numbers.map(place).filter(|place| place.is_finite());
        let (low, high) = places
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| (low.min(place), high.max(place)));
        let range = match high - low {
            span if span > 0.0 => low - 0.04 * span..high + 0.04 * span,
            _ if low.is_finite() => low - 0.5..low + 0.5,
            _ => 0.0..1.0,
        };
        Ticks::new(self.scale, range)
    }
}

/// The places on an axis that are marked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ticks {
    pub(crate) scale: Scale,
    pub(crate) range: Range<f64>,
    major: Vec<f64>,
    minor: Vec<f64>,
    /// What stands at 0, 1, 2 …; empty where numbers do.
    pub(crate) names: Vec<String>,
}

impl Ticks {
    fn new(scale: Scale, range: Range<f64>) -> Self {
        let span = range.end - range.start;
        let (major, minor) = match scale {
            Scale::Linear => (linear(&range, 5.0), Vec::new()),
            Scale::Log if span < 1.0 => (within(&range, decades(&range, 1, &[1, 2, 3, 5, 7])), Vec::new()),
            Scale::Log if span < 2.0 => (within(&range, decades(&range, 1, &[1, 2, 5])), Vec::new()),
            Scale::Log => {
                let every = (span / 6.0).ceil() as i32;
                let minor = decades(&range, 1, if every == 1 { &[1, 2, 3, 4, 5, 6, 7, 8, 9] } else { &[1] });
                (within(&range, decades(&range, every, &[1])), within(&range, minor))
            }
        };
        Self { scale, range, major, minor, names: Vec::new() }
    }

    fn of_names(names: &[String]) -> Self {
        Self {
            scale: Scale::Linear,
            range: -0.5..names.len() as f64 - 0.5,
            major: (0..names.len()).map(|at| at as f64).collect(),
            minor: Vec::new(),
            names: names.to_vec(),
        }
    }

    pub(crate) fn place(&self, number: f64) -> f64 {
        self.scale.place(number)
    }

    /// What stands at a tick.
    pub(crate) fn text(&self, place: f64) -> String {
        match self.names.get(place.round() as usize) {
            Some(name) => name.clone(),
            None => text(self.scale.number(place)),
        }
    }
}

/// About `count` round places.
fn linear(range: &Range<f64>, count: f64) -> Vec<f64> {
    let rough = (range.end - range.start) / count;
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((range.start / step - 1e-9).ceil() as i64, (range.end / step + 1e-9).floor() as i64);
    (first..=last).map(|at| at as f64 * step).collect()
}

/// Every so many powers of ten, times each of the factors.
fn decades(range: &Range<f64>, every: i32, factors: &[u32]) -> Vec<f64> {
    let (first, last) = (range.start.floor() as i32, range.end.ceil() as i32);
    let powers = (first..=last).filter(|power| power.rem_euclid(every) == 0);
    powers.flat_map(|power| factors.iter().map(move |f| f64::from(power) + f64::from(*f).log10())).collect()
}

fn within(range: &Range<f64>, places: Vec<f64>) -> Vec<f64> {
    let room = 1e-9 * (range.end - range.start);
    let inside = |place: &f64| *place >= range.start - room && *place <= range.end + room;
    places.into_iter().filter(inside).collect()
}

/// A number as people write it: `0.01`, `10⁻⁴`.
pub(crate) fn text(number: f64) -> String {
    let digits = |text: String| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    if number.abs() < 1e-12 {
        return "0".to_owned();
    }
    let power = (number.abs().log10() + 1e-9).floor();
    if (-3.0..5.0).contains(&power) {
        return digits(format!("{number:.*}", (3.0 - power).clamp(0.0, 6.0) as usize)).replace('-', "−");
    }
    let mantissa = digits(format!("{:.2}", number / 10f64.powf(power)));
    let raised: String = format!("{power}").chars().map(superscript).collect();
    match mantissa.as_str() {
        "1" => format!("10{raised}"),
        _ => format!("{mantissa}·10{raised}").replace('-', "−"),
    }
}

fn superscript(digit: char) -> char {
    match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
    }
}

impl Ranged for Ticks {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (place - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { self.minor.clone() } else { self.major.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Ticks {
    fn format_ext(&self, place: &f64) -> String {
        self.text(*place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let numbers = [0.0, 0.01, 0.25, 1.0, 80.0, 1500.0, 1e-4, -3e-7, 2e6];
        let texts = ["0", "0.01", "0.25", "1", "80", "1500", "10⁻⁴", "−3·10⁻⁷", "2·10⁶"];
        assert_eq!(numbers.map(text), texts);
    }

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        let axis = Axis { range: Some((0.0, 25.0)), ..Axis::default() };
        assert_eq!(axis.ticks([].into_iter()).major, [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]);
        let axis = Axis { range: Some((0.002, 80.0)), scale: Scale::Log, ..Axis::default() };
        let ticks = axis.ticks([].into_iter());
        assert_eq!(ticks.major, [-2.0, -1.0, 0.0, 1.0]);
        assert_eq!(
            ticks.major.iter().map(|at| ticks.text(*at)).collect::<Vec<_>>(),
            ["0.01", "0.1", "1", "10"]
        );
    }

    #[test]
    fn data_without_extent_has_an_axis_all_the_same() {
        assert_eq!(Axis::default().ticks([3.0].into_iter()).range, 2.5..3.5);
        assert_eq!(Axis::default().ticks([].into_iter()).range, 0.0..1.0);
    }
}
