//! How nodes compute: formulas become programs, once for each node and shape.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use philox::Key;
use pipeline::Note;
use tensor::{Array, Bindings, Device, Executable, Graph, Outputs, Result, Shape, Tensor, compile};

use crate::Sigma;

/// The device that the run computes on.
#[derive(Resource, Clone)]
pub struct Machine(pub Arc<dyn Device>);

/// What a node's system computes with.
///
/// A program is compiled when a key is first seen and kept with the node: nothing but a cache, so a resumed
/// run makes it again.
#[derive(SystemParam)]
pub struct Compute<'w, 's> {
    machine: Res<'w, Machine>,
    programs: Local<'s, HashMap<String, Executable>>,
    /// How many samples fit at once, of programs for which that is fewer than somebody asked for.
    parts: Local<'s, HashMap<String, usize>>,
}

/// Parts of a batch are as many samples as this, or a few times as many, where they can: a GPU sums the gradients of so
/// many at once, and then the parts do not show in the bits.
const PART: usize = 16;

impl Compute<'_, '_> {
    pub fn device(&self) -> &dyn Device {
        self.machine.0.as_ref()
    }

    /// Runs the program called `key`, which `build` writes if it is not there yet. The key has to tell apart
    /// all that `build` makes graphs of: shapes, options.
    pub fn run(&mut self, key: &str, bindings: &Bindings, build: impl FnOnce(&mut Graph)) -> Result<Outputs> {
        self.ready(key, build)?;
        self.machine.0.run(&self.programs[key], bindings)
    }

    fn ready(&mut self, key: &str, build: impl FnOnce(&mut Graph)) -> Result<()> {
        if !self.programs.contains_key(key) {
            let mut graph = Graph::new();
            build(&mut graph);
            let executable = self.machine.0.prepare(compile(graph))?;
            self.programs.insert(key.to_owned(), executable);
        }
        Ok(())
    }

    /// The parts of a batch of `n` samples that the program called `key` takes one after another: all at once if `most`
    /// and the device's memory allow it. [`run_part`](Self::run_part) runs them.
    ///
    /// # Errors
    /// If there is no room for a single sample.
    pub fn parts(
        &mut self,
        key: &str,
        n: usize,
        most: Option<usize>,
        build: impl Fn(&mut Graph, usize),
    ) -> Result<Vec<Range<usize>>> {
        let known = self.parts.get(key).copied();
        let mut size = n.min(most.unwrap_or(n)).min(known.unwrap_or(n)).max(1);
        while let Err(error) = self.ready(&part_key(key, size), |graph| build(graph, size)) {
            if size == 1 || !error.is_too_large() {
                return Err(error);
            }
            let half = size.div_ceil(2).next_multiple_of(PART);
            size = if half < size { half } else { size.div_ceil(2) };
            self.parts.insert(key.to_owned(), size);
        }
        Ok((0..n).step_by(size).map(|start| start..n.min(start + size)).collect())
    }

    /// Says that a batch of `n` goes through the device in parts because of its memory, if it does.
    pub fn tell_parts(n: usize, parts: &[Range<usize>], notes: &mut MessageWriter<Note>) {
        if let [first, _, ..] = parts {
            let (size, count) = (first.len(), parts.len());
            notes.write(Note(format!(
                "{n} images at once do not fit: {count} parts of {size} do, with the same result"
            )));
        }
    }

    /// Runs the program called `key` for `n` samples.
    pub fn run_part(
        &mut self,
        key: &str,
        n: usize,
        bindings: &Bindings,
        build: impl Fn(&mut Graph, usize),
    ) -> Result<Outputs> {
        self.run(&part_key(key, n), bindings, |graph| build(graph, n))
    }

    /// Parts of a batch, one after another on the first axis, as one tensor.
    pub fn join(&mut self, parts: &[Tensor]) -> Result<Tensor> {
        if let [whole] = parts {
            return Ok(whole.clone());
        }
        let shapes: Vec<&Shape> = parts.iter().map(Tensor::shape).collect();
        let name = |at: usize| format!("part {at}");
        let bind = |bindings: Bindings, (at, part): (usize, &Tensor)| bindings.tensor(&name(at), part);
        let bindings = parts.iter().enumerate().fold(Bindings::new(), bind);
        let mut joined = self.run(&format!("join {shapes:?}"), &bindings, |graph| {
            let parts: Vec<_> = shapes
                .iter()
                .enumerate()
                .map(|(at, shape)| graph.input(&name(at), (*shape).clone()))
                .collect();
            let whole = graph.concat(&parts, 0);
            graph.output("whole", whole);
        })?;
        joined.take("whole")
    }

    pub fn upload(&self, array: &Array) -> Result<Tensor> {
        self.machine.0.upload(array)
    }

    pub fn download(&self, tensor: &Tensor) -> Result<Array> {
        self.machine.0.download(tensor)
    }

    /// The keys of random numbers on the device, a row a sample.
    pub fn keys(&self, keys: impl Iterator<Item = Key>) -> Result<Tensor> {
        let words: Vec<u32> = keys.flat_map(Key::words).collect();
        self.upload(&Array::new([words.len() / 4, 4], words))
    }

    /// The noise level of each of `n` images: `[n]`.
    pub fn levels(&self, sigma: &Sigma, n: usize) -> Result<Tensor> {
        match sigma {
            Sigma::Same(level) => self.upload(&Array::new([n], vec![*level; n])),
            Sigma::Each(levels) => Ok(levels.clone()),
        }
    }
}

fn part_key(key: &str, n: usize) -> String {
    format!("{key} of {n}")
}
