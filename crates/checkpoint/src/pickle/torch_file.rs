//! Snapshots and training states as the paper's own program writes them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use safetensors::Dtype;

use super::machine::{Machine, Surroundings};
use super::stream::{Span, Stream, read};
use super::value::{Heap, Item, Storage, Value};
use super::zip::{Entry, Zip};
use super::{Module, Place, Refusal, Result, TensorInFile};
use crate::Error;

const EXPECTED: &str = "a network snapshot or training state of EDM";
/// The first bytes of an entry of a zip file.
const ZIP: &[u8] = b"PK\x03\x04";

/// A file of the paper's own program.
#[derive(Clone, Debug)]
pub enum TorchFile {
    /// The averaged network of `network-snapshot-*.pkl`, ready for sampling.
    Snapshot(Module),
    /// `training-state-*.pt`, to go on with training.
    TrainingState(TrainingState),
}

/// A network in training and the state of its optimiser.
#[derive(Clone, Debug)]
pub struct TrainingState {
    pub net: Module,
    /// How many steps Adam has made.
    pub steps: u64,
    /// For each parameter of the network, in its order; `None` if it never had a gradient.
    pub moments: Vec<Option<Moments>>,
}

/// The running means of a gradient and of its square.
#[derive(Clone, Debug)]
pub struct Moments {
    pub mean: TensorInFile,
    pub square: TensorInFile,
}

/// Reads what a file of the paper's own program holds, but for the numbers of its tensors.
///
/// Nothing of the file is executed. It takes at most some tens of megabytes, however large the file is.
///
/// # Errors
/// If the file is something else or damaged, or wants a function that files of weights do not need.
pub fn read_torch(path: &Path) -> std::result::Result<TorchFile, Error> {
    let io = Error::io("read", path);
    let file = File::open(path).map_err(&io)?;
    let size = file.metadata().map_err(&io)?.len();
    let place = Place { path: path.to_owned(), file: Arc::new(file) };
    content(&place, size).map_err(|refusal| Error::format(path, EXPECTED, refusal))
}

fn content(place: &Place, size: u64) -> Result<TorchFile> {
    let mut machine = Machine::new(&place.file);
    let root = if read(&place.file, Span { start: 0, len: size.min(4) })? == ZIP {
        zipped(&mut machine, size)?
    } else {
        let mut stream = Stream::open(&place.file, Span { start: 0, len: size })?;
        let root = machine.run(&mut stream, &Plain)?;
        if stream.left() > 0 {
            return Err(Refusal::new("something follows its pickle"));
        }
        root
    };
    let heap = &machine.heap;
    match (heap.get(root, "ema"), heap.get(root, "net"), heap.get(root, "optimizer_state")) {
        (Some(ema), ..) => Ok(TorchFile::Snapshot(Module::of(heap, ema, place)?)),
        (None, Some(net), Some(optimizer)) => {
            Ok(TorchFile::TrainingState(training_state(heap, net, optimizer, place)?))
        }
        _ => Err(Refusal::new("it has neither `ema` nor `net` with `optimizer_state`")),
    }
}

/// A pickle that is a file of its own: storages lie inside it.
struct Plain;

impl Surroundings for Plain {
    fn storage(&self, _: Dtype, _: &str, _: u64) -> Result<Storage> {
        Err(Refusal::new("it refers to a storage in another file"))
    }

    fn nests(&self) -> bool {
        true
    }
}

/// A pickle in a zip file: each storage is an entry `data/KEY` beside it.
struct Zipped<'a> {
    file: &'a File,
    size: u64,
    zip: &'a Zip,
    folder: &'a str,
}

impl Zipped<'_> {
    fn find(&self, name: &str) -> Result<(Entry, Span)> {
        let name = format!("{}/{name}", self.folder);
        let missing = || Refusal::new(format!("it has no entry `{name}`"));
        let entry = *self.zip.entries.get(&name).ok_or_else(missing)?;
        Ok((entry, self.zip.span(self.file, self.size, entry)?))
    }
}

impl Surroundings for Zipped<'_> {
    fn storage(&self, dtype: Dtype, key: &str, elements: u64) -> Result<Storage> {
        let (entry, span) = self.find(&format!("data/{key}"))?;
        if elements.checked_mul(dtype.bitsize() as u64 / 8) != Some(span.len) {
            return Err(Refusal::new(format!(
                "a storage of {elements} numbers of type `{dtype}` has {} bytes",
                span.len
            )));
        }
        Ok(Storage { dtype, span, crc: Some(entry.crc) })
    }

    fn nests(&self) -> bool {
        false
    }
}

fn zipped(machine: &mut Machine, size: u64) -> Result<Value> {
    const PICKLE: &str = "/data.pkl";
    let file = machine.file;
    let zip = Zip::open(file, size)?;
    let folder = zip.entries.keys().find_map(|name| name.strip_suffix(PICKLE));
    let folder = folder.ok_or(Refusal::new("it is a zip file without `data.pkl`"))?;
    let around = Zipped { file, size, zip: &zip, folder };
    // Older versions of PyTorch do not write it, and never wrote another order.
    if let Ok((_, span)) = around.find("byteorder")
        && (span.len != 6 || read(file, span)? != b"little")
    {
        return Err(Refusal::new("its tensors are not in little-endian order"));
    }
    let (_, span) = around.find(&PICKLE[1..])?;
    machine.run(&mut Stream::open(file, span)?, &around)
}

fn training_state(heap: &Heap, net: Value, optimizer: Value, place: &Place) -> Result<TrainingState> {
    let net = Module::of(heap, net, place)?;
    let state = heap.get(optimizer, "state").and_then(|state| heap.dict(state));
    let state = state.ok_or(Refusal::new("its `optimizer_state` has no `state`"))?;
    let mut steps = 0;
    let mut moments = vec![None; net.parameters.len()];
    for (index, entry) in state {
        let Value::Int(index) = index else { continue };
        let tensor = |name: &str| {
            let tensor = heap.get(*entry, name).and_then(|value| heap.item(value));
            let Some(Item::Tensor(tensor)) = tensor else {
                return Err(Refusal::new(format!("its optimiser is not Adam: it has no `{name}`")));
            };
            Ok(TensorInFile::new(tensor, place))
        };
        let slot = usize::try_from(*index).ok().and_then(|index| moments.get_mut(index));
        let slot = slot.ok_or_else(|| {
            Refusal::new(format!("its optimiser knows a parameter {index}, which the network does not have"))
        })?;
        *slot = Some(Moments { mean: tensor("exp_avg")?, square: tensor("exp_avg_sq")? });
        steps = steps.max(steps_of(heap, *entry, &tensor)?);
    }
    Ok(TrainingState { net, steps, moments })
}

/// How often Adam has moved a parameter: an integer in older files, a tensor in newer ones.
fn steps_of(heap: &Heap, entry: Value, tensor: &dyn Fn(&str) -> Result<TensorInFile>) -> Result<u64> {
    let steps = match heap.get(entry, "step") {
        Some(Value::Int(steps)) => steps as f64,
        _ => {
            let number = tensor("step")?.read_one().ok_or(Refusal::new("its `step` is no number"))?;
            number.map_err(|error| Refusal::new(error.to_string()))?
        }
    };
    const MOST: f64 = 1e12;
    match steps {
        steps if (0.0..MOST).contains(&steps) && steps.fract() == 0.0 => Ok(steps as u64),
        _ => Err(Refusal::new(format!("its optimiser has made {steps} steps, expected a count"))),
    }
}
