//! Modules of PyTorch as they lie in a pickle: their class, how they were made, and their tensors by name.

use std::collections::BTreeMap;

use super::value::{Heap, Item, Value};
use super::{Place, Refusal, Result, TensorInFile};

/// No published network is nested deeper than 5.
const DEEPEST: usize = 32;
const MOST_TENSORS: usize = 20_000;
const LONGEST_NAME: usize = 256;

/// A network with its preconditioning.
#[derive(Clone, Debug)]
pub struct Module {
    /// The name of its class, such as `EDMPrecond`.
    pub class: String,
    /// The class of the module in it that is called `model`, if there is one.
    pub model: Option<String>,
    /// What it was made with, by name.
    pub settings: BTreeMap<String, Plain>,
    /// Its parameters in the order of `parameters()`, which is how optimisers count them.
    pub parameters: Vec<(String, TensorInFile)>,
    /// Numbers beside them that no optimiser changes.
    pub buffers: Vec<(String, TensorInFile)>,
}

/// A setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Plain>),
}

impl Module {
    /// The module that an object is.
    pub(super) fn of(heap: &Heap, object: Value, place: &Place) -> Result<Self> {
        let no_module =
            || Refusal::new(format!("it holds {} where a module was expected", heap.sort(object)));
        let Some(Item::Object { class, state }) = heap.item(object) else { return Err(no_module()) };
        let class = heap.text(*class).unwrap_or_default().to_owned();
        if heap.get(*state, "_init_args").and_then(|list| heap.list(list)).is_none_or(|list| !list.is_empty())
        {
            return Err(Refusal::new(format!("`{class}` does not say by name what it was made with")));
        }
        let settings = heap.get(*state, "_init_kwargs").ok_or_else(no_module)?;
        let settings = settings_of(heap, settings)?;
        let model = entries(heap, *state, "_modules").find(|(name, _)| *name == "model");
        let model = model.and_then(|(_, model)| match heap.item(model) {
            Some(Item::Object { class, .. }) => heap.text(*class).map(str::to_owned),
            _ => None,
        });
        let mut module = Module { class, model, settings, parameters: Vec::new(), buffers: Vec::new() };
        module.gather(heap, *state, "", 0, place, &mut 0)?;
        Ok(module)
    }

    /// Adds the tensors of a module and of those in it, in PyTorch's order.
    fn gather(
        &mut self,
        heap: &Heap,
        state: Value,
        prefix: &str,
        depth: usize,
        place: &Place,
        visited: &mut usize,
    ) -> Result<()> {
        *visited += 1;
        if depth > DEEPEST || *visited > MOST_TENSORS || prefix.len() > LONGEST_NAME {
            return Err(Refusal::new("its modules are nested too deeply, or there are too many"));
        }
        for (key, list) in [("_parameters", &mut self.parameters), ("_buffers", &mut self.buffers)] {
            for (name, value) in entries(heap, state, key) {
                match heap.item(value) {
                    Some(Item::Tensor(tensor)) if list.len() < MOST_TENSORS => {
                        let name = format!("{prefix}{name}");
                        list.push((name, TensorInFile::new(tensor, place)));
                    }
                    None if value == Value::None => {}
                    _ => return Err(Refusal::new(format!("`{prefix}{name}` is {}", heap.sort(value)))),
                }
            }
        }
        for (name, child) in entries(heap, state, "_modules") {
            match heap.item(child) {
                Some(Item::Object { state, .. }) => {
                    self.gather(heap, *state, &format!("{prefix}{name}."), depth + 1, place, visited)?;
                }
                None if child == Value::None => {}
                _ => return Err(Refusal::new(format!("`{prefix}{name}` is {}", heap.sort(child)))),
            }
        }
        Ok(())
    }
}

/// The entries of a dictionary in a dictionary that have short texts for names.
fn entries<'a>(heap: &'a Heap, state: Value, key: &str) -> impl Iterator<Item = (&'a str, Value)> {
    let entries = heap.get(state, key).and_then(|dict| heap.dict(dict)).unwrap_or_default();
    let named = entries.iter().filter_map(|(name, value)| Some((heap.text(*name)?, *value)));
    named.filter(|(name, _)| name.len() <= LONGEST_NAME)
}

/// The plain entries of a dictionary.
fn settings_of(heap: &Heap, dict: Value) -> Result<BTreeMap<String, Plain>> {
    let entries = heap.dict(dict).unwrap_or_default().iter();
    let entries = entries.filter_map(|(name, value)| Some((heap.text(*name)?.to_owned(), *value)));
    entries.map(|(name, value)| Ok((name, plain(heap, value, 0)?))).collect()
}

fn plain(heap: &Heap, value: Value, depth: usize) -> Result<Plain> {
    const DEEPEST: usize = 2;
    const MOST: usize = 64;
    Ok(match value {
        Value::None => Plain::None,
        Value::Bool(value) => Plain::Bool(value),
        Value::Int(value) => Plain::Int(value),
        Value::Float(value) => Plain::Float(value),
        _ => match heap.item(value) {
            Some(Item::Text(text)) if text.len() <= LONGEST_NAME => Plain::Text(text.to_string()),
            Some(Item::List(list)) if list.len() <= MOST && depth < DEEPEST => {
                let list = list.iter().map(|value| plain(heap, *value, depth + 1));
                Plain::List(list.collect::<Result<_>>()?)
            }
            _ => return Err(Refusal::new(format!("a setting of a module is {}", heap.sort(value)))),
        },
    })
}
