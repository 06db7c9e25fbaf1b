//! Runs the calls of a schedule: finds the buffers, keeps bind groups, records dispatches.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tensor::{Bindings, Destination, Error, Op, Output, Place, Program, Result, Tensor, Value};

use crate::call::{Call, Memory, Number};
use crate::device::Inner;
use crate::memory::{Block, Buffer};
use crate::pipelines::{Pipeline, Pipelines};
use crate::schedule::{Constant, Schedule, WINDOW_ALIGNMENT};
use crate::stamps::Stamps;
use crate::state::State;
use crate::{Offer, Plan, Shader, View};

/// What is made once for a program.
pub(crate) struct Prepared {
    calls: Vec<Ready>,
    constants: Vec<Block>,
    /// The bytes of the slots that it needs.
    pub slots: Vec<usize>,
}

/// A call with its pipeline.
struct Ready {
    pipeline: Arc<Pipeline>,
    label: String,
    groups: [u32; 3],
    views: Vec<View>,
    /// The bytes of numbers and offsets, complete but for scalars and the offsets of given tensors.
    immediates: Vec<u8>,
    scalars: Vec<(usize, Value)>,
    /// Bind groups of the last few sets of buffers.
    groups_of: Mutex<Vec<(Vec<Window>, wgpu::BindGroup)>>,
}

/// The part of a buffer that an operand binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    block: u64,
    /// In bytes.
    start: u64,
    size: u64,
}

impl Window {
    /// The part of a buffer that holds what a view sees from element `start` on. It starts at a boundary that every
    /// adapter takes.
    fn around(view: &View, block: &Block, start: usize) -> Self {
        let first = (start * view.element.bytes()) as u64 / WINDOW_ALIGNMENT * WINDOW_ALIGNMENT;
        let end = ((start + view.len) * view.element.bytes()) as u64;
        let size = (end - first).next_multiple_of(16).min(block.buffer.size() - first);
        Window { block: block.id, start: first, size }
    }
}

/// How many sets of buffers a call remembers: outputs alternate between a few.
const REMEMBERED: usize = 4;

impl Prepared {
    pub fn new(
        device: &wgpu::Device,
        pipelines: &mut Pipelines,
        schedule: Schedule,
        plan: &Plan,
    ) -> Result<Self> {
        let shaders: Vec<&Shader> = schedule.calls.iter().map(|call| &call.shader).collect();
        let pipelines = pipelines.get(&shaders)?;
        let fill = |constant: &Constant| match constant {
            Constant::F32(numbers) => Block::filled(device, bytemuck::cast_slice(numbers), "a table"),
            Constant::U32(numbers) => Block::filled(device, bytemuck::cast_slice(numbers), "a table"),
        };
        let constants = schedule.constants.iter().map(fill).collect::<Result<_>>()?;
        let calls = schedule.calls.into_iter().zip(pipelines);
        Ok(Prepared {
            calls: calls.map(|(call, pipeline)| Ready::new(call, pipeline, plan)).collect(),
            constants,
            slots: plan.slots.clone(),
        })
    }

    /// Finds the tensors and numbers that the program reads by name.
    pub fn bind<'a>(&'a self, program: &'a Program, bindings: &Bindings) -> Result<Run<'a>> {
        let mut run = Run { prepared: self, program, given: HashMap::new(), scalars: HashMap::new() };
        for value in program.graph.values() {
            let operation = program.graph.operation(value);
            match &operation.op {
                Op::Input { name } => {
                    let tensor = bindings.expect(name, &operation.shape, operation.dtype)?;
                    run.given.insert(value, Given::new(tensor.clone())?);
                }
                Op::Scalar { name } => {
                    run.scalars.insert(value, bindings.number(name)? as f32);
                }
                _ => {}
            }
        }
        run.expect_apart()?;
        Ok(run)
    }
}

impl Ready {
    fn new(call: Call, pipeline: Arc<Pipeline>, plan: &Plan) -> Self {
        let mut immediates = Vec::with_capacity(call.shader.immediate_bytes() as usize);
        let mut scalars = Vec::new();
        for number in &call.numbers {
            let bits = match number {
                Number::U32(number) => *number,
                Number::F32(number) => number.to_bits(),
                Number::Scalar(value) => {
                    scalars.push((immediates.len(), *value));
                    0
                }
            };
            immediates.extend(bits.to_ne_bytes());
        }
        immediates.extend(call.views.iter().flat_map(|view| (view.offset as u32).to_ne_bytes()));
        let views = call.views.iter().map(|view| View { memory: plan.place(view.memory), ..*view }).collect();
        let Call { label, groups, .. } = call;
        Ready { pipeline, label, groups, views, immediates, scalars, groups_of: Mutex::default() }
    }
}

/// A tensor that a run was given or hands out.
struct Given {
    tensor: Tensor,
    block: Block,
}

impl Given {
    fn new(tensor: Tensor) -> Result<Self> {
        let block = tensor.storage::<Buffer>()?.block.clone();
        Ok(Given { tensor, block })
    }
}

/// One run: where everything lies.
pub(crate) struct Run<'a> {
    prepared: &'a Prepared,
    program: &'a Program,
    given: HashMap<Value, Given>,
    scalars: HashMap<Value, f32>,
}

impl Run<'_> {
    /// Refuses tensors that are written to under one name and bound to another as well.
    fn expect_apart(&self) -> Result<()> {
        let graph = &self.program.graph;
        let written: BTreeSet<Value> = graph.outputs().iter().filter_map(written_input).collect();
        for to in written {
            let block = self.given[&to].block.id;
            let shares = |other: &Value| *other != to && self.given[other].block.id == block;
            if let Some(other) = self.given.keys().copied().filter(shares).min() {
                let [to, other] = [to, other].map(|value| graph.operation(value));
                return Err(Error::new(format!("{to} is written to, but {other} shares its memory")));
            }
        }
        Ok(())
    }

    /// The tensor that already holds an output.
    pub fn handed_out(&self, value: Value) -> Option<&Tensor> {
        match self.program.place(value) {
            Place::Fresh { output } => self.given.get(&output).map(|given| &given.tensor),
            _ => None,
        }
    }

    /// Gives an output its memory.
    pub fn hand_out(&mut self, value: Value, tensor: Tensor) -> Result<()> {
        if let Place::Fresh { output } = self.program.place(value) {
            self.given.insert(output, Given::new(tensor)?);
        }
        Ok(())
    }

    /// Records every dispatch.
    pub fn record(&self, gpu: &Inner, state: &mut State) -> Result<()> {
        let (mut windows, mut immediates) = (Vec::new(), Vec::new());
        for call in &self.prepared.calls {
            if call.groups.contains(&0) {
                continue;
            }
            immediates.clone_from(&call.immediates);
            self.place(call, gpu.offer, &state.slots, &mut windows, &mut immediates);
            for (at, value) in &call.scalars {
                immediates[*at..][..4].copy_from_slice(&self.scalars[value].to_ne_bytes());
            }
            let mut groups = call.groups_of.lock().unwrap_or_else(PoisonError::into_inner);
            let bind_group = self.bind_group(call, &gpu.device, &state.slots, &windows, &mut groups);
            match state.stamps.as_mut() {
                Some(stamps) => {
                    dispatch(&mut state.queue.timed_pass(stamps, &call.label), call, bind_group, &immediates)
                }
                None => dispatch(state.queue.pass(), call, bind_group, &immediates),
            }
            drop(groups);
            if state.stamps.as_ref().is_some_and(Stamps::is_full) {
                state.read_stamps(&gpu.device)?;
            }
        }
        Ok(())
    }

    /// The part of each operand's buffer to bind, and, in the immediates, where the operand starts in it.
    fn place(
        &self,
        call: &Ready,
        offer: Offer,
        slots: &[Block],
        windows: &mut Vec<Window>,
        immediates: &mut [u8],
    ) {
        windows.clear();
        let offsets = immediates.len() - 4 * call.views.len();
        for (at, view) in call.views.iter().enumerate() {
            let (block, first) = self.block(view.memory, slots);
            let (start, window) = (first + view.offset, block.buffer.size());
            let whole = window <= offer.largest_binding as u64;
            let window = match whole {
                true => Window { block: block.id, start: 0, size: window },
                false => Window::around(view, block, start),
            };
            let from = start - window.start as usize / view.element.bytes();
            immediates[offsets + 4 * at..][..4].copy_from_slice(&(from as u32).to_ne_bytes());
            windows.push(window);
        }
    }

    /// The buffer of an operand, and the first of its elements that is the program's.
    fn block<'b>(&'b self, memory: Memory, slots: &'b [Block]) -> (&'b Block, usize) {
        match memory {
            Memory::Made(slot) => (&slots[slot], 0),
            Memory::Constant(at) => (&self.prepared.constants[at], 0),
            Memory::Bound(value) | Memory::Fresh(value) => {
                let given = &self.given[&value];
                (&given.block, given.tensor.offset())
            }
        }
    }

    /// The bind group of a call on these windows: one that is remembered, or a new one.
    fn bind_group<'g>(
        &self,
        call: &Ready,
        device: &wgpu::Device,
        slots: &[Block],
        windows: &[Window],
        groups: &'g mut Vec<(Vec<Window>, wgpu::BindGroup)>,
    ) -> &'g wgpu::BindGroup {
        let known = groups.iter().position(|(known, _)| known == windows);
        let at = known.unwrap_or_else(|| {
            if groups.len() == REMEMBERED {
                groups.remove(0);
            }
            groups.push((windows.to_vec(), self.new_bind_group(call, device, slots, windows)));
            groups.len() - 1
        });
        &groups[at].1
    }

    fn new_bind_group(
        &self,
        call: &Ready,
        device: &wgpu::Device,
        slots: &[Block],
        windows: &[Window],
    ) -> wgpu::BindGroup {
        let entry = |(binding, (view, window)): (usize, (&View, &Window))| wgpu::BindGroupEntry {
            binding: binding as u32,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &self.block(view.memory, slots).0.buffer,
                offset: window.start,
                size: wgpu::BufferSize::new(window.size),
            }),
        };
        let entries: Vec<_> = call.views.iter().zip(windows).enumerate().map(entry).collect();
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&call.label),
            layout: &call.pipeline.layout,
            entries: &entries,
        })
    }
}

fn dispatch(pass: &mut wgpu::ComputePass, call: &Ready, bind_group: &wgpu::BindGroup, immediates: &[u8]) {
    let [x, y, z] = call.groups;
    pass.set_pipeline(&call.pipeline.pipeline);
    pass.set_bind_group(0, bind_group, &[]);
    pass.set_immediates(0, immediates);
    pass.dispatch_workgroups(x, y, z);
}

/// The input that an output goes to, if it goes to one.
pub(crate) fn written_input(output: &Output) -> Option<Value> {
    match output.to {
        Destination::Into { input, .. } | Destination::AddedTo { input, .. } => Some(input),
        Destination::Named(_) => None,
    }
}
