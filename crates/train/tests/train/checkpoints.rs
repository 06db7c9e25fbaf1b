//! Checkpoints: what is written, what stays, and that a resumed run ends as the whole one.

use std::fs;
use std::path::Path;

use crate::world::{TRAINING, engine, mistake, ticks, weights};
use mollify_train::{from_state, to_state};
use pipeline::{Engine, Outcome, Saved};
use ports::{Parameters, Run};
use tempfile::TempDir;

/// Writes a checkpoint each 12 images, and is over after 40.
const CHECKPOINTS: &str = r#"
    "save": Checkpoint(of: ["adam", "ema"], net: "net", every_kimg: 0.012, keep: 2),
"#;

#[track_caller]
fn wired(folder: &Path) -> Engine {
    let nodes = TRAINING.replace("count: 1000", "count: 40");
    let mut engine = engine(&format!("{nodes} {CHECKPOINTS}")).unwrap_or_else(|report| panic!("{report}"));
    let (name, pipeline) = ("tiny".to_owned(), "(nodes: {})".to_owned());
    engine.world.insert_resource(Run { name, folder: folder.to_owned(), pipeline });
    engine
}

fn scratch() -> TempDir {
    tempfile::tempdir().expect("a scratch folder")
}

/// The names of the files in a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn newest(folder: &Path) -> Saved {
    let (_, state) = checkpoint::newest_good(folder).unwrap().good.expect("a good state");
    from_state(state).unwrap()
}

#[test]
fn files_are_written_at_boundaries_and_at_the_end_and_the_newest_are_kept() {
    let folder = scratch();
    let mut engine = wired(folder.path());
    ticks(&mut engine, 2);
    assert_eq!(files(folder.path()), [""; 0]);
    ticks(&mut engine, 1);
    let first = ["state-0000000003", "weights-0000000.012-adam", "weights-0000000.012-ema"];
    assert_eq!(files(folder.path()), first.map(|name| format!("{name}.safetensors")));
    assert_eq!(engine.run().unwrap(), Outcome::Finished);
    let last = [
        "state-0000000009",
        "state-0000000010",
        "weights-0000000.036-adam",
        "weights-0000000.036-ema",
        "weights-0000000.040-adam",
        "weights-0000000.040-ema",
    ];
    assert_eq!(files(folder.path()), last.map(|name| format!("{name}.safetensors")));
}

#[test]
fn weights_have_pytorchs_names_and_say_where_they_come_from() {
    let folder = scratch();
    let mut engine = wired(folder.path());
    engine.run().unwrap();
    let file = checkpoint::read_weights(&folder.path().join("weights-0000000.040-ema.safetensors")).unwrap();
    let network = engine.value::<Parameters>("ema").unwrap().network.clone();
    let arena: Vec<f32> = weights(&engine, "ema").iter().map(|weight| *weight as f32).collect();
    for (parameter, values) in network.layout().export(&arena) {
        let array = &file.arrays[&format!("model.{}", parameter.name)];
        assert_eq!(
            (&array.shape, array.f32s().unwrap()),
            (&parameter.file_shape, values),
            "{}",
            parameter.name
        );
    }
    assert_eq!(file.arrays.len(), network.layout().state().len());
    let said = ["mollify", "recipe", "pipeline", "images", "of"].map(|key| file.metadata[key].as_str());
    assert_eq!(said, ["1", "Raw", "(nodes: {})", "40", "ema"]);
}

#[test]
fn a_resumed_run_ends_byte_for_byte_as_the_whole_one() {
    let (whole, parts) = (scratch(), scratch());
    wired(whole.path()).run().unwrap();

    let mut interrupted = wired(parts.path());
    ticks(&mut interrupted, 4);
    interrupted.interrupt().set();
    ticks(&mut interrupted, 1);
    assert_eq!(interrupted.run().unwrap(), Outcome::Interrupted);
    drop(interrupted);
    let mut resumed = wired(parts.path());
    resumed.load(&newest(parts.path())).unwrap();
    assert_eq!(resumed.run().unwrap(), Outcome::Finished);

    let last = ["state-0000000010", "weights-0000000.040-adam", "weights-0000000.040-ema"];
    for name in last.map(|name| format!("{name}.safetensors")) {
        let [whole, parts] = [&whole, &parts].map(|folder| fs::read(folder.path().join(&name)).expect(&name));
        assert!(whole == parts, "{name} differs");
    }
}

#[test]
fn resuming_a_finished_run_does_nothing() {
    let folder = scratch();
    wired(folder.path()).run().unwrap();
    let before = files(folder.path());
    let mut again = wired(folder.path());
    again.load(&newest(folder.path())).unwrap();
    assert!(again.is_finished());
    assert_eq!(again.run().unwrap(), Outcome::Finished);
    assert_eq!(again.save().unwrap().tick, 10);
    assert_eq!(files(folder.path()), before);
}

#[test]
fn an_interrupted_run_leaves_a_checkpoint_of_that_very_tick() {
    let folder = scratch();
    let mut engine = wired(folder.path());
    ticks(&mut engine, 1);
    engine.interrupt().set();
    engine.tick().unwrap();
    let names = files(folder.path());
    assert!(names.contains(&"state-0000000002.safetensors".to_owned()), "{names:?}");
    assert!(names.contains(&"weights-0000000.008-ema.safetensors".to_owned()), "{names:?}");
    let saved = newest(folder.path());
    assert_eq!((saved.tick, saved.act, saved.finished), (2, 0, vec![]));
}

#[test]
fn the_state_holds_each_parameter_under_its_name_once_for_each_use() {
    let folder = scratch();
    wired(folder.path()).run().unwrap();
    let (_, state) = checkpoint::newest_good(folder.path()).unwrap().good.unwrap();
    let names: Vec<&str> = state.arrays.iter().map(|(name, _)| name.as_str()).collect();
    // The optimiser and the network have the same parameters.
    assert!(names.iter().all(|name| !name.starts_with("unet/")));
    for place in ["adam/Parameters/", "ema/Parameters/", "adam/Moments/m.", "adam/Moments/v."] {
        let name = format!("{place}dec.4x4_block0.conv0.weight");
        assert_eq!(names.iter().filter(|found| **found == name).count(), 1, "{name} in {names:?}");
    }
    assert_eq!(state.metadata["pipeline"], "(nodes: {})");
    let saved = from_state(state.clone()).unwrap();
    assert_eq!(saved.nodes["unet"]["Parameters"], saved.nodes["adam"]["Parameters"]);
    assert_eq!(to_state(&saved, state.metadata.clone()).unwrap(), state);
}

#[test]
fn a_write_that_fails_names_the_node_and_leaves_the_last_checkpoint_good() {
    let folder = scratch();
    let mut engine = wired(folder.path());
    ticks(&mut engine, 3);
    // A folder in the place of the next state: renaming a file over it fails, as a full disk would.
    fs::create_dir(folder.path().join("state-0000000006.safetensors")).unwrap();
    ticks(&mut engine, 2);
    let failure = engine.tick().expect_err("a failure").to_string();
    assert!(failure.contains("`save` cannot write") && failure.contains("state-0000000006"), "{failure}");
    assert!(files(folder.path()).iter().all(|name| !name.ends_with(".unfinished")));
    assert_eq!(newest(folder.path()).tick, 3);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = scratch();
    let file = folder.path().join("taken");
    fs::write(&file, "a file").unwrap();
    let mut engine = wired(&file.join("run"));
    ticks(&mut engine, 2);
    let failure = engine.tick().expect_err("a failure").to_string();
    assert!(failure.contains("`save` cannot write") && failure.contains("taken/run"), "{failure}");
}

#[test]
fn checkpoint_settings_that_make_no_sense_are_found_while_wiring() {
    for (from, to, says) in [
        ("every_kimg: 0.012", "every_kimg: 0", "`every_kimg` is 0"),
        ("keep: 2", "keep: 0", "`keep` is 0, expected at least 1"),
        (r#"["adam", "ema"]"#, "[]", "`of` is empty"),
    ] {
        let report = mistake(&format!("{TRAINING} {}", CHECKPOINTS.replace(from, to)));
        assert!(report.contains(says), "{report}");
    }
}
