//! What goes in comes out: every sort of picture and of destination, seeds and threads.

use std::fs;
use std::io::Cursor;
use std::num::NonZero;
use std::path::Path;

use image::{DynamicImage, ImageFormat, RgbImage};
use mollify_dataset::{Label, Labels, Options, Transform, ZipWriter, convert, open, proposals, stats};
use tempfile::tempdir;

fn options(threads: usize) -> Options {
    let threads = NonZero::new(threads).expect("not zero");
    Options { transform: Transform::default(), max_images: None, seed: None, skip_broken: false, threads }
}

fn picture(shade: u8, format: ImageFormat) -> Vec<u8> {
    let pixels = RgbImage::from_fn(8, 6, |x, y| image::Rgb([shade, 10 * x as u8, 20 * y as u8]));
    let mut file = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(pixels).write_to(&mut file, format).expect("a picture");
    file.into_inner()
}

/// Two classes of pictures that are no square.
fn write_folder(root: &Path) {
    for (class, name) in ["cats", "dogs"].iter().enumerate() {
        fs::create_dir_all(root.join("train").join(name)).expect("a folder");
        for (at, (end, format)) in [
            ("png", ImageFormat::Png),
            ("BMP", ImageFormat::Bmp),
            ("webp", ImageFormat::WebP),
            ("jpg", ImageFormat::Jpeg),
        ]
        .into_iter()
        .enumerate()
        {
            let file = root.join("train").join(name).join(format!("{at}.{end}"));
            fs::write(file, picture((100 * class + 20 * at) as u8, format)).expect("written");
        }
    }
}

#[test]
fn every_sort_of_picture_is_read_and_folders_are_classes() {
    let folder = tempdir().expect("a folder");
    write_folder(folder.path());
    let source = open(folder.path()).expect("a folder of pictures");
    assert_eq!(source.labels.names, ["cats", "dogs"]);
    assert_eq!(source.labels.each[3..5], [Label::Class(0), Label::Class(1)]);
    let shades = [0, 1, 2].map(|at| source.pictures.read(at).expect("a picture").bytes[0]);
    assert_eq!(shades, [0, 20, 40]);
}

#[test]
fn folders_around_all_pictures_are_no_classes() {
    let classes = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Labels::of_folders(&names).names
    };
    assert_eq!(classes(&["x/cat/1.png", "x/car/1.png"]), ["car", "cat"]);
    assert_eq!(classes(&["x/y/a/1.png", "x/y/b/c/1.png"]), ["a", "b"]);
    assert_eq!(classes(&["x/y/1.png", "x/y/2.png"]), [""; 0]);
    assert_eq!(classes(&["x/y/1.png"]), [""; 0]);
    // As long and as deep as names in archives may be.
    let deep = "a/".repeat(30_000);
    let names: Vec<String> = (0..200).map(|i| format!("{deep}{}/1.png", i % 2)).collect();
    assert_eq!(Labels::of_folders(&names).names, ["0", "1"]);
}

#[test]
fn the_same_input_and_seed_make_the_same_bytes_on_any_number_of_threads() {
    let folder = tempdir().expect("a folder");
    let source = folder.path().join("source");
    write_folder(&source);
    let make = |name: &str, options: &Options| {
        let path = folder.path().join(name);
        convert(&source, &path, options, &mut |_, _| ()).expect("good pictures");
        fs::read(path).expect("an archive")
    };
    let some = |seed| Options { max_images: Some(5), seed: Some(seed), ..options(1) };
    assert_eq!(make("a.zip", &options(1)), make("b.zip", &options(3)));
    assert_eq!(make("c.zip", &some(1)), make("d.zip", &some(1)));
    assert_ne!(make("e.zip", &some(1)), make("f.zip", &some(2)));
}

#[test]
fn a_folder_and_an_archive_hold_the_same() {
    let folder = tempdir().expect("a folder");
    let (source, made) = (folder.path().join("source"), folder.path().join("made"));
    write_folder(&source);
    let converted = convert(&source, &made, &options(2), &mut |_, _| ()).expect("good pictures");
    assert_eq!((converted.images, converted.labels.as_str()), (8, "2 classes"));
    let (one, other) = (folder.path().join("one.zip"), folder.path().join("other.zip"));
    convert(&source, &one, &options(2), &mut |_, _| ()).expect("good pictures");
    convert(&made, &other, &options(2), &mut |_, _| ()).expect("good pictures");
    assert!(fs::read(one).expect("an archive") == fs::read(other).expect("an archive"));
}

/// A file of NumPy with bytes.
fn npy(dtype: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), bytes].concat()
}

#[test]
fn arrays_are_pictures_with_channels_first_or_last() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("arrays.npz");
    let bytes: Vec<u8> = (0..24).collect();
    let mut zip = ZipWriter::new(Vec::new());
    zip.add("arr_0.npy", &npy("|u1", "(2, 3, 2, 2)", &bytes)).expect("memory");
    zip.add("arr_1.npy", &npy("<i4", "(2,)", &[7, 0, 0, 0, 1, 0, 0, 0])).expect("memory");
    fs::write(&path, zip.finish().expect("memory")).expect("written");
    let source = open(&path).expect("arrays");
    assert_eq!(source.labels.each, [Label::Class(7), Label::Class(1)]);
    assert_eq!(source.pictures.read(0).expect("a picture").bytes[..6], [0, 4, 8, 1, 5, 9]);
    let path = folder.path().join("array.npy");
    fs::write(&path, npy("|u1", "(2, 2, 2, 3)", &bytes)).expect("written");
    assert_eq!(open(&path).expect("an array").pictures.read(1).expect("a picture").bytes, bytes[12..]);
    fs::write(&path, npy("<f4", "(1, 2, 2)", &[0; 16])).expect("written");
    assert!(open(&path).err().expect("no bytes").contains("astype('uint8')"));
}

#[test]
fn statistics_are_those_of_the_pixels() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("array.npy");
    // Half the pixels are black and half are white: the mean is 0 and the deviation 1.
    let bytes = [[0; 4], [255; 4], [0; 4], [255; 4]].concat();
    fs::write(&path, npy("|u1", "(4, 2, 2)", &bytes)).expect("written");
    let stats = stats(&path, NonZero::<usize>::MIN, &mut |_, _| ()).expect("pictures");
    assert_eq!((stats.images, stats.duplicates, stats.compared), (4, 2, 4));
    assert!(stats.overall.mean.abs() < 1e-12 && (stats.overall.std - 1.0).abs() < 1e-12, "{stats:?}");
    // Four pixels that differ by two each.
    assert!((stats.largest_distance - 4.0).abs() < 1e-12, "{}", stats.largest_distance);
    let proposals = proposals(&stats);
    assert_eq!((proposals[0].setting, proposals[0].value), ("sigma_data", 1.0));
    assert_eq!((proposals[3].setting, proposals[3].value), ("sigma_max", 10.0));
}
