//! What pipelines and kinds say about themselves.

use insta::assert_snapshot;
use mollify_pipeline::{Engine, Pipeline};

use crate::{engine, open, toy};

fn send<T: Send>(_: &T) {}

#[test]
fn a_pipeline_is_described_in_running_order() {
    assert_snapshot!(toy(&["hat.amount=2.0"]).describe());
}

#[test]
fn acts_are_described_one_after_the_other() {
    assert_snapshot!(open("tests/pipelines/acts.ron", &["stop.every=2"]).unwrap().describe());
}

#[test]
fn a_pipeline_is_drawn() {
    assert_snapshot!(open("tests/pipelines/acts.ron", &[]).unwrap().mermaid());
}

#[test]
fn kinds_explain_themselves() {
    assert_snapshot!(engine().kinds());
}

#[test]
fn a_kind_has_a_page_of_its_own() {
    assert_snapshot!("page_of_karras", engine().kind("Karras").unwrap());
    assert_snapshot!("page_of_trajectory", engine().kind("Trajectory").unwrap());
    assert_snapshot!("page_of_net", engine().kind("Net").unwrap());
    assert_snapshot!("page_of_points", engine().kind("Points").unwrap());
    assert_eq!(
        engine().kind("Karas").unwrap_err().to_string(),
        "error: no kind of node is called `Karas`\n |\n = help: did you mean `Karras`?"
    );
}

#[test]
fn engines_can_be_sent_to_other_threads() {
    send(&Engine::default());
}

#[test]
fn wiring_computes_nothing() {
    let engine = toy(&[]);
    for node in engine.nodes() {
        assert!(engine.value::<crate::toy::Samples>(node).is_none(), "{node} has a value");
        assert!(engine.value::<crate::toy::Ladder>(node).is_none(), "{node} has a value");
    }
    assert_eq!(engine.nodes().len(), 11);
}

#[test]
fn a_pipeline_without_nodes_is_finished() {
    let mut engine = engine();
    engine.wire(&Pipeline::read("none.ron", "(nodes: {})", &[]).unwrap()).unwrap();
    assert!(engine.is_finished());
    engine.run().unwrap();
}
