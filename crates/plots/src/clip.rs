//! The parts of a line that lie within the axes.

use std::ops::Range;

type Place = (f64, f64);

/// Cuts a line at the borders of both ranges.
pub(crate) fn clip(places: &[Place], x: &Range<f64>, y: &Range<f64>) -> Vec<Vec<Place>> {
    let mut parts: Vec<Vec<Place>> = Vec::new();
    for pair in places.windows(2) {
        let Some((from, to)) = within(pair[0], pair[1], x, y) else { continue };
        match parts.last_mut() {
            Some(part) if part.last() == Some(&from) => part.push(to),
            _ => parts.push(vec![from, to]),
        }
    }
    parts
}

/// The part of a straight piece that lies inside (Liang and Barsky, 1984).
fn within(from: Place, to: Place, x: &Range<f64>, y: &Range<f64>) -> Option<(Place, Place)> {
    if ![from.0, from.1, to.0, to.1].iter().all(|number| number.is_finite()) {
        return None;
    }
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let sides =
        [(-dx, from.0 - x.start), (dx, x.end - from.0), (-dy, from.1 - y.start), (dy, y.end - from.1)];
    let (mut enter, mut leave) = (0.0f64, 1.0f64);
    for (along, room) in sides {
        match along {
            0.0 if room < 0.0 => return None,
            0.0 => {}
            along if along < 0.0 => enter = enter.max(room / along),
            along => leave = leave.min(room / along),
        }
    }
    let at = |share: f64| match share {
        0.0 => from,
        1.0 => to,
        share => (from.0 + share * dx, from.1 + share * dy),
    };
    (enter <= leave).then(|| (at(enter), at(leave)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_leaves_and_comes_back_is_two() {
        let places = [(0.0, 0.5), (1.0, 0.5), (2.0, 2.5), (3.0, 0.5), (4.0, f64::NAN), (5.0, 0.5)];
        let parts = clip(&places, &(0.0..10.0), &(0.0..1.5));
        assert_eq!(parts, [vec![(0.0, 0.5), (1.0, 0.5), (1.5, 1.5)], vec![(2.5, 1.5), (3.0, 0.5)]]);
    }
}
