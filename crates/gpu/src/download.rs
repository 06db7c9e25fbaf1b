//! Numbers on their way back to the host.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytemuck::Pod;
use tensor::{Error, Result};

use crate::queue::wait;

/// Buffers that the host reads from, used in turn.
#[derive(Default)]
pub(crate) struct Staging(Mutex<HashMap<u64, Vec<wgpu::Buffer>>>);

/// Larger buffers are not kept: whole sets of parameters are read rarely.
const MOST_BYTES: u64 = 1 << 20;

/// How long it may take until a thread says what it has been told.
const MOST_WAIT: Duration = Duration::from_secs(10);

/// How many buffers of one size are kept.
const KEPT: usize = 8;

impl Staging {
    pub fn take(&self, device: &wgpu::Device, bytes: u64) -> wgpu::Buffer {
        let free = self.lock().get_mut(&bytes).and_then(Vec::pop);
        free.unwrap_or_else(|| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("download"),
                size: bytes,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })
    }

    /// Takes back a buffer that has been read.
    pub fn give(&self, buffer: wgpu::Buffer) {
        let mut kept = self.lock();
        let kept = kept.entry(buffer.size()).or_default();
        if buffer.size() <= MOST_BYTES && kept.len() < KEPT {
            kept.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Vec<wgpu::Buffer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    // It is mapped by now, but another thread that waits for the GPU may be the one to say so.
    let mapped = receiver.recv_timeout(MOST_WAIT).map_err(|error| refused(&error))?;
    mapped.map_err(|error| refused(&error))?;
    let view = buffer.get_mapped_range(..bytes).map_err(|error| refused(&error))?;
    let numbers = bytemuck::pod_collect_to_vec(&view);
    drop(view);
    buffer.unmap();
    Ok(numbers)
}
