//! Follows the pickle of a batch of CIFAR-10 (protocol 2, by Python 2). Nothing is ever called.
//!
//! A batch is a dictionary whose `data` is an array of NumPy and whose `labels` are a list of numbers. An array is the
//! call of a function and then a state that ends with the bytes; what calls would make is nothing here, and the state
//! alone is kept.

use std::collections::HashMap;

use crate::bytes::Bytes;

/// A genuine batch has 50,000.
const MOST_INSTRUCTIONS: usize = 1_000_000;

/// The pictures of a batch side by side, and their classes.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    pub data: Vec<u8>,
    pub labels: Vec<u32>,
}

/// Larger ones lie apart and are named by number, so that nothing recurses however deep they are nested.
#[derive(Clone, Copy)]
enum Value<'a> {
    /// Anything that does not matter.
    Other,
    Int(i64),
    Text(&'a [u8]),
    /// A list, a tuple or a dictionary, by its number.
    At(usize),
    /// What a call would have made, by its number.
    Made(usize),
}

#[derive(Default)]
struct Machine<'a> {
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    /// The elements of lists and tuples; of dictionaries keys and values in turn.
    lists: Vec<Vec<Value<'a>>>,
    states: Vec<Value<'a>>,
}

/// Reads a batch; fails with what follows its name in a sentence.
pub fn read(pickle: &[u8]) -> Result<Batch, String> {
    let mut machine = Machine::default();
    let mut bytes = Bytes::new(pickle);
    for _ in 0..MOST_INSTRUCTIONS {
        let opcode = bytes.u8()?;
        if opcode == b'.' {
            return machine
                .batch()
                .ok_or_else(|| "is no batch: it needs bytes `data` and a list `labels`".into());
        }
        machine.step(opcode, &mut bytes).map_err(|what| format!("is no batch of CIFAR-10: {what}"))?;
    }
    Err(format!("is no batch of CIFAR-10: it has more than {MOST_INSTRUCTIONS} instructions"))
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8, bytes: &mut Bytes<'a>) -> Result<(), String> {
        let made = match opcode {
            0x80 => return bytes.skip(1),
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(());
            }
            b'q' => return bytes.u8().and_then(|place| self.keep(place.into())),
            b'r' => return bytes.u32().and_then(|place| self.keep(place)),
            b'a' => return self.last(1).and_then(|values| self.extend(values)),
            b's' => return self.last(2).and_then(|values| self.extend(values)),
            b'e' | b'u' => return self.gathered().and_then(|values| self.extend(values)),
            b'b' => return self.build(),
            b'h' => self.recall(bytes.u8()?.into())?,
            b'j' => self.recall(bytes.u32()?)?,
            b'N' | 0x88 | 0x89 => Value::Other,
            b'K' => Value::Int(bytes.u8()?.into()),
            b'M' => Value::Int(bytes.u16()?.into()),
            b'J' => Value::Int(bytes.array().map(i32::from_le_bytes)?.into()),
            b'U' => text(bytes.u8()?.into(), bytes)?,
            b'T' | b'X' => text(bytes.u32()? as usize, bytes)?,
            b']' | b'}' | b')' => self.list(Vec::new()),
            b't' => {
                let values = self.gathered()?;
                self.list(values)
            }
            0x85..=0x87 => {
                let values = self.last(usize::from(opcode) - 0x84)?;
                self.list(values)
            }
            b'c' => global(bytes)?,
            b'R' => {
                self.last(2)?;
                self.states.push(Value::Other);
                Value::Made(self.states.len() - 1)
            }
            other => return Err(format!("it has an instruction {other:#04x}, which batches do not need")),
        };
        self.stack.push(made);
        Ok(())
    }

    fn list(&mut self, values: Vec<Value<'a>>) -> Value<'a> {
        self.lists.push(values);
        Value::At(self.lists.len() - 1)
    }

    fn extend(&mut self, values: Vec<Value<'a>>) -> Result<(), String> {
        match self.stack.last() {
            Some(Value::At(list)) => self.lists[*list].extend(values),
            _ => return Err("something is added to what is no list".into()),
        }
        Ok(())
    }

    fn build(&mut self) -> Result<(), String> {
        let state = self.last(1)?.remove(0);
        if let Some(Value::Made(made)) = self.stack.last() {
            self.states[*made] = state;
        }
        Ok(())
    }

    fn keep(&mut self, place: u32) -> Result<(), String> {
        let value = self.stack.last().ok_or("its stack is empty")?;
        self.memo.insert(place, *value);
        Ok(())
    }

    fn recall(&self, place: u32) -> Result<Value<'a>, String> {
        self.memo.get(&place).copied().ok_or(format!("it recalls value {place}, which it never kept"))
    }

    fn last(&mut self, count: usize) -> Result<Vec<Value<'a>>, String> {
        let start = self.stack.len().checked_sub(count).ok_or("its stack is empty")?;
        Ok(self.stack.split_off(start))
    }

    fn gathered(&mut self) -> Result<Vec<Value<'a>>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or("a list ends that never began")?))
    }

    /// The batch that the last value is.
    fn batch(&self) -> Option<Batch> {
        let Some(Value::At(entries)) = self.stack.last() else { return None };
        let entries = self.lists[*entries].as_chunks::<2>().0;
        let entry = |name: &[u8]| {
            entries
                .iter()
                .find_map(|[key, value]| matches!(key, Value::Text(key) if *key == name).then_some(value))
        };
        let Some(Value::Made(array)) = entry(b"data") else { return None };
        let Value::At(state) = self.states[*array] else { return None };
        let Some(Value::Text(data)) = self.lists[state].last() else { return None };
        let Some(Value::At(labels)) = entry(b"labels") else { return None };
        let label = |value: &Value| match value {
            Value::Int(class) => u32::try_from(*class).ok(),
            _ => None,
        };
        let labels = self.lists[*labels].iter().map(label).collect::<Option<_>>()?;
        Some(Batch { data: data.to_vec(), labels })
    }
}

fn text<'a>(len: usize, bytes: &mut Bytes<'a>) -> Result<Value<'a>, String> {
    bytes.take(len).map(Value::Text)
}

/// Passes over the two lines that name a function. None is called, so which one does not matter.
fn global<'a>(bytes: &mut Bytes<'a>) -> Result<Value<'a>, String> {
    for _ in 0..2 {
        while bytes.u8()? != b'\n' {}
    }
    Ok(Value::Other)
}
