//! The kinds of this crate in pipelines, on the reference device.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bevy_ecs::message::Messages;
use bevy_ecs::prelude::*;
use image::GenericImageView;
use pipeline::{Engine, Metric, Node, Pipeline, This};
use ports::{Compute, Images, Machine, Run, Table};
use serde::Deserialize;
use tensor::{Array, Reference};

/// Errors that fall as 1/N and 1/N², measured twice each.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    steps: Vec<u32>,
}

impl Node for Measured {
    type Value = Table;
}

fn measured(this: This<Measured>) -> Table {
    let mut table = Table::new(["solver", "steps", "error"]);
    for (solver, order) in [("Euler", 1), ("Heun", 2)] {
        for (steps, times) in
            this.steps.iter().flat_map(|steps| [0.9, 1.1].map(|times| (f64::from(*steps), times)))
        {
            table.push(vec![solver.into(), steps.into(), (times / steps.powi(order)).into()]);
        }
    }
    table
}

/// Clean images of two pixels.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    pixels: Vec<f64>,
}

impl Node for Flat {
    type Value = Images;
}

fn flat(this: This<Flat>, compute: Compute) -> Result<Images> {
    let shape = [this.pixels.len() / 2, 1, 2, 1];
    Ok(Images::clean(compute.upload(&Array::new(shape, this.pixels.clone()))?, 0))
}

fn engine(folder: &Path, nodes: &str) -> Result<Engine, String> {
    let mut engine = Engine::default().with(ports::plugin).with(mollify_plots::plugin);
    engine.node::<Measured, _>(measured).node::<Flat, _>(flat);
    engine.world.insert_resource(Machine(Arc::new(Reference)));
    engine.world.insert_resource(Run { folder: folder.to_owned(), ..Run::default() });
    let text = format!("(nodes: {{{nodes}}})").replace("{folder}", &folder.to_string_lossy());
    let pipeline = Pipeline::read("test.ron", &text, &[]).map_err(|report| report.to_string())?;
    engine.wire(&pipeline).map_err(|report| report.to_string())?;
    Ok(engine)
}

fn failure(nodes: &str) -> String {
    match engine(Path::new("/nowhere"), nodes) {
        Err(report) => report,
        Ok(mut engine) => engine.tick().expect_err("a mistake").to_string(),
    }
}

#[test]
fn images_are_compared_one_by_one_and_all_together_if_they_are_of_one_node() {
    let nodes = r#""x": Flat(pixels: [1.0, 2.0, 3.0, 7.0]), "y": Flat(pixels: [1.0, 2.0, 0.0, 3.0]),"#;
    let compared = |of: &str| {
        let error = format!(r#""error": Compare(of: {of}, to: "y")"#);
        let mut engine = engine(Path::new("/nowhere"), &[nodes, &error].concat()).expect("a pipeline");
        engine.tick().expect("a tick");
        let told = engine.world.resource::<Messages<Metric>>().iter_current_update_messages();
        let told: Vec<(&str, f64)> = told.map(|metric| (metric.name, metric.value)).collect();
        (engine.value::<Table>("error").expect("a table").numbers("rms"), told)
    };
    let of_each = [0.0, 12.5f64.sqrt()];
    assert_eq!(compared(r#""x""#), (Ok(of_each.to_vec()), vec![("rms", 2.5)]));
    assert_eq!(compared(r#"["x", "y"]"#), (Ok([of_each, [0.0; 2]].concat()), vec![]));
}

const MEASURED: &str = r#""measured": Measured(steps: [4, 8, 16, 32]),"#;

#[test]
fn a_curve_is_an_svg_a_png_of_twice_its_size_and_the_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let curve = r#""curve": Curve(of: "measured", x: (of: "steps", label: "N", scale: Log),
        y: (of: "error", label: "RMS error σ", scale: Log), by: "solver", to: "{run}/new/error")"#;
    engine(folder.path(), &[MEASURED, curve].concat()).expect("a pipeline").run().expect("a run");
    let read =
        |extension: &str| fs::read(folder.path().join(format!("new/error.{extension}"))).expect("a file");
    let svg = String::from_utf8(read("svg")).expect("text");
    for text in ["RMS error σ", "Euler", "Heun", "prefers-color-scheme:dark", "stroke-dasharray"] {
        assert!(svg.contains(text), "no `{text}` in the SVG");
    }
    let width: u32 =
        svg.split("width=\"").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok()).expect("a width");
    let png = image::load_from_memory(&read("png")).expect("a picture");
    assert_eq!(png.width(), 2 * width);
    assert_eq!(png.get_pixel(0, 0).0, [255; 4]);
    let ink = png.to_luma8().pixels().filter(|pixel| pixel.0[0] < 64).count();
    assert!(ink > 1000, "{ink} dark pixels are no axes with letters");
    let csv = String::from_utf8(read("csv")).expect("text");
    assert_eq!(
        csv.lines().take(2).collect::<Vec<_>>(),
        ["solver,steps,error,low,high", "Euler,4,0.25,0.225,0.275"]
    );
    assert_eq!(csv.lines().count(), 1 + 2 * 4);
}

#[test]
fn words_stand_side_by_side_above_a_floor() {
    let folder = tempfile::tempdir().expect("a folder");
    let nodes = r#""least": Measured(steps: [1000]),
        "curve": Curve(of: "measured", x: (of: "solver"), y: (of: "error"), floor: "least", to: "{run}/error")"#;
    engine(folder.path(), &[MEASURED, nodes].concat()).expect("a pipeline").run().expect("a run");
    let read = |extension: &str| fs::read_to_string(folder.path().join(format!("error.{extension}")));
    let svg = read("svg").expect("a file");
    assert!(svg.contains("Euler") && svg.contains("Heun") && svg.contains("least"), "{svg}");
    let csv = read("csv").expect("a file");
    let first: Vec<&str> = csv.lines().map(|line| line.split_once(',').expect("columns").0).collect();
    assert_eq!(first, ["solver", "Euler", "Heun", "least"]);
}

#[test]
fn the_same_numbers_are_drawn_the_same_byte_for_byte() {
    let curve = r#""curve": Curve(of: "measured", x: (of: "steps"), y: (of: "error"), panels: "solver", to: "{run}/error")"#;
    let [first, second] = [0, 1].map(|_| {
        let folder = tempfile::tempdir().expect("a folder");
        engine(folder.path(), &[MEASURED, curve].concat()).expect("a pipeline").run().expect("a run");
        ["svg", "png"]
            .map(|extension| fs::read(folder.path().join(format!("error.{extension}"))).expect("a file"))
    });
    assert!(first == second);
}

#[test]
fn a_heat_map_has_a_cell_for_each_pair() {
    let folder = tempfile::tempdir().expect("a folder");
    let map = r#""map": Heatmap(of: "measured", x: (of: "steps", scale: Log), y: (of: "error", scale: Log), value: "error",
        to: "{run}/map")"#;
    engine(folder.path(), &[MEASURED, map].concat()).expect("a pipeline").run().expect("a run");
    let svg = fs::read_to_string(folder.path().join("map.svg")).expect("a file");
    // The largest error is as light as can be, the smallest as dark.
    assert!(svg.contains("#FEE825"), "no light cell");
    assert!(svg.contains("#440154"), "no dark cell");
}

#[test]
fn a_sweep_is_gathered_with_the_settings_of_its_points() {
    let folder = tempfile::tempdir().expect("a folder");
    for rho in ["3.0", "7.0"] {
        let point = folder.path().join(format!("sweep/times.rho={rho},net=_a_"));
        let save = r#""save": SaveTable(of: "measured", to: "{run}/error.csv")"#;
        engine(&point, &[MEASURED, save].concat()).expect("a pipeline").run().expect("a run");
    }
    let gather = r#""all": Gather(at: "{folder}/sweep", file: "error.csv", columns: ["error"], last: true)"#;
    let mut engine = engine(folder.path(), gather).expect("a pipeline");
    engine.run().expect("a run");
    let table = engine.value::<Table>("all").expect("a table");
    assert_eq!(table.columns(), ["error", "times.rho", "net"]);
    assert_eq!(table.numbers("times.rho"), Ok(vec![3.0, 7.0]));
    assert_eq!(table.cells("net").expect("a column"), [&"a".into(), &"a".into()]);
}

/// A file of one score, as measurements write them.
fn score(folder: &Path, file: &str, n: u32, digest: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let text =
        format!("metric,value,n,against,network,digest,resize\nFD,{n}.5,{n},50,Net,{digest},bilinear\n");
    fs::write(path, text).expect("a file");
}

#[test]
fn scores_of_different_numbers_of_images_are_neither_gathered_nor_drawn_together() {
    let folder = tempfile::tempdir().expect("a folder");
    for (steps, n) in [(2, 300), (3, 200)] {
        score(folder.path(), &format!("sweep/steps={steps}/q.csv"), n, "ab");
        score(folder.path(), &format!("sizes/n={n}/q.csv"), n, "ab");
        score(folder.path(), &format!("single{n}/q.csv"), n, "ab");
    }
    score(folder.path(), "other/q.csv", 300, "cd");
    let ran = |nodes: &str| {
        let ran = engine(folder.path(), nodes).expect("a pipeline").run();
        ran.map(drop).map_err(|failure| failure.to_string())
    };
    let gather = |name, at| format!(r#""{name}": Gather(at: "{{folder}}/{at}", file: "q.csv"),"#);
    let what = ran(&gather("all", "sweep")).expect_err("other numbers of images");
    for told in ["steps=2/q.csv` has a score of n 300", "steps=3/q.csv` one of n 200", "score as many images"]
    {
        assert!(what.contains(told), "{told} in {what}");
    }
    let curve = |of: &str, x: &str, floor: &str| {
        format!(r#""c": Curve(of: {of}, x: (of: "{x}"), y: (of: "value"){floor}, to: "{{run}}/c"),"#)
    };
    let all = [gather("many", "single300"), gather("few", "single200"), gather("other", "other")].concat();
    let floor = [all.clone(), curve(r#""many""#, "n", r#", floor: "few""#)].concat();
    assert_eq!(ran(&floor), Ok(()));
    let floor = [all.clone(), curve(r#""many""#, "against", r#", floor: "few""#)].concat();
    let what = ran(&floor).expect_err("a floor of other numbers of images");
    assert!(what.contains("`many` has a score of n 300, `few` one of n 200"), "{what}");
    let what = ran(&[all, curve(r#"["many", "other"]"#, "of", "")].concat()).expect_err("another network");
    assert!(what.contains("`many` has a score of digest ab, `other` one of digest cd"), "{what}");
    assert_eq!(ran(&[gather("all", "sizes"), curve(r#""all""#, "n", "")].concat()), Ok(()));
}

#[test]
fn metrics_are_gathered_from_the_lines_that_have_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = "{\"tick\": 1, \"images\": 64, \"loss\": 0.5}\n{\"tick\": 2, \"nfe\": 35}\n{\"tick\": 3, \"images\": 192, \"loss\": 0.25}\n";
    fs::write(folder.path().join("metrics.jsonl"), lines).expect("a file");
    let gather = r#""all": Gather(at: "{folder}", columns: ["images", "loss"])"#;
    let mut engine = engine(folder.path(), gather).expect("a pipeline");
    engine.run().expect("a run");
    let table = engine.value::<Table>("all").expect("a table");
    assert_eq!(table.numbers("images"), Ok(vec![64.0, 192.0]));
    assert_eq!(table.numbers("loss"), Ok(vec![0.5, 0.25]));
}

#[test]
fn mistakes_say_what_to_do() {
    let with = |node: &str| failure(&[MEASURED, node].concat());
    let range = with(
        r#""c": Curve(of: "measured", x: (of: "steps", scale: Log, range: (0.0, 1.0)), y: (of: "error"), to: "a")"#,
    );
    assert!(range.contains("an axis from 0 to 1 cannot be drawn") && range.contains("above 0"), "{range}");
    let column = with(r#""c": Curve(of: "measured", x: (of: "step"), y: (of: "error"), to: "a")"#);
    assert!(column.contains("no column is called `step`; there are `solver`, `steps`, `error`"), "{column}");
    let words = with(r#""c": Curve(of: "measured", x: (of: "steps"), y: (of: "solver"), to: "a")"#);
    assert!(words.contains("holds `Euler`, which is no number"), "{words}");
    let extension = with(r#""c": Curve(of: "measured", x: (of: "steps"), y: (of: "error"), to: "a.png")"#);
    assert!(extension.contains("leave out `.png`"), "{extension}");
    let nothing = failure(r#""g": Gather(at: "/nowhere", file: "a.csv")"#);
    assert!(nothing.contains("cannot look into `/nowhere`"), "{nothing}");
}
