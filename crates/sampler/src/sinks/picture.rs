//! Numbers as pixels, and pixels as PNG files.

use std::fs;
use std::path::{Path, PathBuf};

use bevy_ecs::prelude::*;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use pipeline::{Inputs, Mistake, Port, Wire};

/// Pixels as bytes: -1 becomes 0, 0 becomes 128 and 1 becomes 255; fractions are cut off.
pub fn bytes(pixels: &[f64]) -> Vec<u8> {
    pixels.iter().map(|pixel| (pixel * 127.5 + 128.0).clamp(0.0, 255.0) as u8).collect()
}

/// The bytes of images of `size` numbers, one after the other; `name` names one in errors.
pub(super) fn finite_bytes(pixels: &[f64], size: usize, name: impl Fn(usize) -> String) -> Result<Vec<u8>> {
    let broken = |image: &[f64]| image.iter().any(|pixel| !pixel.is_finite());
    match pixels.chunks_exact(size.max(1)).position(broken) {
        Some(at) => Err(format!("{} is not finite", name(at)).into()),
        None => Ok(bytes(pixels)),
    }
}

/// Checks that there is a seed for each image.
pub(super) fn check_seeds(seeds: &[u64], images: usize) -> Result<()> {
    if seeds.len() == images {
        return Ok(());
    }
    Err(format!("there are {} seeds for {images} images", seeds.len()).into())
}

/// Checks while wiring that images can be pictures: they have 1 to 4 channels.
pub(super) fn check_channels<T: Port>(inputs: &Inputs, field: &str, x: Wire<T>) -> Result<(), Mistake> {
    match inputs.of(x).as_deref() {
        Some([_, _, c]) if color(*c).is_none() => {
            let what = format!("`{}` makes images of {c} channels, but a PNG has 1 to 4", inputs.name(x));
            Err(Mistake::new(field, what))
        }
        _ => Ok(()),
    }
}

/// Grey, grey with opacity, colours, colours with opacity.
fn color(channels: usize) -> Option<ExtendedColorType> {
    use ExtendedColorType::{L8, La8, Rgb8, Rgba8};
    [L8, La8, Rgb8, Rgba8].get(channels.checked_sub(1)?).copied()
}

/// Writes a picture of `[h, w, c]` under a temporary name and renames it: it is there whole or not at all.
pub(super) fn write(path: &Path, pixels: &[u8], [h, w, c]: [usize; 3]) -> Result<()> {
    let color = color(c).ok_or_else(|| format!("the images have {c} channels, but a PNG has 1 to 4"))?;
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(pixels, u32::try_from(w)?, u32::try_from(h)?, color)?;
    make_folder(folder_of(path))?;
    let temporary = temporary(path);
    fs::write(&temporary, file).and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
        // A second failure would only hide the first.
        fs::remove_file(&temporary).ok();
        format!("cannot write `{}`: {error}", path.display()).into()
    })
}

/// Makes the folder of a picture and tries it out, so that it fails now and not when the pictures are there.
pub(super) fn try_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    make_folder(folder)?;
    let trial = temporary(&folder.join("trial"));
    fs::write(&trial, []).and_then(|()| fs::remove_file(&trial)).map_err(|error| {
        format!("cannot write to the folder `{}`: {error}; choose another one in `to`", folder.display())
            .into()
    })
}

fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| {
        format!("cannot make the folder `{}`: {error}; choose another one in `to`", folder.display()).into()
    })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Two processes never share a temporary file.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.unfinished", std::process::id()))
}
