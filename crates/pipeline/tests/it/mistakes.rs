//! Every mistake is shown in place, with what was expected and what to do next.

use insta::assert_snapshot;
use mollify_pipeline::Pipeline;

use crate::{engine, open};

fn report(path: &str, settings: &[&str]) -> String {
    match open(path, settings) {
        Ok(_) => panic!("{path} has no mistake"),
        Err(report) => report.to_string(),
    }
}

#[test]
fn broken_files_say_what_is_wrong() {
    insta::glob!("../broken", "*.ron", |path| {
        let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
        assert_snapshot!(report(&path, &[]));
    });
}

#[test]
fn a_missing_file_is_named() {
    assert_snapshot!(report("tests/broken/missing.file", &[]));
}

#[test]
fn a_file_that_is_not_text_shows_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("binary.ron");
    std::fs::write(&path, b"(\n    about: \"\xff\xfe\",\n    nodes: {},\n)\n").unwrap();
    let report = report(path.to_str().unwrap(), &[]).replace(&format!("{}/", folder.path().display()), "");
    assert_snapshot!(report);
}

#[test]
fn wires_that_may_carry_two_ports_say_both() {
    let text = r#"(nodes: {
        "one": Once(value: 3),
        "ladder": Karras(steps: 2),
        "a": Tally(of: ["one", "ladder"]),
        "b": Tally(of: ["oen"]),
        "c": Tally(of: 3),
    })"#;
    let report = engine().wire(&Pipeline::read("two.ron", text, &[]).unwrap()).unwrap_err();
    assert_snapshot!(report.to_string());
}

#[test]
fn too_many_brackets_do_not_overflow_the_stack() {
    let deep = format!("(nodes: {{ \"a\": Once(value: {}1{}) }})", "[".repeat(100_000), "]".repeat(100_000));
    let report = Pipeline::read("deep.ron", &deep, &[]).unwrap_err();
    assert_eq!(report.errors[0].what, "more than 64 brackets stand inside one another");
    assert_eq!(report.errors[0].span.map(|span| span.start), Some(27 + 61));
}

#[test]
fn mistakes_in_settings_are_shown_in_the_setting() {
    let toy = "tests/pipelines/toy.ron";
    assert_snapshot!("setting_field", report(toy, &["hat.amout=3.0"]));
    assert_snapshot!("setting_node", report(toy, &["hut.amount=3.0"]));
    assert_snapshot!("setting_given", report(toy, &["stpes=3"]));
    assert_snapshot!("setting_given_is_a_node", report(toy, &["hat=3"]));
    assert_snapshot!("setting_without_value", report(toy, &["steps"]));
    assert_snapshot!("setting_empty_value", report(toy, &["steps="]));
    assert_snapshot!("setting_bad_value", report(toy, &["steps=3)"]));
    assert_snapshot!("setting_type", report(toy, &["steps=many/more"]));
    assert_snapshot!("setting_word", report(toy, &["steps=many"]));
    assert_snapshot!("setting_new_text", report(toy, &["ends.title=Seed"]));
    assert_snapshot!("setting_check", report(toy, &["steps=1"]));
    assert_snapshot!("setting_port", report(toy, &["hat.x=ladder"]));
    assert_snapshot!("setting_deep", report(toy, &["ladder.warp.rho=3.0"]));
    assert_snapshot!("setting_into_a_number", report(toy, &["hat.amount.x=3.0"]));
    assert_snapshot!(
        "settings_all_at_once",
        report(toy, &["hat.amout=3.0", "stpes=3", "ladder.min=90.0", "hut.x=1"])
    );
}

#[test]
fn everything_is_reported_at_once_in_reading_order() {
    let report = open("tests/broken/names.ron", &[]).map(drop).unwrap_err();
    assert!(report.errors.len() > 10, "{report}");
    assert!(report.errors.is_sorted_by_key(|error| error.span));
}

#[test]
fn an_engine_can_be_wired_again_after_a_mistake() {
    let mut engine = engine();
    let wrong = Pipeline::read("a.ron", r#"(nodes: {"a": Once(valeu: 1)})"#, &[]).unwrap();
    assert_eq!(engine.wire(&wrong).unwrap_err().errors.len(), 1);
    assert!(engine.nodes().is_empty());
    engine.wire(&Pipeline::read("a.ron", r#"(nodes: {"a": Once(value: 1)})"#, &[]).unwrap()).unwrap();
    engine.run().unwrap();
    assert_eq!(engine.nodes(), ["a"]);
}

#[test]
fn colours_are_for_terminals_only() {
    let report = open("tests/broken/comma.ron", &[]).map(drop).unwrap_err();
    assert!(report.draw(true).contains("\u{1b}["));
    assert!(!report.draw(false).contains("\u{1b}["));
}
