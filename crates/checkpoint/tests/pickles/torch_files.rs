//! Files that are what they should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use mollify_checkpoint::{Plain, TorchFile, TrainingState, copy_weights, read_torch, read_weights};

use crate::memory::peak;
use crate::small::{Pickle, net, snapshot, zip};

/// A file of these bytes, in a folder of its own.
pub fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("network.pkl");
    fs::write(&path, bytes).expect("the file");
    (folder, path)
}

/// A training state of one tensor with its moments, each an entry of a zip file.
pub fn training_state(numbers: &[f32]) -> Vec<u8> {
    let storage = |key: &'static str| {
        move |p: Pickle| {
            let id = p.op(b"(").text("storage").global("torch", "FloatStorage").text(key).text("cuda:0");
            id.int(2).op(b"tQ")
        }
    };
    let tensor = |key: &'static str| move |p: Pickle| p.tensor(&storage(key), 0, &[2], &[1]);
    let state = |p: Pickle| {
        let p = p.op(b"}").int(0).dict(&[
            ("step", &|p| p.int(7)),
            ("exp_avg", &tensor("1")),
            ("exp_avg_sq", &tensor("2")),
        ]);
        p.op(b"s")
    };
    let optimizer = |p: Pickle| p.dict(&[("state", &state), ("param_groups", &|p| p.op(b"]"))]);
    let root = Pickle::new().dict(&[("net", &|p| net(p, &tensor("0"))), ("optimizer_state", &optimizer)]);
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let [one, two, three] = [&bytes[..8], &bytes[8..16], &bytes[16..24]];
    zip(&[("x/data.pkl", &root.done()), ("x/data/0", one), ("x/data/1", two), ("x/data/2", three)])
}

#[test]
fn a_snapshot_gives_its_network_by_name() {
    let (_folder, path) = file(&snapshot(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3], &[3, 1]));
    let Ok(TorchFile::Snapshot(module)) = read_torch(&path) else { panic!("a snapshot") };
    assert_eq!((module.class.as_str(), &module.settings["width"]), ("Net", &Plain::Int(3)));
    let [(name, weight)] = &module.parameters[..] else { panic!("one parameter") };
    assert_eq!(name, "weight");
    let weight = weight.read().expect("its numbers");
    assert_eq!(
        (weight.shape.as_slice(), weight.f32s().expect("f32")),
        (&[2, 3][..], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    );
}

#[test]
fn a_tensor_in_another_order_is_put_into_the_order_of_c() {
    let (_folder, path) = file(&snapshot(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2, 1], &[1, 3, 9]));
    let Ok(TorchFile::Snapshot(module)) = read_torch(&path) else { panic!("a snapshot") };
    let weight = module.parameters[0].1.read().expect("its numbers");
    assert_eq!(weight.f32s().expect("f32"), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
}

#[test]
fn a_training_state_gives_the_network_and_its_moments() {
    let (_folder, path) = file(&training_state(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let Ok(TorchFile::TrainingState(TrainingState { net, steps, moments })) = read_torch(&path) else {
        panic!("a training state: {:?}", read_torch(&path))
    };
    assert_eq!(steps, 7);
    let numbers =
        |tensor: &mollify_checkpoint::TensorInFile| tensor.read().expect("numbers").f32s().expect("f32");
    assert_eq!(numbers(&net.parameters[0].1), [1.0, 2.0]);
    let moments = moments[0].as_ref().expect("moments");
    assert_eq!((numbers(&moments.mean), numbers(&moments.square)), (vec![3.0, 4.0], vec![5.0, 6.0]));
}

#[test]
fn a_number_that_changed_in_a_training_state_is_noticed() {
    let mut bytes = training_state(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.5]);
    let place = bytes.windows(4).position(|window| window == 6.5f32.to_le_bytes()).expect("the number");
    bytes[place] ^= 1;
    let (_folder, path) = file(&bytes);
    let Ok(TorchFile::TrainingState(state)) = read_torch(&path) else { panic!("a training state") };
    let moments = state.moments[0].as_ref().expect("moments");
    let error = moments.square.read().expect_err("its numbers are damaged");
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn large_tensors_are_copied_without_being_held() {
    const NUMBERS: usize = 8 << 20;
    let (folder, path) = file(&snapshot(&vec![0.5; NUMBERS], &[NUMBERS as i32], &[1]));
    let out = folder.path().join("out.safetensors");
    let (most, ()) = peak(|| {
        let Ok(TorchFile::Snapshot(module)) = read_torch(&path) else { panic!("a snapshot") };
        let (name, weight) = &module.parameters[0];
        copy_weights(&out, &[(name, weight)], &BTreeMap::new()).expect("a copy");
    });
    assert!(most < 4 << 20, "32 MiB of numbers took {most} bytes of memory");
    let copied = read_weights(&out).expect("the copy");
    assert_eq!(copied.arrays["weight"].f32s().expect("f32"), vec![0.5; NUMBERS]);
}

#[test]
fn many_tensors_in_one_pickle_are_each_found() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("network.pkl");
    let state = |p: Pickle| {
        let parameters = |p: Pickle| {
            let storage = |number: usize| {
                move |p: Pickle| {
                    let bytes = crate::small::stream(&vec![number as f32; 1000]);
                    p.global("torch.storage", "_load_from_bytes").bytes(&bytes).op(b"\x85R")
                }
            };
            let tensor = |p: Pickle, i: usize| {
                p.text(&format!("weight{i}")).tensor(&storage(i), i as i32, &[10], &[1])
            };
            (0..20).fold(p.op(b"}("), tensor).op(b"u")
        };
        p.dict(&[
            ("_parameters", &parameters),
            ("_init_args", &|p| p.op(b")")),
            ("_init_kwargs", &|p| p.op(b"}")),
        ])
    };
    fs::write(&path, Pickle::new().dict(&[("ema", &|p| p.object("Net", &state))]).done()).expect("the file");
    let Ok(TorchFile::Snapshot(module)) = read_torch(&path) else { panic!("a snapshot") };
    assert_eq!(module.parameters.len(), 20);
    for (i, (name, tensor)) in module.parameters.iter().enumerate() {
        assert_eq!(*name, format!("weight{i}"));
        assert_eq!(tensor.read().expect("numbers").f32s().expect("f32"), [i as f32; 10]);
    }
}
