//! Sources that are broken, or that were made to do harm: an error that names the file, and little memory.

use std::fs;
use std::io::Write;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use mollify_dataset::{Format, Options, Picture, Transform, Zip, ZipWriter, convert};
use tempfile::{TempDir, tempdir};

fn options() -> Options {
    let threads = NonZero::new(2).expect("not zero");
    Options { transform: Transform::default(), max_images: None, seed: None, skip_broken: false, threads }
}

fn png(side: usize, grey: u8) -> Vec<u8> {
    let format = Format { width: side, height: side, channels: 1 };
    Picture { format, bytes: vec![grey; side * side] }.encode().expect("a PNG")
}

/// An archive of these files in a folder of its own.
fn archive(files: &[(&str, Vec<u8>)]) -> (TempDir, PathBuf) {
    let folder = tempdir().expect("a folder");
    let mut zip = ZipWriter::new(Vec::new());
    files.iter().for_each(|(name, bytes)| zip.add(name, bytes).expect("memory"));
    let path = folder.path().join("source.zip");
    fs::write(&path, zip.finish().expect("memory")).expect("written");
    (folder, path)
}

/// The error of a conversion, which leaves nothing behind.
fn error(source: &Path) -> String {
    let folder = tempdir().expect("a folder");
    let converted = convert(source, &folder.path().join("out.zip"), &options(), &mut |_, _| ());
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0, "something is left of it");
    converted.expect_err("this source is broken")
}

#[track_caller]
fn refuses(source: &Path, words: &[&str]) {
    let error = error(source);
    for word in words {
        assert!(error.contains(word), "no `{word}` in: {error}");
    }
}

#[test]
fn an_archive_cut_off_anywhere_is_refused() {
    let (folder, path) = archive(&[("a.png", png(4, 1)), ("b.png", png(4, 2))]);
    let whole = fs::read(&path).expect("an archive");
    for len in 0..whole.len() {
        let cut = folder.path().join("cut.zip");
        fs::write(&cut, &whole[..len]).expect("written");
        refuses(&cut, &["cut.zip"]);
    }
}

#[test]
fn any_broken_byte_of_an_archive_ends_without_a_panic() {
    let (folder, path) = archive(&[("a.png", png(2, 1)), ("dataset.json", br#"{"labels": null}"#.to_vec())]);
    let whole = fs::read(&path).expect("an archive");
    for at in 0..whole.len() {
        for change in [1, 0x80, 0xff] {
            let mut broken = whole.clone();
            broken[at] ^= change;
            let broken_path = folder.path().join("broken.zip");
            fs::write(&broken_path, broken).expect("written");
            let _ = convert(&broken_path, &folder.path().join("out"), &options(), &mut |_, _| ());
            let _ = fs::remove_dir_all(folder.path().join("out"));
        }
    }
}

#[test]
fn names_that_lead_out_of_an_archive_are_refused() {
    for name in ["../a.png", "a/../../b.png", "/etc/a.png", "C:\\a.png", "a\\..\\b.png"] {
        refuses(&archive(&[(name, png(2, 0))]).1, &["leads out of it"]);
    }
}

#[test]
fn an_archive_that_claims_too_much_is_refused_before_it_is_unpacked() {
    let (_folder, path) = archive(&[("a.png", png(2, 0))]);
    let mut bytes = fs::read(&path).expect("an archive");
    let list = bytes.windows(4).rposition(|word| word == b"PK\x01\x02").expect("a list");
    bytes[list + 10] = 8;
    bytes[list + 24..list + 28].copy_from_slice(&0x7000_0000u32.to_le_bytes());
    fs::write(&path, bytes).expect("written");
    refuses(&path, &["`a.png` claims to unpack"]);
}

#[test]
fn entries_that_share_bytes_are_refused() {
    let (_folder, path) = archive(&[("a.png", png(2, 0)), ("b.png", png(2, 0))]);
    let mut bytes = fs::read(&path).expect("an archive");
    let list = bytes.windows(4).rposition(|word| word == b"PK\x01\x02").expect("a list");
    // The second entry is where the first one is.
    bytes[list + 42..list + 46].fill(0);
    fs::write(&path, bytes).expect("written");
    refuses(&path, &["`a.png` and `b.png` share bytes"]);
}

#[test]
fn a_picture_of_absurd_size_is_refused_before_anything_is_allocated() {
    let mut huge = png(2, 0);
    huge[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    let crc = crc32fast::hash(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    refuses(&archive(&[("huge.png", huge)]).1, &["huge.png", "100000x100000"]);
}

#[test]
fn broken_pictures_are_named_together_and_can_be_left_out() {
    let cut = png(8, 3)[..60].to_vec();
    let files = [("a.png", png(8, 1)), ("b.png", cut), ("c.png", b"hello".to_vec()), ("d.png", png(8, 2))];
    let (folder, path) = archive(&files);
    refuses(&path, &["2 of 4 pictures cannot be used", "`b.png`", "`c.png` is no picture", "--skip-broken"]);
    let out = folder.path().join("out.zip");
    let skip = Options { skip_broken: true, ..options() };
    let made = convert(&path, &out, &skip, &mut |_, _| ()).expect("two pictures are whole");
    assert_eq!(made.images, 2);
    assert!(made.notes[0].contains("`b.png`"), "{:?}", made.notes);
    let zip = Zip::open(&out).expect("an archive");
    let names: Vec<&str> = zip.entries().iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["00000/img00000000.png", "00000/img00000003.png", "dataset.json"]);
}

#[test]
fn pictures_that_differ_are_named_with_what_they_are() {
    refuses(
        &archive(&[("a.png", png(4, 0)), ("b.png", png(6, 0))]).1,
        &["`b.png` is 6x6 grey", "`a.png` is 4x4"],
    );
}

#[test]
fn labels_have_to_fit_the_pictures() {
    for (json, words) in [
        (r#"{"labels": [["a.png", 0], ["z.png", 1]]}"#, "a label for `z.png`, which is not there"),
        (r#"{"labels": [["a.png", 0], ["a.png", 1]]}"#, "two labels for one picture"),
        (r#"{"labels": [["a.png", -1]]}"#, "is not understood"),
        (r#"{"labels": [["a.png", 0], ["b.png", [0.5]]]}"#, "labels `b.png` with 1 numbers"),
        (r#"{"labels": "#, "is not understood"),
    ] {
        let json = json.as_bytes().to_vec();
        let files = [("a.png", png(4, 0)), ("b.png", png(4, 1)), ("dataset.json", json)];
        refuses(&archive(&files).1, &["dataset.json", words]);
    }
}

#[test]
fn what_is_no_data_set_is_refused() {
    let folder = tempdir().expect("a folder");
    refuses(folder.path(), &["it is empty"]);
    refuses(&folder.path().join("nowhere"), &["nowhere", "cannot be read"]);
    let file = folder.path().join("file");
    for (content, words) in
        [(&b""[..], "is empty"), (b"hello", "is no data set"), (b"PK\x03\x04", "zip archive")]
    {
        fs::write(&file, content).expect("written");
        refuses(&file, &[words]);
    }
    refuses(folder.path(), &["found 1 other files"]);
}

/// Root may read what is locked, but nobody what is not there, goes round in a circle or never ends.
#[cfg(unix)]
#[test]
fn files_that_cannot_be_read_are_named() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = tempdir().expect("a folder");
    fs::write(folder.path().join("a.png"), png(4, 1)).expect("written");
    let bad = folder.path().join("b.png");
    for (target, why) in [
        ("gone.png", "cannot be read: No such file"),
        ("b.png", "cannot be read: Too many levels"),
        ("/dev/zero", "is a pipe or a device"),
    ] {
        symlink(target, &bad).expect("a link");
        refuses(folder.path(), &["b.png", why]);
        fs::remove_file(&bad).expect("the link");
    }
    fs::write(&bad, png(4, 2)).expect("written");
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o000)).expect("permissions");
    if fs::File::open(&bad).is_err() {
        refuses(folder.path(), &["b.png", "cannot be read: Permission denied"]);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_among_the_pictures_is_not_waited_for() {
    let folder = tempdir().expect("a folder");
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("a.png")).status();
    assert!(made.expect("mkfifo").success());
    refuses(folder.path(), &["a.png", "is a pipe or a device"]);
}

#[test]
fn a_folder_that_is_called_like_a_picture_is_a_folder() {
    let folder = tempdir().expect("a folder");
    fs::create_dir(folder.path().join("a.png")).expect("a folder");
    refuses(folder.path(), &["it is empty"]);
    fs::write(folder.path().join("a.png/b.png"), png(4, 1)).expect("written");
    assert_eq!(mollify_dataset::open(folder.path()).expect("a picture").pictures.count(), 1);
}

/// The end of its preview is not that of the picture.
#[test]
fn a_jpeg_with_a_preview_that_is_cut_off_is_refused() {
    let pixels = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * y) as u8, x as u8, y as u8]));
    let mut whole = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut whole, image::ImageFormat::Jpeg).expect("a JPEG");
    let whole = whole.into_inner();
    let preview = [&[0xff, 0xe5, 0, 8][..], &[0xff, 0xd8, 0xff, 0xda, 0xff, 0xd9]].concat();
    let with = [&whole[..2], &preview, &whole[2..]].concat();
    assert!(Picture::decode(&with).is_ok());
    let error = Picture::decode(&with[..with.len() - 40]).expect_err("no end");
    assert!(error.contains("cut off"), "{error}");
}

/// So that fuzzing begins with something that is read.
#[test]
fn the_seeds_of_the_fuzz_targets_are_good() {
    let seeds = |sort: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(sort);
        fs::read_dir(folder).expect("seeds").map(|seed| seed.expect("a seed").path())
    };
    for seed in seeds("picture") {
        Picture::decode(&fs::read(&seed).expect("a seed")).unwrap_or_else(|what| panic!("{seed:?} {what}"));
    }
    for seed in seeds("zip") {
        mollify_dataset::open(&seed).unwrap_or_else(|what| panic!("{what}"));
    }
    let names = ["a.png", "b/c.png"].map(str::to_owned);
    for seed in seeds("labels") {
        let json = fs::read(&seed).expect("a seed");
        mollify_dataset::Labels::parse(&json, &names).unwrap_or_else(|what| panic!("{seed:?} {what}"));
    }
}

#[test]
fn a_file_of_digits_that_claims_more_than_it_has_is_refused() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("train-images-idx3-ubyte");
    for (sizes, words) in [([1u32, 28, 28], "cut off"), ([u32::MAX; 3], "says that it has")] {
        let mut file = fs::File::create(&path).expect("a file");
        file.write_all(&[0, 0, 8, 3]).expect("written");
        sizes.iter().for_each(|size| file.write_all(&size.to_be_bytes()).expect("written"));
        refuses(&path, &[words]);
    }
}

#[test]
fn what_is_there_is_left_alone() {
    let (folder, path) = archive(&[("a.png", png(4, 0))]);
    let there = folder.path().join("there.zip");
    fs::write(&there, "precious").expect("written");
    let error = convert(&path, &there, &options(), &mut |_, _| ()).expect_err("it is there");
    assert!(error.contains("is there already"), "{error}");
    assert_eq!(fs::read(&there).expect("a file"), b"precious");
}

/// Three pictures under `00000` to `00002`, written by the `lmdb` package of Python; one lies on pages of its own.
const LMDB: &[u8] = include_bytes!("assets/few_lmdb/data.mdb");

#[test]
fn an_lmdb_is_read_in_the_order_of_its_keys() {
    let folder = tempdir().expect("a folder");
    fs::write(folder.path().join("data.mdb"), LMDB).expect("written");
    let source = mollify_dataset::open(folder.path()).expect("an lmdb");
    assert_eq!(source.pictures.count(), 3);
    assert!(source.pictures.name(2).starts_with("key 00002"), "{}", source.pictures.name(2));
    (0..3).for_each(|i| drop(source.pictures.read(i).expect("a picture")));
}

#[test]
fn an_lmdb_with_any_broken_byte_or_cut_off_ends_without_a_panic() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("data.mdb");
    let read_all = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("written");
        if let Ok(source) = mollify_dataset::open(folder.path()) {
            (0..source.pictures.count()).for_each(|i| drop(source.pictures.read(i)));
        }
    };
    for at in (0..LMDB.len()).step_by(3) {
        let mut broken = LMDB.to_vec();
        broken[at] ^= 0xff;
        read_all(&broken);
    }
    (0..LMDB.len()).step_by(97).for_each(|len| read_all(&LMDB[..len]));
}
