//! What `--set` changes.

use mollify_pipeline::Pipeline;

const FILE: &str = r#"(
    given: (steps: 8, name: "seed"),
    nodes: {
        "ladder": Karras(steps: steps, warp: Edm(rho: 7.0)),
        "data":   Load(from: "Cargo.toml"),
        "ideal":  Points(at: [(1.0, 0.0)]),
        "seeds":  Batches(from: 0, to: 4, batch: 4, leg: "x"),
        "x":      Trajectory(seeds: "seeds", start: "start", next: "euler", ladder: "ladder"),
        "ends":   Print(x: "x", seeds: "seeds", leg: "x", title: name),
        "bare":   Sum,
    },
)"#;

/// A node after settings.
fn node(name: &str, settings: &[&str]) -> String {
    let pipeline = Pipeline::read("test.ron", FILE, settings).unwrap();
    let found = pipeline.nodes.iter().find(|(word, _)| word.text == name);
    found.map(|(_, tree)| tree.to_string()).unwrap()
}

#[test]
fn a_given_name_is_set_by_its_name() {
    assert_eq!(node("ladder", &["steps=32"]), "Karras(steps: 32, warp: Edm(rho: 7.0))");
}

#[test]
fn a_field_is_set_by_its_path() {
    assert_eq!(node("ladder", &["ladder.steps=4"]), "Karras(steps: 4, warp: Edm(rho: 7.0))");
    assert_eq!(node("ladder", &["ladder.warp.rho=5"]), "Karras(steps: 8, warp: Edm(rho: 5))");
    assert_eq!(node("ladder", &["ladder.warp=Linear"]), "Karras(steps: 8, warp: Linear)");
}

#[test]
fn a_field_that_the_file_leaves_out_is_added() {
    assert_eq!(node("ladder", &["ladder.min=0.1"]), "Karras(steps: 8, warp: Edm(rho: 7.0), min: 0.1)");
    assert_eq!(node("bare", &[r#"bare.of=["data"]"#]), r#"Sum(of: ["data"])"#);
}

#[test]
fn the_last_setting_wins() {
    assert_eq!(node("ladder", &["steps=1", "steps=2"]), "Karras(steps: 2, warp: Edm(rho: 7.0))");
}

#[test]
fn text_replaces_text_without_quotes() {
    assert_eq!(
        node("data", &["data.from=data/cifar10-32x32.zip"]),
        r#"Load(from: "data/cifar10-32x32.zip")"#
    );
    assert_eq!(node("data", &["data.from=a=b"]), r#"Load(from: "a=b")"#);
    assert_eq!(node("data", &["data.from=README"]), r#"Load(from: "README")"#);
    assert_eq!(node("data", &["data.from=(unfinished"]), r#"Load(from: "(unfinished")"#);
    assert!(node("ends", &["name=5"]).ends_with(r#"title: "5")"#), "a number, where the old value is text");
    assert!(
        node("ends", &["ends.title=Seed no."]).ends_with(r#"title: "Seed no.")"#),
        "through a given name"
    );
}

#[test]
fn quoted_text_and_none_mean_what_they_say() {
    assert_eq!(node("data", &[r#"data.from="a b""#]), r#"Load(from: "a b")"#);
    assert_eq!(node("data", &["data.from=None"]), "Load(from: None)");
    assert_eq!(node("data", &[r#"data.from=Some("x")"#]), r#"Load(from: Some("x"))"#);
}

#[test]
fn given_names_can_be_set_to() {
    assert_eq!(node("ladder", &["ladder.min=steps"]), "Karras(steps: 8, warp: Edm(rho: 7.0), min: 8)");
}
