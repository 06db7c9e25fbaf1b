//! How nodes compute: formulas become programs, once for each node and shape.

use std::collections::HashMap;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use philox::Key;
use tensor::{Array, Bindings, Device, Executable, Graph, Outputs, Result, Tensor, compile};

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
}

impl Compute<'_, '_> {
    pub fn device(&self) -> &dyn Device {
        self.machine.0.as_ref()
    }

    /// Runs the program called `key`, which `build` writes if it is not there yet. The key has to tell apart
    /// all that `build` makes graphs of: shapes, options.
    pub fn run(&mut self, key: &str, bindings: &Bindings, build: impl FnOnce(&mut Graph)) -> Result<Outputs> {
        if !self.programs.contains_key(key) {
            let mut graph = Graph::new();
            build(&mut graph);
            let executable = self.machine.0.prepare(compile(graph))?;
            self.programs.insert(key.to_owned(), executable);
        }
        self.machine.0.run(&self.programs[key], bindings)
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
