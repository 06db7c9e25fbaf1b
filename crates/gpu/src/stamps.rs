//! How long each kernel takes on the GPU, by timestamps.

use tensor::{Profile, Times};

/// Dispatches that a query set times; two timestamps each.
const MOST: u32 = 2048;

/// Timestamps around dispatches, and what they came to.
pub(crate) struct Stamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readable: wgpu::Buffer,
    /// Nanoseconds of a tick of the GPU's clock.
    period: f64,
    /// What the queries since the last reading time.
    pending: Vec<String>,
    profile: Profile,
}

impl Stamps {
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        let buffer = |usage| {
            let size = 16 * u64::from(MOST);
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        use wgpu::BufferUsages as Usage;
        Stamps {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: 2 * MOST,
            }),
            resolved: buffer(Usage::QUERY_RESOLVE | Usage::COPY_SRC),
            readable: buffer(Usage::COPY_DST | Usage::MAP_READ),
            period: f64::from(queue.get_timestamp_period()),
            pending: Vec::new(),
            profile: Profile::default(),
        }
    }

    /// Whether the queries have to be read before the next dispatch.
    pub fn is_full(&self) -> bool {
        self.pending.len() >= MOST as usize
    }

    /// The timestamps of the next dispatch.
    pub fn next(&mut self, label: &str) -> wgpu::ComputePassTimestampWrites<'_> {
        let at = 2 * self.pending.len() as u32;
        self.pending.push(label.to_owned());
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(at),
            end_of_pass_write_index: Some(at + 1),
        }
    }

    /// Records the copying of the timestamps.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        let count = 2 * self.pending.len() as u32;
        encoder.resolve_query_set(&self.queries, 0..count, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readable, 0, 8 * u64::from(count));
    }

    /// Reads the timestamps, once what [`resolve`](Self::resolve) recorded has been handed over.
    pub fn read(&mut self, device: &wgpu::Device) -> tensor::Result<()> {
        let bytes = 16 * self.pending.len() as u64;
        let stamps: Vec<u64> = crate::download::read(device, &self.readable, bytes, None)?;
        for (label, stamps) in self.pending.drain(..).zip(stamps.chunks_exact(2)) {
            let seconds = stamps[1].saturating_sub(stamps[0]) as f64 * self.period * 1e-9;
            self.profile.add(label, seconds, None);
        }
        Ok(())
    }

    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Every kernel with its times, the longest first.
    pub fn times(&self) -> Vec<(String, Times)> {
        self.profile.times()
    }
}
