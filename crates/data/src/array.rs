//! Arrays in files and tensors on devices: other programs keep images as `[n, c, h, w]`, devices as `[n, h, w, c]`.

use std::path::Path;

use checkpoint::{View, read_array, write_array};
use tensor::{Array, Data};

/// Reads an array from a `.npy` or `.safetensors` file; one of four axes becomes `[n, h, w, c]`.
///
/// # Errors
/// Those of [`read_array`]: each names the file.
pub fn from_file(path: &Path, name: Option<&str>) -> Result<Array, checkpoint::Error> {
    let found = read_array(path, name)?;
    let numbers = found.f64s()?;
    Ok(match found.shape[..] {
        [n, c, h, w] => Array::new([n, h, w, c], swap_axes(&numbers, [n, c, h * w])),
        _ => Array::new(found.shape, numbers),
    })
}

/// Writes an array as `.npy` or `.safetensors`, as exact as it is; `[n, h, w, c]` becomes `[n, c, h, w]`.
///
/// # Errors
/// Those of [`write_array`]: each names the file.
pub fn to_file(path: &Path, name: &str, array: &Array) -> Result<(), checkpoint::Error> {
    match &array.data {
        Data::F64(numbers) => {
            let (shape, numbers) = channels_first(&array.shape, numbers);
            let array = checkpoint::Array::from_f64s(&shape, &numbers)?;
            write_array(path, name, array.view()?)
        }
        _ => {
            let (shape, numbers) = channels_first(&array.shape, &array.f32s());
            write_array(path, name, View::from_f32s(&shape, &numbers)?)
        }
    }
}

fn channels_first<T: Copy>(shape: &[usize], numbers: &[T]) -> (Vec<usize>, Vec<T>) {
    match shape[..] {
        [n, h, w, c] => (vec![n, c, h, w], swap_axes(numbers, [n, h * w, c])),
        _ => (shape.to_vec(), numbers.to_vec()),
    }
}

/// `[n, a, b]` to `[n, b, a]`.
fn swap_axes<T: Copy>(numbers: &[T], [n, a, b]: [usize; 3]) -> Vec<T> {
    let place = |at: usize| (at / (a * b), at / a % b, at % a);
    (0..n * a * b).map(place).map(|(n, b_at, a_at)| numbers[(n * a + a_at) * b + b_at]).collect()
}
