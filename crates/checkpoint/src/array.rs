//! An array as a file holds it: a type of number, a shape and little-endian bytes in C order.

use safetensors::Dtype;

use crate::{Error, Shape};

#[cfg(target_endian = "big")]
compile_error!("files hold little-endian numbers, which are viewed without converting them");

/// An array with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    pub dtype: Dtype,
    pub shape: Shape,
    /// Little-endian, the last dimension fastest.
    pub bytes: Vec<u8>,
}

/// An array whose bytes belong to someone else, which is how arrays are written.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// Fails if the bytes do not fill the shape.
    pub fn new(dtype: Dtype, shape: &'a [usize], bytes: &'a [u8]) -> Result<Self, Error> {
        let bits = |elements: usize| elements.checked_mul(dtype.bitsize());
        if elements(shape).and_then(bits) == bytes.len().checked_mul(8) {
            return Ok(Self { dtype, shape, bytes });
        }
        Err(Error::Size { dtype, shape: shape.to_vec(), bytes: bytes.len() })
    }

    /// Views numbers where they lie.
    pub fn from_f32s(shape: &'a [usize], numbers: &'a [f32]) -> Result<Self, Error> {
        Self::new(Dtype::F32, shape, bytemuck::cast_slice(numbers))
    }

    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl Array {
    /// Fails if the bytes do not fill the shape.
    pub fn new(dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Result<Self, Error> {
        View::new(dtype, shape, &bytes)?;
        Ok(Self { dtype, shape: shape.to_vec(), bytes })
    }

    pub fn from_f32s(shape: &[usize], numbers: &[f32]) -> Result<Self, Error> {
        Self::new(Dtype::F32, shape, bytemuck::cast_slice(numbers).to_vec())
    }

    pub fn from_f64s(shape: &[usize], numbers: &[f64]) -> Result<Self, Error> {
        Self::new(Dtype::F64, shape, bytemuck::cast_slice(numbers).to_vec())
    }

    pub fn from_i64s(shape: &[usize], numbers: &[i64]) -> Result<Self, Error> {
        Self::new(Dtype::I64, shape, bytemuck::cast_slice(numbers).to_vec())
    }

    /// The array as something to write; fails if the bytes do not fill the shape.
    pub fn view(&self) -> Result<View<'_>, Error> {
        View::new(self.dtype, &self.shape, &self.bytes)
    }

    /// The numbers as f32, rounded if they are wider.
    pub fn f32s(&self) -> Result<Vec<f32>, Error> {
        match self.dtype {
            Dtype::F32 => Ok(decode(&self.bytes, f32::from_le_bytes)),
            _ => Ok(self.f64s()?.into_iter().map(|number| number as f32).collect()),
        }
    }

    /// The numbers as f64; only 64-bit integers above 2^53 are rounded.
    pub fn f64s(&self) -> Result<Vec<f64>, Error> {
        let bytes = &self.bytes;
        Ok(match self.dtype {
            Dtype::F64 => decode(bytes, f64::from_le_bytes),
            Dtype::F32 => decode(bytes, |b| f32::from_le_bytes(b).into()),
            Dtype::F16 => decode(bytes, |b| f16(u16::from_le_bytes(b)).into()),
            Dtype::BF16 => decode(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16).into()),
            Dtype::I64 => decode(bytes, |b| i64::from_le_bytes(b) as f64),
            Dtype::U64 => decode(bytes, |b| u64::from_le_bytes(b) as f64),
            Dtype::I32 => decode(bytes, |b| i32::from_le_bytes(b).into()),
            Dtype::U32 => decode(bytes, |b| u32::from_le_bytes(b).into()),
            Dtype::I16 => decode(bytes, |b| i16::from_le_bytes(b).into()),
            Dtype::U16 => decode(bytes, |b| u16::from_le_bytes(b).into()),
            Dtype::I8 => decode(bytes, |b| i8::from_le_bytes(b).into()),
            Dtype::U8 | Dtype::BOOL => decode(bytes, |b| u8::from_le_bytes(b).into()),
            found => {
                return Err(Error::Dtype {
                    found,
                    wanted: "read as plain numbers; save them as `F32`".into(),
                });
            }
        })
    }
}

/// How many numbers a shape holds, if they can be counted.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1, |product: usize, size| product.checked_mul(*size))
}

fn decode<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
}

/// Widens a half, exactly.
fn f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let rest = u32::from(bits & 0x7fff) << 13;
    let magnitude = if bits & 0x7c00 == 0x7c00 {
        f32::from_bits(rest | 0x7f80_0000)
    } else {
        // The exponent is biased by 15 in a half and by 127 here; the product also makes subnormals normal.
        f32::from_bits(rest) * 2f32.powi(112)
    };
    f32::from_bits(magnitude.to_bits() | sign)
}
