//! Concatenation, slices, padding, transposition.

use tensor::{Made, Shape, Value};

use super::addressing::{SIZES, coordinate, coordinates};
use super::elementwise::{ELEMENTWISE, each};
use super::formula::Lanes;
use crate::call::{Call, View};
use crate::schedule::Lowering;
use crate::shader::{Access, Source, source};

static COPY_ROWS: Source = source!("copy_rows");

/// Tensors that are joined in one dispatch.
const TOGETHER: usize = 4;

const NAMES: [&str; TOGETHER] = ["a", "b", "c", "d"];
const STRIDES_OF: [&str; TOGETHER] = ["stride_a", "stride_b", "stride_c", "stride_d"];
const ENDS: [&str; TOGETHER] = ["end_a", "end_b", "end_c", "end_d"];

const STRIDES: [&str; 8] =
    ["stride0", "stride1", "stride2", "stride3", "stride4", "stride5", "stride6", "stride7"];
const BEFORES: [&str; 8] =
    ["before0", "before1", "before2", "before3", "before4", "before5", "before6", "before7"];
const INSIDES: [&str; 8] =
    ["inside0", "inside1", "inside2", "inside3", "inside4", "inside5", "inside6", "inside7"];

/// A part of each row of a tensor.
#[derive(Clone, Copy, Debug)]
struct Rows {
    first: View,
    /// From one row to the next.
    stride: usize,
    len: usize,
}

/// An axis of a padded tensor, or several.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Padded {
    size: usize,
    before: usize,
    inside: usize,
}

impl Lowering<'_> {
    pub(crate) fn concat(&mut self, inputs: &[Value], axis: usize, out: &Made) {
        let parts: Vec<Rows> = inputs
            .iter()
            .map(|input| {
                let len = inner(self.shape(*input), axis);
                Rows { first: self.view(*input), stride: len, len }
            })
            .collect();
        let stride = inner(self.shape(out.value), axis);
        let mut to = Rows { first: self.result(out), stride, len: 0 };
        for parts in parts.chunks(TOGETHER) {
            to.len = parts.iter().map(|part| part.len).sum();
            self.copy_rows(parts, to);
            to.first = to.first.skip(to.len.min(to.first.len));
        }
    }

    pub(crate) fn slice(&mut self, x: Value, axis: usize, start: usize, out: &Made) {
        let (stride, len) = (inner(self.shape(x), axis), inner(self.shape(out.value), axis));
        let first = self.view(x).skip(start * inner(self.shape(x), axis + 1));
        let to = Rows { first: self.result(out), stride: len, len };
        self.copy_rows(&[Rows { first, stride, len }], to);
    }

    /// Lays rows side by side.
    fn copy_rows(&mut self, parts: &[Rows], to: Rows) {
        let fours = to.falls_into_fours() && parts.iter().all(Rows::falls_into_fours);
        let lanes = if fours { Lanes::Four } else { Lanes::One };
        let count = to.first.len.div_ceil(to.stride.max(1)) * to.len;
        let call =
            Call::new(&COPY_ROWS).number("len", count).number("row", to.len).number("stride", to.stride);
        let mut end = 0;
        let call = (0..TOGETHER).fold(call, |call, at| {
            let part = parts.get(at);
            end += part.map_or(0, |part| part.len);
            let call = call.number(ENDS[at], end).number(STRIDES_OF[at], part.map_or(0, |part| part.stride));
            let first = part.map(|part| part.first);
            call.read_maybe(NAMES[at], first, first.is_some_and(|first| lanes.binds_fours(first)))
        });
        let call = call.operand("y", to.first, Access::Write, lanes.binds_fours(to.first));
        let suffix = lanes.suffix();
        let load = |name| format!("fn load_{name}(i: u32) -> Lane {{ return read_{name}{suffix}(i); }}\n");
        let text = format!(
            "{}{}fn store(i: u32, v: Lane) {{ write_y{suffix}(i, v); }}\n",
            lanes.alias(),
            NAMES.map(load).concat()
        );
        let call = call.constant("LANES", lanes.count()).formulas(text);
        self.push(call.over_threads(count / lanes.count()));
    }

    pub(crate) fn pad(&mut self, x: Value, amounts: &[(usize, usize)], out: &Made) {
        let axes = padded(self.shape(x), amounts);
        let fours = |axis: &Padded| [axis.size, axis.before, axis.inside].iter().all(|size| size % 4 == 0);
        let lanes = if axes.last().is_some_and(fours) { Lanes::Four } else { Lanes::One };
        let (mut checks, mut index) = (String::from("true"), String::from("0u"));
        for axis in 0..axes.len() {
            let at = coordinate("element", &(0..axes.len()), axis);
            // What lies before the input wraps around.
            checks += &format!(" && {at} - given.{} < given.{}", BEFORES[axis], INSIDES[axis]);
            index = format!("({index}) * given.{} + ({at} - given.{})", INSIDES[axis], BEFORES[axis]);
        }
        let text = format!("    var v = Lane();\n    if ({checks}) {{\n        v = load({index});\n    }}\n");
        let call = axes.iter().enumerate().fold(Call::new(&ELEMENTWISE), |call, (at, axis)| {
            let call = call.number(SIZES[at], axis.size).number(BEFORES[at], axis.before);
            call.number(INSIDES[at], axis.inside)
        });
        self.moved(call.labelled("pad"), x, out, (axes.len(), &text), lanes);
    }

    pub(crate) fn transpose(&mut self, x: Value, permutation: &[usize], out: &Made) {
        let axes = turned(self.shape(x), permutation);
        let lanes = match axes.last() {
            Some((size, 1)) => Lanes::of(*size),
            _ => Lanes::One,
        };
        let place =
            |axis| format!("{} * given.{}", coordinate("element", &(0..axes.len()), axis), STRIDES[axis]);
        let index: Vec<String> = (0..axes.len()).map(place).collect();
        let index = if index.is_empty() { "0u".to_owned() } else { index.join(" + ") };
        let call = axes.iter().enumerate().fold(Call::new(&ELEMENTWISE), |call, (at, (size, stride))| {
            call.number(SIZES[at], *size).number(STRIDES[at], *stride)
        });
        self.moved(
            call.labelled("transpose"),
            x,
            out,
            (axes.len(), &format!("    let v = load({index});\n")),
            lanes,
        );
    }

    /// A result of so many axes whose elements a text reads from `x`.
    fn moved(&mut self, call: Call, x: Value, out: &Made, (axes, text): (usize, &str), lanes: Lanes) {
        let (from, to) = (self.view(x), self.result(out));
        let suffix = lanes.suffix();
        let text = format!(
            "fn load(i: u32) -> Lane {{ return read_a{suffix}(i); }}\n\
             fn make(element: u32) {{\n{}{text}    write_y{suffix}(element, v);\n}}\n",
            coordinates("element", 0..axes)
        );
        let call = call.number("len", to.len).operand("a", from, Access::Read, lanes.binds_fours(from));
        let call = call.operand("y", to, Access::Write, lanes.binds_fours(to));
        self.push(each(call, &text, lanes, to.len));
    }
}

impl Rows {
    fn falls_into_fours(&self) -> bool {
        self.len.is_multiple_of(4) && self.stride.is_multiple_of(4)
    }
}

/// The elements from one index of the axis before `axis` to the next.
fn inner(shape: &Shape, axis: usize) -> usize {
    shape[axis..].iter().product()
}

/// The axes of a padded tensor; those without padding go with the one before.
fn padded(shape: &Shape, amounts: &[(usize, usize)]) -> Vec<Padded> {
    let mut axes: Vec<Padded> = Vec::new();
    for (&inside, &(before, after)) in shape.iter().zip(amounts) {
        match axes.last_mut().filter(|_| (before, after) == (0, 0)) {
            Some(Padded { size, before, inside: within }) => {
                (*size, *before, *within) = (*size * inside, *before * inside, *within * inside)
            }
            None => axes.push(Padded { size: before + inside + after, before, inside }),
        }
    }
    axes
}

/// The sizes of a transposed tensor's axes and their strides in what it is made of; those that stay together are one.
fn turned(shape: &Shape, permutation: &[usize]) -> Vec<(usize, usize)> {
    let mut axes: Vec<(usize, usize)> = Vec::new();
    for axis in permutation.iter().copied().filter(|axis| shape[*axis] != 1) {
        let (size, stride) = (shape[axis], inner(shape, axis + 1));
        match axes.last_mut().filter(|(_, last)| *last == size * stride) {
            Some(last) => *last = (last.0 * size, stride),
            None => axes.push((size, stride)),
        }
    }
    axes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_stay_together_move_as_one() {
        let image = Shape::from([2, 8, 6, 4]);
        assert_eq!(turned(&image, &[0, 3, 1, 2]), [(2, 192), (4, 1), (48, 4)]);
        assert_eq!(turned(&image, &[0, 2, 1, 3]), [(2, 192), (6, 4), (8, 24), (4, 1)]);
        let widened = Padded { size: 40, before: 4, inside: 32 };
        assert_eq!(
            padded(&Shape::from([1, 8, 4]), &[(0, 0), (1, 1), (0, 0)]),
            [Padded { size: 1, before: 0, inside: 1 }, widened]
        );
    }
}
