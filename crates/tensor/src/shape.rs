//! Sizes of tensors and how they broadcast.

use std::fmt;
use std::ops::Deref;

/// The sizes of a tensor's axes, outermost first. Images are `[n, h, w, c]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The number of elements; 1 for a scalar.
    pub fn len(&self) -> usize {
        self.0.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_scalar(&self) -> bool {
        self.0.is_empty()
    }

    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The size of the last axis; 1 for a scalar.
    pub fn channels(&self) -> usize {
        self.0.last().copied().unwrap_or(1)
    }

    /// This shape with axis `axis` of another size.
    pub fn with(&self, axis: usize, size: usize) -> Shape {
        let mut sizes = self.0.clone();
        sizes[axis] = size;
        Shape(sizes)
    }

    /// The common shape of two tensors whose axes, aligned at the last, are equal or 1.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let size =
            |shape: &Shape, axis: usize| (axis + shape.rank()).checked_sub(rank).map_or(1, |at| shape.0[at]);
        (0..rank)
            .map(|axis| match (size(self, axis), size(other, axis)) {
                (a, b) if a == b => Some(a),
                (1, b) => Some(b),
                (a, 1) => Some(a),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(Shape)
    }

    /// Element strides that read a tensor of this shape as if it had shape `to`: 0 on broadcast axes.
    pub fn strides_as(&self, to: &Shape) -> Vec<usize> {
        let mut strides = vec![0; to.rank()];
        let mut step = 1;
        for (axis, &size) in self.0.iter().enumerate().rev() {
            if size != 1 {
                strides[axis + to.rank() - self.rank()] = step;
            }
            step *= size;
        }
        strides
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(sizes: [usize; N]) -> Self {
        Shape(sizes.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(sizes: Vec<usize>) -> Self {
        Shape(sizes)
    }
}

impl From<&[usize]> for Shape {
    fn from(sizes: &[usize]) -> Self {
        Shape(sizes.to_vec())
    }
}

/// `[2, 8, 8, 1]`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
