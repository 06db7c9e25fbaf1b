//! Reads pipeline files and lays each over the one it is based on.

use std::path::{Path, PathBuf};

use ron_tree::{Error, Sources, Span, Tree, parse};

/// Reads a file and lays it over its base. `asked` is where another file names it, `open` are the files on the way.
pub(crate) fn load(
    path: &Path,
    asked: Option<Span>,
    open: &mut Vec<(PathBuf, Option<Span>)>,
    sources: &mut Sources,
) -> Result<Tree, Error> {
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Some(first) = open.iter().position(|(file, _)| *file == place) {
        return Err(circle(&open[first..], asked));
    }
    open.push((place, asked));
    let bytes = std::fs::read(path).map_err(|e| {
        let mut error = Error::new(format!("cannot read `{}`: {e}", path.display()));
        error.span = asked;
        error.help = asked.map(|_| "a base is looked for in the folder of the file that names it".to_owned());
        error
    })?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => stack(path, text, open, sources),
        Err(e) => {
            let source = sources.add(path.display().to_string(), String::from_utf8_lossy(&bytes));
            let span = Span::new(source, e.valid_up_to(), e.valid_up_to() + '\u{fffd}'.len_utf8());
            let byte = bytes[e.valid_up_to()];
            Err(Error::new(format!("the byte {byte:#04x} is not UTF-8"))
                .at(span)
                .help("save the file as UTF-8 text"))
        }
    }
}

/// Parses the text of the file `path` and lays it over its base.
pub(crate) fn stack(
    path: &Path,
    text: &str,
    open: &mut Vec<(PathBuf, Option<Span>)>,
    sources: &mut Sources,
) -> Result<Tree, Error> {
    // Some editors write a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = sources.add(path.display().to_string(), text);
    if text.trim().is_empty() {
        let error = Error::new(format!("`{}` is empty", path.display()));
        return Err(error.help("a pipeline looks like `(nodes: {\"name\": Kind(field: value)})`"));
    }
    let mut tree = parse(sources, source, 0)?;
    let Some((_, base)) = tree.take("base") else { return Ok(tree) };
    let Some(name) = base.text() else {
        return Err(
            Error::new(format!("`base` is the path of a file in quotes, found `{base}`")).at(base.span)
        );
    };
    let below = path.parent().unwrap_or(Path::new("")).join(name);
    let mut below = load(&below, Some(base.span), open, sources)?;
    below.overlay(tree);
    Ok(below)
}

/// The error that a file is based on itself, over all the files on the way.
fn circle(around: &[(PathBuf, Option<Span>)], asked: Option<Span>) -> Error {
    let mut error = Error::new("this file is based on itself").help("take out one of these `base`s");
    error.span = asked;
    around[1..]
        .iter()
        .filter_map(|(_, span)| *span)
        .fold(error, |error, span| error.note(span, "through this"))
}
