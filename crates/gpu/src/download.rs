//! Numbers on their way back to the host.

use bytemuck::Pod;
use tensor::{Error, Result};

use crate::queue::wait;

/// Reads the first bytes of a buffer that the host can map, after a submission, or after all.
pub(crate) fn read<T: Pod>(
    device: &wgpu::Device,
    buffer: &wgpu::Buffer,
    bytes: u64,
    after: Option<wgpu::SubmissionIndex>,
) -> Result<Vec<T>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    buffer.map_async(wgpu::MapMode::Read, ..bytes, move |mapped| {
        // Nobody listens any more if waiting failed.
        sender.send(mapped).ok();
    });
    wait(device, after)?;
    let refused =
        |why: &dyn std::fmt::Display| Error::new(format!("numbers cannot be read from the GPU: {why}"));
    let mapped = receiver.try_recv().map_err(|error| refused(&error))?;
    mapped.map_err(|error| refused(&error))?;
    let view = buffer.get_mapped_range(..bytes).map_err(|error| refused(&error))?;
    let numbers = bytemuck::pod_collect_to_vec(&view);
    drop(view);
    buffer.unmap();
    Ok(numbers)
}
