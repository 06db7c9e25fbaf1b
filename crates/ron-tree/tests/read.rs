//! Typed settings out of trees, and what is said when they do not fit.

use std::collections::BTreeMap;
use std::fmt::Debug;

use mollify_ron_tree::{Error, Links, NoLinks, Reader, Report, Sources, Tree, parse};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct All {
    count: u8,
    rate: f32,
    #[serde(default)]
    signed: i64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    sign: char,
    #[serde(default)]
    on: bool,
    maybe: Option<f64>,
    #[serde(default)]
    list: Vec<[f32; 2]>,
    #[serde(default)]
    map: BTreeMap<String, u32>,
    #[serde(default)]
    choice: Choice,
    #[serde(default)]
    inner: Inner,
    #[serde(default)]
    pair: Pair,
    #[serde(default)]
    unit: Unit,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
enum Choice {
    #[default]
    Nothing,
    One(f32),
    Two(f32, String),
    Named {
        a: f32,
        #[serde(default)]
        b: u8,
    },
    Whole(Inner),
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[serde(default)]
    x: u8,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
struct Pair(u8, f32);

#[derive(Debug, Default, Deserialize, PartialEq)]
struct Unit;

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut sources = Sources::default();
    sources.add("test.ron", text);
    let read = parse(&sources, 0, 0).and_then(|tree| T::deserialize(Reader::new(&tree, &NoLinks)));
    read.map_err(|error| Report { errors: vec![error], sources }.to_string())
}

fn all(fields: &str) -> All {
    read(&format!("All(count: 1, rate: 1, {fields})")).unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn fields_of_every_type_are_read() {
    assert_eq!(all("").rate, 1.0, "a whole number is a number");
    assert_eq!(all("signed: -5").signed, -5);
    assert_eq!(all("name: \"x\"").name, "x");
    assert_eq!(all("sign: 'x'").sign, 'x');
    assert!(all("on: true").on);
    assert_eq!(all("maybe: 2.5").maybe, Some(2.5));
    assert_eq!(all("maybe: Some(2.5)").maybe, Some(2.5));
    assert_eq!(all("maybe: None").maybe, None);
    assert_eq!(all("list: [(1.0, 2.0), [3, 4]]").list, [[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(all("map: {\"a\": 1}").map["a"], 1);
    assert_eq!(all("inner: Inner(x: 3)").inner.x, 3);
    assert_eq!(all("inner: (x: 3)").inner.x, 3);
    assert_eq!(all("pair: Pair(1, 2.0)").pair, Pair(1, 2.0));
    assert_eq!(all("pair: (1, 2.0)").pair, Pair(1, 2.0));
    assert_eq!(all("unit: Unit").unit, Unit);
    assert_eq!(read::<All>("(count: 1, rate: inf)").unwrap().rate, f32::INFINITY);
}

#[test]
fn choices_of_every_form_are_read() {
    assert_eq!(all("choice: Nothing").choice, Choice::Nothing);
    assert_eq!(all("choice: One(2.0)").choice, Choice::One(2.0));
    assert_eq!(all("choice: Two(2.0, \"a\")").choice, Choice::Two(2.0, "a".to_owned()));
    assert_eq!(all("choice: Named(a: 2.0, b: 3)").choice, Choice::Named { a: 2.0, b: 3 });
    assert_eq!(all("choice: Whole(x: 3)").choice, Choice::Whole(Inner { x: 3 }));
    assert_eq!(all("choice: Whole(Inner(x: 3))").choice, Choice::Whole(Inner { x: 3 }));
    assert_eq!(all("choice: Whole").choice, Choice::Whole(Inner { x: 0 }));
}

#[test]
fn what_does_not_fit_is_shown_in_place() {
    let wrong = [
        "count: 256",
        "count: -1",
        "count: 1.5",
        "count: \"1\"",
        "count: [1]",
        "count: One",
        "count: (1)",
        "rate: true",
        "name: word",
        "sign: \"long\"",
        "on: 1",
        "maybe: Some(\"x\")",
        "maybe: Some(1, 2)",
        "list: [(1.0, 2.0, 3.0)]",
        "list: [(1.0)]",
        "list: 3",
        "map: {1: 2}",
        "map: {\"a\": \"b\"}",
        "map: (a: 1)",
        "choice: Nothing(1)",
        "choice: Nothin",
        "choice: Elsewhere(1)",
        "choice: One",
        "choice: One(1, 2)",
        "choice: Two(1.0)",
        "choice: Two(1.0, \"a\", 3)",
        "choice: Named(1.0)",
        "choice: Named",
        "choice: Named(a: 1.0, c: 2)",
        "choice: Named(a: 1.0, b: 300)",
        "choice: \"One\"",
        "choice: [One]",
        "inner: Iner(x: 1)",
        "inner: (y: 1)",
        "inner: (1)",
        "inner: {\"x\": 1}",
        "pair: Pair(1)",
        "pair: Pair(1, 2, 3)",
        "pair: 1",
        "unit: Units",
        "unit: Unit(1)",
        "unit: Unit(a: 1)",
        "extra: 1",
    ];
    let report = |field: &str| {
        let defaults = ["count: 1, ", "rate: 1, "].map(|d| if field.starts_with(&d[..4]) { "" } else { d });
        read::<All>(&format!("All({}{field})", defaults.concat())).expect_err(field)
    };
    insta::assert_snapshot!(wrong.map(report).join("\n\n"));
}

#[test]
fn a_missing_field_is_blamed_on_the_name() {
    insta::assert_snapshot!(
        [read::<All>("All(\n  rate: 1,\n)"), read("(rate: 1)"), read("All")]
            .map(Result::unwrap_err)
            .join("\n\n")
    );
}

#[derive(Debug, Deserialize)]
struct Linked {
    node: Name,
    more: Vec<Name>,
    maybe: Option<Name>,
}

#[derive(Debug, PartialEq)]
struct Name(u64);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl serde::de::Visitor<'_> for Number {
            type Value = Name;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Name, E> {
                Ok(Name(number))
            }
        }
        deserializer.deserialize_newtype_struct("a name", Number)
    }
}

/// Knows every name by its length.
struct Lengths;

impl Links for Lengths {
    fn link(&self, token: &'static str, tree: &Tree) -> Option<Result<u64, Error>> {
        assert_eq!(token, "a name");
        Some(tree.text().map(|text| text.len() as u64).ok_or_else(|| Error::new("names stand in quotes")))
    }
}

#[test]
fn names_are_linked_wherever_they_stand() {
    let mut sources = Sources::default();
    sources.add("test.ron", "(node: \"abc\", more: [\"a\", \"\"], maybe: Some(\"ab\"))");
    sources.add("test.ron", "(node: \"abc\", more: [\"a\", b])");
    let linked = |source| Linked::deserialize(Reader::new(&parse(&sources, source, 0).unwrap(), &Lengths));
    let Linked { node, more, maybe } = linked(0).unwrap();
    assert_eq!((node, more, maybe), (Name(3), vec![Name(1), Name(0)], Some(Name(2))));
    let error = linked(1).unwrap_err();
    assert_eq!((error.what.as_str(), error.span.unwrap().start), ("names stand in quotes", 26));
}
