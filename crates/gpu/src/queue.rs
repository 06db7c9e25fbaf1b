//! Commands on their way to the GPU: recorded as they are asked for, handed over once a tick.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use crate::errors::Reports;
use crate::stamps::Stamps;
use tensor::{Error, Result};

/// How many submissions the GPU may be behind: one to work on, one to go on with.
const IN_FLIGHT: usize = 2;

/// After so many dispatches commands are handed over in any case.
const MOST_DISPATCHES: usize = 1 << 14;

/// Bytes of the pieces that small uploads share.
const UPLOAD_CHUNK: u64 = 1 << 20;

/// Uploads start at multiples of this many bytes.
const ALIGNMENT: wgpu::BufferSize = wgpu::BufferSize::new(wgpu::COPY_BUFFER_ALIGNMENT).unwrap();

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
    pub fn timed_pass(&mut self, stamps: &mut Stamps, label: &str) -> wgpu::ComputePass<'static> {
        self.dispatches += 1;
        self.recorded += 1;
        let writes = stamps.next(label);
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
    pub fn write(&mut self, to: &wgpu::Buffer, content: &[u8]) -> Result<()> {
        let Some(size) = wgpu::BufferSize::new(content.len().next_multiple_of(4) as u64) else {
            return Ok(());
        };
        // The belt's own `write_buffer` panics where it gets no memory, as on a lost device.
        let part = self.belt.allocate(size, ALIGNMENT);
        let mut view = part
            .get_mapped_range_mut()
            .map_err(|error| Error::new(format!("numbers cannot be copied to the GPU: {error}")))?;
        view.slice(..content.len()).copy_from_slice(content);
        drop(view);
        self.pass = None;
        let device = &self.device;
        let encoder = self.encoder.get_or_insert_with(|| device.create_command_encoder(&Default::default()));
        encoder.copy_buffer_to_buffer(part.buffer(), part.offset(), to, 0, size.get());
        Ok(())
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
        self.reports.check()?;
        let waited = wait(&self.device, submission);
        // Why a device does not answer says more than that it does not.
        self.reports.check()?;
        waited
    }
}

/// Waits for a submission, or for all.
pub(crate) fn wait(device: &wgpu::Device, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
    let until = wgpu::PollType::Wait { submission_index, timeout: None };
    // wgpu 30 panics where the device is lost while it is waited for; by then it has told `Reports` of the loss.
    let polled = catch_unwind(AssertUnwindSafe(|| device.poll(until).map_err(|error| error.to_string())));
    let answered = polled.unwrap_or_else(|_| Err("it was lost".to_owned()));
    answered.map(drop).map_err(|why| Error::new(format!("the GPU does not answer: {why}")))
}
