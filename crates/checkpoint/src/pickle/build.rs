//! The functions that pickles of weights name, and what each makes of its arguments. There are no others.

use std::fs::File;

use safetensors::Dtype;

use super::machine::Surroundings;
use super::stream;
use super::value::{Global, Heap, Item, Storage, Tensor, Value};
use super::{Refusal, Result};

/// No tensor of a network has more dimensions.
const MOST_DIMENSIONS: usize = 8;

const KNOWN: [(&str, &str, Global); 23] = [
    ("collections", "OrderedDict", Global::OrderedDict),
    ("dnnlib.util", "EasyDict", Global::OrderedDict),
    ("__builtin__", "set", Global::Set),
    ("builtins", "set", Global::Set),
    ("_codecs", "encode", Global::Encode),
    ("torch_utils.persistence", "_reconstruct_persistent_obj", Global::Persistent),
    ("torch.nn.modules.container", "ModuleDict", Global::ModuleDict),
    ("torch._utils", "_rebuild_tensor_v2", Global::RebuildTensor),
    ("torch._utils", "_rebuild_parameter", Global::RebuildParameter),
    ("torch.storage", "_load_from_bytes", Global::LoadFromBytes),
    ("numpy", "dtype", Global::NumpyType),
    ("numpy.core.multiarray", "scalar", Global::NumpyScalar),
    ("numpy._core.multiarray", "scalar", Global::NumpyScalar),
    ("torch", "FloatStorage", Global::Storage(Dtype::F32)),
    ("torch", "DoubleStorage", Global::Storage(Dtype::F64)),
    ("torch", "HalfStorage", Global::Storage(Dtype::F16)),
    ("torch", "BFloat16Storage", Global::Storage(Dtype::BF16)),
    ("torch", "LongStorage", Global::Storage(Dtype::I64)),
    ("torch", "IntStorage", Global::Storage(Dtype::I32)),
    ("torch", "ShortStorage", Global::Storage(Dtype::I16)),
    ("torch", "CharStorage", Global::Storage(Dtype::I8)),
    ("torch", "ByteStorage", Global::Storage(Dtype::U8)),
    ("torch", "BoolStorage", Global::Storage(Dtype::BOOL)),
];

/// The function of that name.
pub fn global(module: &str, name: &str) -> Result<Global> {
    let known = KNOWN.iter().find(|(m, n, _)| *m == module && *n == name);
    known.map(|(.., global)| *global).ok_or_else(|| {
        let name: String = format!("{module}.{name}").chars().filter(|c| !c.is_control()).collect();
        Refusal::new(format!(
            "it wants `{name}`, which files of weights do not need; nothing of it was executed"
        ))
    })
}

/// What a function makes of its arguments; `_load_from_bytes` is the machine's own.
pub fn call(heap: &mut Heap, file: &File, global: Global, arguments: &[Value]) -> Result<Value> {
    let wrong = || Refusal::new(format!("the arguments of `{}` are not what they should be", name(global)));
    match (global, arguments) {
        (Global::OrderedDict, []) => heap.add(Item::Dict(Vec::new())),
        (Global::Set, []) => heap.add(Item::List(Vec::new())),
        (Global::Set, [list]) if heap.list(*list).is_some() => Ok(*list),
        (Global::Encode, [text, _]) => {
            let text = heap.text(*text).ok_or_else(wrong)?;
            let latin = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>();
            let latin = latin.ok_or_else(wrong)?;
            heap.charge(latin.len() as u64)?;
            heap.add(Item::Bytes(latin.into()))
        }
        (Global::Persistent, [meta]) => persistent(heap, *meta),
        (Global::ModuleDict, []) => {
            let class = heap.add(Item::Text("ModuleDict".into()))?;
            heap.add(Item::Object { class, state: Value::None })
        }
        (Global::RebuildTensor, [storage, Value::Int(offset), shape, strides, ..]) => {
            let tensor = tensor(heap, *storage, *offset, *shape, *strides)?;
            heap.charge(2 * (MOST_DIMENSIONS * size_of::<u64>()) as u64)?;
            heap.add(Item::Tensor(Box::new(tensor)))
        }
        (Global::RebuildParameter, [tensor, ..]) if matches!(heap.item(*tensor), Some(Item::Tensor(_))) => {
            Ok(*tensor)
        }
        (Global::NumpyType, [code, ..]) => heap.add(Item::NumpyType(*code)),
        (Global::NumpyScalar, [dtype, bytes]) => scalar(heap, file, *dtype, *bytes),
        _ => Err(wrong()),
    }
}

/// Gives an object its state; types of NumPy need none, as only those of the usual byte order are taken.
pub fn build(heap: &mut Heap, state: Value, of: Value) -> Result<()> {
    match heap.item_mut(of) {
        Some(Item::Object { state: old, .. }) => {
            *old = state;
            Ok(())
        }
        Some(Item::NumpyType(_)) => {
            let order = heap.list(state).and_then(|list| list.get(1).copied()).unwrap_or(Value::None);
            match heap.text(order) {
                Some("<" | "|") => Ok(()),
                _ => Err(Refusal::new("a number of NumPy is not in little-endian order")),
            }
        }
        _ => Err(Refusal::new(format!("a state is given to {}", heap.sort(of)))),
    }
}

/// The storage of a persistent id: `("storage", type, key, device, elements, ..)`.
pub fn storage(heap: &mut Heap, id: Value, around: &dyn Surroundings) -> Result<Value> {
    let wrong = || Refusal::new("it refers to something outside that is no storage of numbers");
    let parts = heap.list(id).ok_or_else(wrong)?;
    let [tag, kind, key, _, Value::Int(elements), ..] = *parts else { return Err(wrong()) };
    let Some(Item::Global(Global::Storage(dtype))) = heap.item(kind) else { return Err(wrong()) };
    let (Some("storage"), Some(key), Ok(elements)) = (heap.text(tag), heap.text(key), elements.try_into())
    else {
        return Err(wrong());
    };
    let storage = around.storage(*dtype, key, elements)?;
    heap.add(Item::Storage(storage))
}

/// An object of a class that the file defines itself: its source stays unread.
fn persistent(heap: &mut Heap, meta: Value) -> Result<Value> {
    const VERSION: Option<Value> = Some(Value::Int(6));
    let sort = heap.get(meta, "type").and_then(|sort| heap.text(sort));
    if sort != Some("class") || heap.get(meta, "version") != VERSION {
        return Err(Refusal::new(
            "an object was saved by another version of `torch_utils.persistence` than 6",
        ));
    }
    match (heap.get(meta, "class_name"), heap.get(meta, "state")) {
        (Some(class), Some(state)) if heap.text(class).is_some() => heap.add(Item::Object { class, state }),
        _ => Err(Refusal::new("an object has no class or no state")),
    }
}

fn tensor(heap: &Heap, storage: Value, offset: i64, shape: Value, strides: Value) -> Result<Tensor> {
    let wrong = || Refusal::new("a tensor has no storage, or sizes that are no sizes");
    let Some(Item::Storage(storage)) = heap.item(storage) else { return Err(wrong()) };
    let sizes = |list: Value| -> Option<Vec<u64>> {
        let list = heap.list(list).filter(|list| list.len() <= MOST_DIMENSIONS)?;
        let size = |value: &Value| match value {
            Value::Int(size) => u64::try_from(*size).ok(),
            _ => None,
        };
        list.iter().map(size).collect()
    };
    let (Some(shape), Some(strides)) = (sizes(shape), sizes(strides)) else { return Err(wrong()) };
    let offset = u64::try_from(offset).map_err(|_| wrong())?;
    if shape.len() != strides.len() || !fits(storage, offset, &shape, &strides) {
        return Err(Refusal::new(format!("a tensor of shape {shape:?} does not fit into its storage")));
    }
    let shape = shape.into_iter().map(|size| size as usize).collect();
    Ok(Tensor { storage: *storage, offset, shape, strides })
}

/// Whether the last element lies in the storage, and no element of it is told twice.
fn fits(storage: &Storage, offset: u64, shape: &[u64], strides: &[u64]) -> bool {
    let held = storage.span.len / (storage.dtype.bitsize() as u64 / 8);
    let count = shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
    if count == Some(0) {
        return true;
    }
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(offset, |last, (size, stride)| last.checked_add((size - 1).checked_mul(*stride)?));
    count.is_some_and(|count| count <= held) && last.is_some_and(|last| last < held)
}

fn scalar(heap: &Heap, file: &File, dtype: Value, bytes: Value) -> Result<Value> {
    let code = match heap.item(dtype) {
        Some(Item::NumpyType(code)) => heap.text(*code).unwrap_or_default(),
        _ => "",
    };
    let bytes = match heap.item(bytes) {
        Some(Item::Bytes(bytes)) => bytes.to_vec(),
        Some(Item::Stretch(span)) if span.len == 8 => stream::read(file, *span)?,
        _ => Vec::new(),
    };
    match (code, <[u8; 8]>::try_from(bytes)) {
        ("f8", Ok(bytes)) => Ok(Value::Float(f64::from_le_bytes(bytes))),
        ("i8", Ok(bytes)) => Ok(Value::Int(i64::from_le_bytes(bytes))),
        _ => Err(Refusal::new("a number of NumPy is neither `f8` nor `i8`")),
    }
}

fn name(global: Global) -> String {
    let known = KNOWN.iter().find(|(.., known)| *known == global);
    known.map_or_else(String::new, |(module, name, _)| format!("{module}.{name}"))
}
