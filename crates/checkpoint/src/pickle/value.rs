//! What a pickle makes: values that refer to each other by number, so that nothing recurses however deep they are nested.

use safetensors::Dtype;

use super::stream::Span;
use super::{Refusal, Result};
use crate::Shape;

/// What all structures of one file may take in memory; those of the largest published files take a third of it.
const BUDGET: usize = 24 << 20;

/// A value; the larger ones lie in a [`Heap`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// The number that opens a file of `torch.save`, too large for an integer.
    Magic,
    At(u32),
}

/// A value of more than one word.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Text(Box<str>),
    Bytes(Box<[u8]>),
    /// Bytes that are left in the file.
    Stretch(Span),
    /// A list, a tuple or a set.
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Global(Global),
    /// An object of a class of the file, `state` being a dictionary.
    Object {
        class: Value,
        state: Value,
    },
    /// A type of numbers of NumPy; only `f8` and `i8` are used.
    NumpyType(Value),
    Storage(Storage),
    Tensor(Box<Tensor>),
}

/// What pickles may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    OrderedDict,
    Set,
    Encode,
    Persistent,
    ModuleDict,
    RebuildTensor,
    RebuildParameter,
    LoadFromBytes,
    NumpyType,
    NumpyScalar,
    Storage(Dtype),
}

/// Numbers side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Storage {
    pub dtype: Dtype,
    pub span: Span,
    /// The CRC-32 of the span, if the file tells it.
    pub crc: Option<u32>,
}

/// A view of a storage.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub storage: Storage,
    /// In elements.
    pub offset: u64,
    pub shape: Shape,
    pub strides: Vec<u64>,
}

/// Where values lie.
pub struct Heap {
    items: Vec<Item>,
    left: usize,
}

impl Default for Heap {
    fn default() -> Self {
        Self { items: Vec::new(), left: BUDGET }
    }
}

impl Heap {
    /// Counts memory before it is taken.
    pub fn charge(&mut self, bytes: u64) -> Result<()> {
        let left = usize::try_from(bytes).ok().and_then(|bytes| self.left.checked_sub(bytes));
        self.left = left.ok_or_else(|| {
            Refusal::new(format!("its structure takes more than {} MiB of memory", BUDGET >> 20))
        })?;
        Ok(())
    }

    pub fn add(&mut self, item: Item) -> Result<Value> {
        self.charge(size_of::<Item>() as u64)?;
        self.items.push(item);
        Ok(Value::At(self.items.len() as u32 - 1))
    }

    pub fn item(&self, value: Value) -> Option<&Item> {
        match value {
            Value::At(place) => self.items.get(place as usize),
            _ => None,
        }
    }

    pub fn item_mut(&mut self, value: Value) -> Option<&mut Item> {
        match value {
            Value::At(place) => self.items.get_mut(place as usize),
            _ => None,
        }
    }

    pub fn text(&self, value: Value) -> Option<&str> {
        match self.item(value)? {
            Item::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn list(&self, value: Value) -> Option<&[Value]> {
        match self.item(value)? {
            Item::List(list) => Some(list),
            _ => None,
        }
    }

    pub fn dict(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.item(value)? {
            Item::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry of a dictionary, the last one under that name.
    pub fn get(&self, dict: Value, name: &str) -> Option<Value> {
        let mut entries = self.dict(dict)?.iter().rev();
        entries.find(|(key, _)| self.text(*key) == Some(name)).map(|(_, value)| *value)
    }

    /// What to call a value in a message.
    pub fn sort(&self, value: Value) -> &'static str {
        match self.item(value) {
            Some(Item::Text(_)) => "a text",
            Some(Item::Bytes(_) | Item::Stretch(_)) => "bytes",
            Some(Item::List(_)) => "a list",
            Some(Item::Dict(_)) => "a dictionary",
            Some(Item::Global(_)) => "a function",
            Some(Item::Object { .. }) => "an object",
            Some(Item::NumpyType(_)) => "a type of numbers",
            Some(Item::Storage(_)) => "a storage",
            Some(Item::Tensor(_)) => "a tensor",
            None => "a plain value",
        }
    }
}
