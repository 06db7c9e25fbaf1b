//! What every machine that runs programs can do.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::{Array, Dtype, Program, Shape, Times};

/// A machine that runs [`Program`]s: the CPU, a GPU, or the [`Reference`](crate::Reference) interpreter.
///
/// The same program and inputs give the same bits on one device, whatever the number of threads; and as no
/// operation mixes samples unless it says so, whatever else is in the batch.
pub trait Device: Send + Sync + 'static {
    /// What to call it in messages: `cpu (2 threads, avx512)`.
    fn name(&self) -> String;

    /// Copies numbers to the device, rounded to what it computes with.
    fn upload(&self, array: &Array) -> Result<Tensor>;

    /// A new tensor of zeros.
    fn zeros(&self, shape: &Shape, dtype: Dtype) -> Result<Tensor>;

    /// Waits for what has to be computed first and copies the numbers back.
    fn download(&self, tensor: &Tensor) -> Result<Array>;

    /// Whether it stores what a graph marks as [`half`](crate::Graph::halves) in 16 bits.
    fn stores_halves(&self) -> bool {
        false
    }

    /// Whether a program of many small steps takes it hardly longer than one of few large ones that do the same.
    fn takes_small_steps(&self) -> bool {
        false
    }

    /// Starts copying a tensor to the host, as it is now. A device that computes ahead need not have come to it yet.
    fn fetch(&self, tensor: &Tensor) -> Result<Fetch> {
        let array = self.download(tensor)?;
        Ok(Fetch::later(move || Ok(array)))
    }

    /// Lets the device begin with everything that it was asked for: called once a tick.
    fn submit(&self) -> Result<()> {
        Ok(())
    }

    /// Takes the time of every kernel from now on, which makes them slower.
    ///
    /// # Errors
    /// If the device cannot.
    fn profile(&self) -> Result<()> {
        Err(Error::new(format!("{} takes no times", self.name())))
    }

    /// What each kernel took since [`profile`](Self::profile), the longest first.
    fn times(&self) -> Result<Vec<(String, Times)>> {
        Ok(Vec::new())
    }

    /// Readies a program; afterwards [`run`](Self::run) allocates nothing but its results.
    fn prepare(&self, program: Program) -> Result<Executable>;

    /// Runs a program once. Tensors that it stores to or accumulates into change in place.
    fn run(&self, executable: &Executable, bindings: &Bindings) -> Result<Outputs>;
}

/// Numbers on their way to the host.
pub struct Fetch(Box<dyn FnOnce() -> Result<Array> + Send + Sync>);

impl Fetch {
    /// For devices: what to wait for.
    pub fn later(wait: impl FnOnce() -> Result<Array> + Send + Sync + 'static) -> Self {
        Fetch(Box::new(wait))
    }

    /// Waits for the numbers.
    pub fn wait(self) -> Result<Array> {
        self.0()
    }
}

/// A tensor on a device: a cheap handle to shared memory, possibly to a part of it.
#[derive(Clone)]
pub struct Tensor {
    shape: Shape,
    dtype: Dtype,
    /// In elements.
    offset: usize,
    storage: Arc<dyn Storage>,
}

/// Memory of a device; each device knows its own kind.
pub trait Storage: Any + Send + Sync {
    fn as_any(&self) -> &dyn Any;
}

impl Tensor {
    /// For devices: a handle to the whole of `storage`.
    pub fn new(shape: Shape, dtype: Dtype, storage: Arc<dyn Storage>) -> Self {
        Tensor { shape, dtype, offset: 0, storage }
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// For devices: where the tensor starts in its storage, in elements.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// For devices: the memory, if it is of the kind that the device makes.
    pub fn storage<S: Storage>(&self) -> Result<&S> {
        self.storage.as_any().downcast_ref().ok_or_else(|| Error::new("a tensor belongs to another device"))
    }

    /// Samples `range` of the first axis, sharing memory.
    #[track_caller]
    pub fn rows(&self, range: Range<usize>) -> Tensor {
        assert!(range.start <= range.end && range.end <= self.shape[0], "rows {range:?} of {}", self.shape);
        let row = self.shape.len() / self.shape[0].max(1);
        let offset = self.offset + range.start * row;
        Tensor { shape: self.shape.with(0, range.len()), offset, ..self.clone() }
    }

    /// The same elements in another shape, sharing memory.
    #[track_caller]
    pub fn reshaped(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        assert_eq!(shape.len(), self.shape.len(), "{} as {shape}", self.shape);
        Tensor { shape, ..self.clone() }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor {}", self.shape)
    }
}

/// A program that a device is ready to run.
#[derive(Clone)]
pub struct Executable {
    program: Arc<Program>,
    prepared: Arc<dyn Any + Send + Sync>,
}

impl Executable {
    /// For devices: the program with whatever the device prepared for it.
    pub fn new<P: Any + Send + Sync>(program: Program, prepared: P) -> Self {
        Executable { program: Arc::new(program), prepared: Arc::new(prepared) }
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    /// For devices: what they gave to [`new`](Self::new).
    pub fn prepared<P: Any>(&self) -> Result<&P> {
        self.prepared.downcast_ref().ok_or_else(|| Error::new("a program was prepared by another device"))
    }
}

/// The tensors and numbers of one run, by name.
#[derive(Clone, Default, Debug)]
pub struct Bindings {
    tensors: BTreeMap<String, Tensor>,
    scalars: BTreeMap<String, f64>,
    last_part: bool,
}

impl Bindings {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn tensor(mut self, name: &str, tensor: &Tensor) -> Self {
        self.tensors.insert(name.into(), tensor.clone());
        self
    }

    pub fn scalar(mut self, name: &str, value: f64) -> Self {
        self.scalars.insert(name.into(), value);
        self
    }

    /// Says that what the program adds to tensors is the last, or the only, part of it: a device may keep sums of a batch
    /// in a form of its own between its parts.
    pub fn last_part(mut self) -> Self {
        self.last_part = true;
        self
    }

    pub fn is_last_part(&self) -> bool {
        self.last_part
    }

    /// Everything that `other` binds as well.
    pub fn extend(mut self, other: &Bindings) -> Self {
        self.tensors.extend(other.tensors.clone());
        self.scalars.extend(other.scalars.clone());
        self
    }

    /// The tensor called `name`, which has to have this shape and type.
    pub fn expect(&self, name: &str, shape: &Shape, dtype: Dtype) -> Result<&Tensor> {
        let tensor =
            self.tensors.get(name).ok_or_else(|| Error::new(format!("no tensor is bound to `{name}`")))?;
        if tensor.shape() != shape || tensor.dtype() != dtype {
            let what =
                format!("`{name}` is {} {:?}, expected {shape} {dtype:?}", tensor.shape(), tensor.dtype());
            return Err(Error::new(what));
        }
        Ok(tensor)
    }

    pub fn number(&self, name: &str) -> Result<f64> {
        let number = self.scalars.get(name).copied();
        number.ok_or_else(|| Error::new(format!("no number is bound to `{name}`")))
    }
}

/// The named results of one run.
#[derive(Clone, Debug, Default)]
pub struct Outputs(BTreeMap<String, Tensor>);

impl Outputs {
    pub fn insert(&mut self, name: &str, tensor: Tensor) {
        self.0.insert(name.into(), tensor);
    }

    pub fn take(&mut self, name: &str) -> Result<Tensor> {
        self.0.remove(name).ok_or_else(|| Error::new(format!("a program has no output `{name}`")))
    }
}

/// Why a device could not do something.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    what: String,
    /// Whether less at once would have fitted.
    too_large: bool,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(what: impl Into<String>) -> Self {
        Error { what: what.into(), too_large: false }
    }

    /// There is no room for so much at once: a part of the batch may fit.
    pub fn too_large(what: impl Into<String>) -> Self {
        Error { what: what.into(), too_large: true }
    }

    pub fn is_too_large(&self) -> bool {
        self.too_large
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {}
