//! Whatever a zip file holds, each of its entries can be read or is refused, and none leads out of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mollify_dataset::{Zip, open};

fuzz_target!(|file: &[u8]| {
    let path = std::env::temp_dir().join(format!("mollify-fuzz-{}.zip", std::process::id()));
    std::fs::write(&path, file).expect("a scratch file");
    if let Ok(zip) = Zip::open(&path) {
        for entry in zip.entries() {
            assert!(!entry.name.starts_with('/') && !entry.name.split('/').any(|part| part == ".."));
            if let Ok(bytes) = zip.read(entry, 1 << 20) {
                assert_eq!(bytes.len() as u64, entry.len);
            }
        }
    }
    if let Ok(set) = open(&path) {
        for picture in 0..set.pictures.count().min(16) {
            if set.pictures.format(picture).is_ok_and(|format| format.width * format.height <= 1 << 16) {
                let _ = set.pictures.read(picture);
            }
        }
    }
});
