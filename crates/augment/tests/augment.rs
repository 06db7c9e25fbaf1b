//! Augmentation in pipelines, on the reference device and the CPU.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use cpu::Cpu;
use mollify_augment::{Batch, Counted, Drawn, Margins, Preset, Transforms, augment_graph};
use philox::{Key, stream, uniform_f64};
use pipeline::{Engine, Inputs, Mistake, Node, Pipeline, Shapes, This, Unfinished, keep_plain};
use ports::{AugmentLabels, Compute, Images, Machine};
use serde::{Deserialize, Serialize};
use tensor::{Array, Device, Graph, Reference, compile};

/// Images of noise, without end.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
struct Noise {
    batch: usize,
    shape: [usize; 3],
}

#[derive(Component, Clone, Copy, Serialize, Deserialize)]
struct Count(u64);

keep_plain!(Count);

impl Node for Noise {
    type Value = (Images, Count);

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(pipeline::Shape::from(self.shape)))
    }
}

fn noise(this: This<Noise>, counts: Query<&Count>, compute: Compute) -> Result<(Images, Count)> {
    let before = counts.get(this.node()).map_or(0, |count| count.0);
    let end = before + this.batch as u64;
    let [h, w, c] = this.shape;
    let pixels = (before..end).flat_map(|image| numbers(image, h * w * c)).collect::<Vec<_>>();
    let pixels = compute.upload(&Array::new([this.batch, h, w, c], pixels))?;
    Ok((Images::clean(pixels, before), Count(end)))
}

/// Numbers in (-1, 1).
fn numbers(image: u64, len: usize) -> Vec<f64> {
    let row = Key { seed: 9, stream: 200, step: image }.words();
    (0..len).map(|at| 2.0 * uniform_f64(row, at) - 1.0).collect()
}

fn engine(device: Arc<dyn Device>, nodes: &str) -> Result<Engine, String> {
    let mut engine = Engine::default().with(ports::plugin).with(mollify_augment::plugin);
    engine.node::<Noise, _>(noise);
    engine.keep::<Count>();
    engine.world.insert_resource(Machine(device));
    let text = format!("(nodes: {{{nodes}}})");
    let pipeline = Pipeline::read("test.ron", &text, &[]).map_err(|report| report.to_string())?;
    engine.wire(&pipeline).map_err(|report| report.to_string())?;
    Ok(engine)
}

/// Pixels and labels of the first `n` images.
fn augmented(batch: usize, n: usize, settings: &str) -> (Vec<f64>, Vec<f64>) {
    let nodes = format!(
        r#""data": Noise(batch: {batch}, shape: (8, 8, 3)), "augmented": Augment(images: "data", {settings})"#
    );
    let mut engine = engine(Arc::new(Cpu::new(2)), &nodes).expect("nodes that fit");
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..n / batch {
        engine.tick().expect("a tick");
        let device = &engine.world.resource::<Machine>().0;
        let images = engine.value::<Images>("augmented").expect("images");
        pixels.extend(device.download(&images.pixels).expect("numbers").f64s());
        let rows = engine.value::<AugmentLabels>("augmented").expect("labels");
        labels.extend(device.download(&rows.0).expect("numbers").f64s());
    }
    (pixels, labels)
}

const ALL: &str = "xflip: 1, yflip: 1, rotate_int: 1, translate_int: 1, scale: 1, rotate_frac: 1, aniso: 1, \
                   translate_frac: 1, brightness: 1, contrast: 1, lumaflip: 1, hue: 1, saturation: 1";

fn all(p: f64) -> Transforms {
    let on = Transforms { rotate_int: 1.0, translate_int: 1.0, ..Preset::Paper.transforms() };
    let on = Transforms { xflip: 1.0, brightness: 1.0, contrast: 1.0, lumaflip: 1.0, ..on };
    Transforms { hue: 1.0, saturation: 1.0, p, ..on }
}

fn drawn(of: &Transforms, image: u64) -> Drawn {
    Drawn::new(of, &mut Counted::new(Key { seed: 3, stream: stream::AUGMENT, step: image }))
}

/// What an augmentation makes of images of noise, in f64.
fn made(drawn: &[Drawn], of: &Transforms, [h, w, c]: [usize; 3]) -> Vec<f64> {
    let batch = Batch::new(drawn, of, [h, w, c], Margins::Own);
    let shape = [drawn.len(), h, w, c];
    let pixels: Vec<f64> = (0..drawn.len()).flat_map(|image| numbers(image as u64, h * w * c)).collect();
    let mut graph = Graph::new();
    augment_graph(&mut graph, &shape.into(), of);
    let y = Reference.upload(&Array::new(shape, pixels)).unwrap();
    let bindings = batch.bindings(&Reference).unwrap().tensor("y", &y);
    let executable = Reference.prepare(compile(graph)).unwrap();
    let x = Reference.run(&executable, &bindings).unwrap().take("x").unwrap();
    Reference.download(&x).unwrap().f64s()
}

#[test]
fn an_image_becomes_the_same_in_batches_of_1_3_and_6() {
    let settings = format!("p: 0.8, {ALL}");
    let [one, three, six] = [1, 3, 6].map(|batch| augmented(batch, 6, &settings));
    assert!(one == three && three == six);
    assert_eq!(one.1.len(), 6 * 19);
}

#[test]
fn another_seed_draws_other_things() {
    assert_ne!(augmented(2, 4, "p: 1, preset: Paper").1, augmented(2, 4, "p: 1, preset: Paper, seed: 1").1);
}

#[test]
fn images_that_nothing_acts_on_stay_as_they_are() {
    let (of, size) = (all(1.0), [6, 6, 3]);
    let nothing = [Drawn::default(), Drawn::default()];
    let pixels: Vec<f64> = (0..2).flat_map(|image| numbers(image, 6 * 6 * 3)).collect();
    let error = made(&nothing, &of, size).iter().zip(&pixels).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    // sym6 to 12 digits, doubled and halved.
    assert!(error < 1e-9, "{error}");
    assert!(nothing[0].labels(&of, [6, 6]).iter().all(|label| *label == 0.0));
}

#[test]
fn whole_pixels_move_without_a_rounding() {
    let (pixels, labels) = augmented(4, 40, "p: 1, xflip: 1, yflip: 1, rotate_int: 1, translate_int: 1");
    let (plain, _) = augmented(4, 40, "p: 0, brightness: 1");
    let near = |pixel: &f64| plain.contains(pixel);
    assert!(pixels.iter().all(near));
    assert!(labels.chunks(6).all(|label| label[..4].iter().all(|bit| *bit == 0.0 || *bit == 1.0)));
}

#[test]
fn a_transformation_draws_the_same_whichever_others_there_are() {
    let only = Transforms { scale: 1.0, hue: 1.0, ..Default::default() };
    for image in 0..20 {
        let (alone, among) = (drawn(&only, image), drawn(&all(1.0), image));
        assert_eq!((alone.scale, alone.hue), (among.scale, among.hue));
        assert_eq!(alone.shift, [0.0; 2]);
    }
}

#[test]
fn transformations_act_as_often_as_they_should() {
    let of = Transforms { p: 0.12, ..Preset::Paper.transforms() };
    let drawn: Vec<Drawn> = (0..20_000).map(|image| drawn(&of, image)).collect();
    let share = |acts: fn(&Drawn) -> bool| drawn.iter().filter(|drawn| acts(drawn)).count() as f64 / 20_000.0;
    let close = |share: f64, expected: f64| assert!((share - expected).abs() < 0.012, "{share}, {expected}");
    close(share(|drawn| drawn.flips[0] == 1.0), 0.5);
    close(share(|drawn| drawn.flips[1] == 1.0), 0.06);
    close(share(|drawn| drawn.scale != 0.0), 0.12);
    close(share(|drawn| drawn.angle != 0.0), 0.12);
    close(share(|drawn| drawn.stretch != 0.0), 0.12);
    close(share(|drawn| drawn.stretch_angle != 0.0), 0.5);
    close(share(|drawn| drawn.shift[0] != 0.0), 0.12);
    assert_eq!(drawn[0].labels(&of, [8, 8]).len(), 9);
}

#[test]
fn images_need_not_be_square() {
    let of = Transforms { p: 1.0, ..Preset::Paper.transforms() };
    let drawn: Vec<Drawn> = (0..3).map(|image| drawn(&of, image)).collect();
    let pixels = made(&drawn, &of, [5, 8, 2]);
    assert_eq!(pixels.len(), 3 * 5 * 8 * 2);
    assert!(pixels.iter().all(|pixel| pixel.abs() < 4.0));
}

#[test]
fn margins_of_a_batch_of_one_are_its_own() {
    let of = Transforms { scale_std: 2.0, ..all(1.0) };
    let drawn = [drawn(&of, 5)];
    let [own, batch] =
        [Margins::Own, Margins::Batch].map(|margins| Batch::new(&drawn, &of, [8, 8, 3], margins));
    assert_eq!(format!("{own:?}"), format!("{batch:?}"));
}

#[test]
fn settings_that_make_no_sense_are_refused_while_wiring() {
    let cases = [
        ("8, 8, 3", "p: 0.1", "no transformation has a multiplier above 0"),
        ("8, 8, 3", "p: -0.1, preset: Paper", "`p` is -0.1, expected a finite number from 0 on"),
        ("8, 8, 3", "p: 1, preset: Paper, scale_std: inf", "`scale_std` is inf"),
        ("8, 8, 3", "p: 1, translate_int: 1, translate_int_max: 0", "`translate_int_max` is 0"),
        ("8, 6, 3", "p: 1, rotate_int: 1", "need square images, these are 8x6"),
        ("8, 8, 2", "p: 1, hue: 1", "images of 1 or 3 channels, these have 2"),
        ("8, 8, 3", "p: 1, preset: Papier", "Paper"),
    ];
    for (shape, settings, expected) in cases {
        let nodes = format!(
            r#""data": Noise(batch: 2, shape: ({shape})), "augmented": Augment(images: "data", {settings})"#
        );
        let report = engine(Arc::new(Reference), &nodes).err().expect("a mistake");
        assert!(report.contains(expected), "{report}");
    }
}

/// What noise adds to the first `n` images, of 5 levels.
fn filled(batch: usize, n: usize, settings: &str) -> Vec<f64> {
    let nodes = format!(
        r#""data": Noise(batch: {batch}, shape: (8, 8, 3)), "filled": Dequantize(images: "data", levels: 5 {settings})"#
    );
    let mut engine = engine(Arc::new(Reference), &nodes).expect("nodes that fit");
    let mut added = Vec::new();
    for _ in 0..n / batch {
        engine.tick().expect("a tick");
        let pixels = |node| Reference.download(&engine.value::<Images>(node).expect("images").pixels);
        let [clean, filled] = ["data", "filled"].map(|node| pixels(node).expect("numbers").f64s());
        added.extend(filled.iter().zip(&clean).map(|(filled, clean)| filled - clean));
    }
    added
}

#[test]
fn noise_fills_the_step_between_two_levels_evenly() {
    let mut added = filled(4, 32, "");
    // A step of 5 levels from -1 to 1 is 1/2 wide. Of 6144 numbers a share has a standard deviation of 0.6 % at most.
    added.sort_by(f64::total_cmp);
    let count = added.len();
    let ends = [added[0], added[count - 1]];
    assert!(ends.iter().all(|end| end.abs() < 0.25 + 1e-12), "{ends:?}");
    for (at, added) in added.iter().enumerate() {
        let even = -0.25 + 0.5 * at as f64 / count as f64;
        assert!((added - even).abs() < 0.5 * 0.025, "{added} is number {at}, not {even}");
    }
}

#[test]
fn the_noise_of_a_pixel_is_that_of_its_image_and_seed() {
    let [one, three, six] = [1, 3, 6].map(|batch| filled(batch, 6, ""));
    assert!(one == three && three == six);
    assert!(one[..192].iter().zip(&one[192..]).all(|(one, next)| one != next));
    assert!(one.iter().zip(&filled(6, 6, ", seed: 1")).all(|(one, other)| one != other));
}

#[test]
fn one_level_leaves_no_step_to_fill() {
    let nodes =
        r#""data": Noise(batch: 1, shape: (2, 2, 1)), "filled": Dequantize(images: "data", levels: 1)"#;
    let report = engine(Arc::new(Reference), nodes).err().expect("a mistake");
    assert!(report.contains("`levels` is 1, expected 2 or more"), "{report}");
}
