//! What `torch.save` wrote before it wrote zip files: five pickles, then the numbers.

use std::cell::RefCell;

use safetensors::Dtype;

use super::machine::{Machine, Surroundings};
use super::stream::{Span, Stream};
use super::value::{Item, Storage, Value};
use super::{Refusal, Result};

const VERSION: Value = Value::Int(1001);

/// The one storage that a stream holds; where its numbers lie is known only when all pickles are read.
struct Promise(RefCell<Option<(Dtype, String, u64)>>);

impl Surroundings for Promise {
    fn storage(&self, dtype: Dtype, key: &str, elements: u64) -> Result<Storage> {
        *self.0.borrow_mut() = Some((dtype, key.to_owned(), elements));
        Ok(Storage { dtype, span: Span { start: 0, len: 0 }, crc: None })
    }

    fn nests(&self) -> bool {
        false
    }
}

/// The storage in a stream that lies in a span of the file.
pub fn storage(machine: &mut Machine, span: Span) -> Result<Value> {
    let promise = Promise(RefCell::new(None));
    let stream = &mut Stream::open(machine.file, span)?;
    let [magic, version] = [machine.run(stream, &promise)?, machine.run(stream, &promise)?];
    if (magic, version) != (Value::Magic, VERSION) {
        return Err(Refusal::new("bytes inside it are no file of `torch.save`"));
    }
    let system = machine.run(stream, &promise)?;
    if machine.heap.get(system, "little_endian") != Some(Value::Bool(true)) {
        return Err(Refusal::new("its tensors are not in little-endian order"));
    }
    let whole = machine.run(stream, &promise)?;
    let keys = machine.run(stream, &promise)?;
    let Some((dtype, key, elements)) = promise.0.into_inner() else {
        return Err(Refusal::new("a file of `torch.save` inside it holds no storage"));
    };
    let only = machine
        .heap
        .list(keys)
        .is_some_and(|keys| matches!(keys, [one] if machine.heap.text(*one) == Some(&key)));
    if !only || !matches!(machine.heap.item(whole), Some(Item::Storage(_))) {
        return Err(Refusal::new("a file of `torch.save` inside it holds more than one storage"));
    }
    if u64::from_le_bytes(stream.array()?) != elements {
        return Err(Refusal::new("a storage has another number of elements than it says"));
    }
    let bytes = elements.checked_mul(dtype.bitsize() as u64 / 8).ok_or(Refusal::truncated())?;
    let span = stream.skip(bytes)?;
    if stream.left() > 0 {
        return Err(Refusal::new("something follows the numbers of a storage"));
    }
    machine.heap.add(Item::Storage(Storage { dtype, span, crc: None }))
}
