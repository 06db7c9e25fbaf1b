//! Sweeps: a product of settings, one run for each point.

use ron_tree::{Error, Form, Tree, Word};

use crate::Pipeline;
use crate::setting::{target, words};

/// The paths to vary and what to put there, checked against the pipeline that they belong to.
pub(crate) fn read(tree: &Tree, sweep: &Tree, errors: &mut Vec<Error>) -> Vec<(String, Vec<Tree>)> {
    let Form::Map(entries) = &sweep.form else {
        let what = format!("`sweep` looks like `{{\"steps\": [18, 64]}}`, found `{sweep}`");
        errors.push(Error::new(what).at(sweep.span));
        return Vec::new();
    };
    let mut read = Vec::new();
    for (key, values) in entries {
        match axis(tree, key, values) {
            Ok(axis) => read.push(axis),
            Err(error) => errors.push(error),
        }
    }
    read
}

fn axis(tree: &Tree, key: &Tree, values: &Tree) -> Result<(String, Vec<Tree>), Error> {
    let path = key
        .text()
        .ok_or_else(|| Error::new("a path stands in quotes, like `\"times.steps\"`").at(key.span))?;
    let path_words: Vec<Word> = words(path, key.span.source, key.span.start as usize + 1);
    target(tree, &path_words)?;
    match &values.form {
        Form::List(items) if !items.is_empty() => Ok((path.to_owned(), items.clone())),
        _ => {
            let what = format!("expected a list of values to sweep over, found `{values}`");
            Err(Error::new(what).at(values.span).help(format!("like `\"{path}\": [18, 64]`")))
        }
    }
}

impl Pipeline {
    /// One list of settings for each point of the sweep, the last path varying fastest; without a sweep, one point.
    pub fn points(&self) -> Vec<Vec<String>> {
        self.sweep.iter().fold(vec![Vec::new()], |points, (path, values)| {
            let extended = points.iter().flat_map(|point: &Vec<String>| {
                values.iter().map(|value| [point.as_slice(), &[format!("{path}={value}")]].concat())
            });
            extended.collect()
        })
    }
}
