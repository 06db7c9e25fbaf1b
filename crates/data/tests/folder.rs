//! Folders of pictures: what is read from good ones, and what is said about bad ones.

use std::fs;
use std::path::Path;

use image::{DynamicImage, ImageFormat};
use mollify_data::{Folder, Pictures};
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
    Folder::open(path, None).expect_err("a mistake")
}

/// The mistake in reading the `n`-th picture of a folder whose headers are fine.
fn mistake_inside(folder: &TempDir, n: usize) -> String {
    let folder = Folder::open(folder.path(), None).expect("a folder with good headers");
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
    let open = Folder::open(folder.path(), None).expect("a good folder");
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
    let open = Folder::open(folder.path(), None).expect("a good folder");
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
    let open = Folder::open(folder.path(), None).expect("a good folder");
    assert_eq!(open.class_names(), ["cat", "dog", "eel"]);
    let classes: Vec<u32> = (0..4).map(|picture| open.class(picture)).collect();
    assert_eq!(classes, [0, 0, 1, 2]);
}

#[test]
fn one_folder_or_a_picture_outside_of_folders_means_no_classes() {
    let folder = scratch();
    grey(&folder, "cat/1.png");
    grey(&folder, "cat/2.png");
    assert_eq!(Folder::open(folder.path(), None).map(|open| open.classes()), Ok(0));
    grey(&folder, "dog/1.png");
    assert_eq!(Folder::open(folder.path(), None).map(|open| open.classes()), Ok(2));
    grey(&folder, "1.png");
    assert_eq!(Folder::open(folder.path(), None).map(|open| open.classes()), Ok(0));
}

#[test]
fn other_files_and_hidden_ones_are_passed_over() {
    let folder = scratch();
    grey(&folder, "a.png");
    fs::write(folder.path().join("notes.txt"), "text").expect("a file");
    fs::write(folder.path().join("._a.png"), "not a picture").expect("a file");
    assert_eq!(Folder::open(folder.path(), None).map(|open| open.count()), Ok(1));
}

#[test]
fn at_most_so_many_images_are_spread_over_the_classes() {
    let folder = scratch();
    for name in ["a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png", "b/3.png"] {
        grey(&folder, name);
    }
    let open = Folder::open(folder.path(), Some(2)).expect("a good folder");
    assert_eq!((open.count(), open.class(0), open.class(1)), (2, 0, 1));
}

#[test]
fn a_missing_folder_is_named() {
    let folder = scratch();
    let missing = folder.path().join("photos");
    assert_says(&mistake(&missing), &["photos", "cannot be read", "No such file"]);
}

#[test]
fn a_file_in_place_of_a_folder_is_named() {
    let folder = scratch();
    let file = folder.path().join("photos.zip");
    fs::write(&file, "PK").expect("a file");
    assert_says(&mistake(&file), &["photos.zip", "is a file", "unpack it"]);
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
    assert_says(&mistake(folder.path()), &["no pictures", "found only", "notes.txt"]);
    fs::write(folder.path().join("more.gif"), "text").expect("a file");
    assert_says(&mistake(folder.path()), &["no pictures", "found 2 other files", ".gif"]);
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
        &["b.png", "is no picture", "<html>\\n<body", "expected PNG or JPEG"],
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
    assert_says(&mistake(folder.path()), &["a.png", "Rgba8", "expected grey or RGB"]);
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let folder = scratch();
    grey(&folder, "a.png");
    grey(&folder, "b.png");
    let locked = folder.path().join("b.png");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).expect("permissions");
    if fs::File::open(&locked).is_ok() {
        return; // root reads everything
    }
    assert_says(&mistake(folder.path()), &["b.png", "cannot be read", "denied"]);
}

#[cfg(unix)]
#[test]
fn links_that_form_a_loop_are_followed_once() {
    let folder = scratch();
    grey(&folder, "a/1.png");
    std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).expect("a link");
    assert_eq!(Folder::open(folder.path(), None).map(|open| open.count()), Ok(1));
}
