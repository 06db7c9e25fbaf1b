//! A GPU as a device of tensor programs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tensor::{
    Array, Bindings, Data, Device, Dtype, Error, Executable, Fetch, Op, Outputs, Program, Result, Shape,
    Tensor, Times,
};

use crate::adapter::Adapter;
use crate::download::{self, Staging};
use crate::errors::Reports;
use crate::executor::{Prepared, written_input};
use crate::memory::{Block, Buffer, Shelf, padded};
use crate::pipelines::{Mode, Pipelines};
use crate::queue::Queue;
use crate::stamps::Stamps;
use crate::state::State;
use crate::{Offer, Plan, Schedule};

/// Bytes from which an upload takes new memory, which the host writes to directly.
const LARGE_UPLOAD: usize = 1 << 22;

/// Runs programs on a GPU.
pub struct Gpu(Arc<Inner>);

pub(crate) struct Inner {
    name: String,
    pub device: wgpu::Device,
    pub offer: Offer,
    warning: Option<String>,
    reports: Reports,
    shelf: Shelf,
    staging: Staging,
    state: Mutex<State>,
}

/// An adapter that has been opened.
struct Link {
    device: wgpu::Device,
    queue: wgpu::Queue,
    reports: Reports,
}

impl Link {
    fn open(adapter: &Adapter) -> Result<Self> {
        let (device, queue) = adapter.open()?;
        let reports = Reports::default();
        reports.listen(&device);
        Ok(Link { device, queue, reports })
    }
}

impl Gpu {
    /// Opens an adapter.
    ///
    /// # Errors
    /// If it lacks something, or its driver refuses.
    pub fn open(adapter: &Adapter, mode: Mode) -> Result<Self> {
        let offer = adapter.offer();
        let by_threads = Offer { cooperative: false, ..offer };
        let link = Link::open(adapter)?;
        let plain = Self::assemble(adapter, &link, mode, by_threads);
        if !offer.cooperative {
            return Ok(plain);
        }
        let cooperative = Self::assemble(adapter, &link, mode, offer);
        match crate::self_test::difference(&cooperative, &plain) {
            Ok(None) => Ok(cooperative),
            Ok(Some(difference)) => Ok(plain.without_cooperation(&difference)),
            Err(error) => {
                // What hangs or crashes takes the device with it.
                let plain = match link.reports.check() {
                    Ok(()) => plain,
                    Err(_) => Self::assemble(adapter, &Link::open(adapter)?, mode, by_threads),
                };
                Ok(plain.without_cooperation(&error.to_string()))
            }
        }
    }

    fn assemble(adapter: &Adapter, link: &Link, mode: Mode, offer: Offer) -> Self {
        let Link { device, queue, reports } = link;
        let state = State {
            queue: Queue::new(device, queue.clone(), reports.clone()),
            pipelines: Pipelines::new(device, mode, &adapter.wgpu),
            slots: Vec::new(),
            stamps: None,
        };
        let checked = if mode == Mode::Checked { ", checked" } else { "" };
        Gpu(Arc::new(Inner {
            name: format!("gpu, {adapter}{checked}"),
            device: device.clone(),
            offer,
            warning: None,
            reports: reports.clone(),
            shelf: Shelf::default(),
            staging: Staging::default(),
            state: Mutex::new(state),
        }))
    }

    /// The same, with a warning of why it does without cooperative matrices.
    fn without_cooperation(mut self, why: &str) -> Self {
        let warning =
            format!("cooperative matrices come out wrong here ({why}), so mollify does without them");
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.warning = Some(warning);
        }
        self
    }

    /// What it offers to programs.
    pub fn offer(&self) -> Offer {
        self.0.offer
    }

    /// What a user should know about this adapter, if anything.
    pub fn warning(&self) -> Option<&str> {
        self.0.warning.as_deref()
    }

    /// How many dispatches were recorded, and how many submissions they went with, since the start.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.queue.recorded, state.queue.submissions)
    }

    /// The bytes that are allocated now, as far as the driver is known to count them.
    pub fn memory(&self) -> u64 {
        self.0.device.generate_allocator_report().map_or(0, |report| report.total_allocated_bytes)
    }

    /// Gives the GPU back at once: whatever still uses it fails as if it had been lost.
    pub fn destroy(&self) {
        self.0.device.destroy();
        self.0.reports.lose("it was given back");
    }

    fn fresh(&self, shape: &Shape, dtype: Dtype, what: &str) -> Result<(Tensor, Block)> {
        let bytes = padded(4 * shape.len());
        let buffer = self.with_room(|| self.0.shelf.take(&self.0.device, bytes, what))?;
        let block = buffer.block.clone();
        Ok((Tensor::new(shape.clone(), dtype, Arc::new(buffer)), block))
    }

    /// Makes something; if there is no memory for it, once more when what waits to be used again has been given back.
    fn with_room<T>(&self, make: impl Fn() -> Result<T>) -> Result<T> {
        match make() {
            Err(error) if error.is_too_large() => {
                self.0.lock().make_room(&self.0.shelf)?;
                make()
            }
            made => made,
        }
    }

    /// Kernels read by fours, so tensors that start in between, such as some rows of another, are copied.
    fn lined_up(&self, program: &Program, bindings: &Bindings) -> Result<Option<Bindings>> {
        let mut lined_up = None;
        for value in program.graph.values() {
            let operation = program.graph.operation(value);
            let Op::Input { name } = &operation.op else { continue };
            let tensor = bindings.expect(name, &operation.shape, operation.dtype)?;
            if !tensor.offset().is_multiple_of(4) {
                if program.graph.outputs().iter().filter_map(written_input).any(|input| input == value) {
                    let what = format!(
                        "`{name}` is written to, so it may not start at element {} of another",
                        tensor.offset()
                    );
                    return Err(Error::new(what));
                }
                let copy = self.copy(tensor)?;
                lined_up = Some(lined_up.unwrap_or_else(|| bindings.clone()).tensor(name, &copy));
            }
        }
        Ok(lined_up)
    }

    fn copy(&self, tensor: &Tensor) -> Result<Tensor> {
        let (copy, to) =
            self.fresh(tensor.shape(), tensor.dtype(), &format!("some rows, {}", tensor.shape()))?;
        let from = &tensor.storage::<Buffer>()?.block.buffer;
        let (start, bytes) = (4 * tensor.offset() as u64, 4 * tensor.shape().len() as u64);
        self.0.lock().queue.copies().copy_buffer_to_buffer(from, start, &to.buffer, 0, bytes);
        Ok(copy)
    }
}

impl Inner {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device for Gpu {
    fn name(&self) -> String {
        self.0.name.clone()
    }

    fn profile(&self) -> Result<()> {
        if !self.0.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::new(format!("{} has no timestamps to profile with", self.0.name)));
        }
        let mut state = self.0.lock();
        let stamps = Stamps::new(&self.0.device, state.queue.raw());
        state.stamps = Some(stamps);
        Ok(())
    }

    fn times(&self) -> Result<Vec<(String, Times)>> {
        let mut state = self.0.lock();
        state.read_stamps(&self.0.device)?;
        Ok(state.stamps.as_ref().map(Stamps::times).unwrap_or_default())
    }

    fn upload(&self, array: &Array) -> Result<Tensor> {
        self.0.reports.check()?;
        let rounded: Vec<f32>;
        let content: &[u8] = match &array.data {
            Data::F32(values) => bytemuck::cast_slice(values),
            Data::U32(words) => bytemuck::cast_slice(words),
            Data::F64(values) => {
                rounded = values.iter().map(|value| *value as f32).collect();
                bytemuck::cast_slice(&rounded)
            }
        };
        let what = format!("an upload of {}", array.shape);
        if content.len() >= LARGE_UPLOAD {
            let block = self.with_room(|| Block::filled(&self.0.device, content, &what))?;
            let buffer = self.0.shelf.hold(block);
            return Ok(Tensor::new(array.shape.clone(), array.dtype(), Arc::new(buffer)));
        }
        let (tensor, block) = self.fresh(&array.shape, array.dtype(), &what)?;
        self.0.lock().queue.write(&block.buffer, content)?;
        Ok(tensor)
    }

    fn zeros(&self, shape: &Shape, dtype: Dtype) -> Result<Tensor> {
        let (tensor, block) = self.fresh(shape, dtype, &format!("zeros of {shape}"))?;
        self.0.lock().queue.copies().clear_buffer(&block.buffer, 0, None);
        Ok(tensor)
    }

    fn download(&self, tensor: &Tensor) -> Result<Array> {
        self.fetch(tensor)?.wait()
    }

    fn stores_halves(&self) -> bool {
        self.0.offer.halves
    }

    fn fetch(&self, tensor: &Tensor) -> Result<Fetch> {
        let bytes = 4 * tensor.shape().len() as u64;
        let (shape, dtype) = (tensor.shape().clone(), tensor.dtype());
        let staging = self.0.staging.take(&self.0.device, bytes.max(4));
        let mut state = self.0.lock();
        let from = &tensor.storage::<Buffer>()?.block.buffer;
        state.queue.copies().copy_buffer_to_buffer(from, 4 * tensor.offset() as u64, &staging, 0, bytes);
        let ticket = state.queue.ticket();
        drop(state);
        let inner = self.0.clone();
        Ok(Fetch::later(move || {
            if ticket.get().is_none() {
                inner.lock().queue.submit()?;
            }
            inner.reports.check()?;
            let (device, after) = (&inner.device, ticket.get().cloned());
            let data = match dtype {
                Dtype::Real => download::read(device, &staging, bytes, after).map(Data::F32),
                Dtype::Bits => download::read(device, &staging, bytes, after).map(Data::U32),
            };
            inner.reports.check()?;
            let data = data?;
            inner.staging.give(staging);
            Ok(Array { shape, data })
        }))
    }

    fn submit(&self) -> Result<()> {
        self.0.lock().queue.submit()
    }

    fn prepare(&self, program: Program) -> Result<Executable> {
        self.0.reports.check()?;
        let mut schedule = Schedule::new(&program, self.0.offer);
        schedule.check(&program, self.0.offer)?;
        let plan = Plan::of(&schedule);
        for call in &mut schedule.calls {
            plan.mark_shared(call);
        }
        let mut state = self.0.lock();
        state.grow(&self.0.device, &self.0.shelf, &plan.slots)?;
        let prepared = Prepared::new(&self.0.device, &mut state.pipelines, schedule, &plan)?;
        Ok(Executable::new(program, prepared))
    }

    fn run(&self, executable: &Executable, bindings: &Bindings) -> Result<Outputs> {
        let (program, prepared) = (executable.program(), executable.prepared::<Prepared>()?);
        let lined_up = self.lined_up(program, bindings)?;
        let mut run = prepared.bind(program, lined_up.as_ref().unwrap_or(bindings))?;
        let mut outputs = Outputs::default();
        for (name, value) in program.named() {
            let shape = program.graph.shape(value);
            let tensor = match run.handed_out(value) {
                Some(tensor) => tensor.reshaped(shape.clone()),
                None => {
                    let dtype = program.graph.operation(value).dtype;
                    let (tensor, _) = self.fresh(shape, dtype, &format!("`{name}` {shape}"))?;
                    run.hand_out(value, tensor.clone())?;
                    tensor
                }
            };
            outputs.insert(name, tensor);
        }
        let mut state = self.0.lock();
        state.grow(&self.0.device, &self.0.shelf, &prepared.slots)?;
        run.record(&self.0, &mut state)?;
        if state.queue.is_full() {
            state.queue.submit()?;
        }
        self.0.reports.check()?;
        Ok(outputs)
    }
}
