//! A crate outside of mollify adds a kind of node, a port and a binary.

use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs this crate's binary, in a folder that holds its pipeline.
fn spiral(folder: &TempDir, args: &[&str]) -> Output {
    std::fs::write(folder.path().join("spiral.ron"), include_str!("../spiral.ron")).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_spiral"))
        .current_dir(folder.path())
        .args(args)
        .output()
        .expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_kind_from_outside_runs_among_those_of_mollify() {
    let folder = TempDir::new().expect("a folder");
    let ran = spiral(&folder, &["snapshot", "spiral.ron", "--device", "cpu"]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let snapshot = std::fs::read_to_string(folder.path().join("snapshots/spiral.snap")).expect("a snapshot");
    insta::assert_snapshot!(snapshot);
}

#[test]
fn a_kind_from_outside_explains_itself() {
    let folder = TempDir::new().expect("a folder");
    let ran = spiral(&folder, &["kinds", "Spiral"]);
    insta::assert_snapshot!(text(&ran.stdout));
}

#[test]
fn mistakes_in_a_kind_from_outside_are_shown_in_place() {
    let folder = TempDir::new().expect("a folder");
    let ran = spiral(&folder, &["check", "spiral.ron", "--set", "spiral.points=0"]);
    assert_eq!(ran.status.code(), Some(1));
    insta::assert_snapshot!("no_points", text(&ran.stderr));
    let ran = spiral(&folder, &["check", "spiral.ron", "--set", "spiral.turns=\"seeds\""]);
    assert_eq!(ran.status.code(), Some(1));
    insta::assert_snapshot!("seeds_are_no_turns", text(&ran.stderr));
}
