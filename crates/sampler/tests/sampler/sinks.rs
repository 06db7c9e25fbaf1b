//! Pictures on disk.

use std::fs;
use std::path::Path;

use mollify_sampler::bytes;

use crate::labels::CLASSES;
use crate::small::{mistake, sample, wire};

/// [`CLASSES`] with one more node.
fn with(sink: &str) -> String {
    CLASSES.replace("\"times\":", &format!("\"files\": {sink}, \"times\":"))
}

fn to(folder: &Path, name: &str) -> String {
    format!("files.to={:?}", folder.join(name))
}

const PNG: &str = r#"Png(x: "heun", seeds: "seeds", labels: "labels", to: "out.png")"#;
const GRID: &str = r#"Grid(x: "heun", seeds: "seeds", columns: 5, scale: 2, to: "out.png")"#;

#[test]
fn bytes_are_cut_off_not_rounded() {
    let pixels = [-1.0, 1.0, 0.0, 0.5, -3.0, 3.0, -1.0 + 1.0 / 255.0, 1.0 / 127.5 - 1e-9];
    assert_eq!(bytes(&pixels), [0, 255, 128, 191, 0, 255, 1, 128]);
}

#[test]
fn every_seed_becomes_a_file_in_the_folder_of_its_class() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = wire(&with(PNG), &[&to(folder.path(), "a/{class:02}/{seed:06}.png")]).unwrap();
    let samples = sample(&mut engine, "heun");
    for (seed, image) in samples.images {
        let class = seed / 2 % 3;
        let file = folder.path().join(format!("a/{class:02}/{seed:06}.png"));
        let picture = image::open(&file).unwrap().into_rgb8();
        assert_eq!((picture.width(), picture.height()), (1, 2));
        assert_eq!(picture.into_raw(), bytes(&image), "seed {seed}");
    }
    let files = |class: &str| fs::read_dir(folder.path().join("a").join(class)).unwrap().count();
    assert_eq!(["00", "01", "02"].map(files), [4, 4, 4], "and nothing else");
}

#[test]
fn a_grid_has_a_row_after_the_other_and_ends_in_black() {
    let folder = tempfile::tempdir().unwrap();
    let samples = sample(&mut wire(&with(GRID), &[&to(folder.path(), "b/grid.png")]).unwrap(), "heun");
    let picture = image::open(folder.path().join("b/grid.png")).unwrap().into_rgb8();
    assert_eq!((picture.width(), picture.height()), (5 * 2, 3 * 2 * 2));
    for (x, y, pixel) in picture.enumerate_pixels() {
        let seed = u64::from(y / 4 * 5 + x / 2);
        let row = (y / 2 % 2) as usize;
        let expected = samples.images.get(&seed).map_or(vec![0; 3], |image| bytes(&image[row * 3..][..3]));
        assert_eq!(pixel.0[..], expected, "at {x}, {y}");
    }
}

#[test]
fn a_gap_leaves_black_pixels_between_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [&to(folder.path(), "grid.png")[..], "files.gap=1", "files.scale=1"];
    let samples = sample(&mut wire(&with(GRID), &settings).unwrap(), "heun");
    let picture = image::open(folder.path().join("grid.png")).unwrap().into_rgb8();
    assert_eq!((picture.width(), picture.height()), (5 + 4, 3 * 2 + 2), "no gap around the whole");
    for (x, y, pixel) in picture.enumerate_pixels() {
        let seed = u64::from(y / 3 * 5 + x / 2);
        let image = samples.images.get(&seed).filter(|_| x % 2 == 0 && y % 3 < 2);
        let expected = image.map_or(vec![0; 3], |image| bytes(&image[(y % 3) as usize * 3..][..3]));
        assert_eq!(pixel.0[..], expected, "at {x}, {y}");
    }
}

/// Grey images of one pixel, clean, of one level and of a level each, and what a denoiser makes of some.
const LOOKS: &str = r#"(
    nodes: {
        "clean":    Noisy(pixels: [-1.0, 0.0, 0.5], levels: [0.0]),
        "noisy":    Noisy(pixels: [40.0, -20.0, 4.0], levels: [20.0]),
        "each":     Noisy(pixels: [0.5, 0.5, 0.5], levels: [0.0, 0.5, 50.0]),
        "ideal":    Normal(std: 0.5, image: (1, 1, 1)),
        "denoised": Denoise(x: "each", by: "ideal"),
        "grid":     Grid(x: ["clean", "noisy", "each", "denoised"], columns: 2, to: "grid.png"),
    },
)"#;

fn looks(settings: &[&str]) -> (image::GrayImage, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let to = format!("grid.to={:?}", folder.path().join("grid.png"));
    let settings: Vec<&str> = settings.iter().copied().chain([to.as_str()]).collect();
    wire(LOOKS, &settings).unwrap().run().unwrap();
    (image::open(folder.path().join("grid.png")).unwrap().into_luma8(), folder)
}

#[test]
fn a_grid_has_a_row_a_node_of_clean_noisy_and_denoised_images() {
    let (picture, _folder) = looks(&[]);
    // Divided by sqrt(1 + (sigma / 0.5)²); the denoiser's answers are x / (1 + (sigma / 0.5)²).
    let noisy = [40.0, -20.0, 4.0].map(|x: f64| x / 1601f64.sqrt());
    let each = [0.5, 0.5 / 2f64.sqrt(), 0.5 / 10_001f64.sqrt()];
    let rows = [[-1.0, 0.0, 0.5], noisy, each, [0.5, 0.25, 0.5 / 10_001.0]].map(|row| bytes(&row));
    let expected: Vec<u8> = [0, 1]
        .iter()
        .flat_map(|block| rows.iter().flat_map(move |row| [row.get(2 * block), row.get(2 * block + 1)]))
        .map(|byte| byte.copied().unwrap_or(0))
        .collect();
    assert_eq!((picture.width(), picture.height()), (2, 2 * 4));
    assert_eq!(picture.into_raw(), expected);
}

#[test]
fn a_grid_of_one_node_needs_no_list() {
    let (picture, _folder) = looks(&["grid.x=\"clean\"", "grid.columns=3"]);
    assert_eq!(picture.into_raw(), bytes(&[-1.0, 0.0, 0.5]));
}

#[test]
fn a_grid_without_seeds_draws_every_tick() {
    let folder = tempfile::tempdir().unwrap();
    let grid = r#"Grid(x: ["x", "first"], columns: 4, to: "out.png")"#;
    let settings = [&to(folder.path(), "{tick:03}.png")[..], "seeds=\"0-3\""];
    let mut engine = wire(&with(grid), &settings).unwrap();
    engine.run().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected: Vec<String> = (0..18).map(|tick| format!("{tick:03}.png")).collect();
    assert_eq!(names, expected);
    let picture =
        |tick| image::open(folder.path().join(format!("{tick:03}.png"))).unwrap().into_rgb8().into_raw();
    assert_ne!(picture(0), picture(17));
    // Pure noise of level 80 would be black and white; with the contrast of clean images little of it is cut off.
    let cut = picture(0)[..4 * 2 * 3].iter().filter(|byte| [0, 255].contains(*byte)).count();
    assert!(cut < 8, "{cut} of 24 numbers are cut off");
}

#[test]
fn samples_of_two_nodes_stand_beneath_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [&to(folder.path(), "grid.png")[..], "files.x=[\"heun\", \"euler\"]", "files.scale=1"];
    let samples = sample(&mut wire(&with(GRID), &settings).unwrap(), "heun");
    let picture = image::open(folder.path().join("grid.png")).unwrap().into_rgb8();
    assert_eq!((picture.width(), picture.height()), (5, 3 * 2 * 2));
    for (seed, image) in samples.images {
        let (x, y) = ((seed % 5) as u32, (seed / 5 * 4) as u32);
        let drawn: Vec<u8> = (y..y + 4).flat_map(|y| picture.get_pixel(x, y).0).collect();
        // In the last step Heun's method is Euler's.
        assert_eq!(drawn, [bytes(&image), bytes(&image)].concat(), "seed {seed}");
    }
}

#[test]
fn a_grid_that_cannot_be_is_refused() {
    let grid = |settings: &[&str]| mistake(LOOKS, settings);
    assert!(grid(&["grid.x=[]"]).contains("`x` names no node"));
    assert!(grid(&["grid.x=\"ideal\""]).contains("makes Denoiser, but Images or Denoised is needed here"));
    let other = mistake(
        &with(GRID).replace("\"heun\", seeds", "[\"heun\", \"other\"], seeds").replace(
            "\"times\":",
            "\"big\": Normal(std: 1.0, image: (9, 9, 3)), \
         \"other\": Latents(seeds: \"seeds\", times: \"times\", like: \"big\"), \"times\":",
        ),
        &[],
    );
    assert!(other.contains("images of `other` are 9x9x3, but those of `heun` 2x1x3"), "{other}");
    let ticks = mistake(&with(GRID), &["files.to=\"{tick}.png\""]);
    assert!(ticks.contains("so `{tick}` has no number; leave out `seeds` to draw every tick"), "{ticks}");
    let png = mistake(&with(PNG), &["files.to=\"{seed}-{tick}.png\""]);
    assert!(png.contains("an image arrives once"), "{png}");
    let failure = |settings: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let to = to(folder.path(), "grid.png");
        let settings: Vec<&str> = settings.iter().copied().chain([to.as_str()]).collect();
        wire(&with(GRID), &settings).unwrap().run().unwrap_err().to_string()
    };
    assert!(failure(&["files.x=\"first\""]).contains("denoised images do not tell when they have arrived"));
    let folder = tempfile::tempdir().unwrap();
    let to = to(folder.path(), "grid.png").replace("files", "grid");
    let counts = wire(LOOKS, &["each.pixels=[1.0]", "each.levels=[1.0]", &to]).unwrap().run();
    let counts = counts.unwrap_err().to_string();
    assert!(counts.contains("`each` has made images [1, 1, 1, 1], but `clean` [3, 1, 1, 1]"), "{counts}");
}

#[test]
fn names_of_files_have_known_places_only() {
    let png = |name: &str| mistake(&with(PNG), &[&format!("files.to={name:?}")]);
    assert_eq!(png("{sed}.png"), "nothing is called `{sed}` in names of files; did you mean `seed`?");
    assert!(png("{clas}/{seed}.png").contains("did you mean `class`?"));
    assert!(png("one.png").contains("same file `one.png`; put `{seed:06}` into its name"));
    assert!(png("{seed.png").contains("a brace in `{seed.png` has no other half"));
    assert!(png("seed}.png").contains("has no other half"));
    assert!(png("{seed:wide}.png").contains("no width from 0 to 20"));
    assert!(png("{seed}.jpg").contains("does not end in `.png`"));
    let grid = mistake(&with(GRID), &["files.to=\"{seed}.png\""]);
    assert!(grid.contains("all go into one file"), "{grid}");
    let unlabelled = mistake(&with(PNG), &["files.to=\"{class}/{seed}.png\"", "files.labels=None"]);
    assert!(unlabelled.contains("`{class}` needs the classes of the images; wire `labels`"), "{unlabelled}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_before_anything_is_sampled() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("taken"), "a file, not a folder").unwrap();
    for (sink, name) in [(PNG, "taken/{seed}.png"), (GRID, "taken/grid.png")] {
        let mut engine = wire(&with(sink), &[&to(folder.path(), name)]).unwrap();
        let failure = engine.tick().unwrap_err().to_string();
        let named = format!("cannot make the folder `{}`", folder.path().join("taken").display());
        assert!(failure.contains(&named) && failure.contains("choose another one in `to`"), "{failure}");
    }
}

#[test]
fn a_picture_has_one_to_four_channels() {
    let five = mistake(&with(PNG), &["ideal.image=(1, 1, 5)", "files.to=\"{seed}.png\""]);
    assert!(five.contains("`heun` makes images of 5 channels, but a PNG has 1 to 4"), "{five}");
}

#[test]
fn a_seed_whose_image_is_not_finite_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [&to(folder.path(), "{seed}.png"), "ideal.std=1e200"];
    let failure = wire(&with(PNG), &settings).unwrap().run().unwrap_err().to_string();
    assert!(failure.contains("the image of seed 0 is not finite"), "{failure}");
}
