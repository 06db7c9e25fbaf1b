//! A device that anyone can check by eye: every operation in f64, with plain loops.

mod attention;
mod evaluate;
mod image;
mod layout;
mod normalize;
mod random;
mod view;
mod warp;

use std::sync::{Arc, PoisonError, RwLock};

use evaluate::evaluate;

use crate::{
    Array, Bindings, Data, Destination, Device, Dtype, Error, Executable, Graph, Op, Outputs, Program,
    Result, Shape, Storage, Tensor, Value,
};

/// Runs a program's graph operation by operation, unfused, in f64.
///
/// It is slow, and what the fast devices are held against. What is uploaded stays exact, and downloads are
/// [`Data::F64`] or [`Data::U32`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// The elements of a tensor, last axis fastest.
#[derive(Clone)]
enum Numbers {
    Real(Vec<f64>),
    Bits(Vec<u32>),
}

struct Memory(RwLock<Numbers>);

impl Storage for Memory {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Device for Reference {
    fn name(&self) -> String {
        "reference".into()
    }

    fn upload(&self, array: &Array) -> Result<Tensor> {
        let numbers = match &array.data {
            Data::U32(values) => Numbers::Bits(values.clone()),
            Data::F32(_) | Data::F64(_) => Numbers::Real(array.f64s()),
        };
        Ok(tensor(&array.shape, numbers))
    }

    fn zeros(&self, shape: &Shape, dtype: Dtype) -> Result<Tensor> {
        let numbers = match dtype {
            Dtype::Real => Numbers::Real(vec![0.0; shape.len()]),
            Dtype::Bits => Numbers::Bits(vec![0; shape.len()]),
        };
        Ok(tensor(shape, numbers))
    }

    fn download(&self, tensor: &Tensor) -> Result<Array> {
        let data = match read(tensor)? {
            Numbers::Real(values) => Data::F64(values),
            Numbers::Bits(values) => Data::U32(values),
        };
        Ok(Array::new(tensor.shape().clone(), data))
    }

    fn prepare(&self, program: Program) -> Result<Executable> {
        let lives = last_readers(&program.graph);
        Ok(Executable::new(program, Lives(lives)))
    }

    fn run(&self, executable: &Executable, bindings: &Bindings) -> Result<Outputs> {
        let graph = &executable.program().graph;
        let numbers = interpret(graph, &executable.prepared::<Lives>()?.0, bindings)?;
        let mut outputs = Outputs::default();
        for output in graph.outputs() {
            let numbers =
                numbers[output.value.index()].as_ref().ok_or_else(|| Error::new("an output was dropped"))?;
            match &output.to {
                Destination::Named(name) => {
                    outputs.insert(name, tensor(graph.shape(output.value), numbers.clone()))
                }
                Destination::Into { input, offset } => {
                    write(target(graph, *input, bindings)?, *offset, numbers, |_, new| new)?;
                }
                Destination::AddedTo { input, offset } => {
                    write(target(graph, *input, bindings)?, *offset, numbers, |old, new| old + new)?;
                }
            }
        }
        Ok(outputs)
    }
}

/// For every value of a graph, which value reads it last; `None` where no output needs it.
struct Lives(Vec<Option<usize>>);

fn last_readers(graph: &Graph) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.values().count()];
    for output in graph.outputs() {
        last[output.value.index()] = Some(usize::MAX);
    }
    for value in graph.values().rev() {
        if last[value.index()].is_some() {
            for input in &graph.operation(value).inputs {
                last[input.index()].get_or_insert(value.index());
            }
        }
    }
    last
}

/// The numbers of every output of the graph.
fn interpret(graph: &Graph, last: &[Option<usize>], bindings: &Bindings) -> Result<Vec<Option<Numbers>>> {
    let mut numbers: Vec<Option<Numbers>> = vec![None; last.len()];
    for value in graph.values().filter(|value| last[value.index()].is_some()) {
        let operation = graph.operation(value);
        let made = match &operation.op {
            Op::Input { name } => read(bindings.expect(name, &operation.shape, operation.dtype)?)?,
            Op::Scalar { name } => Numbers::Real(vec![bindings.number(name)?]),
            _ => {
                let inputs = operation.inputs.iter().map(|input| numbers[input.index()].as_ref());
                evaluate(graph, operation, &inputs.flatten().collect::<Vec<_>>())
            }
        };
        numbers[value.index()] = Some(made);
        for input in operation.inputs.iter().map(|input| input.index()) {
            if last[input] == Some(value.index()) {
                numbers[input] = None;
            }
        }
    }
    Ok(numbers)
}

fn tensor(shape: &Shape, numbers: Numbers) -> Tensor {
    let dtype = match numbers {
        Numbers::Real(_) => Dtype::Real,
        Numbers::Bits(_) => Dtype::Bits,
    };
    Tensor::new(shape.clone(), dtype, Arc::new(Memory(RwLock::new(numbers))))
}

/// A copy of a tensor's elements.
fn read(tensor: &Tensor) -> Result<Numbers> {
    let range = tensor.offset()..tensor.offset() + tensor.shape().len();
    let memory = tensor.storage::<Memory>()?.0.read().unwrap_or_else(PoisonError::into_inner);
    Ok(match &*memory {
        Numbers::Real(values) => Numbers::Real(values[range].to_vec()),
        Numbers::Bits(values) => Numbers::Bits(values[range].to_vec()),
    })
}

/// The tensor behind an input that a program stores to.
fn target<'a>(graph: &Graph, input: Value, bindings: &'a Bindings) -> Result<&'a Tensor> {
    let operation = graph.operation(input);
    match &operation.op {
        Op::Input { name } => bindings.expect(name, &operation.shape, operation.dtype),
        _ => Err(Error::new(format!("a program stores to {input}, which is no input"))),
    }
}

fn write(tensor: &Tensor, offset: usize, numbers: &Numbers, join: fn(f64, f64) -> f64) -> Result<()> {
    let mut memory = tensor.storage::<Memory>()?.0.write().unwrap_or_else(PoisonError::into_inner);
    let start = tensor.offset() + offset;
    match (&mut *memory, numbers) {
        (Numbers::Real(old), Numbers::Real(new)) => {
            for (old, new) in old[start..].iter_mut().zip(new) {
                *old = join(*old, *new);
            }
            Ok(())
        }
        (Numbers::Bits(old), Numbers::Bits(new)) => {
            old[start..start + new.len()].copy_from_slice(new);
            Ok(())
        }
        _ => Err(Error::new("a program stores numbers of one type over another")),
    }
}
