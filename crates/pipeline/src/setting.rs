//! Settings from outside the files: `--set name=value` and `--set node.field=value`.

use ron_tree::{Error, Form, Literal, Sources, Span, Tree, Word, parse};

/// The name under which settings stand among the sources.
pub(crate) const SOURCE: &str = "--set";

/// Applies one `path=value`: a given name, or a node and its fields.
pub(crate) fn apply(tree: &mut Tree, setting: &str, sources: &mut Sources) -> Result<(), Error> {
    let source = sources.add(SOURCE, setting);
    let Some((path, _)) = setting.split_once('=') else {
        let error = Error::new("a setting looks like `name=value` or `node.field=value`");
        return Err(error.at(Span::new(source, 0, setting.len())));
    };
    let words = words(path, source, 0);
    let old = target(tree, &words)?;
    let value = read(sources, source, path, old)?;
    match words.as_slice() {
        [_] => tree.field_mut("given").map_or(Ok(()), |given| given.set(&words, value)),
        _ => tree.field_mut("nodes").map_or(Ok(()), |nodes| nodes.set(&words, value)),
    }
}

/// The words of a dotted path that stands at byte `at` of a source.
pub(crate) fn words(path: &str, source: u16, mut at: usize) -> Vec<Word> {
    let word = |text: &str| {
        let span = Span::new(source, at, at + text.len());
        at += text.len() + 1;
        Word { text: text.to_owned(), span }
    };
    path.split('.').map(word).collect()
}

/// What a path leads to now, `None` if its last field is not in the file, or why it leads nowhere.
pub(crate) fn target<'a>(tree: &'a Tree, path: &[Word]) -> Result<Option<&'a Tree>, Error> {
    let [head, rest @ ..] = path else { return Ok(None) };
    let (given, nodes) = (tree.field("given"), tree.field("nodes"));
    if rest.is_empty() {
        return match given.and_then(|given| given.field(&head.text)) {
            Some(value) => Ok(Some(value)),
            None if nodes.is_some_and(|nodes| nodes.field(&head.text).is_some()) => {
                let error = Error::new(format!("`{}` is a node, not a given name", head.text)).at(head.span);
                Err(error.help(format!("set one of its fields: `{}.field`", head.text)))
            }
            None => Err(rename(given, head, &format!("nothing named `{}` is given", head.text))),
        };
    }
    let Some(node) = nodes.and_then(|nodes| nodes.field(&head.text)) else {
        return Err(rename(nodes, head, &format!("no node is named `{}`", head.text)));
    };
    let mut at = node;
    for (i, word) in rest.iter().enumerate() {
        match at.field(&word.text) {
            Some(inner) => at = inner,
            None if i + 1 == rest.len() && at.takes_fields() => return Ok(None),
            None => return Err(at.unknown(word)),
        }
    }
    let value = at.bare().and_then(|name| given?.field(&name.text));
    Ok(Some(value.unwrap_or(at)))
}

fn rename(known: Option<&Tree>, word: &Word, what: &str) -> Error {
    let error = known.map_or_else(|| Error::new(what).at(word.span), |known| known.unknown(word));
    Error { what: what.to_owned(), ..error }
}

/// Reads the value behind `path=`. Where the old value is text, so is anything without quotes and brackets.
fn read(sources: &Sources, source: u16, path: &str, old: Option<&Tree>) -> Result<Tree, Error> {
    let at = path.len() + 1;
    let text = sources.text(source)[at..].trim();
    let parsed = parse(sources, source, at);
    let plain = match &parsed {
        Err(_) => !text.is_empty() && !text.starts_with('"'),
        Ok(Tree { form: Form::Literal(literal), .. }) => !matches!(literal, Literal::Text(_)),
        Ok(tree) => tree.name().is_some_and(|name| name.text == text && text != "None"),
    };
    if plain && old.is_some_and(|old| old.text().is_some()) {
        let span = Span::new(source, at, sources.text(source).len());
        return Ok(Tree { form: Form::Literal(Literal::Text(text.to_owned())), span });
    }
    let number = old.is_some_and(|old| matches!(old.form, Form::Literal(_)));
    parsed.map_err(|error| if text.is_empty() || number { error } else { error.help(quote(path, text)) })
}

/// How to write a text as a setting on a command line.
pub(crate) fn quote(path: &str, text: &str) -> String {
    format!("text needs quotes: --set '{path}={text:?}'")
}
