//! The CPU as a device of tensor programs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tensor::{
    Array, Bindings, Data, Device, Dtype, Executable, Outputs, Profile, Program, Result, Shape, Tensor, Times,
};

use crate::executor::{Prepared, Run};
use crate::memory::{Buffer, Memory, Shelf};
use crate::{Level, Pool};

/// Runs programs on the CPU's threads, with the widest vectors it has.
pub struct Cpu {
    name: String,
    /// What runs share, one at a time.
    state: Mutex<State>,
    shelf: Shelf,
}

pub(crate) struct State {
    pub pool: Pool,
    /// Working memory of whichever program runs: as large as the largest needs.
    pub scratch: Memory,
    /// What steps take, where that is wanted.
    pub profile: Option<Profile>,
}

impl Cpu {
    /// A device of that many threads.
    pub fn new(threads: usize) -> Self {
        Self::with_level(threads, Level::detect())
    }

    /// A device that uses no better instructions than `level`.
    ///
    /// # Panics
    /// If the machine lacks them.
    pub fn with_level(threads: usize, level: Level) -> Self {
        let pool = Pool::with_level(threads, level);
        let plural = if pool.threads() == 1 { "" } else { "s" };
        let name = format!("cpu, {} thread{plural}, {level:?}", pool.threads()).to_lowercase();
        let state = Mutex::new(State { pool, scratch: Memory::empty(), profile: None });
        Cpu { name, state, shelf: Shelf::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new tensor with any content.
    fn fresh(&self, shape: &Shape, dtype: Dtype) -> Result<(Tensor, *mut f32)> {
        let buffer = self.shelf.take(shape.len())?;
        let start = buffer.memory().pointer();
        Ok((Tensor::new(shape.clone(), dtype, std::sync::Arc::new(buffer)), start))
    }
}

impl Device for Cpu {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn upload(&self, array: &Array) -> Result<Tensor> {
        let (tensor, start) = self.fresh(&array.shape, array.dtype())?;
        // SAFETY: the memory is new, as long as the array, and nobody else knows it yet.
        let to = unsafe { std::slice::from_raw_parts_mut(start, array.shape.len()) };
        match &array.data {
            Data::F32(values) => to.copy_from_slice(values),
            Data::F64(values) => to.iter_mut().zip(values).for_each(|(to, value)| *to = *value as f32),
            Data::U32(words) => to.iter_mut().zip(words).for_each(|(to, word)| *to = f32::from_bits(*word)),
        }
        Ok(tensor)
    }

    fn zeros(&self, shape: &Shape, dtype: Dtype) -> Result<Tensor> {
        let (tensor, start) = self.fresh(shape, dtype)?;
        // SAFETY: as in `upload`.
        unsafe { std::slice::from_raw_parts_mut(start, shape.len()) }.fill(0.0);
        Ok(tensor)
    }

    fn download(&self, tensor: &Tensor) -> Result<Array> {
        let buffer = tensor.storage::<Buffer>()?;
        // No run may write meanwhile.
        let mut state = self.lock();
        buffer.finish(&mut state.pool);
        // SAFETY: a tensor lies within its memory.
        let values = unsafe {
            std::slice::from_raw_parts(buffer.memory().pointer().add(tensor.offset()), tensor.shape().len())
        };
        let data = match tensor.dtype() {
            Dtype::Real => Data::F32(values.to_vec()),
            Dtype::Bits => Data::U32(values.iter().map(|word| word.to_bits()).collect()),
        };
        Ok(Array { shape: tensor.shape().clone(), data })
    }

    /// As bf16: each in the upper half of a word.
    fn stores_halves(&self) -> bool {
        true
    }

    fn takes_small_steps(&self) -> bool {
        true
    }

    fn profile(&self) -> Result<()> {
        self.lock().profile = Some(Profile::default());
        Ok(())
    }

    fn times(&self) -> Result<Vec<(String, Times)>> {
        Ok(self.lock().profile.as_ref().map(Profile::times).unwrap_or_default())
    }

    fn prepare(&self, program: Program) -> Result<Executable> {
        let prepared = Prepared::new(&program);
        Ok(Executable::new(program, prepared))
    }

    fn run(&self, executable: &Executable, bindings: &Bindings) -> Result<Outputs> {
        let program = executable.program();
        let mut state = self.lock();
        let State { pool, scratch, profile } = &mut *state;
        if scratch.len() < program.scratch {
            // What is there goes first: the two need not fit together.
            *scratch = Memory::empty();
            *scratch = Memory::zeros(program.scratch)?;
        }
        let mut outputs = Outputs::default();
        let mut run = Run::new(program, executable.prepared()?, scratch.pointer());
        run.bind(bindings, pool)?;
        for (name, value) in program.named() {
            let shape = program.graph.shape(value);
            let made = run.fresh(value).map(|tensor: &Tensor| tensor.reshaped(shape.clone()));
            let tensor = match made {
                Some(tensor) => tensor,
                None => {
                    let (tensor, start) = self.fresh(shape, program.graph.operation(value).dtype)?;
                    run.hand_out(value, tensor.clone(), start);
                    tensor
                }
            };
            outputs.insert(name, tensor);
        }
        run.steps(pool, profile.as_mut());
        Ok(outputs)
    }
}
