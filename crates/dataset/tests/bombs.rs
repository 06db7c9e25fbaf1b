//! Small files that unpack to large ones: what they may cost is known, and little.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use mollify_dataset::{Format, Picture, ZipWriter, open};
use tempfile::{TempDir, tempdir};

#[path = "../../checkpoint/tests/pickles/memory.rs"]
mod memory;

const MIB: usize = 1 << 20;

/// What deflate makes of so many MiB of zeros: one of them over and over, and an empty end.
fn zeros(mib: usize) -> Vec<u8> {
    let mut one = Vec::with_capacity(MIB);
    let mut deflate = Compress::new(Compression::best(), false);
    deflate.compress_vec(&vec![0; MIB], &mut one, FlushCompress::Full).expect("memory");
    [one.repeat(mib), vec![1, 0, 0, 0xff, 0xff]].concat()
}

/// An archive of stored files and a deflated one, which claims to unpack to `len` bytes.
fn archive(stored: &[(&str, &[u8])], (name, packed, len): (&str, &[u8], usize)) -> (TempDir, PathBuf) {
    let folder = tempdir().expect("a folder");
    let mut zip = ZipWriter::new(Vec::new());
    for (name, bytes) in stored.iter().chain([&(name, packed)]) {
        zip.add(name, bytes).expect("memory");
    }
    let mut bytes = zip.finish().expect("memory");
    let line = bytes.windows(4).rposition(|word| word == b"PK\x01\x02").expect("a list");
    bytes[line + 10] = 8;
    bytes[line + 24..line + 28].copy_from_slice(&(len as u32).to_le_bytes());
    let path = folder.path().join("bomb.zip");
    fs::write(&path, bytes).expect("written");
    (folder, path)
}

/// A PNG of 4x4 grey pixels with a chunk of its own, and these packed pixels.
fn png(chunk: (&[u8; 4], &[u8]), pixels: &[u8]) -> Vec<u8> {
    let format = Format { width: 4, height: 4, channels: 1 };
    let plain = Picture { format, bytes: vec![0; 16] }.encode().expect("a PNG");
    let mut file = plain[..33].to_vec();
    for (name, content) in [chunk, (b"IDAT", pixels), (b"IEND", &[])] {
        file.extend((content.len() as u32).to_be_bytes());
        let named = [name, content].concat();
        file.extend(&named);
        file.extend(crc32fast::hash(&named).to_be_bytes());
    }
    file
}

/// So many MiB of zeros in the format of zlib.
fn zlib(mib: usize) -> Vec<u8> {
    // The checksum of n zeros.
    let adler = ((mib * MIB % 65521) as u32) << 16 | 1;
    [&[0x78, 1][..], &zeros(mib), &adler.to_be_bytes()].concat()
}

#[track_caller]
fn costs_at_most<T>(most: usize, run: impl FnOnce() -> T) -> T {
    let (peak, made) = memory::peak(run);
    assert!(peak <= most, "took {peak} bytes, expected {most} at most");
    made
}

#[test]
fn an_entry_that_is_larger_than_any_picture_is_not_unpacked() {
    let (_folder, path) = archive(&[], ("a.png", &zeros(1024), 1024 * MIB));
    let error = costs_at_most(MIB, || {
        let source = open(&path).expect("an archive of one picture");
        source.pictures.read(0).expect_err("1 GiB")
    });
    assert!(error.contains("1073741824 bytes unpacked, expected at most"), "{error}");
}

#[test]
fn an_entry_that_unpacks_to_more_than_it_claims_is_unpacked_no_further() {
    let (_folder, path) = archive(&[], ("a.png", &zeros(1024), 1000));
    let error = costs_at_most(3 * MIB, || {
        let source = open(&path).expect("an archive of one picture");
        source.pictures.read(0).expect_err("1 GiB")
    });
    assert!(error.contains("does not unpack to the 1000 bytes that it claims"), "{error}");
}

#[test]
fn labels_that_unpack_to_too_much_are_not_read() {
    let picture = png((b"tEXt", b"a\0b"), &zlib(0));
    let (_folder, path) = archive(&[("a.png", &picture)], ("dataset.json", &zeros(1024), 1024 * MIB));
    let error = costs_at_most(MIB, || open(&path).err().expect("1 GiB"));
    assert!(error.contains("`dataset.json`") && error.contains("1073741824 bytes unpacked"), "{error}");
}

#[test]
fn the_start_of_a_large_entry_tells_its_format_at_little_cost() {
    let picture = png((b"tEXt", b"a\0b"), &zlib(0));
    let mut deflate = Compress::new(Compression::best(), false);
    let mut packed = Vec::with_capacity(MIB);
    deflate.compress_vec(&picture, &mut packed, FlushCompress::Full).expect("memory");
    packed.extend(zeros(64));
    let (_folder, path) = archive(&[], ("a.png", &packed, picture.len() + 64 * MIB));
    let format = costs_at_most(MIB, || open(&path).expect("an archive of one picture").pictures.format(0));
    assert_eq!(format, Ok(Format { width: 4, height: 4, channels: 1 }));
}

#[test]
fn pixels_that_unpack_to_more_than_the_picture_has_cost_no_more_than_the_picture() {
    let file = png((b"tEXt", b"a\0b"), &zlib(1024));
    let picture = costs_at_most(MIB, || Picture::decode(&file));
    assert!(picture.is_ok_and(|picture| picture.bytes == [0; 16]));
}

#[test]
fn a_profile_that_unpacks_to_too_much_is_refused() {
    let profile = [b"a\0\0", &zlib(1024)[..]].concat();
    let file = png((b"iCCP", &profile), &zlib(0));
    let error = costs_at_most(512 * MIB, || Picture::decode(&file).expect_err("1 GiB"));
    assert!(error.contains("cannot be decoded"), "{error}");
}

#[test]
fn digits_are_unpacked_no_further_than_their_header_says() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("train-images-idx3-ubyte.gz");
    let mut gzip = GzEncoder::new(fs::File::create(&path).expect("a file"), Compression::fast());
    gzip.write_all(&[[0, 0, 8, 3], [0, 0, 0, 2], [0, 0, 0, 28], [0, 0, 0, 28]].concat()).expect("written");
    (0..64).for_each(|_| gzip.write_all(&vec![0; MIB]).expect("written"));
    gzip.finish().expect("written");
    let source = costs_at_most(MIB, || open(&path).expect("digits"));
    assert_eq!(source.pictures.count(), 2);
}
