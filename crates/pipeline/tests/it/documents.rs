//! Bases, given names and sweeps.

use insta::assert_snapshot;
use mollify_pipeline::{Pipeline, Tick};

use crate::toy::Lines;
use crate::{engine, open, toy, wired};

#[test]
fn a_base_is_changed_field_by_field() {
    let pipeline = Pipeline::open("tests/pipelines/plain.ron", &[]).unwrap();
    assert_eq!(pipeline.about, "Three points, deterministic");
    let hat = pipeline.nodes.iter().find(|(name, _)| name.text == "hat").unwrap();
    assert!(hat.1.to_string().ends_with("amount: 0.0, min: 0.05, max: 50.0, noise: 1.003)"), "{}", hat.1);
}

#[test]
fn nodes_of_a_base_are_taken_out_replaced_and_added() {
    let text = r#"( base: "toy.ron", nodes: {
        "ends": None, "hat": None, "second": None, "guess": Denoise(x: "x"), "euler": Euler(x: "x"),
        "heun": Sum(), "more": Once(value: 1), "x": Trajectory(next: "euler"),
    } )"#;
    let pipeline = Pipeline::read("tests/pipelines/above.ron", text, &["steps=3"]).unwrap();
    let names: Vec<&str> = pipeline.nodes.iter().map(|(word, _)| word.text.as_str()).collect();
    assert_eq!(names, ["ideal", "ladder", "seeds", "start", "x", "guess", "euler", "heun", "more"]);
    let mut engine = wired(&pipeline);
    engine.run().unwrap();
    assert_eq!(engine.world.resource::<Tick>().0, 6, "two batches of three steps");
    assert!(engine.value::<Lines>("ends").is_none());
}

#[test]
fn a_name_that_only_a_base_gives_may_be_unused() {
    let text = r#"( base: "toy.ron", nodes: { "ladder": Karras(steps: 3) } )"#;
    wired(&Pipeline::read("tests/pipelines/above.ron", text, &[]).unwrap());
}

#[test]
fn a_name_may_get_out_of_use_by_a_setting() {
    let text = "( given: (steps: 3), nodes: { \"ladder\": Karras(steps: steps) } )";
    wired(&Pipeline::read("test.ron", text, &["ladder.steps=4"]).unwrap());
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    let pipeline = Pipeline::read("test.ron", "\u{feff}( nodes: { \"a\": Once(valeu: 1) } )", &[]).unwrap();
    let report = engine().wire(&pipeline).unwrap_err();
    assert!(report.to_string().contains("test.ron:1:22"), "{report}");
}

#[test]
fn a_sweep_is_a_product_and_every_point_runs() {
    let pipeline = Pipeline::open("tests/pipelines/plain.ron", &[]).unwrap();
    let run = |point: &Vec<String>| {
        let settings: Vec<&str> = point.iter().map(String::as_str).collect();
        let mut engine = open("tests/pipelines/plain.ron", &settings).unwrap();
        engine.run().unwrap();
        let ticks = engine.world.resource::<Tick>().0;
        format!("{} → {ticks} ticks, {}", point.join(" "), engine.value::<Lines>("ends").unwrap().0.join(" "))
    };
    assert_snapshot!(pipeline.points().iter().map(run).collect::<Vec<String>>().join("\n"));
}

#[test]
fn without_a_sweep_there_is_one_point_without_settings() {
    let pipeline = Pipeline::open("tests/pipelines/toy.ron", &[]).unwrap();
    assert_eq!(pipeline.points(), [Vec::<String>::new()]);
}

#[test]
fn swept_texts_stay_texts() {
    let text = r#"( given: (name: "a"), nodes: { "l": Load(from: name) }, sweep: { "name": ["b c", "Cargo.toml"] } )"#;
    let pipeline = Pipeline::read("test.ron", text, &[]).unwrap();
    assert_eq!(pipeline.points(), [[r#"name="b c""#], [r#"name="Cargo.toml""#]]);
    let point = Pipeline::read("test.ron", text, &[&pipeline.points()[1][0]]).unwrap();
    assert_eq!(point.nodes[0].1.to_string(), r#"Load(from: "Cargo.toml")"#);
}

#[test]
fn a_resolved_pipeline_prints_as_a_file_of_its_own() {
    let pipeline = Pipeline::open("tests/pipelines/plain.ron", &["steps=5"]).unwrap();
    let text = pipeline.to_string();
    assert_snapshot!(text);
    let again = Pipeline::read("again.ron", &text, &[]).unwrap();
    assert_eq!(again.to_string(), text);
    assert_eq!(wired(&again).describe(), wired(&pipeline).describe());
}

#[test]
fn a_wired_world_holds_its_pipeline() {
    let engine = toy(&["steps=5"]);
    let pipeline = engine.world.resource::<Pipeline>();
    assert_eq!(pipeline.about, "Three points, no network");
    assert!(pipeline.to_string().contains("Karras(steps: 5)"));
}
