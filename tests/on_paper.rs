//! What the shipped pipelines would ask of a GPU, found without one: they run on a device that computes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gpu::{Offer, Paper, Shader};
use pipeline::Engine;
use ports::{Machine, Run};
use tempfile::TempDir;
use tensor::operation_table::rows;

use crate::{root, wired};

/// An adapter that offers all there is to use.
pub const EVERYTHING: Offer = Offer { largest_binding: 1 << 31, halves: true, cooperative: true };
/// An adapter that offers as little as mollify takes.
pub const LITTLE: Offer = Offer { largest_binding: 1 << 30, halves: false, cooperative: false };

/// What lets pipelines come to their end within a few ticks and keeps their files together: each setting goes to the
/// pipelines that have something of that name. In FOLDER are pictures, and the weights of pipelines that ran before.
const SETTINGS: [&str; 12] = [
    "kimg=0.128",
    "steps=6",
    "classes=10",
    // Those that have no use for labels take the second one.
    "net=\"FOLDER/quickstart\"",
    "net=\"FOLDER/cifar10\"",
    "weak=\"FOLDER/quickstart\"",
    "data=\"FOLDER/pictures\"",
    "files.to=\"FOLDER/{seed}.png\"",
    "files.to=\"FOLDER/all.png\"",
    "table.to=\"FOLDER/quality.csv\"",
    "figure.to=\"FOLDER/figure\"",
    "grid.to=\"FOLDER/grid.png\"",
];
/// Half-precision activations, of a network in training or from a file.
const MIXED: [&str; 2] = ["unet.precision=Mixed", "net.precision=Mixed"];
/// For those that differ from others in their size only, which shaders do not know.
const OF_PRESETS: [&str; 2] = ["unet.channels=64", "batch=16"];
/// More than any pipeline takes to its end.
const TICKS: usize = 100;
/// For those that train for days: every tick is as the first.
const TICKS_OF_DAYS: usize = 3;

/// The shaders of every shipped pipeline and of every operation, by name.
pub fn shaders(offer: Offer) -> Vec<Shader> {
    let paper = Paper::new(offer);
    let folder = folder_with_pictures();
    // A network without labels for those who sample one.
    let small = ("train/cifar10.ron", &["unet.channels=32", "mimg=0.001"][..]);
    // What gathers tables of other runs, to draw them, asks nothing new of a device, and here no run has written one.
    let gathers = |file: &String| {
        fs::read_to_string(root().join("pipelines").join(file)).is_ok_and(|text| text.contains("Gather("))
    };
    let all: Vec<String> = files().into_iter().filter(|file| !gathers(file)).collect();
    let all = [("quickstart.ron", &[][..]), small]
        .into_iter()
        .chain(all.iter().map(|file| (file.as_str(), &[][..])));
    for (file, settings) in all {
        play(&paper, file, settings, folder.path()).unwrap_or_else(|what| panic!("{file}: {what}"));
        let path = Path::new("pipelines").join(file);
        let mixed = MIXED.iter().filter(|setting| offer.halves && wired(&path, &[setting]).is_ok());
        for setting in mixed {
            let settings = [settings, &[setting]].concat();
            play(&paper, file, &settings, folder.path()).unwrap_or_else(|what| panic!("{file}: {what}"));
        }
    }
    for row in rows() {
        row.run(&paper).unwrap_or_else(|error| panic!("{}: {error}", row.name));
    }
    paper.shaders()
}

/// The shaders of one shipped pipeline with these settings.
pub fn shaders_of(file: &str, settings: &[&str], offer: Offer) -> Vec<Shader> {
    let paper = Paper::new(offer);
    play(&paper, file, settings, folder_with_pictures().path())
        .unwrap_or_else(|what| panic!("{file}: {what}"));
    paper.shaders()
}

/// Runs a pipeline with every file of its going to a folder.
fn play(paper: &Paper, file: &str, settings: &[&str], folder: &Path) -> Result<(), String> {
    let path = Path::new("pipelines").join(file);
    let place = folder.display().to_string().replace('\\', "/");
    let of_presets = OF_PRESETS.iter().filter(|_| file.starts_with("presets/"));
    let mut chosen: Vec<String> = settings.iter().map(|setting| setting.to_string()).collect();
    for setting in SETTINGS.iter().chain(of_presets) {
        let with: Vec<String> = chosen.iter().cloned().chain([setting.replace("FOLDER", &place)]).collect();
        let wires = wired(&path, &with.iter().map(String::as_str).collect::<Vec<_>>()).is_ok();
        let name = |setting: &str| setting.split('=').next().map(str::to_owned);
        if wires && !chosen.iter().any(|known| name(known) == name(setting)) {
            chosen = with;
        }
    }
    let chosen: Vec<&str> = chosen.iter().map(String::as_str).collect();
    let mut engine = wired(&path, &chosen)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    engine.world.insert_resource(Machine(Arc::new(paper.clone())));
    engine.world.insert_resource(Run { folder: folder.join(&name), name, pipeline: String::new() });
    fs::create_dir_all(&engine.world.resource::<Run>().folder).map_err(|error| error.to_string())?;
    let takes_days = wired(&path, &["mimg=1.0"]).is_ok();
    ticks(&mut engine, if takes_days { TICKS_OF_DAYS } else { TICKS })
}

fn ticks(engine: &mut Engine, most: usize) -> Result<(), String> {
    for _ in 0..most {
        if engine.is_finished() {
            break;
        }
        engine.tick().map_err(|failure| failure.to_string())?;
    }
    Ok(())
}

/// Pictures of ten classes.
fn folder_with_pictures() -> TempDir {
    let folder = TempDir::new().expect("a folder for temporary files");
    // As many as it takes to hold a tenth out.
    for n in 0..20_u8 {
        let class = folder.path().join("pictures").join(format!("{}", n % 10));
        fs::create_dir_all(&class).expect("a folder in it");
        let picture = image::RgbImage::from_pixel(32, 32, image::Rgb([10 * n, 0, 255]));
        picture.save(class.join(format!("{n}.png"))).expect("a picture in it");
    }
    folder
}

/// Every pipeline file but the broken ones by its name within `pipelines`.
pub fn files() -> Vec<String> {
    let top = root().join("pipelines");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(&top).unwrap_or(&path).display().to_string().replace('\\', "/");
            match path.extension() {
                None if path.is_dir() && name != "broken" => folders.push(path),
                Some(extension) if extension == "ron" => found.push(name),
                _ => {}
            }
        }
    }
    found.sort();
    found
}
