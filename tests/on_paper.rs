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

/// Each shipped pipeline with settings that let it come to its end within a few ticks, or to nothing new. FOLDER is one
/// with pictures, in which the pipelines before have left their weights.
const SHIPPED: [(&str, &[&str]); 6] = [
    ("quickstart.ron", &["kimg=0.128"]),
    ("sample.ron", &["net=\"FOLDER/quickstart\"", "files.to=\"FOLDER/{seed}.png\""]),
    ("euler.ron", &["net=\"FOLDER/quickstart\"", "files.to=\"FOLDER/{seed}.png\""]),
    ("toy.ron", &["files.to=\"FOLDER/toy.png\""]),
    ("sweep-steps.ron", &[]),
    ("train/cifar10.ron", &["data=\"FOLDER/pictures\""]),
];
/// More than any of them takes to its end, but for the one whose ticks are all the same.
const TICKS: usize = 200;

/// The shaders of every shipped pipeline and of every operation, by name.
pub fn shaders(offer: Offer) -> Vec<Shader> {
    let paper = Paper::new(offer);
    let folder = folder_with_pictures();
    for (file, settings) in SHIPPED {
        play(&paper, file, settings, folder.path()).unwrap_or_else(|what| panic!("{file}: {what}"));
    }
    for row in rows() {
        row.run(&paper).unwrap_or_else(|error| panic!("{}: {error}", row.name));
    }
    paper.shaders()
}

/// The pipelines that are shipped, by name.
pub fn shipped() -> impl Iterator<Item = &'static str> {
    SHIPPED.into_iter().map(|(name, _)| name)
}

/// Runs a pipeline with every file of its going to a folder.
fn play(paper: &Paper, file: &str, settings: &[&str], folder: &Path) -> Result<(), String> {
    let place = folder.display().to_string().replace('\\', "/");
    let settings: Vec<String> = settings.iter().map(|setting| setting.replace("FOLDER", &place)).collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let path = Path::new("pipelines").join(file);
    let mut engine = wired(&path, &settings)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    engine.world.insert_resource(Machine(Arc::new(paper.clone())));
    engine.world.insert_resource(Run { folder: folder.join(&name), name, pipeline: String::new() });
    fs::create_dir_all(&engine.world.resource::<Run>().folder).map_err(|error| error.to_string())?;
    ticks(&mut engine)
}

fn ticks(engine: &mut Engine) -> Result<(), String> {
    for _ in 0..TICKS {
        if engine.is_finished() {
            break;
        }
        engine.tick().map_err(|failure| failure.to_string())?;
    }
    Ok(())
}

fn folder_with_pictures() -> TempDir {
    let folder = TempDir::new().expect("a folder for temporary files");
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).expect("a folder in it");
    for n in 0..4_u8 {
        let picture = image::RgbImage::from_pixel(32, 32, image::Rgb([60 * n, 0, 255]));
        picture.save(pictures.join(format!("{n}.png"))).expect("a picture in it");
    }
    folder
}

/// Every pipeline file but the broken ones, by its name within `pipelines`.
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
