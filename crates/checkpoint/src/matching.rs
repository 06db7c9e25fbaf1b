//! Holds the arrays of a file against the parameters of a network.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::error::Mismatch;

/// Checks that a file has exactly the expected arrays, each in its shape; the order does not matter.
///
/// The error names the first parameter, in the network's order, that is missing or has another shape, else
/// the first array that the network does not have.
pub fn compare(
    expected: &[(impl AsRef<str>, impl AsRef<[usize]>)],
    found: &[(impl AsRef<str>, impl AsRef<[usize]>)],
) -> Result<(), Error> {
    let (expected, found) = (borrowed(expected), borrowed(found));
    let missing = lacking(&expected, &found);
    let extra = lacking(&found, &expected);
    let shapes: BTreeMap<&str, &[usize]> = found.into_iter().collect();
    let fail = |mismatch| Err(Error::Mismatch(mismatch));
    for (name, shape) in expected {
        let name = name.to_string();
        match shapes.get(&*name) {
            None => {
                let suggestion = nearest(&name, extra.iter().copied());
                return fail(Mismatch::Missing { name, suggestion, count: missing.len() });
            }
            Some(found) if *found != shape => {
                return fail(Mismatch::Shape { name, expected: shape.to_vec(), found: found.to_vec() });
            }
            Some(_) => {}
        }
    }
    match extra.first() {
        None => Ok(()),
        Some(name) => fail(Mismatch::Extra { name: name.to_string(), count: extra.len() }),
    }
}

type Parameters<'a> = Vec<(&'a str, &'a [usize])>;

fn borrowed(list: &[(impl AsRef<str>, impl AsRef<[usize]>)]) -> Parameters<'_> {
    list.iter().map(|(name, shape)| (name.as_ref(), shape.as_ref())).collect()
}

/// The names that are in one list and not in the other.
fn lacking<'a>(list: &Parameters<'a>, other: &Parameters) -> Vec<&'a str> {
    let others: BTreeSet<&str> = other.iter().map(|(name, _)| *name).collect();
    list.iter().map(|(name, _)| *name).filter(|name| !others.contains(name)).collect()
}

/// The name that was probably meant: the nearest one, if at most a third of it would have to change.
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let with_distance = names.map(|name| (strsim::osa_distance(wanted, name), name));
    let (distance, name) = with_distance.min()?;
    (distance * 3 <= wanted.chars().count().max(3)).then(|| name.to_string())
}
