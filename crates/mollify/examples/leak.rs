//! Tells which way up digits stand, real ones, augmented ones and samples; `cargo xtask leak` starts it.
//!
//! The measure is a nearest neighbour: each image is compared with every real digit of its class in the eight positions
//! that a square has (four turns, each mirrored or not), and stands as the nearest one does. By chance one of eight would
//! stand upright, and a few more in truth, because a 0, a 1 or an 8 looks the same in several positions.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use pipeline::{Engine, Pipeline};
use ports::{Images, Labels, Machine, Run};
use tensor::Device;

/// Prints how many images of each set stand upright
#[derive(Parser)]
struct Args {
    /// Files of samples, as many of each class, the classes one after the other
    samples: Vec<PathBuf>,
}

/// Pixels along a side.
const SIDE: usize = 8;
const CLASSES: usize = 10;
/// Four turns, each mirrored or not; the first leaves an image as it is.
const POSITIONS: usize = 8;

/// Every real digit, the same as `pipelines/leak.ron` augments them, and by the whole preset.
const SETS: &str = r#"(nodes: {
    "digits": Digits(batch: 1797),
    "turned": Augment(images: "digits", p: 1.0, rotate_frac: 1),
    "preset": Augment(images: "digits", p: 1.0, preset: Paper),
})"#;

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("error: {what}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<(), String> {
    let [real, turned, preset] = sets()?;
    println!("| images | upright | pixels off the nearest |");
    println!("|---|--:|--:|");
    row("real digits, each beside all others", &real.stand(&real, true));
    row("digits turned by any angle", &turned.stand(&real, true));
    row("digits augmented by the paper's preset", &preset.stand(&real, true));
    for file in &args.samples {
        let samples = Set::read(file)?;
        row(&format!("samples, {}", file.display()), &samples.stand(&real, false));
    }
    Ok(())
}

fn row(name: &str, stands: &[Stand]) {
    let upright = stands.iter().filter(|stand| stand.position == 0).count() as f64 / stands.len() as f64;
    let distance = stands.iter().map(|stand| stand.distance).sum::<f64>() / stands.len() as f64;
    println!("| {name} | {:.1} % | {distance:.3} |", 100.0 * upright);
}

/// Digits with their classes.
struct Set {
    images: Vec<Vec<f64>>,
    classes: Vec<usize>,
}

/// How an image stands.
struct Stand {
    position: usize,
    /// To its nearest neighbour, the root of the mean square over pixels.
    distance: f64,
}

/// The real digits and both sorts of augmented ones, in the same order.
fn sets() -> Result<[Set; 3], String> {
    let device: Arc<dyn Device> = Arc::new(cpu::Cpu::new(1));
    let pipeline = Pipeline::read("digits", SETS, &[]).map_err(|report| report.to_string())?;
    let mut engine = Engine::default().with(mollify::plugin);
    engine.wire(&pipeline).map_err(|report| report.to_string())?;
    engine.world.insert_resource(Machine(device.clone()));
    engine.world.insert_resource(Run::default());
    engine.tick().map_err(|failure| failure.to_string())?;
    let classes = engine.value::<Labels>("digits").and_then(|labels| labels.classes.clone());
    let classes: Vec<usize> = classes.unwrap_or_default().into_iter().map(|class| class as usize).collect();
    let set = |name: &str| {
        let images = engine.value::<Images>(name).ok_or(format!("`{name}` has made no images"))?;
        let pixels = device.download(&images.pixels).map_err(|error| error.to_string())?.f64s();
        Ok::<_, String>(Set { images: images_of(&pixels), classes: classes.clone() })
    };
    Ok([set("digits")?, set("turned")?, set("preset")?])
}

fn images_of(pixels: &[f64]) -> Vec<Vec<f64>> {
    pixels.chunks_exact(SIDE * SIDE).map(<[f64]>::to_vec).collect()
}

impl Set {
    fn read(file: &Path) -> Result<Self, String> {
        let array = data::from_file(file, None).map_err(|error| error.to_string())?;
        let n = match array.shape[..] {
            [n, SIDE, SIDE, 1] if n % CLASSES == 0 && n > 0 => n,
            _ => {
                let shown = file.display();
                return Err(format!(
                    "`{shown}` holds {}, expected as many 8x8 digits of each class",
                    array.shape
                ));
            }
        };
        let classes = (0..n).map(|at| at * CLASSES / n).collect();
        Ok(Set { images: images_of(&array.f64s()), classes })
    }

    /// How each image stands beside `real` ones of its class; beside all but its own, if `own` says that it has one.
    fn stand(&self, real: &Set, own: bool) -> Vec<Stand> {
        let stand = |(at, (image, class)): (usize, (&Vec<f64>, &usize))| {
            let others = (0..real.images.len()).filter(|other| real.classes[*other] == *class);
            let others = others.filter(|other| !own || *other != at);
            let stands =
                others.flat_map(|other| (0..POSITIONS).map(move |position| (position, &real.images[other])));
            let stands = stands
                .map(|(position, other)| Stand { position, distance: distance(image, other, position) });
            stands.min_by(|a, b| a.distance.total_cmp(&b.distance)).expect("each class has digits")
        };
        self.images.iter().zip(&self.classes).enumerate().map(stand).collect()
    }
}

/// The distance of an image from another one in a position.
fn distance(image: &[f64], other: &[f64], position: usize) -> f64 {
    let pixel = |at: usize| image[at] - other[place(at, position)];
    let squares: f64 = (0..SIDE * SIDE).map(|at| pixel(at).powi(2)).sum();
    (squares / (SIDE * SIDE) as f64).sqrt()
}

/// Which pixel is seen at a place when an image is mirrored, for positions from 4 on, and turned by quarters.
fn place(at: usize, position: usize) -> usize {
    let (mut y, mut x) = (at / SIDE, at % SIDE);
    for _ in 0..position % 4 {
        (y, x) = (x, SIDE - 1 - y);
    }
    if position >= 4 {
        x = SIDE - 1 - x;
    }
    y * SIDE + x
}
