//! NumPy's `.npy` format: one array behind a header in Python's notation.
//!
//! Only plain numbers in C order are read, which is what other programs hand over.

use std::fs;
use std::path::Path;

use safetensors::Dtype;

use crate::array::elements;
use crate::{Array, Error, Shape, View, write_whole};

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";
const EXPECTED: &str = "a `.npy` file of plain numbers";

/// NumPy's names of the types that both formats have.
const DTYPES: [(&str, Dtype); 12] = [
    ("<f4", Dtype::F32),
    ("<f8", Dtype::F64),
    ("<f2", Dtype::F16),
    ("|b1", Dtype::BOOL),
    ("|u1", Dtype::U8),
    ("|i1", Dtype::I8),
    ("<u2", Dtype::U16),
    ("<i2", Dtype::I16),
    ("<u4", Dtype::U32),
    ("<i4", Dtype::I32),
    ("<u8", Dtype::U64),
    ("<i8", Dtype::I64),
];

pub(crate) fn write(path: &Path, array: View) -> Result<(), Error> {
    let header = header(array)?;
    write_whole(path, |file| {
        file.write_all(&header)?;
        file.write_all(array.bytes())
    })
}

/// A whole `.npy` file, as it stands in an `.npz` archive.
pub fn npy_bytes(array: View) -> Result<Vec<u8>, Error> {
    Ok([&header(array)?, array.bytes()].concat())
}

/// Everything before the numbers.
fn header(array: View) -> Result<Vec<u8>, Error> {
    let dtype = array.dtype();
    let Some((descr, _)) = DTYPES.iter().find(|(_, known)| *known == dtype) else {
        return Err(Error::Dtype { found: dtype, wanted: "written as `.npy`; take `.safetensors`".into() });
    };
    let sizes: Vec<String> = array.shape().iter().map(usize::to_string).collect();
    let comma = if sizes.len() == 1 { "," } else { "" };
    let shape = format!("({}{comma})", sizes.join(", "));
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // The whole header, with ten bytes before the text and a line feed after it, fills a multiple of 64.
    header.extend(std::iter::repeat_n(' ', 63 - (header.len() + 10) % 64));
    header.push('\n');
    let too_many =
        Error::Dtype { found: dtype, wanted: "written as `.npy`: its shape has too many dimensions".into() };
    let length = u16::try_from(header.len()).map_err(|_| too_many)?;
    Ok([MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes()].concat())
}

pub(crate) fn read(path: &Path) -> Result<Array, Error> {
    parse_npy(path, fs::read(path).map_err(Error::io("read", path))?)
}

/// The array in the bytes of a `.npy` file; `path` is what errors call it.
pub fn parse_npy(path: &Path, mut file: Vec<u8>) -> Result<Array, Error> {
    let wrong = |reason: String| Error::format(path, EXPECTED, reason);
    let start = data_start(&file).ok_or(wrong("its header is broken".into()))?;
    let truncated =
        |expected: u64| Error::Truncated { path: path.to_owned(), expected, found: file.len() as u64 };
    let header = file.get(10..start).ok_or_else(|| truncated(start as u64))?;
    let (dtype, shape) = header_of(&String::from_utf8_lossy(header)).map_err(wrong)?;

    let bytes = elements(&shape).and_then(|count| count.checked_mul(dtype.bitsize() / 8));
    let end = bytes
        .and_then(|bytes| bytes.checked_add(start))
        .ok_or(wrong(format!("no file is as large as {shape:?}")))?;
    if file.len() < end {
        return Err(truncated(end as u64));
    }
    if file.len() > end {
        return Err(wrong(format!("{} bytes follow its array", file.len() - end)));
    }
    file.drain(..start);
    Array::new(dtype, &shape, file)
}

/// Where the numbers start: the length of the header has two bytes in version 1 and four in later ones.
fn data_start(file: &[u8]) -> Option<usize> {
    let rest = file.strip_prefix(MAGIC)?;
    match rest {
        [1, _, a, b, ..] => Some(10 + usize::from(u16::from_le_bytes([*a, *b]))),
        [2 | 3, _, a, b, c, d, ..] => {
            usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).ok()?.checked_add(12)
        }
        _ => None,
    }
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`; fails with what is wrong.
fn header_of(header: &str) -> Result<(Dtype, Shape), String> {
    let dtype = dtype_of(value(header, "descr")?)?;
    match value(header, "fortran_order")? {
        order if order.starts_with("False") => {}
        order if order.starts_with("True") => {
            return Err("it is in Fortran order; save `np.ascontiguousarray(x)`".into());
        }
        _ => return Err("its `fortran_order` is neither True nor False".into()),
    }
    Ok((dtype, shape_of(value(header, "shape")?)?))
}

/// What follows a key of the header.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let quoted = [format!("'{key}':"), format!("\"{key}\":")];
    let after = quoted.iter().find_map(|quoted| header.split_once(quoted));
    after.map(|(_, value)| value.trim_start()).ok_or(format!("its header has no `{key}`"))
}

fn dtype_of(descr: &str) -> Result<Dtype, String> {
    if descr.starts_with('[') {
        return Err("it holds records with named fields; save each field as its own array".into());
    }
    let name = descr.split(['\'', '"']).nth(1).ok_or("its type is unreadable")?;
    if let Some((_, dtype)) = DTYPES.iter().find(|(known, _)| *known == name) {
        return Ok(*dtype);
    }
    let known = name.strip_prefix('>').and_then(|name| DTYPES.iter().find(|(known, _)| &known[1..] == name));
    Err(match known {
        Some((known, _)) => format!("it holds big-endian `{name}`; save `x.astype('{known}')`"),
        None => format!("it holds `{name}`, which are not plain numbers; save `x.astype('<f4')`"),
    })
}

fn shape_of(shape: &str) -> Result<Shape, String> {
    let broken = || "its `shape` is unreadable".to_string();
    let (sizes, _) = shape.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or_else(broken)?;
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().map_err(|_| broken())).collect()
}
