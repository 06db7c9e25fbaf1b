//! Numbers on the host.

use crate::{Dtype, Shape};

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Shape,
    pub data: Data,
}

/// The elements of an [`Array`], last axis fastest.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    U32(Vec<u32>),
}

impl Array {
    #[track_caller]
    pub fn new(shape: impl Into<Shape>, data: impl Into<Data>) -> Self {
        let array = Array { shape: shape.into(), data: data.into() };
        assert_eq!(array.shape.len(), array.data.len(), "elements of an array of shape {}", array.shape);
        array
    }

    pub fn dtype(&self) -> Dtype {
        if matches!(self.data, Data::U32(_)) { Dtype::Bits } else { Dtype::Real }
    }

    /// The elements as f32, rounded if need be.
    pub fn f32s(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(values) => values.clone(),
            Data::F64(values) => values.iter().map(|value| *value as f32).collect(),
            Data::U32(values) => values.iter().map(|value| *value as f32).collect(),
        }
    }

    /// The elements as f64.
    pub fn f64s(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Data::F64(values) => values.clone(),
            Data::U32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        }
    }
}

impl Data {
    pub fn len(&self) -> usize {
        match self {
            Data::F32(values) => values.len(),
            Data::F64(values) => values.len(),
            Data::U32(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<f32>> for Data {
    fn from(values: Vec<f32>) -> Self {
        Data::F32(values)
    }
}

impl From<Vec<f64>> for Data {
    fn from(values: Vec<f64>) -> Self {
        Data::F64(values)
    }
}

impl From<Vec<u32>> for Data {
    fn from(values: Vec<u32>) -> Self {
        Data::U32(values)
    }
}
