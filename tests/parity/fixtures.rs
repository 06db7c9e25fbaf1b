//! Reads the cases and numbers of the oracle.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::read::GzDecoder;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tensor::Array;

/// The folder of the oracle's files.
pub struct Oracle {
    folder: PathBuf,
}

impl Oracle {
    pub fn find() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let other = env::var_os("MOLLIFY_ORACLE").map(|folder| tests.join("..").join(folder));
        Oracle { folder: other.unwrap_or_else(|| tests.join("fixtures/oracle")) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The cases of a group; none where the set has no such group.
    pub fn cases<T: DeserializeOwned>(&self, group: &str) -> Vec<T> {
        if !self.folder.join(group).exists() { Vec::new() } else { self.json(&format!("{group}/cases.json")) }
    }

    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self, path: &str) -> T {
        let text = self.read(path);
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[track_caller]
    pub fn tensors(&self, path: &str) -> Tensors {
        let bytes = self.read(path);
        let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        let numbers = |view: &safetensors::tensor::TensorView| Numbers {
            shape: view.shape().to_vec(),
            values: widen(view.dtype(), view.data()),
        };
        Tensors(file.iter().map(|(name, view)| (name.to_owned(), numbers(&view))).collect())
    }

    /// The folders inside a group's folder.
    pub fn folders(&self, group: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.join(group)) else { return Vec::new() };
        let entries = entries.flatten().filter(|entry| entry.path().is_dir());
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A file, or what is packed in the file of that name and `.gz`.
    #[track_caller]
    fn read(&self, path: &str) -> Vec<u8> {
        let packed = self.folder.join(format!("{path}.gz"));
        let path = self.folder.join(path);
        if path.exists() || !packed.exists() {
            return fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        let file = fs::File::open(&packed).unwrap_or_else(|error| panic!("{}: {error}", packed.display()));
        let mut bytes = Vec::new();
        let unpacked = GzDecoder::new(file).read_to_end(&mut bytes);
        unpacked.unwrap_or_else(|error| panic!("{}: {error}", packed.display()));
        bytes
    }
}

fn widen(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    fn each<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
    }
    match dtype {
        Dtype::F32 => each(bytes, |bytes| f32::from_le_bytes(bytes).into()),
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        Dtype::I64 => each(bytes, |bytes| i64::from_le_bytes(bytes) as f64),
        Dtype::U8 => each(bytes, |[byte]| byte.into()),
        other => panic!("numbers of type {other:?} are not read"),
    }
}

/// The arrays of a safetensors file.
#[derive(Clone)]
pub struct Tensors(BTreeMap<String, Numbers>);

/// An array as it lies in the file, widened to f64.
#[derive(Clone, Debug)]
pub struct Numbers {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Tensors {
    #[track_caller]
    pub fn get(&self, name: &str) -> &Numbers {
        self.find(name).unwrap_or_else(|| panic!("the oracle has no `{name}`"))
    }

    pub fn find(&self, name: &str) -> Option<&Numbers> {
        self.0.get(name)
    }

    /// The arrays whose names start so, without that start.
    pub fn under<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, &'a Numbers)> {
        self.0.iter().filter_map(move |(name, numbers)| Some((name.strip_prefix(start)?, numbers)))
    }
}

impl Numbers {
    pub fn array(&self) -> Array {
        Array::new(self.shape.clone(), self.values.clone())
    }

    /// `[n, c, h, w]` as `[n, h, w, c]`; other ranks as they are.
    pub fn channels_last(&self) -> Numbers {
        let [n, c, h, w] = self.shape[..] else { return self.clone() };
        let mut values = Vec::with_capacity(self.values.len());
        for sample in 0..n {
            for pixel in 0..h * w {
                values.extend((0..c).map(|channel| self.values[(sample * c + channel) * h * w + pixel]));
            }
        }
        Numbers { shape: vec![n, h, w, c], values }
    }

    /// `[n, h, w, c]` as `[n, c, h, w]`.
    pub fn channels_first(&self) -> Numbers {
        let [n, h, w, c] = self.shape[..] else { return self.clone() };
        let turned = Numbers { shape: vec![n, h * w, c, 1], values: self.values.clone() }.channels_last();
        Numbers { shape: vec![n, c, h, w], ..turned }
    }

    /// The arrays along the first axis.
    pub fn rows(&self) -> Vec<Numbers> {
        let row = self.values.len() / self.shape[0];
        let rows = self.values.chunks(row);
        rows.map(|values| Numbers { shape: self.shape[1..].to_vec(), values: values.to_vec() }).collect()
    }
}

/// How far the reference in f32 is from itself in f64.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Noise {
    pub max_abs: f64,
    pub max_abs_over_rms: f64,
}

/// A number, or `"inf"`.
pub fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap_or(f64::NAN),
        value => value.as_f64().unwrap_or(f64::NAN),
    }
}

/// Reads settings by name, with defaults where they are absent.
pub struct Settings<'a>(pub &'a Map<String, Value>);

impl Settings<'_> {
    pub fn number(&self, name: &str, default: f64) -> f64 {
        self.0.get(name).map_or(default, number)
    }

    pub fn size(&self, name: &str, default: usize) -> usize {
        self.0.get(name).and_then(Value::as_u64).map_or(default, |size| size as usize)
    }

    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(default)
    }

    pub fn text(&self, name: &str, default: &'static str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or(default)
    }

    pub fn list(&self, name: &str, default: &[f64]) -> Vec<f64> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.map_or(default.to_vec(), |list| list.iter().map(number).collect())
    }

    pub fn sizes(&self, name: &str, default: &[usize]) -> Vec<usize> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.map_or(default.to_vec(), |list| list.iter().map(|size| number(size) as usize).collect())
    }
}
