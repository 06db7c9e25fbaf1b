//! MNIST as it is published: `…-images-idx3-ubyte` and `…-labels-idx1-ubyte`, packed by gzip or not.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{Pictures, Source, packed};
use crate::labels::{Label, Labels};
use crate::picture::{Format, Picture};

/// Digits have this size, and are laid into the middle of a larger one, which halves without a rest.
const SIDE: usize = 28;
const PADDED: usize = 32;
/// A file has no more bytes than this unpacked.
const MOST_BYTES: u64 = 1 << 32;

struct Mnist {
    name: String,
    format: Format,
    pixels: Vec<u8>,
}

pub fn open(path: &Path) -> Result<Source, String> {
    let (sizes, pixels) = read::<3>(path, [0, 0, 8, 3])?;
    let [count, height, width] = sizes;
    let name = path.display().to_string();
    let format = Format::new(width, height, 1).map_err(|what| format!("an image of `{name}` {what}"))?;
    let labels = labels(path, count)?;
    let mnist = Mnist { name, format, pixels };
    Ok(Source { pictures: Box::new(mnist), labels })
}

/// The file of labels lies beside that of images and is named alike.
fn labels(images: &Path, count: usize) -> Result<Labels, String> {
    let name = images.file_name().unwrap_or_default().to_string_lossy();
    let path = images.with_file_name(name.replace("images-idx3", "labels-idx1"));
    if path == images || !path.exists() {
        let note = format!("there is no `{}` beside the images, so they have no labels", path.display());
        return Ok(Labels { note: Some(note), ..Labels::default() });
    }
    let ([found], classes) = read::<1>(&path, [0, 0, 8, 1])?;
    if found != count {
        return Err(format!("`{}` has {found} labels for {count} images", path.display()));
    }
    let each = classes.into_iter().map(|class| Label::Class(class.into())).collect();
    Ok(Labels { each, ..Labels::default() })
}

/// The sizes in the header of an idx file and the bytes behind it.
fn read<const N: usize>(path: &Path, magic: [u8; 4]) -> Result<([usize; N], Vec<u8>), String> {
    let wrong = |error: io::Error| format!("`{}` cannot be read: {error}", path.display());
    let mut file = packed::unpacked(File::open(path).map_err(wrong)?).map_err(wrong)?;
    let mut word = [0; 4];
    file.read_exact(&mut word).map_err(wrong)?;
    if word != magic {
        return Err(format!(
            "`{}` starts with {word:?}, expected {magic:?} for bytes in idx format",
            path.display()
        ));
    }
    let mut sizes = [0; N];
    for size in &mut sizes {
        file.read_exact(&mut word).map_err(wrong)?;
        *size = u32::from_be_bytes(word) as usize;
    }
    let len = sizes.iter().try_fold(1u64, |len, size| len.checked_mul(*size as u64));
    match len.filter(|len| *len <= MOST_BYTES) {
        Some(len) => Ok((sizes, packed::take(&mut file, len).map_err(wrong)?)),
        None => Err(format!("`{}` says that it has {sizes:?} bytes, more than {MOST_BYTES}", path.display())),
    }
}

impl Pictures for Mnist {
    fn count(&self) -> usize {
        self.pixels.len() / (self.format.height * self.format.width)
    }

    fn name(&self, picture: usize) -> String {
        format!("image {picture} of {}", self.name)
    }

    fn read(&self, picture: usize) -> Result<Picture, String> {
        let Format { width, height, .. } = self.format;
        let pixels = &self.pixels[picture * height * width..][..height * width];
        if (height, width) != (SIDE, SIDE) {
            return Ok(Picture { format: self.format, bytes: pixels.to_vec() });
        }
        let margin = (PADDED - SIDE) / 2;
        let mut bytes = vec![0; PADDED * PADDED];
        for (row, pixels) in pixels.chunks(SIDE).enumerate() {
            bytes[(row + margin) * PADDED + margin..][..SIDE].copy_from_slice(pixels);
        }
        Ok(Picture { format: Format { width: PADDED, height: PADDED, channels: 1 }, bytes })
    }
}
