//! A device that lowers programs and computes nothing.

use std::any::Any;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tensor::{
    Array, Bindings, Data, Device, Dtype, Executable, Fetch, Outputs, Program, Result, Shape, Storage, Tensor,
};

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
}

/// The memory of a tensor: none.
struct Blank;

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

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn submit(&mut self) {
        self.submissions += u64::from(std::mem::take(&mut self.recorded));
    }
}

fn blank(shape: &Shape, dtype: Dtype) -> Tensor {
    Tensor::new(shape.clone(), dtype, Arc::new(Blank))
}

impl Device for Paper {
    fn name(&self) -> String {
        "paper".into()
    }

    fn upload(&self, array: &Array) -> Result<Tensor> {
        self.lock().recorded = true;
        Ok(blank(&array.shape, array.dtype()))
    }

    fn zeros(&self, shape: &Shape, dtype: Dtype) -> Result<Tensor> {
        self.lock().recorded = true;
        Ok(blank(shape, dtype))
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
        self.lock().shaders.extend(schedule.calls.into_iter().map(|call| call.shader));
        Ok(Executable::new(program, Dispatches(dispatches)))
    }

    fn run(&self, executable: &Executable, _: &Bindings) -> Result<Outputs> {
        let mut seen = self.lock();
        seen.dispatches += executable.prepared::<Dispatches>()?.0;
        seen.recorded = true;
        let program = executable.program();
        let mut outputs = Outputs::default();
        for (name, value) in program.named() {
            let operation = program.graph.operation(value);
            outputs.insert(name, blank(&operation.shape, operation.dtype));
        }
        Ok(outputs)
    }
}
