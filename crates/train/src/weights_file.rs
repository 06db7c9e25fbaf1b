//! Files of weights: safetensors that PyTorch's users can load.

use std::path::Path;

use ::checkpoint::{Error, View};
use ports::{Parameters, Run, WEIGHTS_FORMAT};
use unet::Layout;

/// Before each name, as the network is a part of the denoiser in PyTorch's files.
const PREFIX: &str = "model.";

/// What a file of weights says about itself.
pub struct Origin<'a> {
    /// The node that made them.
    pub node: &'a str,
    /// How to build the denoiser again.
    pub recipe: Option<String>,
    /// How many images the run had seen.
    pub images: u64,
    pub run: Option<&'a Run>,
}

/// Writes `numbers`, the arena of `parameters`, with the network's buffers, whole or not at all.
///
/// # Errors
/// If the file cannot be written; what was there stays.
pub fn write_weights(
    path: &Path,
    parameters: &Parameters,
    numbers: &[f32],
    origin: &Origin,
) -> Result<(), Error> {
    let arrays = state_dict(parameters.network.layout(), numbers);
    let mut views = Vec::new();
    for (name, shape, values) in &arrays {
        views.push((name.as_str(), View::from_f32s(shape, values)?));
    }
    let texts = [
        ("mollify", Some(WEIGHTS_FORMAT.to_owned())),
        ("recipe", origin.recipe.clone()),
        ("pipeline", origin.run.map(|run| run.pipeline.clone())),
        ("images", Some(origin.images.to_string())),
        ("of", Some(origin.node.to_owned())),
    ];
    let metadata = texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?))).collect();
    ::checkpoint::write_weights(path, &views, &metadata)
}

/// Name, shape and values of parameters and buffers, in the order of PyTorch's `state_dict`.
fn state_dict(layout: &Layout, numbers: &[f32]) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut arrays: Vec<_> = layout
        .export(numbers)
        .map(|(parameter, values)| {
            (format!("{PREFIX}{}", parameter.name), parameter.file_shape.clone(), values)
        })
        .collect();
    for buffer in layout.buffers.iter().rev() {
        let values = buffer.values.iter().map(|value| *value as f32).collect();
        arrays.insert(buffer.place, (format!("{PREFIX}{}", buffer.name), buffer.shape.clone(), values));
    }
    arrays
}
