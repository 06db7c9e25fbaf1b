//! Laying trees over one another, setting values at paths, and filling in given names.

use mollify_ron_tree::{Sources, Span, Tree, Word, nearest, parse};

fn tree(text: &str) -> Tree {
    let mut sources = Sources::default();
    sources.add("test.ron", text);
    parse(&sources, 0, 0).unwrap()
}

fn laid(below: &str, above: &str) -> String {
    let mut below = tree(below);
    below.overlay(tree(above));
    below.to_string()
}

fn path(text: &str) -> Vec<Word> {
    text.split('.').map(|text| Word { text: text.to_owned(), span: Span::default() }).collect()
}

fn set(below: &str, at: &str, value: &str) -> Result<String, (String, Option<String>)> {
    let mut below = tree(below);
    below.set(&path(at), tree(value)).map(|()| below.to_string()).map_err(|error| (error.what, error.help))
}

#[test]
fn fields_of_the_same_name_merge() {
    assert_eq!(
        laid("Edm(rho: 7.0, min: 0.1)", "Edm(rho: 5.0, max: 9.0)"),
        "Edm(rho: 5.0, min: 0.1, max: 9.0)"
    );
    assert_eq!(laid("Edm(rho: 7.0)", "(min: 0.1)"), "Edm(rho: 7.0, min: 0.1)");
    assert_eq!(laid("(a: (b: (c: 1, d: 2)))", "(a: (b: (c: 3)))"), "(a: (b: (c: 3, d: 2)))");
}

#[test]
fn another_name_another_form_and_lists_replace() {
    assert_eq!(laid("Edm(rho: 7.0)", "Vp(beta: 1.0)"), "Vp(beta: 1.0)");
    assert_eq!(laid("Edm(rho: 7.0)", "Linear"), "Linear");
    assert_eq!(laid("[1, 2, 3]", "[4]"), "[4]");
    assert_eq!(laid("(a: steps)", "(a: 3)"), "(a: 3)");
    assert_eq!(laid("Pair(1, 2)", "Pair(3, 4)"), "Pair(3, 4)");
}

#[test]
fn maps_merge_by_key_and_none_takes_out() {
    assert_eq!(laid("{\"a\": 1, \"b\": 2}", "{\"b\": 3, \"c\": 4}"), "{\"a\": 1, \"b\": 3, \"c\": 4}");
    assert_eq!(laid("{\"a\": 1, \"b\": 2}", "{\"a\": None}"), "{\"b\": 2}");
    assert_eq!(
        laid("{\"a\": 1}", "{\"b\": None}"),
        "{\"a\": 1, \"b\": None}",
        "there is nothing to take out"
    );
    assert_eq!(laid("(a: 1)", "(a: None)"), "(a: None)", "a field is only set");
}

#[test]
fn values_are_set_at_a_path() {
    let below = "{\"x\": Karras(steps: 8, warp: Edm(rho: 7.0))}";
    assert_eq!(set(below, "x.steps", "9").unwrap(), "{\"x\": Karras(steps: 9, warp: Edm(rho: 7.0))}");
    assert_eq!(set(below, "x.warp.rho", "5").unwrap(), "{\"x\": Karras(steps: 8, warp: Edm(rho: 5))}");
    assert_eq!(set(below, "x.min", "1").unwrap(), "{\"x\": Karras(steps: 8, warp: Edm(rho: 7.0), min: 1)}");
    assert_eq!(set("{\"x\": Bare}", "x.min", "1").unwrap(), "{\"x\": Bare(min: 1)}");
}

#[test]
fn a_path_that_leads_nowhere_is_an_error() {
    let below = "{\"first\": Karras(steps: 8, at: [1])}";
    let error = |at| set(below, at, "1").unwrap_err();
    let help = |text: &str| Some(text.to_owned());
    assert_eq!(error("frist.steps"), ("there is no `frist` here".to_owned(), help("did you mean `first`?")));
    assert_eq!(
        error("first.wrap.rho"),
        ("there is no `wrap` here".to_owned(), help("known here: `steps`, `at`"))
    );
    assert_eq!(error("first.steps.x"), ("`8` has no fields to set".to_owned(), None));
    assert_eq!(error("first.at.0"), ("`[1]` has no fields to set".to_owned(), None));
    assert_eq!(error("second"), ("there is no `second` here".to_owned(), help("known here: `first`")));
}

#[test]
fn given_names_are_filled_in_wherever_a_value_stands() {
    let given = tree("(steps: 8, rho: [7.0], unit: Edm)");
    let mut errors = Vec::new();
    let mut filled = tree(
        "Kind(a: steps, b: [rho, (unit, 1)], c: {\"steps\": steps}, d: Some(steps), e: Unit, f: \"steps\")",
    );
    filled.fill(given.fields(), &mut errors);
    let expected = "Kind(a: 8, b: [[7.0], (Edm, 1)], c: {\"steps\": 8}, d: Some(8), e: Unit, f: \"steps\")";
    assert_eq!(filled.to_string(), expected);
    assert!(errors.is_empty());
}

#[test]
fn every_unknown_given_name_is_an_error() {
    let given = tree("(steps: 8)");
    let mut errors = Vec::new();
    tree("Kind(a: stpes, b: [other])").fill(given.fields(), &mut errors);
    let what: Vec<&str> = errors.iter().map(|error| error.what.as_str()).collect();
    assert_eq!(what, ["nothing named `stpes` is given", "nothing named `other` is given"]);
    assert_eq!(errors[0].help.as_deref(), Some("did you mean `steps`?"));
    assert_eq!(errors[1].span.unwrap().start, 19);
}

#[test]
fn the_nearest_name_is_the_one_that_was_meant() {
    let known = ["steps", "sigma_min", "sigma_max", "rho"];
    assert_eq!(nearest("stpes", &known), Some("steps"));
    assert_eq!(nearest("sigma_mix", &known), Some("sigma_min"));
    assert_eq!(nearest("sigmamax", &known), Some("sigma_max"));
    assert_eq!(nearest("roh", &known), Some("rho"));
    assert_eq!(nearest("batch", &known), None);
    assert_eq!(nearest("", &known), None);
    assert_eq!(nearest::<&str>("steps", &[]), None);
}
