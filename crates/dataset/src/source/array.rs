//! Pictures in arrays of NumPy: bytes of shape `[n, h, w]`, `[n, h, w, c]` or `[n, c, h, w]`.

use std::path::Path;

use checkpoint::{Array, Dtype, parse_npy, read_array};

use super::{Pictures, Source};
use crate::labels::{self, Label, Labels};
use crate::picture::{Format, Picture};
use crate::zip::{Entry, Zip};

/// An array of pictures in an archive has no more bytes than this; one in a file of its own may have.
const MOST_BYTES: u64 = 1 << 32;
/// What arrays of pictures are called, and those of their labels; the first that an archive has is taken.
const IMAGES: [&str; 6] = ["images", "x", "arr_0", "x_train", "train_images", "data"];
const LABELS: [&str; 6] = ["labels", "y", "arr_1", "y_train", "train_labels", "label"];

struct Arrays {
    name: String,
    format: Format,
    /// Whether each channel is a plane of its own.
    planes: bool,
    bytes: Vec<u8>,
}

/// One array, without labels.
pub fn open_npy(path: &Path) -> Result<Source, String> {
    let array = read_array(path, None).map_err(|error| error.to_string())?;
    let (_, arrays) = Arrays::of(array, path.display().to_string())?;
    Ok(Source { pictures: Box::new(arrays), labels: Labels::default() })
}

/// An archive of arrays, by their names.
pub fn open_npz(path: &Path) -> Result<Source, String> {
    let zip = Zip::open(path)?;
    let find = |names: &[&str]| {
        let find = |name: &&str| zip.entries().iter().find(|entry| entry.name == format!("{name}.npy"));
        names.iter().find_map(find)
    };
    let images = find(&IMAGES).ok_or_else(|| no_images(&zip))?;
    let name = format!("{} of {}", images.name, path.display());
    let (count, arrays) = Arrays::of(array(&zip, images, MOST_BYTES)?, name)?;
    let labels = match find(&LABELS) {
        Some(entry) => labels(array(&zip, entry, labels::MOST_BYTES)?, count)
            .map_err(|what| format!("`{}` in `{}` {what}", entry.name, path.display()))?,
        None => Labels::default(),
    };
    Ok(Source { pictures: Box::new(arrays), labels })
}

fn no_images(zip: &Zip) -> String {
    let found: Vec<_> = zip.entries().iter().take(10).map(|entry| format!("`{}`", entry.name)).collect();
    let wanted = IMAGES.join(", ");
    format!("`{}` has no array with a name of {wanted}; found {}", zip.path().display(), found.join(", "))
}

fn array(zip: &Zip, entry: &Entry, most: u64) -> Result<Array, String> {
    parse_npy(&zip.path().join(&entry.name), zip.read(entry, most)?).map_err(|error| error.to_string())
}

/// Whole numbers are classes, rows of others are vectors.
fn labels(array: Array, count: usize) -> Result<Labels, String> {
    let shape = &array.shape;
    if shape.first() != Some(&count) || shape.len() > 2 {
        return Err(format!("has the shape {shape:?}, expected labels for {count} pictures"));
    }
    let width = shape.get(1).copied().unwrap_or(1);
    let whole = !matches!(array.dtype, Dtype::F32 | Dtype::F64);
    let numbers = numbers(&array)?;
    let each = match (whole, width) {
        (true, 1) => numbers.into_iter().map(class).collect::<Result<_, _>>()?,
        (_, 0) => Vec::new(),
        _ => numbers.chunks(width).map(|row| Label::Vector(row.to_vec())).collect(),
    };
    Ok(Labels { each, ..Labels::default() })
}

fn class(number: f64) -> Result<Label, String> {
    let class = Some(number).filter(|number| (0.0..=f64::from(u32::MAX)).contains(number));
    class
        .map(|number| Label::Class(number as u32))
        .ok_or(format!("has a class {number}, expected one from 0"))
}

fn numbers(array: &Array) -> Result<Vec<f64>, String> {
    fn each<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
    }
    let bytes = &array.bytes;
    Ok(match array.dtype {
        Dtype::U8 | Dtype::BOOL => each(bytes, |[byte]| byte.into()),
        Dtype::U16 => each(bytes, |bytes| u16::from_le_bytes(bytes).into()),
        Dtype::I32 => each(bytes, |bytes| i32::from_le_bytes(bytes).into()),
        Dtype::U32 => each(bytes, |bytes| u32::from_le_bytes(bytes).into()),
        Dtype::I64 => each(bytes, |bytes| i64::from_le_bytes(bytes) as f64),
        Dtype::F32 => each(bytes, |bytes| f32::from_le_bytes(bytes).into()),
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        other => return Err(format!("holds numbers of type {other:?}, expected int64 or float32")),
    })
}

impl Arrays {
    /// The pictures in an array, and how many.
    fn of(array: Array, name: String) -> Result<(usize, Self), String> {
        let wrong = |what: String| format!("`{name}` {what}");
        if array.dtype != Dtype::U8 {
            let hint = "save `x.astype('uint8')` with values from 0 to 255";
            return Err(wrong(format!("holds numbers of type {:?}, expected bytes; {hint}", array.dtype)));
        }
        let (count, height, width, channels, planes) = match array.shape[..] {
            [n, h, w] => (n, h, w, 1, false),
            [n, h, w, c @ (1 | 3)] => (n, h, w, c, false),
            [n, c @ (1 | 3), h, w] => (n, h, w, c, true),
            _ => {
                let expected = "expected [n, h, w], [n, h, w, c] or [n, c, h, w] with 1 or 3 channels";
                return Err(wrong(format!("has the shape {:?}, {expected}", array.shape)));
            }
        };
        let format = Format::new(width, height, channels).map_err(wrong)?;
        Ok((count, Self { name, format, planes, bytes: array.bytes }))
    }
}

impl Pictures for Arrays {
    fn count(&self) -> usize {
        self.bytes.len() / (self.format.width * self.format.height * self.format.channels)
    }

    fn name(&self, picture: usize) -> String {
        format!("image {picture} of {}", self.name)
    }

    fn read(&self, picture: usize) -> Result<Picture, String> {
        let Format { width, height, channels } = self.format;
        let plane = width * height;
        let bytes = &self.bytes[picture * plane * channels..][..plane * channels];
        let bytes = if self.planes {
            let pixel = |pixel| (0..channels).map(move |channel| bytes[channel * plane + pixel]);
            (0..plane).flat_map(pixel).collect()
        } else {
            bytes.to_vec()
        };
        Ok(Picture { format: self.format, bytes })
    }
}
