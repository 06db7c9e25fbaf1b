//! Saving a run never harms what was saved before, and resuming takes the newest state that is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mollify_checkpoint::{
    Array, Error, RunState, newest_good, prune, read_state, save, write_state, write_whole,
};
use tempfile::tempdir;

fn state(tick: u64) -> RunState {
    let numbers: Vec<f32> = (0..100).map(|i| (i + tick) as f32).collect();
    RunState {
        tick,
        act: 1,
        texts: [("adam/steps".to_string(), tick.to_string())].into(),
        arrays: vec![
            ("adam/m/layer.weight".into(), Array::from_f32s(&[10, 10], &numbers).unwrap()),
            ("unet/layer.weight".into(), Array::from_f32s(&[10, 10], &numbers).unwrap()),
        ],
        metadata: [("pipeline".to_string(), "(nodes: {})".to_string())].into(),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Where `write_whole` puts the file until it is whole.
#[cfg(target_os = "linux")]
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    path.with_file_name(format!(".{name}.{}.unfinished", std::process::id()))
}

#[test]
fn a_state_comes_back_as_it_went() {
    let folder = tempdir().unwrap();
    let runs = folder.path().join("not/yet/there");
    let path = save(&runs, &state(1200)).unwrap();
    assert_eq!(path.file_name().unwrap(), "state-0000001200.safetensors");
    assert_eq!(read_state(&path).unwrap(), state(1200));
    assert_eq!(names(&runs), ["state-0000001200.safetensors"]);
}

#[test]
fn the_newest_good_state_is_taken_and_every_broken_one_is_named() {
    let folder = tempdir().unwrap();
    let paths: Vec<PathBuf> = [9, 10, 11, 12].map(|tick| save(folder.path(), &state(tick)).unwrap()).into();
    let newest = newest_good(folder.path()).unwrap();
    assert_eq!(newest.good, Some((paths[3].clone(), state(12))));
    assert!(newest.broken.is_empty());

    fs::write(&paths[3], &fs::read(&paths[3]).unwrap()[..500]).unwrap();
    let mut bytes = fs::read(&paths[2]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&paths[2], bytes).unwrap();
    let newest = newest_good(folder.path()).unwrap();
    assert_eq!(newest.good, Some((paths[1].clone(), state(10))));
    let broken: Vec<_> = newest.broken.iter().map(|broken| (&broken.path, &broken.error)).collect();
    assert!(
        matches!(broken[0], (path, Error::Truncated { found: 500, .. }) if *path == paths[3]),
        "{broken:?}"
    );
    assert!(matches!(broken[1], (path, Error::Digest { .. }) if *path == paths[2]), "{broken:?}");
    assert!(broken[1].1.to_string().contains("state-0000000011.safetensors` is damaged"));
}

#[test]
fn a_folder_without_states_has_none() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("state-latest.safetensors"), "not ours").unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing")] {
        let newest = newest_good(&path).unwrap();
        assert!(newest.good.is_none() && newest.broken.is_empty());
        assert!(prune(&path, 1).unwrap().is_empty());
    }
    assert!(newest_good(&folder.path().join("state-latest.safetensors")).is_err());
}

#[test]
fn pruning_keeps_the_newest_and_never_the_last_one_goes() {
    let folder = tempdir().unwrap();
    for tick in [1, 999_999_999, 20_000_000_000, 5] {
        save(folder.path(), &state(tick)).unwrap();
    }
    fs::write(folder.path().join(".state-0000000007.safetensors.1.unfinished"), "half a state").unwrap();
    fs::write(folder.path().join("metrics.jsonl"), "{}").unwrap();
    assert_eq!(prune(folder.path(), 2).unwrap().len(), 3);
    let kept = ["metrics.jsonl", "state-0999999999.safetensors", "state-20000000000.safetensors"];
    assert_eq!(names(folder.path()), kept);
    prune(folder.path(), 0).unwrap();
    assert_eq!(names(folder.path()), ["metrics.jsonl", "state-20000000000.safetensors"]);
}

#[test]
fn a_writer_that_fails_leaves_the_earlier_file_and_nothing_else() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "earlier").unwrap();
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Interrupted, io::ErrorKind::Other] {
        let failed = write_whole(&path, |file| {
            file.write_all(&vec![1; 3 << 20])?;
            Err(kind.into())
        });
        let Err(Error::Io { error, .. }) = failed else { panic!("{failed:?}") };
        assert_eq!(error.kind(), kind);
        assert_eq!(fs::read_to_string(&path).unwrap(), "earlier");
        assert_eq!(names(folder.path()), ["file"]);
    }
    write_whole(&path, |file| file.write_all(b"later")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "later");
}

/// The temporary file is made a link to the device on which every write finds the disk full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_earlier_state_good() {
    let folder = tempdir().unwrap();
    let path = save(folder.path(), &state(1)).unwrap();
    std::os::unix::fs::symlink("/dev/full", temporary(&path)).unwrap();
    let other = RunState { act: 5, ..state(1) };
    let error = save(folder.path(), &other).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot write `{}`: ", path.display())), "{error}");
    assert!(error.ends_with("; what was there before is unharmed, so free some space"), "{error}");
    assert_eq!(names(folder.path()), ["state-0000000001.safetensors"]);
    assert_eq!(newest_good(folder.path()).unwrap().good, Some((path, state(1))));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let mut folders = vec![file.join("checkpoints")];
    if cfg!(target_os = "linux") {
        // Not even root makes files here.
        folders.push(PathBuf::from("/proc/self/fd"));
        folders.push(PathBuf::from("/proc/checkpoints"));
    }
    for folder in folders {
        let error = save(&folder, &state(1)).unwrap_err().to_string();
        assert!(error.starts_with("cannot ") && error.contains(folder.to_str().unwrap()), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");
    assert!(write_whole(Path::new("/"), |_| Ok(())).is_err());
}

#[cfg(unix)]
#[test]
fn a_path_without_a_folder_is_in_the_current_one() {
    let error = write_whole(Path::new("never-there"), |_| Err(io::Error::other("stop"))).unwrap_err();
    assert_eq!(error.to_string(), "cannot write `never-there`: stop");
    assert!(!Path::new("never-there").exists());
}

#[test]
fn weights_are_not_a_state_and_another_format_says_so() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state");
    mollify_checkpoint::write_weights(&path, &[], &Default::default()).unwrap();
    let error = read_state(&path).unwrap_err();
    assert!(
        error.to_string().ends_with("holds arrays but not the state of a run, so nothing can resume from it")
    );

    let later = [("run_state".to_string(), r#"{"format": 2, "ticks": 5}"#.to_string())].into();
    mollify_checkpoint::write_weights(&path, &[], &later).unwrap();
    let error = read_state(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("is in format 2 and this mollify reads format 1; resume with the one that wrote it")
    );

    let nonsense = [("run_state".to_string(), "tick 5".to_string())].into();
    mollify_checkpoint::write_weights(&path, &[], &nonsense).unwrap();
    assert!(read_state(&path).unwrap_err().to_string().contains("is not the whole state of a run: "));
}

#[test]
fn equal_states_are_equal_files() {
    let folder = tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    write_state(&a, &state(3)).unwrap();
    write_state(&b, &state(3)).unwrap();
    assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
}
