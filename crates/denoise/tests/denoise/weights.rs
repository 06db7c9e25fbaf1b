//! Networks from files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use checkpoint::{View, write_weights};
use diffusion::{Scheme, SigmaData};
use mollify_denoise::{PreconditionedNetwork, newest_weights};
use ports::{Architecture, Denoise, Denoiser, Parameters, WEIGHTS_FORMAT};
use tensor::{Device, Reference};

use crate::small::{ask, mistake, numbers, parameters, tiny, wire};

const SCHEME: Scheme = Scheme::Edm { sigma_data: SigmaData::All(0.7) };

/// Writes a network as training does, with metadata changed.
fn write(path: &Path, parameters: &Parameters, change: impl FnOnce(&mut BTreeMap<String, String>)) {
    let layout = parameters.network.layout();
    let arena = Reference.download(&parameters.arena).unwrap().f32s();
    let mut arrays: Vec<(String, Vec<usize>, Vec<f32>)> = layout
        .export(&arena)
        .map(|(parameter, values)| {
            (format!("model.{}", parameter.name), parameter.file_shape.clone(), values)
        })
        .collect();
    let fixed = layout.buffers.iter().map(|buffer| {
        let values = buffer.values.iter().map(|value| *value as f32).collect();
        (format!("model.{}", buffer.name), buffer.shape.clone(), values)
    });
    arrays.extend(fixed);
    let views: Vec<(&str, View)> = arrays
        .iter()
        .map(|(name, shape, values)| (name.as_str(), View::from_f32s(shape, values).unwrap()))
        .collect();
    let recipe = PreconditionedNetwork::new("net", parameters.clone(), SCHEME).recipe().unwrap();
    let mut metadata = [("mollify".into(), WEIGHTS_FORMAT.into()), ("recipe".into(), recipe)].into();
    change(&mut metadata);
    write_weights(path, &views, &metadata).unwrap();
}

fn node(path: &Path) -> String {
    format!("\"net\": Network(file: {path:?})")
}

#[test]
fn a_network_from_a_file_is_the_one_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let parameters = parameters(tiny());
    write(&path, &parameters, |_| ());
    let mut engine = wire(&node(&path)).unwrap();
    assert!(engine.describe().contains("→ Denoiser 4x4x2\n      → Labels 3"), "{}", engine.describe());
    engine.tick().unwrap();
    let found = &engine.value::<Denoiser>("net").unwrap().0;
    let written = PreconditionedNetwork::new("net", parameters, SCHEME);
    let (x, sigmas) = (numbers(64), [0.2, 4.0]);
    assert_eq!(ask(found.as_ref(), &x, &sigmas), ask(&written, &x, &sigmas));
    assert_eq!(found.recipe(), written.recipe());
}

#[test]
fn of_a_folder_the_newest_good_average_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let names = [
        "000100-ema.safetensors",
        "000200-ema.safetensors",
        "000300-ema.safetensors",
        "000400-adam.safetensors",
    ];
    for name in names {
        write(&at(name), &parameters(tiny()), |_| ());
    }
    fs::write(at("state-0000000400.safetensors"), "no weights").unwrap();
    assert_eq!(newest_weights(folder.path()).unwrap().0, at(names[2]));
    let newest = fs::read(at(names[2])).unwrap();
    fs::write(at(names[2]), &newest[..newest.len() / 2]).unwrap();
    assert_eq!(newest_weights(folder.path()).unwrap().0, at(names[1]));
    names[..2].iter().for_each(|name| fs::remove_file(at(name)).unwrap());
    assert_eq!(newest_weights(folder.path()).unwrap().0, at(names[3]), "better other weights than none");
    fs::remove_file(at(names[3])).unwrap();
    assert!(newest_weights(folder.path()).unwrap_err().contains("000300-ema.safetensors` is truncated"));
    fs::remove_file(at(names[2])).unwrap();
    let none = mistake(&node(folder.path()));
    assert!(
        none.starts_with("there are no weights in `") && none.contains("train a network first"),
        "{none}"
    );
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    write(&path, &parameters(tiny()), |_| ());
    let whole = fs::read(&path).unwrap();

    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let truncated = mistake(&node(&path));
    assert!(truncated.contains("net.safetensors` is truncated: it has"), "{truncated}");
    fs::write(&path, "just a note about something").unwrap();
    let note = mistake(&node(&path));
    assert!(note.contains("net.safetensors` is not a safetensors file"), "{note}");
    write(&path, &parameters(tiny()), |metadata| metadata.clear());
    let plain = mistake(&node(&path));
    assert!(plain.contains("is no network of mollify: it holds"), "{plain}");
    write(&path, &parameters(tiny()), |metadata| _ = metadata.insert("mollify".into(), "7".into()));
    let newer = mistake(&node(&path));
    assert!(newer.contains("is in format 7, and this mollify reads format 1"), "{newer}");
}

#[test]
fn weights_of_another_network_are_told_by_the_first_parameter_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let wider = unet::SongUNetConfig { model_channels: 16, ..tiny() };
    write(&path, &parameters(tiny()), |metadata| {
        let recipe = metadata["recipe"].replace("model_channels:8", "model_channels:16");
        assert!(recipe.contains(&Architecture::SongUNet(wider).recipe()), "{recipe}");
        metadata.insert("recipe".into(), recipe);
    });
    let other = mistake(&node(&path));
    let expected =
        "are of another network: `model.map_label.weight` is [8, 3] in the file and [16, 3] in the network";
    assert!(other.contains(expected), "{other}");
}

#[test]
fn a_file_that_is_not_there_may_still_be_written_before_it_is_needed() {
    let mut engine = wire(&node(Path::new("nowhere/at.all"))).unwrap();
    let failure = engine.tick().unwrap_err().to_string();
    assert!(
        failure.contains("`net` failed on tick 0: there is no file or folder `nowhere/at.all`; train"),
        "{failure}"
    );
}
