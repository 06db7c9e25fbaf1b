//! The kinds of this crate in pipelines, on the reference device.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use image::GrayImage;
use mollify_data::{Seen, from_file, to_file};
use pipeline::{Engine, Node, Pipeline, Read, This, Unfinished, Wire};
use ports::{Images, Labels, Machine, Run};
use serde::Deserialize;
use tensor::{Array, Reference};

/// Reads images, and labels if asked, and never ends.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
struct Look {
    images: Wire<Images>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
}

impl Node for Look {
    type Value = ();
}

fn look(this: This<Look>, images: Read<Images>, labels: Read<Labels>) -> Result {
    images.get(this.images)?;
    labels.maybe(this.labels)?;
    Ok(())
}

fn engine(nodes: &str) -> Result<Engine, String> {
    let mut engine = Engine::default().with(ports::plugin).with(mollify_data::plugin);
    engine.node::<Look, _>(look);
    engine.world.insert_resource(Machine(Arc::new(Reference)));
    let text = format!("(nodes: {{{nodes}}})");
    let pipeline = Pipeline::read("test.ron", &text, &[]).map_err(|report| report.to_string())?;
    engine.wire(&pipeline).map_err(|report| report.to_string())?;
    Ok(engine)
}

fn mistake(nodes: &str) -> String {
    match engine(nodes) {
        Err(report) => report,
        Ok(mut engine) => engine.tick().expect_err("a mistake").to_string(),
    }
}

fn ticks(engine: &mut Engine, count: usize) {
    for _ in 0..count {
        engine.tick().expect("a tick");
    }
}

fn numbers(engine: &Engine, images: &str) -> Vec<f64> {
    let pixels = &engine.value::<Images>(images).expect("images").pixels;
    engine.world.resource::<Machine>().0.download(pixels).expect("numbers").f64s()
}

fn rows(engine: &Engine, labels: &str) -> Array {
    let rows = &engine.value::<Labels>(labels).expect("labels").rows;
    engine.world.resource::<Machine>().0.download(rows).expect("numbers")
}

/// Six pictures of two classes; each has one shade all over.
fn shades(folder: &Path) {
    for (at, name) in ["a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png", "b/3.png"].iter().enumerate() {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a scratch folder");
        GrayImage::from_pixel(2, 1, image::Luma([at as u8])).save(path).expect("a picture");
    }
}

/// The pictures of [`shades`] that come in a batch, by number.
fn which(engine: &Engine) -> Vec<usize> {
    numbers(engine, "data").chunks(2).map(|pixels| ((pixels[0] + 1.0) * 127.5).round() as usize).collect()
}

#[test]
fn an_epoch_of_digits_brings_each_digit_once() {
    let mut engine =
        engine(r#" "data": Digits(batch: 599), "look": Look(images: "data", labels: "data") "#).unwrap();
    let (mut counts, mut ink) = ([0; 10], 0.0);
    for tick in 0..3 {
        ticks(&mut engine, 1);
        assert_eq!(engine.value::<Images>("data").unwrap().before, 599 * tick);
        for class in engine.value::<Labels>("data").unwrap().classes.as_ref().unwrap() {
            counts[*class as usize] += 1;
        }
        ink += numbers(&engine, "data").iter().map(|pixel| (pixel + 1.0) * 8.0).sum::<f64>();
    }
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert_eq!(ink, 561_718.0);
}

#[test]
fn labels_are_one_hot_rows_of_the_classes() {
    let mut engine =
        engine(r#" "data": Digits(batch: 5), "look": Look(images: "data", labels: "data") "#).unwrap();
    ticks(&mut engine, 1);
    let (rows, labels) = (rows(&engine, "data"), engine.value::<Labels>("data").unwrap());
    assert_eq!(rows.shape[..], [5, 10]);
    for (row, class) in rows.f64s().chunks(10).zip(labels.classes.as_ref().unwrap()) {
        let expected: Vec<f64> = (0..10).map(|at| f64::from(u8::from(at == *class))).collect();
        assert_eq!(row, expected);
    }
}

#[test]
fn a_folder_comes_in_another_order_every_epoch_whatever_the_batch_and_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    shades(folder.path());
    let see = |batch: usize, workers: usize, ticks_: usize| {
        let at = folder.path().display();
        let data = format!(r#" "data": Dataset(at: "{at}", batch: {batch}, workers: {workers}, seed: 5), "#);
        let mut engine = engine(&format!(r#"{data} "look": Look(images: "data", labels: "data") "#)).unwrap();
        let mut seen = Vec::new();
        for _ in 0..ticks_ {
            ticks(&mut engine, 1);
            seen.extend(which(&engine));
        }
        seen
    };
    let order = see(4, 2, 3);
    for epoch in order.chunks(6) {
        let mut sorted = epoch.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
    }
    assert_ne!(order[..6], order[6..]);
    assert_eq!(order, see(1, 3, 12));
    assert_eq!(order, see(12, 1, 1));
}

#[test]
fn a_resumed_world_goes_on_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    shades(folder.path());
    let at = folder.path().display();
    let nodes =
        format!(r#" "data": Dataset(at: "{at}", batch: 4, mirror: true), "look": Look(images: "data") "#);
    let mut whole = engine(&nodes).unwrap();
    ticks(&mut whole, 2);
    let saved = whole.save().unwrap();
    let mut resumed = engine(&nodes).unwrap();
    resumed.load(&saved).unwrap();
    for _ in 0..3 {
        ticks(&mut whole, 1);
        ticks(&mut resumed, 1);
        assert_eq!(numbers(&whole, "data"), numbers(&resumed, "data"));
        assert_eq!(whole.value::<Seen>("data"), resumed.value::<Seen>("data"));
    }
}

#[test]
fn mirroring_turns_about_half_of_the_images_around() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::from_raw(2, 1, vec![0, 1, 2, 10, 11, 12])
        .unwrap()
        .save(folder.path().join("a.png"))
        .unwrap();
    let at = folder.path().display();
    let nodes =
        format!(r#" "data": Dataset(at: "{at}", batch: 200, mirror: true), "look": Look(images: "data") "#);
    let mut engine = engine(&nodes).unwrap();
    ticks(&mut engine, 1);
    let bytes: Vec<f64> =
        numbers(&engine, "data").iter().map(|pixel| ((pixel + 1.0) * 127.5).round()).collect();
    let mirrored = bytes.chunks(6).filter(|pixels| *pixels == [10.0, 11.0, 12.0, 0.0, 1.0, 2.0]).count();
    let straight = bytes.chunks(6).filter(|pixels| *pixels == [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]).count();
    assert_eq!(mirrored + straight, 200);
    assert!((70..130).contains(&mirrored), "{mirrored} of 200 are mirrored");
}

#[test]
fn labels_that_a_folder_does_not_have_are_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    GrayImage::new(2, 2).save(folder.path().join("a.png")).unwrap();
    let at = folder.path().display();
    let data = format!(r#" "data": Dataset(at: "{at}", batch: 1), "#);
    let report = mistake(&format!(r#"{data} "look": Look(images: "data", labels: "data") "#));
    assert!(report.contains("labels are wanted") && report.contains(&at.to_string()), "{report}");
    let mut fine = engine(&format!(r#"{data} "look": Look(images: "data") "#)).unwrap();
    ticks(&mut fine, 3);
}

#[test]
fn a_broken_folder_is_found_while_wiring_and_a_missing_one_when_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let nodes =
        |at: &str| format!(r#" "data": Dataset(at: "{at}", batch: 1), "look": Look(images: "data") "#);
    let report = engine(&nodes(&at.to_string())).err().expect("a mistake while wiring");
    assert!(report.contains("no pictures") && report.contains("test.ron"), "{report}");
    let report = mistake(&nodes("no/such/folder"));
    assert!(report.contains("`data` failed on tick 0") && report.contains("no/such/folder"), "{report}");
}

#[test]
fn a_broken_picture_stops_the_run_at_its_node() {
    let folder = tempfile::tempdir().unwrap();
    GrayImage::new(64, 64).save(folder.path().join("a.png")).unwrap();
    let whole = fs::read(folder.path().join("a.png")).unwrap();
    fs::write(folder.path().join("b.png"), &whole[..whole.len() - 20]).unwrap();
    let at = folder.path().display();
    let report =
        mistake(&format!(r#" "data": Dataset(at: "{at}", batch: 2), "look": Look(images: "data") "#));
    assert!(report.contains("`data` failed on tick 0") && report.contains("b.png"), "{report}");
}

#[test]
fn counts_of_zero_are_mistakes() {
    for (nodes, field) in [
        (r#" "data": Digits(batch: 0) "#, "batch"),
        (r#" "data": Dataset(at: "x", batch: 0) "#, "batch"),
        (r#" "data": Dataset(at: "x", batch: 1, workers: 0) "#, "workers"),
        (r#" "data": Dataset(at: "x", batch: 1, max_images: Some(0)) "#, "max_images"),
    ] {
        let report = mistake(nodes);
        assert!(report.contains(&format!("`{field}` is 0, expected at least 1")), "{report}");
    }
    let report = mistake(r#" "data": Digits(batch: 100000000000000) "#);
    assert!(report.contains("`batch` is 100000000000000, expected at most 1048576"), "{report}");
}

#[test]
fn arrays_go_to_files_and_back_with_their_axes_turned() {
    let folder = tempfile::tempdir().unwrap();
    let images = Array::new([2, 1, 2, 3], (0..12).map(f64::from).collect::<Vec<_>>());
    for name in ["x.npy", "x.safetensors"] {
        let path = folder.path().join(name);
        to_file(&path, "images", &images).unwrap();
        assert_eq!(from_file(&path, None).unwrap(), images);
        let file = checkpoint::read_array(&path, None).unwrap();
        assert_eq!(file.shape, [2, 3, 1, 2]);
        assert_eq!(file.f64s().unwrap()[..6], [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }
}

#[test]
fn numbers_from_elsewhere_pass_through_nodes_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let images = Array::new([2, 1, 2, 3], (0..12).map(|n| f64::from(n) / 3.0).collect::<Vec<_>>());
    to_file(file("x.npy").as_ref(), "x", &images).unwrap();
    let labels = Array::new([2, 3], vec![0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    to_file(file("labels.npy").as_ref(), "labels", &labels).unwrap();
    to_file(file("sigma.safetensors").as_ref(), "sigma", &Array::new([2, 1, 1, 1], vec![0.5, 2.0])).unwrap();
    let nodes = format!(
        r#" "sigmas": LoadSigmas(file: "{}", name: "sigma"), "x": LoadImages(file: "{}", sigmas: "sigmas"),
            "d": LoadDenoised(file: "{}"), "labels": LoadLabels(file: "{}"), "look": Look(images: "x", labels: "labels"),
            "save": SaveImages(x: "x", to: "{}"), "saved": SaveDenoised(x: "d", to: "{}") "#,
        file("sigma.safetensors"),
        file("x.npy"),
        file("x.npy"),
        file("labels.npy"),
        file("out/x-{tick}.safetensors"),
        "{run}/d.npy",
    );
    let mut engine = engine(&nodes).unwrap();
    engine.world.insert_resource(Run { folder: folder.path().join("out"), ..Run::default() });
    ticks(&mut engine, 2);
    for out in ["out/x-0.safetensors", "out/x-1.safetensors", "out/d.npy"] {
        assert_eq!(from_file(file(out).as_ref(), None).unwrap(), images, "{out}");
    }
    assert_eq!(engine.value::<Images>("x").unwrap().before, 2);
    assert_eq!(engine.value::<Labels>("labels").unwrap().classes, Some(vec![1, 2]));
    let ports::Sigma::Each(sigma) = &engine.value::<Images>("x").unwrap().sigma else { panic!("one level") };
    assert_eq!(engine.world.resource::<Machine>().0.download(sigma).unwrap().f64s(), [0.5, 2.0]);
}

#[test]
fn arrays_that_do_not_fit_are_found_while_wiring() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy").display().to_string();
    to_file(path.as_ref(), "x", &Array::new([3, 2], vec![0.0; 6])).unwrap();
    let report = mistake(&format!(r#" "x": LoadImages(file: "{path}") "#));
    assert!(report.contains("[3, 2], expected images [n, c, h, w]"), "{report}");
    let report = mistake(&format!(r#" "x": LoadSigmas(file: "{path}") "#));
    assert!(report.contains("[3, 2], expected sigmas [n]"), "{report}");
    let report = mistake(r#" "x": LoadImages(file: "no/such.npy") "#);
    assert!(report.contains("there is no file `no/such.npy`"), "{report}");
    let save = format!(
        r#" "l": LoadLabels(file: "{path}"), "i": Digits(batch: 1), "s": SaveImages(x: "i", to: "x.png") "#
    );
    let report = mistake(&save);
    assert!(report.contains("`x.png` does not end in `.npy` or `.safetensors`"), "{report}");
    let report = mistake(&save.replace("x.png", "{tick:03}.npy"));
    assert!(report.contains("`{tick:03}.npy` has other braces than `{tick}` and `{run}`"), "{report}");
}

#[test]
fn the_first_batch_is_held_while_others_come_and_when_a_run_is_resumed() {
    let nodes = r#""data": Digits(batch: 3, seed: 1), "held": First(images: "data", labels: "data"),
        "images": First(images: "data"), "look": Look(images: "held", labels: "images")"#;
    let mut first = engine(nodes).unwrap();
    ticks(&mut first, 1);
    let (pixels, labels) = (numbers(&first, "data"), rows(&first, "data"));
    ticks(&mut first, 2);
    let mut resumed = engine(nodes).unwrap();
    resumed.load(&first.save().unwrap()).unwrap();
    ticks(&mut resumed, 1);
    for engine in [first, resumed] {
        assert_ne!(numbers(&engine, "data"), pixels);
        for held in ["held", "images"] {
            assert_eq!(numbers(&engine, held), pixels);
            assert_eq!(engine.value::<Images>(held).unwrap().before, 0);
        }
        assert_eq!(rows(&engine, "held"), labels);
        let classes = engine.value::<Labels>("held").unwrap().classes.clone().unwrap();
        assert!(
            classes
                .iter()
                .enumerate()
                .all(|(at, class)| rows(&engine, "held").f64s()[at * 10 + *class as usize] == 1.0)
        );
        assert_eq!(rows(&engine, "images").shape[..], [3, 0]);
    }
}

#[test]
fn images_with_noise_are_not_held() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    to_file(file("x.npy").as_ref(), "x", &Array::new([1, 1, 1, 1], vec![0.5])).unwrap();
    to_file(file("s.npy").as_ref(), "s", &Array::new([1], vec![2.0])).unwrap();
    let said = mistake(&format!(
        r#""s": LoadSigmas(file: "{}"), "x": LoadImages(file: "{}", sigmas: "s"), "held": First(images: "x"),
           "look": Look(images: "held")"#,
        file("s.npy"),
        file("x.npy")
    ));
    assert!(said.contains("`held` failed") && said.contains("hold clean ones"), "{said}");
}
