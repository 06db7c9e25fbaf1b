//! A device that lowers programs and computes nothing.

use std::any::Any;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tensor::{
    Array, Bindings, Data, Device, Dtype, Executable, Fetch, Outputs, Program, Result, Shape, Storage, Tensor,
};

use crate::memory::padded;
use crate::{Offer, Plan, Schedule, Shader};

/// Stands in for a GPU where only its work is of interest: it keeps the shaders that programs need and counts what
/// would have been dispatched and submitted. Every number that comes back is 0. Clones share what they have seen.
#[derive(Clone)]
pub struct Paper {
    offer: Offer,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    shaders: HashSet<Shader>,
    dispatches: u64,
    submissions: u64,
    /// Whether there is something to submit.
    recorded: bool,
    /// The bytes of the tensors that are there now.
    tensors: u64,
    /// The bytes of each slot, as of [`Plan::slots`].
    slots: Vec<u64>,
    footprint: Footprint,
}

/// What runs take of a GPU's memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Of all tensors that were there at once, at most: parameters, images, what programs hand out.
    pub tensors: u64,
    /// Of what programs make for themselves, which they share.
    pub slots: u64,
    /// The largest part of it that is bound at once, and what that is.
    pub largest: (u64, String),
}

/// The memory of a tensor: none, but it counts.
struct Blank {
    bytes: u64,
    seen: Arc<Mutex<Seen>>,
}

impl Drop for Blank {
    fn drop(&mut self) {
        lock(&self.seen).tensors -= self.bytes;
    }
}

impl Storage for Blank {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The number of dispatches of a run.
struct Dispatches(u64);

impl Paper {
    /// A device with these abilities.
    pub fn new(offer: Offer) -> Self {
        Paper { offer, seen: Arc::default() }
    }

    /// The shaders of every program so far, by name and then by text.
    pub fn shaders(&self) -> Vec<Shader> {
        let mut shaders: Vec<Shader> = self.lock().shaders.iter().cloned().collect();
        shaders.sort_by_cached_key(|shader| (shader.source.name, shader.wgsl()));
        shaders
    }

    /// How many dispatches and submissions a GPU would have seen since the start.
    pub fn counts(&self) -> (u64, u64) {
        let seen = self.lock();
        (seen.dispatches, seen.submissions)
    }

    /// What the runs so far took of a GPU's memory.
    pub fn footprint(&self) -> Footprint {
        let seen = self.lock();
        Footprint { slots: seen.slots.iter().sum(), ..seen.footprint.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    fn blank(&self, shape: &Shape, dtype: Dtype) -> Tensor {
        let bytes = padded(4 * shape.len());
        let mut seen = self.lock();
        seen.tensors += bytes;
        seen.footprint.tensors = seen.footprint.tensors.max(seen.tensors);
        drop(seen);
        Tensor::new(shape.clone(), dtype, Arc::new(Blank { bytes, seen: self.seen.clone() }))
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    fn note_memory(&mut self, schedule: &Schedule, plan: &Plan) {
        self.slots.resize(self.slots.len().max(plan.slots.len()), 0);
        for (slot, bytes) in self.slots.iter_mut().zip(&plan.slots) {
            *slot = (*slot).max(padded(*bytes));
        }
        for room in &schedule.made {
            let bytes = padded(room.bytes());
            if bytes > self.footprint.largest.0 {
                self.footprint.largest = (bytes, room.what.clone());
            }
        }
    }

    fn submit(&mut self) {
        self.submissions += u64::from(std::mem::take(&mut self.recorded));
    }
}

impl Device for Paper {
    fn name(&self) -> String {
        "paper".into()
    }

    fn upload(&self, array: &Array) -> Result<Tensor> {
        self.lock().recorded = true;
        Ok(self.blank(&array.shape, array.dtype()))
    }

    fn zeros(&self, shape: &Shape, dtype: Dtype) -> Result<Tensor> {
        self.lock().recorded = true;
        Ok(self.blank(shape, dtype))
    }

    fn download(&self, tensor: &Tensor) -> Result<Array> {
        self.fetch(tensor)?.wait()
    }

    fn stores_halves(&self) -> bool {
        self.offer.halves
    }

    fn fetch(&self, tensor: &Tensor) -> Result<Fetch> {
        let (paper, shape, dtype) = (self.clone(), tensor.shape().clone(), tensor.dtype());
        let mut seen = self.lock();
        seen.recorded = true;
        let asked = seen.submissions;
        drop(seen);
        Ok(Fetch::later(move || {
            let mut seen = paper.lock();
            if seen.submissions == asked {
                seen.submit();
            }
            let data = match dtype {
                Dtype::Real => Data::F32(vec![0.0; shape.len()]),
                Dtype::Bits => Data::U32(vec![0; shape.len()]),
            };
            Ok(Array { shape, data })
        }))
    }

    fn submit(&self) -> Result<()> {
        self.lock().submit();
        Ok(())
    }

    fn prepare(&self, program: Program) -> Result<Executable> {
        let mut schedule = Schedule::new(&program, self.offer);
        schedule.check(&program, self.offer)?;
        let plan = Plan::of(&schedule);
        schedule.calls.iter_mut().for_each(|call| plan.mark_shared(call));
        let dispatches = schedule.calls.iter().filter(|call| !call.groups.contains(&0)).count() as u64;
        self.lock().note_memory(&schedule, &plan);
        self.lock().shaders.extend(schedule.calls.into_iter().map(|call| call.shader));
        Ok(Executable::new(program, Dispatches(dispatches)))
    }

    fn run(&self, executable: &Executable, _: &Bindings) -> Result<Outputs> {
        let mut seen = self.lock();
        seen.dispatches += executable.prepared::<Dispatches>()?.0;
        seen.recorded = true;
        drop(seen);
        let program = executable.program();
        let mut outputs = Outputs::default();
        for (name, value) in program.named() {
            let operation = program.graph.operation(value);
            outputs.insert(name, self.blank(&operation.shape, operation.dtype));
        }
        Ok(outputs)
    }
}
