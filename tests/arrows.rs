//! Crates may only use crates below them. Reads `cargo metadata`.

use std::collections::BTreeMap;
use std::process::Command;

use mollify_tests::root;
use serde_json::Value;

/// Every crate, each below those that may use it.
const ORDER: [&str; 19] = [
    "mollify",
    "plots",
    "metrics",
    "train",
    "sampler",
    "denoise",
    "augment",
    "data",
    "ports",
    "dataset",
    "checkpoint",
    "unet",
    "gpu",
    "cpu",
    "tensor",
    "diffusion",
    "philox",
    "pipeline",
    "ron-tree",
];
/// Crates of nodes, which meet in `ports` and nowhere else.
const NODES: [&str; 7] = ["augment", "data", "denoise", "metrics", "plots", "sampler", "train"];
/// Libraries that anyone can use without pipelines.
const PLAIN: [&str; 9] =
    ["ron-tree", "philox", "diffusion", "tensor", "cpu", "gpu", "unet", "checkpoint", "dataset"];

/// What each crate of `crates/` uses in the end, tests aside: `cpu → [tensor, philox, …]`.
fn uses() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(cargo).args(args).current_dir(root()).output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let in_crates = |package: &&Value| {
        let manifest = package["manifest_path"].as_str().expect("a path").replace('\\', "/");
        manifest.contains("/crates/")
            && manifest.starts_with(&root().display().to_string().replace('\\', "/"))
    };
    packages.iter().filter(in_crates).map(|package| (short(&package["name"]), used_by(package))).collect()
}

fn used_by(package: &Value) -> Vec<String> {
    let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
    dependencies.iter().filter(|used| used["kind"] != "dev").map(|used| short(&used["name"])).collect()
}

/// Folders and short names lack the prefix that packages have.
fn short(name: &Value) -> String {
    let name = name.as_str().expect("a name");
    name.strip_prefix("mollify-").unwrap_or(name).to_owned()
}

fn height(name: &str) -> Option<usize> {
    ORDER.iter().position(|known| *known == name)
}

#[test]
fn every_crate_has_its_place() {
    let mut found: Vec<String> = uses().into_keys().collect();
    let mut known = ORDER.to_vec();
    found.sort();
    known.sort();
    assert_eq!(found, known, "a new crate needs a place in ORDER and in ARCHITECTURE.md");
}

#[test]
fn arrows_only_point_down() {
    for (name, used) in uses() {
        for other in used.iter().filter(|other| height(other).is_some()) {
            assert!(height(&name) < height(other), "`{name}` uses `{other}`, which is above it");
        }
    }
}

#[test]
fn crates_of_nodes_never_use_each_other() {
    let uses = uses();
    for name in NODES {
        let others: Vec<&String> = uses[name].iter().filter(|used| NODES.contains(&used.as_str())).collect();
        assert!(others.is_empty(), "`{name}` uses {others:?}; they have to meet in `ports`");
    }
}

#[test]
fn plain_libraries_know_nothing_of_pipelines() {
    let uses = uses();
    for name in PLAIN {
        for used in ["bevy_ecs", "pipeline", "ports"] {
            assert!(
                !uses[name].iter().any(|other| other == used),
                "`{name}` is a plain library and uses `{used}`"
            );
        }
    }
}

#[test]
fn only_the_binary_picks_a_device() {
    for (name, used) in uses() {
        let device = used.iter().find(|used| ["cpu", "gpu"].contains(&used.as_str()));
        assert!(name == "mollify" || device.is_none(), "`{name}` assumes `{}`", device.unwrap_or(&name));
    }
}
