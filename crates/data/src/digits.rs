//! The handwritten digits that come with the program.

use std::io::Read as _;
use std::sync::OnceLock;

use bevy_ecs::prelude::*;
use flate2::read::GzDecoder;
use pipeline::{Inputs, Mistake, Node, Shapes, This};
use ports::{Compute, Explain, Fact, Images, Labels, Others};
use serde::Deserialize;

use crate::pictures::{Order, Pictures, Seen, spread};
use crate::{ANY_STD, batch_size};

const FILE: &[u8] = include_bytes!("../assets/digits.csv.gz");

/// Settings of the digits.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digits {
    batch: usize,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    any_std: bool,
}

impl Node for Digits {
    type Value = (Images, Labels, Seen);

    const DOC: &'static str = "Handwritten digits, 1,797 of 8x8 grey pixels, that come with the program.\n\
        Every epoch brings each of them once, in another order. Labels are the ten classes.\n\
        Optical Recognition of Handwritten Digits by E. Alpaydin and C. Kaynak, UCI, CC BY 4.0.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("batch", "how many images a tick"), ("seed", "which order they come in, 0 unless given"), ANY_STD];

    fn check(&self) -> Result<(), Mistake> {
        batch_size(self.batch)
    }

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(pipeline::Shape::from([8, 8, 1])).and::<Labels>(pipeline::Shape::from([10])))
    }
}

impl Explain for Digits {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        if self.any_std { Vec::new() } else { spread(Unpacked::get()) }
    }
}

/// The next batch of digits.
pub fn digits(this: This<Digits>, seen: Query<&Seen>, compute: Compute) -> Result<(Images, Labels, Seen)> {
    let Seen(before) = seen.get(this.node()).copied().unwrap_or_default();
    let order = Order { seed: this.seed, mirror: false };
    let batch = order.batch(Unpacked::get(), before..before + this.batch as u64)?;
    batch.upload(before, &compute)
}

/// All digits, 8x8 pixels each from 0 to 16.
struct Unpacked {
    pixels: Vec<u8>,
    classes: Vec<u8>,
}

impl Unpacked {
    fn get() -> &'static Self {
        static UNPACKED: OnceLock<Unpacked> = OnceLock::new();
        UNPACKED.get_or_init(|| {
            let mut text = String::new();
            GzDecoder::new(FILE).read_to_string(&mut text).expect("the embedded file unpacks");
            let mut unpacked = Unpacked { pixels: Vec::new(), classes: Vec::new() };
            for line in text.lines() {
                let mut numbers = line.split(',').map(|number| number.parse::<f32>().expect("numbers") as u8);
                unpacked.pixels.extend(numbers.by_ref().take(64));
                unpacked.classes.extend(numbers);
            }
            unpacked
        })
    }
}

impl Pictures for Unpacked {
    fn count(&self) -> usize {
        self.classes.len()
    }

    fn shape(&self) -> [usize; 3] {
        [8, 8, 1]
    }

    fn labels(&self) -> usize {
        10
    }

    fn label(&self, picture: usize, row: &mut [f32]) -> Option<u32> {
        let class = self.classes[picture];
        row[usize::from(class)] = 1.0;
        Some(class.into())
    }

    fn read(&self, picture: usize, pixels: &mut Vec<f32>) -> Result<(), String> {
        pixels.extend(self.pixels[picture * 64..][..64].iter().map(|ink| f32::from(*ink) / 8.0 - 1.0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_1797_digits_of_ten_classes() {
        let digits = Unpacked::get();
        assert_eq!((digits.count(), digits.pixels.len()), (1797, 1797 * 64));
        let of_class = |class| digits.classes.iter().filter(|found| **found == class).count();
        let counts: Vec<usize> = (0..10).map(of_class).collect();
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    }

    #[test]
    fn paper_is_minus_one_and_ink_is_one() -> Result<(), String> {
        let mut pixels = Vec::new();
        Unpacked::get().read(0, &mut pixels)?;
        assert_eq!(pixels[..8], [-1.0, -1.0, -0.375, 0.625, 0.125, -0.875, -1.0, -1.0]);
        assert!(pixels.iter().all(|pixel| (-1.0..=1.0).contains(pixel)));
        Ok(())
    }
}
