//! Where the parameters of a network live in one flat array, and how that array is filled: from random numbers or
//! from the arrays of a file.

use philox::{Key, stream};
use tensor::{Graph, Shape, Value};

/// Parameters start at multiples of this many elements (64 bytes in f32), so that kernels read them aligned.
const ALIGNMENT: usize = 16;

/// The parameters of a network, side by side in a flat array: the arena.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    pub parameters: Vec<Parameter>,
    pub buffers: Vec<Buffer>,
    /// The elements of the arena, gaps between parameters included; the gaps hold zeros.
    pub len: usize,
}

/// One tensor that files hold and training may change.
///
/// Files hold it as PyTorch does: `[out, in, height, width]`, `[out, in]` or `[channels]`. The arena holds
/// `[tap, in, out]`, `[in, out]` or `[channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name inside the network, as in PyTorch's `state_dict`: `enc.8x8_block0.conv0.weight`.
    pub name: String,
    /// The shape in files.
    pub file_shape: Vec<usize>,
    /// Whether files interleave the output channels as (head, channel, query/key/value), where the arena has all
    /// queries, then all keys, then all values.
    pub interleaved: bool,
    /// Whether training changes it; PyTorch's files have it as a buffer where not.
    pub learned: bool,
    /// Where it starts in the arena.
    pub offset: usize,
    pub init: Init,
}

/// Fixed numbers that PyTorch's files hold beside the parameters. Networks do not read them.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
    /// How many parameters precede it in PyTorch's order.
    pub place: usize,
}

/// What a parameter holds before training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    Zeros,
    Ones,
    /// Uniform between minus and plus this bound.
    Uniform(f64),
    /// Normal with this standard deviation.
    Normal(f64),
}

/// How a layer starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// Uniform weights with a variance of `gain² · 2 / (fan_in + fan_out)` (Glorot and Bengio, 2010), no bias.
    Xavier {
        gain: f64,
    },
    /// Weights and bias uniform within `1 / √fan_in`, as PyTorch's own layers start.
    FanIn,
    /// Unit normal weights, no bias: a table of random rows.
    Normal,
    Zeros,
}

impl Start {
    pub(crate) fn weight(self, fan_in: usize, fan_out: usize) -> Init {
        match self {
            Start::Xavier { gain } => Init::Uniform(gain * (6.0 / (fan_in + fan_out) as f64).sqrt()),
            Start::FanIn => Init::Uniform(1.0 / (fan_in as f64).sqrt()),
            Start::Normal => Init::Normal(1.0),
            Start::Zeros => Init::Zeros,
        }
    }

    pub(crate) fn bias(self, fan_in: usize) -> Init {
        match self {
            Start::FanIn => self.weight(fan_in, 0),
            Start::Xavier { .. } | Start::Normal | Start::Zeros => Init::Zeros,
        }
    }
}

impl Init {
    /// Values in the order of files; a function of the seed and the parameter's place alone.
    fn values(self, seed: u64, place: usize, len: usize) -> Vec<f32> {
        let row = Key { seed, stream: stream::INIT, step: place as u64 }.words();
        let blocks = (0..len.div_ceil(4) as u32).map(|block| philox::words(row, block));
        match self {
            Init::Zeros => vec![0.0; len],
            Init::Ones => vec![1.0; len],
            Init::Uniform(bound) => {
                let signed = |bits| (2.0 * philox::unit(bits) - 1.0) * bound as f32;
                blocks.flatten().take(len).map(signed).collect()
            }
            Init::Normal(std) => {
                let normals = blocks.flat_map(philox::normals);
                normals.take(len).map(|normal| normal * std as f32).collect()
            }
        }
    }
}

impl Parameter {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.file_shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of its window into the arena.
    pub fn shape(&self) -> Shape {
        match self.file_shape[..] {
            [c] => [c].into(),
            [out, inside] => [inside, out].into(),
            _ => {
                let [taps, inside, out] = self.sizes();
                [taps, inside, out].into()
            }
        }
    }

    /// Copies a file's elements to this parameter's place in the arena.
    ///
    /// # Errors
    /// If there are more or fewer elements than the parameter has.
    pub fn to_arena<T: Copy>(&self, file: &[T], arena: &mut [T]) -> Result<(), String> {
        if file.len() != self.len() {
            let (got, len) = (file.len(), self.len());
            return Err(format!(
                "`{}` has {got} elements, expected {len} ({:?})",
                self.name, self.file_shape
            ));
        }
        let window = &mut arena[self.offset..][..self.len()];
        self.places(|in_file, in_window| window[in_window] = file[in_file]);
        Ok(())
    }

    /// This parameter's elements in a file's order.
    pub fn to_file<T: Copy>(&self, arena: &[T]) -> Vec<T> {
        let window = &arena[self.offset..][..self.len()];
        let mut file = window.to_vec();
        self.places(|in_file, in_window| file[in_file] = window[in_window]);
        file
    }

    /// Taps, input channels and output channels.
    fn sizes(&self) -> [usize; 3] {
        let inside = self.file_shape.get(1).copied().unwrap_or(1);
        let taps = self.file_shape.iter().skip(2).product();
        [taps, inside, self.file_shape[0]]
    }

    /// Calls `each` with every element's place in a file and in the window.
    fn places(&self, mut each: impl FnMut(usize, usize)) {
        let [taps, inside, out] = self.sizes();
        for o in 0..out {
            let channel = if self.interleaved { o % 3 * (out / 3) + o / 3 } else { o };
            for i in 0..inside {
                for tap in 0..taps {
                    each((o * inside + i) * taps + tap, (tap * inside + i) * out + channel);
                }
            }
        }
    }
}

impl Layout {
    /// Adds a parameter after the others and gives its place in `parameters`.
    pub fn add(&mut self, name: String, file_shape: &[usize], init: Init) -> usize {
        let file_shape = file_shape.to_vec();
        let (interleaved, learned, offset) = (false, true, self.len);
        let parameter = Parameter { name, file_shape, interleaved, learned, offset, init };
        self.len = (self.len + parameter.len()).next_multiple_of(ALIGNMENT);
        self.parameters.push(parameter);
        self.parameters.len() - 1
    }

    /// Adds a buffer after the parameters so far.
    pub fn add_buffer(&mut self, name: String, shape: &[usize], values: Vec<f64>) {
        self.buffers.push(Buffer { name, shape: shape.to_vec(), values, place: self.parameters.len() });
    }

    /// The number of learned numbers.
    pub fn count(&self) -> usize {
        self.parameters.iter().filter(|parameter| parameter.learned).map(Parameter::len).sum()
    }

    /// An arena of first values: each parameter's depend on the seed and its place alone.
    pub fn initialise(&self, seed: u64) -> Vec<f32> {
        let mut arena = vec![0.0; self.len];
        for (place, parameter) in self.parameters.iter().enumerate() {
            let values = parameter.init.values(seed, place, parameter.len());
            let window = &mut arena[parameter.offset..][..parameter.len()];
            parameter.places(|in_file, in_window| window[in_window] = values[in_file]);
        }
        arena
    }

    /// An arena of the values that `file` gives for each parameter, in a file's order.
    ///
    /// # Errors
    /// Those of `file`, and wrong numbers of elements.
    pub fn import<T: Copy + Default>(
        &self,
        mut file: impl FnMut(&Parameter) -> Result<Vec<T>, String>,
    ) -> Result<Vec<T>, String> {
        let mut arena = vec![T::default(); self.len];
        for parameter in &self.parameters {
            parameter.to_arena(&file(parameter)?, &mut arena)?;
        }
        Ok(arena)
    }

    /// Every parameter with its values in a file's order.
    pub fn export<'a, T: Copy>(&'a self, arena: &'a [T]) -> impl Iterator<Item = (&'a Parameter, Vec<T>)> {
        self.parameters.iter().map(|parameter| (parameter, parameter.to_file(arena)))
    }

    /// Names and shapes of parameters and buffers, in the order of PyTorch's `state_dict`.
    pub fn state(&self) -> Vec<(&str, &[usize])> {
        let parameters = self.parameters.iter().map(|p| (p.name.as_str(), p.file_shape.as_slice()));
        let mut state: Vec<_> = parameters.collect();
        for buffer in self.buffers.iter().rev() {
            state.insert(buffer.place, (&buffer.name, &buffer.shape));
        }
        state
    }
}

/// The parameters of a [`Layout`] as values of a graph, in the same order.
#[derive(Clone, Debug)]
pub struct Parameters {
    values: Vec<Value>,
}

impl Parameters {
    /// Windows into `arena`, a value of shape `[layout.len]`: what training asks the gradients of. What is not learned
    /// is a slice of it instead.
    #[track_caller]
    pub fn windows(graph: &mut Graph, arena: Value, layout: &Layout) -> Self {
        let window = |p: &Parameter| match p.learned {
            true => graph.window(arena, p.offset, p.shape()),
            false => {
                let flat = graph.slice(arena, 0, p.offset..p.offset + p.len());
                graph.reshape(flat, p.shape())
            }
        };
        Parameters { values: layout.parameters.iter().map(window).collect() }
    }

    pub fn values(&self) -> &[Value] {
        &self.values
    }
}
