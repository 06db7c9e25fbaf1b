//! Commands on their way to the GPU: recorded as they are asked for, handed over once a tick.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use crate::errors::Reports;
use crate::profile::Profile;
use tensor::{Error, Result};

/// How many submissions the GPU may be behind: one to work on, one to go on with.
const IN_FLIGHT: usize = 2;

/// After so many dispatches commands are handed over in any case.
const MOST_DISPATCHES: usize = 1 << 14;

/// Bytes of the pieces that small uploads share.
const UPLOAD_CHUNK: u64 = 1 << 20;

/// The one queue of a device.
pub(crate) struct Queue {
    device: wgpu::Device,
    queue: wgpu::Queue,
    reports: Reports,
    belt: wgpu::util::StagingBelt,
    /// What is being recorded. The pass is open between dispatches, and ends before copies.
    encoder: Option<wgpu::CommandEncoder>,
    pass: Option<wgpu::ComputePass<'static>>,
    dispatches: usize,
    ticket: Ticket,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    /// How often commands were handed over, and how many dispatches were recorded.
    pub submissions: u64,
    pub recorded: u64,
}

/// Tells which submission some commands went with, once they have.
pub(crate) type Ticket = Arc<OnceLock<wgpu::SubmissionIndex>>;

impl Queue {
    pub fn new(device: &wgpu::Device, queue: wgpu::Queue, reports: Reports) -> Self {
        Queue {
            device: device.clone(),
            queue,
            reports,
            belt: wgpu::util::StagingBelt::new(device.clone(), UPLOAD_CHUNK),
            encoder: None,
            pass: None,
            dispatches: 0,
            ticket: Ticket::default(),
            in_flight: VecDeque::new(),
            submissions: 0,
            recorded: 0,
        }
    }

    pub fn raw(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// The pass that dispatches are recorded in.
    pub fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        self.dispatches += 1;
        self.recorded += 1;
        if self.pass.is_none() {
            let pass = self.encoder().begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.pass = Some(pass.forget_lifetime());
        }
        self.pass.as_mut().expect("the pass has begun")
    }

    /// A pass of a single dispatch, whose time is taken.
    pub fn timed_pass(&mut self, profile: &mut Profile, label: &str) -> wgpu::ComputePass<'static> {
        self.dispatches += 1;
        self.recorded += 1;
        let writes = profile.next(label);
        let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(writes) };
        self.copies().begin_compute_pass(&descriptor).forget_lifetime()
    }

    /// The encoder, outside of any pass.
    pub fn copies(&mut self) -> &mut wgpu::CommandEncoder {
        self.pass = None;
        self.encoder()
    }

    fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        let device = &self.device;
        self.encoder.get_or_insert_with(|| device.create_command_encoder(&Default::default()))
    }

    /// Writes to a buffer after everything recorded so far.
    pub fn write(&mut self, to: &wgpu::Buffer, content: &[u8]) {
        let Some(size) = wgpu::BufferSize::new(content.len().next_multiple_of(4) as u64) else { return };
        self.copies();
        let encoder = self.encoder.as_mut().expect("copies are being recorded");
        let mut view = self.belt.write_buffer(encoder, to, 0, size);
        view.slice(..content.len()).copy_from_slice(content);
    }

    /// The submission that what is being recorded will go with.
    pub fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }

    /// Whether so much has been recorded that it should be handed over.
    pub fn is_full(&self) -> bool {
        self.dispatches >= MOST_DISPATCHES
    }

    /// Hands over what was recorded, and waits until no more than two submissions are on their way.
    pub fn submit(&mut self) -> Result<()> {
        self.pass = None;
        let Some(encoder) = self.encoder.take() else { return self.reports.check() };
        self.belt.finish_and_recall_on_submit(&encoder);
        let index = self.queue.submit([encoder.finish()]);
        self.dispatches = 0;
        self.submissions += 1;
        self.in_flight.push_back(index.clone());
        let ticket = std::mem::take(&mut self.ticket);
        ticket.set(index).expect("commands are handed over once");
        while self.in_flight.len() > IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            self.wait(oldest)?;
        }
        self.reports.check()
    }

    /// Waits for a submission, or for all.
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        wait(&self.device, submission)?;
        self.reports.check()
    }
}

/// Waits for a submission, or for all.
pub(crate) fn wait(device: &wgpu::Device, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
    let until = wgpu::PollType::Wait { submission_index, timeout: None };
    device.poll(until).map(drop).map_err(|error| Error::new(format!("the GPU does not answer: {error}")))
}
