//! Elementwise formulas, reductions, matrix products, and everything that moves elements.

use super::view::{View, build, flat, for_each_index};
use crate::{Expr, Fold, Shape};

/// A real tensor of any rank.
#[derive(Clone, Copy)]
pub struct Real<'a> {
    pub shape: &'a Shape,
    pub elements: &'a [f64],
}

pub fn map(expr: &Expr, inputs: &[Real], shape: &Shape) -> Vec<f64> {
    let strides: Vec<_> = inputs.iter().map(|input| input.shape.strides_as(shape)).collect();
    let mut arguments = vec![0.0; inputs.len()];
    let mut result = Vec::with_capacity(shape.len());
    for_each_index(shape, |index| {
        for (argument, (input, strides)) in arguments.iter_mut().zip(inputs.iter().zip(&strides)) {
            *argument = input.elements[flat(index, strides)];
        }
        result.push(expr.evaluate(&arguments));
    });
    result
}

pub fn reduce(by: Fold, x: Real, shape: &Shape) -> Vec<f64> {
    let fold = |start: f64, join: &dyn Fn(f64, f64, usize) -> f64| {
        let strides = shape.strides_as(x.shape);
        let mut result = vec![start; shape.len()];
        let own = x.shape.strides_as(x.shape);
        for_each_index(x.shape, |index| {
            let to = flat(index, &strides);
            result[to] = join(result[to], x.elements[flat(index, &own)], to);
        });
        result
    };
    let count = (x.shape.len() / shape.len().max(1)) as f64;
    match by {
        Fold::Sum => fold(0.0, &|sum, x, _| sum + x),
        Fold::Mean => fold(0.0, &|sum, x, _| sum + x / count),
        Fold::Max => fold(f64::NEG_INFINITY, &|max, x, _| max.max(x)),
        Fold::LogSumExp => {
            let max = fold(f64::NEG_INFINITY, &|max, x, _| max.max(x));
            let shift = |to: usize| if max[to].is_finite() { max[to] } else { 0.0 };
            let sums = fold(0.0, &|sum, x, to| sum + (x - shift(to)).exp());
            sums.iter().enumerate().map(|(to, sum)| sum.ln() + shift(to)).collect()
        }
    }
}

/// `[…, m, k] x […, k, n]`, either side transposed.
pub fn matmul(
    left: Real,
    right: Real,
    [transpose_left, transpose_right]: [bool; 2],
    shape: &Shape,
) -> Vec<f64> {
    let [.., m, n] = shape[..] else { return Vec::new() };
    let matrices = |side: Real<'_>| {
        let [.., rows, columns] = side.shape[..] else { return [0; 3] };
        [side.shape.len() / (rows * columns).max(1), rows, columns]
    };
    let a = View::new(matrices(left), left.elements);
    let b = View::new(matrices(right), right.elements);
    let k = if transpose_left { a.sizes[1] } else { a.sizes[2] };
    build([shape.len() / (m * n).max(1), m, n], |[batch, i, j]| {
        let shared = batch.min(b.sizes[0] - 1);
        let product = |k| {
            let x = if transpose_left { a.at([batch, k, i]) } else { a.at([batch, i, k]) };
            let y = if transpose_right { b.at([shared, j, k]) } else { b.at([shared, k, j]) };
            x * y
        };
        (0..k).map(product).sum()
    })
}

pub fn concat(inputs: &[Real], axis: usize) -> Vec<f64> {
    let rows: usize = inputs[0].shape[..axis].iter().product();
    let mut result = Vec::new();
    for row in 0..rows {
        for input in inputs {
            let width = input.shape.len() / rows;
            result.extend_from_slice(&input.elements[row * width..(row + 1) * width]);
        }
    }
    result
}

pub fn slice(x: Real, axis: usize, start: usize, shape: &Shape) -> Vec<f64> {
    let strides = x.shape.strides_as(x.shape);
    let mut result = Vec::with_capacity(shape.len());
    for_each_index(shape, |index| result.push(x.elements[flat(index, &strides) + start * strides[axis]]));
    result
}

pub fn pad(x: Real, amounts: &[(usize, usize)], shape: &Shape) -> Vec<f64> {
    let strides = shape.strides_as(shape);
    let corner: usize = amounts.iter().zip(&strides).map(|((before, _), stride)| before * stride).sum();
    let mut result = vec![0.0; shape.len()];
    let own = x.shape.strides_as(x.shape);
    for_each_index(x.shape, |index| result[corner + flat(index, &strides)] = x.elements[flat(index, &own)]);
    result
}

pub fn transpose(x: Real, permutation: &[usize], shape: &Shape) -> Vec<f64> {
    let strides = x.shape.strides_as(x.shape);
    let turned: Vec<usize> = permutation.iter().map(|axis| strides[*axis]).collect();
    let mut result = Vec::with_capacity(shape.len());
    for_each_index(shape, |index| result.push(x.elements[flat(index, &turned)]));
    result
}
