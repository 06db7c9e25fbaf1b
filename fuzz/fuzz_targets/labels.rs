//! Whatever `dataset.json` holds, every picture has a label afterwards, or none has one, or there is a message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mollify_dataset::Labels;

fuzz_target!(|json: &[u8]| {
    let names = ["a.png", "b/c.png"].map(str::to_owned);
    if let Ok(labels) = Labels::parse(json, &names) {
        assert!(labels.each.is_empty() || labels.each.len() == names.len());
    }
});
