//! Tensors that stay in their file until they are copied to another one.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use crc32fast::Hasher;
use safetensors::Dtype;

use super::value::Tensor;
use crate::archive::Content;
use crate::{Array, Error, Shape};

/// How much of a file is in memory at a time.
const PIECE: usize = 1 << 20;
/// The largest tensor that is put into C order; only small ones are ever in another one.
const LARGEST_TURNED: u64 = 64 << 20;

/// An open file.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
}

/// A tensor in a file of PyTorch.
#[derive(Clone, Debug)]
pub struct TensorInFile {
    place: Place,
    dtype: Dtype,
    shape: Shape,
    start: u64,
    /// In elements, if the elements are not side by side in C order.
    strides: Option<Vec<u64>>,
    /// What the file says the bytes come to.
    crc: Option<u32>,
}

impl TensorInFile {
    pub(super) fn new(tensor: &Tensor, place: &Place) -> Self {
        let Tensor { storage, offset, shape, strides } = tensor;
        let size = storage.dtype.bitsize() as u64 / 8;
        let strides = (!is_in_order(shape, strides)).then(|| strides.clone());
        let bytes = shape.iter().product::<usize>() as u64 * size;
        let whole = strides.is_none() && *offset == 0 && bytes == storage.span.len;
        Self {
            place: place.clone(),
            dtype: storage.dtype,
            shape: shape.clone(),
            start: storage.span.start + offset * size,
            strides,
            crc: storage.crc.filter(|_| whole),
        }
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Reads the numbers.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn read(&self) -> Result<Array, Error> {
        let mut bytes = Vec::new();
        let pieces = self.pieces(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        pieces.map_err(Error::io("read", &self.place.path))?;
        Array::new(self.dtype, &self.shape, bytes)
    }

    /// The number that it is, if it is only one.
    pub(super) fn read_one(&self) -> Option<Result<f64, Error>> {
        let one = self.shape.iter().all(|size| *size == 1);
        one.then(|| self.read()?.f64s().map(|numbers| numbers[0]))
    }

    fn side_by_side(&self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut file = &*self.place.file;
        file.seek(SeekFrom::Start(self.start))?;
        let mut hasher = Hasher::new();
        let mut left = self.len();
        let mut piece = vec![0; left.min(PIECE)];
        while left > 0 {
            let piece = &mut piece[..left.min(PIECE)];
            file.read_exact(piece)?;
            hasher.update(piece);
            each(piece)?;
            left -= piece.len();
        }
        match self.crc {
            Some(crc) if crc != hasher.finalize() => Err(io::Error::other("its numbers are damaged")),
            _ => Ok(()),
        }
    }

    /// Reads what the tensor reaches over, and gives it in C order.
    fn turned(&self, strides: &[u64], each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let size = self.dtype.bitsize() / 8;
        let reach: u64 =
            self.shape.iter().zip(strides).map(|(size, stride)| (*size as u64 - 1) * stride).sum();
        let bytes = (reach + 1) * size as u64;
        if bytes > LARGEST_TURNED {
            return Err(io::Error::other("a large tensor is not contiguous; save `x.contiguous()`"));
        }
        let mut file = &*self.place.file;
        file.seek(SeekFrom::Start(self.start))?;
        let mut held = vec![0; bytes as usize];
        file.read_exact(&mut held)?;
        let count: usize = self.shape.iter().product();
        let mut ordered = Vec::with_capacity(count * size);
        for element in 0..count {
            let (mut rest, mut at) = (element, 0);
            for (size, stride) in self.shape.iter().zip(strides).rev() {
                at += (rest % size) as u64 * stride;
                rest /= size;
            }
            ordered.extend_from_slice(&held[at as usize * size..][..size]);
        }
        each(&ordered)
    }
}

impl Content for TensorInFile {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }

    fn pieces(&self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match &self.strides {
            Some(strides) => self.turned(strides, each),
            None => self.side_by_side(each),
        }
    }
}

/// Whether elements lie side by side in C order; the strides of single elements mean nothing.
fn is_in_order(shape: &[usize], strides: &[u64]) -> bool {
    let mut next = 1;
    shape.contains(&0)
        || shape.iter().zip(strides).rev().all(|(size, stride)| {
            let fits = *size == 1 || *stride == next;
            next *= *size as u64;
            fits
        })
}
