//! Reading and making tensors by index.

use crate::Shape;

/// The elements of a real tensor seen as an array of `N` axes.
#[derive(Clone, Copy)]
pub struct View<'a, const N: usize> {
    pub sizes: [usize; N],
    elements: &'a [f64],
}

impl<'a, const N: usize> View<'a, N> {
    pub fn new(sizes: [usize; N], elements: &'a [f64]) -> Self {
        View { sizes, elements }
    }

    pub fn at(&self, index: [usize; N]) -> f64 {
        let flat = index.iter().zip(&self.sizes).fold(0, |flat, (at, size)| flat * size + at);
        self.elements[flat]
    }
}

impl View<'_, 4> {
    /// The pixel's number, 0 outside the image.
    pub fn padded(&self, [n, c]: [usize; 2], i: isize, j: isize) -> f64 {
        match (usize::try_from(i), usize::try_from(j)) {
            (Ok(i), Ok(j)) if i < self.sizes[1] && j < self.sizes[2] => self.at([n, i, j, c]),
            _ => 0.0,
        }
    }
}

/// The tensor whose elements follow a formula of their index.
pub fn build<const N: usize>(sizes: [usize; N], formula: impl Fn([usize; N]) -> f64) -> Vec<f64> {
    let element = |mut flat: usize| {
        let mut index = [0; N];
        for (at, size) in index.iter_mut().zip(sizes).rev() {
            *at = flat % size;
            flat /= size;
        }
        formula(index)
    };
    (0..sizes.iter().product()).map(element).collect()
}

/// Visits every index of a shape, last axis fastest.
pub fn for_each_index(shape: &Shape, mut visit: impl FnMut(&[usize])) {
    let mut index = vec![0; shape.rank()];
    for _ in 0..shape.len() {
        visit(&index);
        for (at, size) in index.iter_mut().zip(shape.iter()).rev() {
            *at += 1;
            if *at < *size {
                break;
            }
            *at = 0;
        }
    }
}

/// The place of an index in memory.
pub fn flat(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(at, stride)| at * stride).sum()
}
