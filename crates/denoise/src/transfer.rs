//! Starts a network from the parameters of another one.

use std::path::Path;

use unet::Layout;

use crate::weights::{PREFIX, read_weights_of};

/// Takes every parameter over that a file has under the same name in the same shape, and tells what was taken and what
/// was not.
///
/// # Errors
/// If the file cannot be read, or has nothing that fits.
pub(crate) fn transfer(path: &Path, layout: &Layout, arena: &mut [f32]) -> Result<String, String> {
    let (path, weights) = read_weights_of(path)?;
    let mut left = Vec::new();
    for parameter in &layout.parameters {
        let name = &parameter.name;
        match weights.arrays.get(&format!("{PREFIX}{name}")) {
            Some(array) if array.shape == parameter.file_shape => {
                let numbers = array.f32s().map_err(|error| error.to_string())?;
                parameter.to_arena(&numbers, arena)?;
            }
            Some(array) => {
                left.push(format!("`{name}` ({:?} there, {:?} here)", array.shape, parameter.file_shape))
            }
            None => left.push(format!("`{name}` (not there)")),
        }
    }
    let (count, path) = (layout.parameters.len(), path.display());
    let taken = count - left.len();
    if taken == 0 {
        return Err(format!("`{path}` has no parameter of the name and shape of one of this network's"));
    }
    let not_taken = if left.is_empty() { String::new() } else { format!("; new are {}", list(&left)) };
    Ok(format!("{taken} of {count} parameters start from `{path}`{not_taken}"))
}

/// The first few of many.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len() {
        0..=SHOWN => shown,
        count => format!("{shown} and {} more", count - SHOWN),
    }
}
