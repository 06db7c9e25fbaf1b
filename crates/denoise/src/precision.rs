//! How a network's activations are stored, as far as the device can do it.

use std::sync::Arc;

use tensor::Device;
use unet::{Network, Precision};

/// What fields of that name say of themselves.
pub(crate) const DOC: &str = "`Mixed` stores activations in 16 bits, bf16 on the CPU and f16 on a GPU that can: half the memory, and faster on a GPU; `Full` unless given";

/// The network with its activations stored so.
///
/// # Errors
/// If the device stores no numbers of 16 bits.
pub(crate) fn stored(
    precision: Precision,
    network: Arc<dyn Network>,
    device: &dyn Device,
) -> Result<Arc<dyn Network>, String> {
    if precision == Precision::Mixed && !device.stores_halves() {
        return Err(format!(
            "`precision` is `Mixed`, which takes the CPU or a GPU with 16-bit shaders, and this is `{}`; leave `precision` \
             out, or take `--device cpu` or another GPU: `mollify devices` lists them",
            device.name()
        ));
    }
    Ok(precision.of(network))
}
