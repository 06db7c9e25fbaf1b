//! Follows the instructions of a pickle. Nothing is ever called: the few names that may occur are known here.

use std::collections::HashMap;
use std::fs::File;

use super::build;
use super::opcode::Opcode;
use super::stream::{Span, Stream};
use super::value::{Global, Heap, Item, Storage, Value};
use super::{Refusal, Result};

/// The largest published files have less than a tenth of this.
const MOST_INSTRUCTIONS: u32 = 4_000_000;
const LONGEST_NAME: usize = 256;

/// Where a pickle finds what lies outside it.
pub trait Surroundings {
    /// A storage that the pickle refers to by `(type, key, elements)`.
    fn storage(&self, dtype: safetensors::Dtype, key: &str, elements: u64) -> Result<Storage>;

    /// Whether bytes inside the pickle may be files of `torch.save` themselves.
    fn nests(&self) -> bool;
}

/// The state that all pickles of one file share.
pub struct Machine<'a> {
    pub file: &'a File,
    pub heap: Heap,
    instructions: u32,
}

/// What one pickle works on.
struct Frame {
    stack: Vec<Value>,
    /// Where the lists begin that are still being gathered.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

impl<'a> Machine<'a> {
    pub fn new(file: &'a File) -> Self {
        Self { file, heap: Heap::default(), instructions: 0 }
    }

    /// Follows a pickle from where the stream stands to its `STOP`.
    pub fn run(&mut self, stream: &mut Stream, around: &dyn Surroundings) -> Result<Value> {
        let mut frame = Frame { stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        loop {
            let at = stream.at();
            let located = |refusal: Refusal| refusal.at(at);
            self.instructions += 1;
            if self.instructions > MOST_INSTRUCTIONS {
                return Err(located(Refusal::new(format!(
                    "it has more than {MOST_INSTRUCTIONS} instructions"
                ))));
            }
            let opcode = Opcode::of(stream.byte().map_err(located)?).map_err(|name| {
                located(Refusal::new(format!(
                    "it has an instruction `{name}`, which files of weights do not need"
                )))
            })?;
            if opcode == Opcode::Stop {
                return frame.pop().map_err(located);
            }
            self.step(opcode, &mut frame, stream, around).map_err(located)?;
        }
    }

    fn step(
        &mut self,
        opcode: Opcode,
        frame: &mut Frame,
        stream: &mut Stream,
        around: &dyn Surroundings,
    ) -> Result<()> {
        let made = match opcode {
            Opcode::Proto => return protocol(stream.byte()?),
            Opcode::Frame => return stream.array::<8>().map(|_| ()),
            Opcode::Mark => {
                self.heap.charge(size_of::<usize>() as u64)?;
                frame.marks.push(frame.stack.len());
                return Ok(());
            }
            Opcode::Append | Opcode::Appends | Opcode::AddItems => return self.append(opcode, frame),
            Opcode::SetItem | Opcode::SetItems => return self.set(opcode, frame),
            Opcode::Build => return build::build(&mut self.heap, frame.pop()?, frame.top()?),
            Opcode::Put | Opcode::LongPut | Opcode::Memoize => return self.memoize(opcode, frame, stream),
            Opcode::Get => frame.recall(stream.byte()?.into())?,
            Opcode::LongGet => frame.recall(u32::from_le_bytes(stream.array()?))?,
            Opcode::None => Value::None,
            Opcode::True => Value::Bool(true),
            Opcode::False => Value::Bool(false),
            Opcode::Int => Value::Int(i32::from_le_bytes(stream.array()?).into()),
            Opcode::Int1 => Value::Int(stream.byte()?.into()),
            Opcode::Int2 => Value::Int(u16::from_le_bytes(stream.array()?).into()),
            Opcode::Long1 => long(stream)?,
            Opcode::Float => Value::Float(f64::from_be_bytes(stream.array()?)),
            Opcode::ShortText => self.text(stream.byte()?.into(), stream)?,
            Opcode::Text => self.text(u32::from_le_bytes(stream.array()?).into(), stream)?,
            Opcode::LongText => self.text(u64::from_le_bytes(stream.array()?), stream)?,
            Opcode::ShortBytes => self.bytes(stream.byte()?.into(), stream)?,
            Opcode::Bytes => self.bytes(u32::from_le_bytes(stream.array()?).into(), stream)?,
            Opcode::LongBytes => self.bytes(u64::from_le_bytes(stream.array()?), stream)?,
            Opcode::EmptyList | Opcode::EmptyTuple | Opcode::EmptySet => {
                self.heap.add(Item::List(Vec::new()))?
            }
            Opcode::EmptyDict => self.heap.add(Item::Dict(Vec::new()))?,
            Opcode::Tuple => self.list(frame.gathered()?)?,
            Opcode::Tuple1 => self.list(frame.last(1)?)?,
            Opcode::Tuple2 => self.list(frame.last(2)?)?,
            Opcode::Tuple3 => self.list(frame.last(3)?)?,
            Opcode::Global => {
                let (module, name) = (stream.line(LONGEST_NAME)?, stream.line(LONGEST_NAME)?);
                self.heap.add(Item::Global(build::global(&module, &name)?))?
            }
            Opcode::StackGlobal => self.stack_global(frame)?,
            Opcode::Reduce | Opcode::NewObject => {
                let (arguments, function) = (frame.pop()?, frame.pop()?);
                self.call(function, arguments, around)?
            }
            Opcode::PersistentId => {
                let id = frame.pop()?;
                build::storage(&mut self.heap, id, around)?
            }
            Opcode::Stop => frame.pop()?,
        };
        self.heap.charge(size_of::<Value>() as u64)?;
        frame.stack.push(made);
        Ok(())
    }

    /// What a known function makes of its arguments.
    fn call(&mut self, function: Value, arguments: Value, around: &dyn Surroundings) -> Result<Value> {
        let Some(Item::Global(global)) = self.heap.item(function) else {
            let sort = self.heap.sort(function);
            return Err(Refusal::new(format!("it calls {sort}, which is no function")));
        };
        let global = *global;
        let arguments = self.heap.list(arguments).ok_or(Refusal::new("a call has no list of arguments"))?;
        // No function here takes more.
        let arguments: Vec<Value> = arguments.iter().copied().take(8).collect();
        if global != Global::LoadFromBytes {
            return build::call(&mut self.heap, self.file, global, &arguments);
        }
        match self.heap.item(arguments.first().copied().unwrap_or(Value::None)) {
            Some(Item::Stretch(span)) if around.nests() => {
                let span = *span;
                super::legacy::storage(self, span)
            }
            Some(Item::Stretch(_)) => Err(Refusal::new("a file of tensors is nested in another one")),
            _ => Err(Refusal::new("`torch.storage._load_from_bytes` is not called with bytes")),
        }
    }

    fn stack_global(&mut self, frame: &mut Frame) -> Result<Value> {
        let (name, module) = (frame.pop()?, frame.pop()?);
        match (self.heap.text(module), self.heap.text(name)) {
            (Some(module), Some(name)) => {
                let global = build::global(module, name)?;
                self.heap.add(Item::Global(global))
            }
            _ => Err(Refusal::new("the name of a function is not a text")),
        }
    }

    fn text(&mut self, len: u64, stream: &mut Stream) -> Result<Value> {
        if len > stream.left() {
            return Err(Refusal::truncated());
        }
        self.heap.charge(len)?;
        let text = String::from_utf8(stream.bytes(len)?).map_err(|_| Refusal::new("a text is not UTF-8"))?;
        self.heap.add(Item::Text(text.into()))
    }

    fn bytes(&mut self, len: u64, stream: &mut Stream) -> Result<Value> {
        let span: Span = stream.skip(len)?;
        self.heap.add(Item::Stretch(span))
    }

    fn list(&mut self, values: Vec<Value>) -> Result<Value> {
        self.heap.charge((values.len() * size_of::<Value>()) as u64)?;
        self.heap.add(Item::List(values))
    }

    fn append(&mut self, opcode: Opcode, frame: &mut Frame) -> Result<()> {
        let values = if opcode == Opcode::Append { frame.last(1)? } else { frame.gathered()? };
        self.heap.charge((values.len() * size_of::<Value>()) as u64)?;
        match self.heap.item_mut(frame.top()?) {
            Some(Item::List(list)) => list.extend(values),
            _ => return Err(Refusal::new("something is appended to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, opcode: Opcode, frame: &mut Frame) -> Result<()> {
        let values = if opcode == Opcode::SetItem { frame.last(2)? } else { frame.gathered()? };
        self.heap.charge((values.len() * size_of::<Value>()) as u64)?;
        let (pairs, rest) = values.as_chunks::<2>();
        match self.heap.item_mut(frame.top()?) {
            Some(Item::Dict(entries)) if rest.is_empty() => {
                entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            Some(Item::Dict(_)) => Err(Refusal::new("a dictionary has a key without a value")),
            _ => Err(Refusal::new("an entry is set in what is no dictionary")),
        }
    }

    fn memoize(&mut self, opcode: Opcode, frame: &mut Frame, stream: &mut Stream) -> Result<()> {
        let place = match opcode {
            Opcode::Put => stream.byte()?.into(),
            Opcode::LongPut => u32::from_le_bytes(stream.array()?),
            _ => frame.memo.len() as u32,
        };
        self.heap.charge(2 * size_of::<(u32, Value)>() as u64)?;
        let top = frame.top()?;
        frame.memo.insert(place, top);
        Ok(())
    }
}

impl Frame {
    /// Where the part of the stack begins that no open list holds.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Value> {
        self.stack
            .get(self.floor()..)
            .and_then(<[Value]>::last)
            .copied()
            .ok_or(Refusal::new("its stack is empty"))
    }

    fn pop(&mut self) -> Result<Value> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn last(&mut self, count: usize) -> Result<Vec<Value>> {
        let start = self.stack.len().checked_sub(count).filter(|start| *start >= self.floor());
        Ok(self.stack.split_off(start.ok_or(Refusal::new("its stack is empty"))?))
    }

    /// What has come since the last mark.
    fn gathered(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().ok_or(Refusal::new("a list ends that never began"))?;
        Ok(self.stack.split_off(mark))
    }

    fn recall(&self, place: u32) -> Result<Value> {
        let value = self.memo.get(&place).copied();
        value.ok_or_else(|| Refusal::new(format!("it recalls value {place}, which it never kept")))
    }
}

fn protocol(version: u8) -> Result<()> {
    match version {
        2..=4 => Ok(()),
        _ => Err(Refusal::new(format!("it is in protocol {version} of pickle, expected 2 to 4"))),
    }
}

/// An integer of up to eight bytes, or the one that files of `torch.save` begin with.
fn long(stream: &mut Stream) -> Result<Value> {
    const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    let len = stream.byte()?;
    let bytes = stream.bytes(len.into())?;
    if bytes == MAGIC {
        return Ok(Value::Magic);
    }
    if len > 8 {
        return Err(Refusal::new(format!("an integer has {len} bytes, expected at most 8")));
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(&bytes);
    Ok(Value::Int(i64::from_le_bytes(whole)))
}
