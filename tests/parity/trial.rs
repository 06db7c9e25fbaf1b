//! A graph with the tensors that its inputs are bound to, run once.

use std::collections::BTreeMap;

use tensor::{Array, Bindings, Destination, Device, Graph, Result, Tensor, Value, compile};

use crate::fixtures::Numbers;

pub struct Trial<'a> {
    pub graph: Graph,
    device: &'a dyn Device,
    bindings: Bindings,
}

impl<'a> Trial<'a> {
    pub fn new(device: &'a dyn Device) -> Self {
        Trial { graph: Graph::new(), device, bindings: Bindings::new() }
    }

    /// An input and the numbers that it is bound to.
    pub fn input(&mut self, name: &str, numbers: &Numbers) -> Result<Value> {
        let tensor = self.device.upload(&numbers.array())?;
        Ok(self.tensor(name, &tensor))
    }

    /// An input and the tensor that it is bound to.
    pub fn tensor(&mut self, name: &str, tensor: &Tensor) -> Value {
        self.bind(&Bindings::new().tensor(name, tensor));
        self.graph.input(name, tensor.shape().clone())
    }

    /// Keys of random numbers: the same row for all of `n` samples.
    pub fn keys(&mut self, name: &str, n: usize, key: philox::Key) -> Result<Value> {
        let words = key.words().repeat(n);
        let tensor = self.device.upload(&Array::new([n, 4], words))?;
        self.bind(&Bindings::new().tensor(name, &tensor));
        Ok(self.graph.keys(name, n))
    }

    /// Binds what is an input of the graph already.
    pub fn bind(&mut self, bindings: &Bindings) {
        self.bindings = std::mem::take(&mut self.bindings).extend(bindings);
    }

    /// Runs the graph and gives its named outputs.
    pub fn run(self) -> Result<BTreeMap<String, Vec<f64>>> {
        let names = self.graph.outputs().iter().filter_map(|output| match &output.to {
            Destination::Named(name) => Some(name.clone()),
            _ => None,
        });
        let names: Vec<String> = names.collect();
        let executable = self.device.prepare(compile(self.graph))?;
        let mut outputs = self.device.run(&executable, &self.bindings)?;
        let download = |name: String| {
            let array = self.device.download(&outputs.take(&name)?)?;
            Ok((name, array.f64s()))
        };
        names.into_iter().map(download).collect()
    }
}
