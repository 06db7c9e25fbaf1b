//! Whatever a picture's file holds, decoding it ends with a picture of the size it says, or with a message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mollify_dataset::{Format, Picture};

fuzz_target!(|file: &[u8]| {
    // What is large by right takes long, and finds nothing that small pictures do not.
    let Ok(format) = Format::of(file) else { return };
    if format.width * format.height > 1 << 16 {
        return;
    }
    if let Ok(picture) = Picture::decode(file) {
        assert_eq!(picture.format, format);
        assert_eq!(picture.bytes.len(), format.width * format.height * format.channels);
    }
});
