//! What can be looked at: images, and what denoisers make of them.

use bevy_ecs::prelude::*;
use pipeline::{Read, Wire};
use ports::{Denoised, Images, Shown};
use tensor::Tensor;

/// The pixels that the node at the other end of a wire has made.
pub(crate) fn look<'a>(
    wire: Wire<Shown>,
    images: &'a Read<Images>,
    denoised: &'a Read<Denoised>,
    name: &str,
) -> Result<&'a Tensor> {
    let pixels = images.of(wire.node()).map(|images| &images.pixels);
    let pixels = pixels.or(denoised.of(wire.node()).map(|denoised| &denoised.pixels));
    pixels.ok_or_else(|| format!("`{name}` has made nothing to look at yet").into())
}
