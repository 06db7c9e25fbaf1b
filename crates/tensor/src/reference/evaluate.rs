//! Which formula stands for which operation.

use super::layout::Real;
use super::normalize::{Norm, group_stats};
use super::view::View;
use super::{Numbers, attention, image, layout, random, warp};
use crate::graph::{Graph, Operation};
use crate::{Normalize, Op, Shape};

/// The inputs of one operation.
struct Inputs<'a> {
    shapes: Vec<&'a Shape>,
    numbers: &'a [&'a Numbers],
}

/// The result of one operation that reads other values; the builders of the graph have checked their shapes.
pub fn evaluate(graph: &Graph, operation: &Operation, numbers: &[&Numbers]) -> Numbers {
    let shapes = operation.inputs.iter().map(|input| graph.shape(*input)).collect();
    let inputs = Inputs { shapes, numbers };
    let shape = &operation.shape;
    match &operation.op {
        Op::Random { distribution, lane } => random::random(inputs.bits(0), *distribution, *lane, shape),
        op => Numbers::Real(reals(op, &inputs, shape)),
    }
}

fn reals(op: &Op, of: &Inputs, shape: &Shape) -> Vec<f64> {
    match op {
        // These two are bound by the run, and random numbers are made above.
        Op::Input { .. } | Op::Scalar { .. } | Op::Random { .. } => Vec::new(),
        Op::Table { values } => values.to_vec(),
        Op::Window { offset } => of.elements(0)[*offset..offset + shape.len()].to_vec(),
        Op::Map { expr } => layout::map(expr, &of.reals(), shape),
        Op::Reduce { by, .. } => layout::reduce(*by, of.real(0), shape),
        Op::MatMul { transpose_left, transpose_right } => {
            layout::matmul(of.real(0), of.real(1), [*transpose_left, *transpose_right], shape)
        }
        Op::Conv => image::conv(of.view(0), of.view(1)),
        Op::ConvInputGradient => image::conv_input_gradient(of.view(0), of.view(1)),
        Op::ConvWeightGradient { taps } => image::conv_weight_gradient(of.view(0), of.view(1), *taps),
        Op::Resample(resample) => image::resample(of.view(0), resample),
        Op::Warp(warp) => warp::warp(of.view(0), of.view(1), warp),
        Op::GroupStats { groups, eps } => group_stats(of.pixels(0), *groups, *eps),
        Op::Normalize(normalize) => of.norm(normalize, 0).forward(),
        Op::NormalizeSums(normalize) => of.norm(normalize, 1).sums(of.pixels(0)),
        Op::NormalizeGradient(normalize) => of.norm(normalize, 2).gradient(of.pixels(0), of.view(1)),
        Op::Softmax => attention::softmax(of.rows(0)),
        Op::SoftmaxGradient => attention::softmax_gradient(of.rows(0), of.rows(1)),
        Op::Attention { heads } => attention::attention(of.view(0), *heads),
        Op::AttentionGradient { heads } => attention::attention_gradient(of.view(0), of.view(1), *heads),
        Op::Concat { axis } => layout::concat(&of.reals(), *axis),
        Op::Slice { axis, start, .. } => layout::slice(of.real(0), *axis, *start, shape),
        Op::Pad { amounts } => layout::pad(of.real(0), amounts, shape),
        Op::Transpose { permutation } => layout::transpose(of.real(0), permutation, shape),
        Op::Reshape => of.elements(0).to_vec(),
    }
}

impl<'a> Inputs<'a> {
    fn elements(&self, input: usize) -> &'a [f64] {
        match self.numbers[input] {
            Numbers::Real(elements) => elements,
            Numbers::Bits(_) => &[],
        }
    }

    fn bits(&self, input: usize) -> &'a [u32] {
        match self.numbers[input] {
            Numbers::Real(_) => &[],
            Numbers::Bits(words) => words,
        }
    }

    fn real(&self, input: usize) -> Real<'a> {
        Real { shape: self.shapes[input], elements: self.elements(input) }
    }

    fn reals(&self) -> Vec<Real<'a>> {
        (0..self.shapes.len()).map(|input| self.real(input)).collect()
    }

    /// With the axes that it has.
    fn view<const N: usize>(&self, input: usize) -> View<'a, N> {
        let mut sizes = [1; N];
        sizes.copy_from_slice(self.shapes[input]);
        View::new(sizes, self.elements(input))
    }

    /// As `[rows, channels]`.
    fn rows(&self, input: usize) -> View<'a, 2> {
        let channels = self.shapes[input].channels();
        View::new([self.shapes[input].len() / channels.max(1), channels], self.elements(input))
    }

    /// As `[n, pixels, channels]`.
    fn pixels(&self, input: usize) -> View<'a, 3> {
        let (n, channels) = (self.shapes[input][0], self.shapes[input].channels());
        View::new([n, self.shapes[input].len() / (n * channels).max(1), channels], self.elements(input))
    }

    /// The inputs x, stats, scale, shift, keys from number `first` on.
    fn norm(&self, normalize: &'a Normalize, first: usize) -> Norm<'a> {
        Norm {
            normalize,
            x: self.pixels(first),
            stats: self.view(first + 1),
            scale: self.rows(first + 2),
            shift: self.rows(first + 3),
            keys: normalize.dropout.map(|_| self.bits(first + 4)),
        }
    }
}
