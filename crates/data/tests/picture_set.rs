//! Folders and zip files of pictures: what is read from good ones, and what is said about bad ones.

use std::fs;
use std::path::{Path, PathBuf};

use dataset::ZipWriter;
use image::{DynamicImage, ImageFormat};
use mollify_data::{Choice, PictureSet, Pictures, Split};
use tempfile::TempDir;

/// A picture whose pixel bytes count up from `start`.
fn picture(width: u32, height: u32, rgb: bool, start: u8) -> DynamicImage {
    let count = width * height * if rgb { 3 } else { 1 };
    let bytes = (0..count).map(|at| start.wrapping_add(at as u8)).collect();
    match rgb {
        true => image::RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
        false => image::GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
    }
    .expect("as many bytes as pixels")
}

fn save(path: &Path, picture: &DynamicImage) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a scratch folder");
    picture.save(path).expect("a picture is written");
}

fn grey(folder: &TempDir, name: &str) {
    save(&folder.path().join(name), &picture(4, 3, false, 7));
}

fn scratch() -> TempDir {
    tempfile::tempdir().expect("a scratch folder")
}

fn mistake(path: &Path) -> String {
    open(path).err().expect("a mistake")
}

fn open(path: &Path) -> Result<PictureSet, String> {
    PictureSet::open(path, Choice::default(), 2)
}

fn class(set: &PictureSet, picture: usize) -> Option<u32> {
    set.label(picture, &mut vec![0.0; set.labels()])
}

/// The mistake in reading the `n`-th picture of a folder whose headers are fine.
fn mistake_inside(folder: &TempDir, n: usize) -> String {
    let folder = open(folder.path()).expect("a folder with good headers");
    folder.read(n, &mut Vec::new()).expect_err("a mistake")
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn pixels_become_numbers_from_minus_one_to_one() {
    let folder = scratch();
    save(&folder.path().join("a.png"), &picture(2, 3, true, 100));
    let open = open(folder.path()).expect("a good folder");
    assert_eq!(open.shape(), [3, 2, 3]);
    let mut pixels = Vec::new();
    open.read(0, &mut pixels).expect("a good picture");
    let expected: Vec<f32> = (100..118u8).map(|byte| f32::from(byte) / 127.5 - 1.0).collect();
    assert_eq!(pixels, expected);
}

#[test]
fn jpegs_and_upper_case_names_are_read_too() {
    let folder = scratch();
    save(&folder.path().join("a.jpeg"), &picture(8, 8, true, 0));
    let bytes = fs::read(folder.path().join("a.jpeg")).expect("the file");
    fs::write(folder.path().join("b.JPG"), bytes).expect("a copy");
    let open = open(folder.path()).expect("a good folder");
    assert_eq!((open.count(), open.shape()), (2, [8, 8, 3]));
    let [mut a, mut b] = [Vec::new(), Vec::new()];
    open.read(0, &mut a).expect("a good picture");
    open.read(1, &mut b).expect("a good picture");
    assert_eq!((a.len(), &a), (192, &b));
}

#[test]
fn top_level_folders_are_classes_in_the_order_of_their_names() {
    let folder = scratch();
    for name in ["dog/1.png", "cat/z/1.png", "cat/2.png", "eel/1.png"] {
        grey(&folder, name);
    }
    let open = open(folder.path()).expect("a good folder");
    assert_eq!(open.class_names(), ["cat", "dog", "eel"]);
    let classes: Vec<u32> = (0..4).filter_map(|picture| class(&open, picture)).collect();
    assert_eq!(classes, [0, 0, 1, 2]);
}

#[test]
fn one_folder_or_a_picture_outside_of_folders_means_no_classes() {
    let folder = scratch();
    grey(&folder, "cat/1.png");
    grey(&folder, "cat/2.png");
    assert_eq!(open(folder.path()).map(|open| open.labels()), Ok(0));
    grey(&folder, "dog/1.png");
    assert_eq!(open(folder.path()).map(|open| open.labels()), Ok(2));
    grey(&folder, "1.png");
    assert_eq!(open(folder.path()).map(|open| open.labels()), Ok(0));
}

#[test]
fn other_files_and_hidden_ones_are_passed_over() {
    let folder = scratch();
    grey(&folder, "a.png");
    fs::write(folder.path().join("notes.txt"), "text").expect("a file");
    fs::write(folder.path().join("._a.png"), "not a picture").expect("a file");
    assert_eq!(open(folder.path()).map(|open| open.count()), Ok(1));
}

#[test]
fn at_most_so_many_images_are_spread_over_the_classes() {
    let folder = scratch();
    for name in ["a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png", "b/3.png"] {
        grey(&folder, name);
    }
    let open = PictureSet::open(folder.path(), Choice { max_images: Some(2), ..Choice::default() }, 2)
        .expect("a good folder");
    assert_eq!((open.count(), class(&open, 0), class(&open, 1)), (2, Some(0), Some(1)));
}

#[test]
fn a_missing_folder_is_named() {
    let folder = scratch();
    let missing = folder.path().join("photos");
    assert_says(&mistake(&missing), &["photos", "cannot be read", "No such file"]);
}

#[test]
fn a_zip_file_that_is_cut_off_is_named() {
    let folder = scratch();
    let file = folder.path().join("photos.zip");
    fs::write(&file, "PK\x03\x04 and so on").expect("a file");
    assert_says(&mistake(&file), &["photos.zip", "cut off"]);
    let whole = zip(&folder, "whole.zip", &[("a.png", &png(4, 4)), ("b.png", &png(4, 4))]);
    let bytes = fs::read(&whole).expect("the file");
    for len in (4..bytes.len()).step_by(7) {
        fs::write(&file, &bytes[..len]).expect("a file");
        assert_says(&mistake(&file), &["photos.zip"]);
    }
}

#[test]
fn an_empty_folder_is_said_to_be_empty() {
    let folder = scratch();
    let name = folder.path().display().to_string();
    assert_says(&mistake(folder.path()), &[&name, "no pictures", "it is empty"]);
}

#[test]
fn a_folder_without_pictures_says_what_it_found() {
    let folder = scratch();
    fs::write(folder.path().join("notes.txt"), "text").expect("a file");
    assert_says(&mistake(folder.path()), &["no pictures", "found 1 other"]);
    fs::write(folder.path().join("more.gif"), "text").expect("a file");
    assert_says(&mistake(folder.path()), &["no pictures", "found 2 other files"]);
}

#[test]
fn an_empty_file_is_named() {
    let folder = scratch();
    grey(&folder, "a.png");
    fs::write(folder.path().join("b.png"), "").expect("a file");
    assert_says(&mistake(folder.path()), &["b.png", "is empty", "0 bytes"]);
}

#[test]
fn a_file_that_is_no_picture_is_named_with_its_first_bytes() {
    let folder = scratch();
    grey(&folder, "a.png");
    fs::write(folder.path().join("b.png"), "<html>\n<body>").expect("a file");
    assert_says(
        &mistake(folder.path()),
        &["b.png", "is no picture", "<html>\\n<body", "expected PNG, JPEG, WebP or BMP"],
    );
}

#[test]
fn a_cut_off_png_is_named() {
    let folder = scratch();
    save(&folder.path().join("a.png"), &picture(64, 64, true, 3));
    let whole = fs::read(folder.path().join("a.png")).expect("the file");
    fs::write(folder.path().join("b.png"), &whole[..whole.len() / 2]).expect("a file");
    assert_says(&mistake_inside(&folder, 1), &["b.png", "cannot be decoded", "end"]);
}

#[test]
fn a_cut_off_jpeg_is_named() {
    let folder = scratch();
    save(&folder.path().join("a.jpg"), &picture(64, 64, true, 3));
    let whole = fs::read(folder.path().join("a.jpg")).expect("the file");
    fs::write(folder.path().join("b.jpg"), &whole[..whole.len() - 40]).expect("a file");
    assert_says(&mistake_inside(&folder, 1), &["b.jpg", "cannot be decoded", "cut off"]);
}

#[test]
fn mixed_sizes_name_two_files_and_both_sizes() {
    let folder = scratch();
    grey(&folder, "a.png");
    save(&folder.path().join("b.png"), &picture(5, 3, false, 7));
    assert_says(&mistake(folder.path()), &["a.png", "b.png", "5x3", "4x3"]);
}

#[test]
fn mixed_channels_name_two_files_and_both_sorts() {
    let folder = scratch();
    grey(&folder, "a.png");
    save(&folder.path().join("b.png"), &picture(4, 3, true, 7));
    assert_says(&mistake(folder.path()), &["a.png", "b.png", "is RGB", "is grey"]);
}

#[test]
fn transparent_pictures_are_named() {
    let folder = scratch();
    let transparent = DynamicImage::new_rgba8(4, 4);
    transparent.save_with_format(folder.path().join("a.png"), ImageFormat::Png).expect("a picture");
    assert_says(&mistake(folder.path()), &["a.png", "transparent", "expected grey or RGB"]);
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = scratch();
    grey(&folder, "a.png");
    std::os::unix::fs::symlink("gone.png", folder.path().join("b.png")).expect("a link");
    assert_says(&mistake(folder.path()), &["b.png", "cannot be read", "No such file"]);
}

#[cfg(unix)]
#[test]
fn links_that_form_a_loop_are_followed_once() {
    let folder = scratch();
    grey(&folder, "a/1.png");
    std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).expect("a link");
    assert_eq!(open(folder.path()).map(|open| open.count()), Ok(1));
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture(width, height, false, 9).write_to(&mut bytes, ImageFormat::Png).expect("a picture");
    bytes.into_inner()
}

fn zip(folder: &TempDir, name: &str, entries: &[(&str, &[u8])]) -> PathBuf {
    let path = folder.path().join(name);
    let mut zip = ZipWriter::new(fs::File::create(&path).expect("a file"));
    entries.iter().for_each(|(name, bytes)| zip.add(name, bytes).expect("an entry"));
    zip.finish().expect("an archive");
    path
}

#[test]
fn a_zip_file_with_labels_is_a_set() {
    let (folder, picture) = (scratch(), png(4, 3));
    let json = br#"{"labels": [["x/a.png", 3], ["x/b.png", 0]]}"#;
    let path = zip(&folder, "a.zip", &[("x/b.png", &picture), ("x/a.png", &picture), ("dataset.json", json)]);
    let open = open(&path).expect("a good zip file");
    assert_eq!((open.count(), open.shape(), open.labels()), (2, [3, 4, 1], 4));
    assert_eq!((class(&open, 0), class(&open, 1)), (Some(3), Some(0)));
}

#[test]
fn labels_may_be_lists_of_numbers() {
    let (folder, picture) = (scratch(), png(4, 3));
    let json = br#"{"labels": [["a.png", [0.5, -1]], ["b.png", [2, 3e-1]]]}"#;
    let path = zip(&folder, "a.zip", &[("a.png", &picture), ("b.png", &picture), ("dataset.json", json)]);
    let open = open(&path).expect("a good zip file");
    let mut row = [0.0; 2];
    assert_eq!((open.labels(), open.label(1, &mut row), row), (2, None, [2.0, 0.3]));
}

#[test]
fn labels_that_make_no_sense_are_named() {
    let (folder, picture) = (scratch(), png(4, 3));
    for (json, parts) in [
        (r#"{"labels": [["a.png", 1], ["gone.png", 2]]}"#, &["dataset.json", "gone.png"][..]),
        (r#"{"labels": [["a.png", 1], ["a.png", 2]]}"#, &["dataset.json", "two labels"]),
        (r#"{"labels": [["a.png", -1]]}"#, &["dataset.json"]),
        (r#"{"labels": [["a.png", 4000000000]]}"#, &["4000000001 classes", "at most 65536"]),
        (r#"{"labels": [["a.png", [1]], ["b.png", 2]]}"#, &["dataset.json", "b.png"]),
        (r#"{"labels": "#, &["dataset.json"]),
    ] {
        let entries = [("a.png", &picture[..]), ("b.png", &picture), ("dataset.json", json.as_bytes())];
        let json_only_a = json.contains("4000000000");
        let entries = if json_only_a { vec![entries[0], entries[2]] } else { entries.to_vec() };
        assert_says(&mistake(&zip(&folder, "a.zip", &entries)), parts);
    }
}

#[test]
fn names_that_lead_out_of_a_zip_file_are_refused() {
    let (folder, picture) = (scratch(), png(4, 3));
    for name in ["../a.png", "/a.png", "x/../../a.png", "..\\a.png", "C:a.png"] {
        assert_says(&mistake(&zip(&folder, "a.zip", &[(name, &picture)])), &["a.zip", "leads out"]);
    }
}

#[test]
fn an_absurdly_large_png_is_refused_before_it_is_decoded() {
    let folder = scratch();
    let mut bytes = png(4, 3);
    bytes[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let digest = crc32fast::hash(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&digest);
    fs::write(folder.path().join("a.png"), bytes).expect("a file");
    assert_says(&mistake(folder.path()), &["a.png"]);
}

#[test]
fn what_is_held_out_and_the_rest_are_everything_and_never_change() {
    let folder = scratch();
    let names: Vec<String> = (0..200).map(|n| format!("{n}.png")).collect();
    names.iter().for_each(|name| grey(&folder, name));
    let count = |split, path: &Path| {
        let choice = Choice { held_out: 0.25, split, ..Choice::default() };
        PictureSet::open(path, choice, 1).expect("a good folder").count()
    };
    let (train, held_out) = (count(Split::Train, folder.path()), count(Split::HeldOut, folder.path()));
    assert_eq!(train + held_out, 200);
    assert!((30..70).contains(&held_out), "{held_out} of 200 are held out");
    let (moved, picture) = (scratch(), png(4, 3));
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&name[..], &picture[..])).collect();
    assert_eq!(count(Split::HeldOut, &zip(&moved, "a.zip", &entries)), held_out);
}

#[test]
fn a_split_that_is_empty_is_named() {
    let folder = scratch();
    grey(&folder, "a.png");
    let choice = Choice { held_out: 1e-9, split: Split::HeldOut, ..Choice::default() };
    let mistake = PictureSet::open(folder.path(), choice, 1).err().expect("a mistake");
    assert_says(&mistake, &["none of the 1 pictures", "HeldOut"]);
}

#[test]
fn pictures_are_the_same_from_memory_whatever_room_there_is() {
    let folder = scratch();
    for n in 0..4 {
        save(&folder.path().join(format!("{n}.png")), &picture(4, 3, false, n * 40));
    }
    let read = |cache| {
        let set =
            PictureSet::open(folder.path(), Choice { cache, ..Choice::default() }, 1).expect("a folder");
        let mut twice = [Vec::new(), Vec::new()];
        twice.iter_mut().for_each(|pixels| (0..4).for_each(|n| set.read(n, pixels).expect("a picture")));
        fs::write(folder.path().join("0.png"), "gone").expect("a file");
        let gone = set.read(0, &mut Vec::new()).is_err();
        save(&folder.path().join("0.png"), &picture(4, 3, false, 0));
        (twice, gone)
    };
    let (from_files, gone) = read(0);
    assert!(gone && from_files[0] == from_files[1]);
    assert_eq!(read(1000), (from_files.clone(), false));
    assert_eq!(read(25).0, from_files);
}
