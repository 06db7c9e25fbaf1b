//! Where the operands of a formula lie for an element of its result, as WGSL. Sizes come with the dispatch, so the text
//! depends on nothing but which operands broadcast over which axes.

use std::ops::Range;

use tensor::Shape;

use crate::call::Call;

/// The numbers by which kernels know the sizes of axes.
pub(crate) const SIZES: [&str; 8] = ["size0", "size1", "size2", "size3", "size4", "size5", "size6", "size7"];

/// A variable that counts through some axes of a shape, in elements.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    pub name: &'static str,
    pub axes: Range<usize>,
}

/// Axes of a shape that each operand either has or broadcasts over.
#[derive(Debug)]
struct Joined {
    size: usize,
    counter: usize,
    /// Which operands have them.
    of: Vec<bool>,
}

#[derive(Debug)]
pub(crate) struct Addressing {
    counters: Vec<Counter>,
    axes: Vec<Joined>,
}

impl Addressing {
    /// For operands of these shapes, which broadcast to `shape`.
    pub fn new(shape: &Shape, operands: &[&Shape], counters: Vec<Counter>) -> Self {
        let strides: Vec<Vec<usize>> = operands.iter().map(|own| own.strides_as(shape)).collect();
        let mut axes: Vec<Joined> = Vec::new();
        for (counter, Counter { axes: range, .. }) in counters.iter().enumerate() {
            for axis in range.clone().filter(|axis| shape[*axis] != 1) {
                let of = strides.iter().map(|strides| strides[axis] != 0).collect();
                match axes.last_mut().filter(|last| last.counter == counter && last.of == of) {
                    Some(last) => last.size *= shape[axis],
                    None => axes.push(Joined { size: shape[axis], counter, of }),
                }
            }
        }
        Addressing { counters, axes }
    }

    /// The length of the runs along which every operand goes on, or stays.
    pub fn run(&self) -> usize {
        self.axes.last().map_or(1, |axis| axis.size)
    }

    /// Whether an operand goes on along those runs.
    pub fn goes_along(&self, operand: usize) -> bool {
        self.axes.last().is_some_and(|axis| axis.of[operand])
    }

    /// Whether an operand has a number for each element.
    pub fn is_whole(&self, operand: usize) -> bool {
        self.axes.iter().all(|axis| axis.of[operand])
    }

    /// Whether an operand is a single number.
    pub fn is_single(&self, operand: usize) -> bool {
        !self.axes.iter().any(|axis| axis.of[operand])
    }

    /// Lines that work out coordinates from counters.
    pub fn coordinates(&self) -> String {
        (0..self.counters.len()).map(|at| coordinates(self.counters[at].name, self.axes_of(at))).collect()
    }

    /// An operand's element for the coordinates.
    pub fn index(&self, operand: usize) -> String {
        let mut index = String::new();
        for (at, Counter { name, .. }) in self.counters.iter().enumerate() {
            let axes = self.axes_of(at);
            if axes.clone().all(|axis| self.axes[axis].of[operand]) {
                let size: Vec<String> = axes.clone().map(|axis| format!("given.{}", SIZES[axis])).collect();
                if !size.is_empty() {
                    go_on(&mut index, name, &size.join(" * "));
                }
                continue;
            }
            for axis in axes.clone().filter(|axis| self.axes[*axis].of[operand]) {
                go_on(&mut index, &coordinate(name, &axes, axis), &format!("given.{}", SIZES[axis]));
            }
        }
        if index.is_empty() { "0u".to_owned() } else { index }
    }

    /// The sizes that a text mentions.
    pub fn numbers(&self, call: Call, text: &str) -> Call {
        let sizes = SIZES.iter().zip(&self.axes).filter(|(name, _)| text.contains(*name));
        sizes.fold(call, |call, (name, axis)| call.number(name, axis.size))
    }

    fn axes_of(&self, counter: usize) -> Range<usize> {
        let place = |is: &dyn Fn(usize) -> bool| self.axes.iter().take_while(|axis| is(axis.counter)).count();
        place(&|of| of < counter)..place(&|of| of <= counter)
    }
}

/// Appends a coordinate to an index: Horner's rule.
fn go_on(index: &mut String, coordinate: &str, size: &str) {
    *index = match index.is_empty() {
        true => coordinate.to_owned(),
        false => format!("({index}) * ({size}) + {coordinate}"),
    };
}

/// Lines that split a counter into the coordinates along `axes`, of which there are none or one if it is one itself.
pub(crate) fn coordinates(counter: &str, axes: Range<usize>) -> String {
    let (mut lines, mut rest) = (String::new(), counter.to_owned());
    for axis in axes.clone().skip(1).rev() {
        lines += &format!("    let at{axis} = {rest} % given.{};\n", SIZES[axis]);
        let above = if axis == axes.start + 1 { format!("at{}", axes.start) } else { format!("above{axis}") };
        lines += &format!("    let {above} = {rest} / given.{};\n", SIZES[axis]);
        rest = above;
    }
    lines
}

/// What [`coordinates`] calls the one along an axis.
pub(crate) fn coordinate(counter: &str, axes: &Range<usize>, axis: usize) -> String {
    if axes.len() == 1 { counter.to_owned() } else { format!("at{axis}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addressing(shape: [usize; 4], operands: &[&[usize]]) -> Addressing {
        let shapes: Vec<Shape> = operands.iter().map(|shape| Shape::from(*shape)).collect();
        let shapes: Vec<&Shape> = shapes.iter().collect();
        Addressing::new(&shape.into(), &shapes, vec![Counter { name: "element", axes: 0..4 }])
    }

    #[test]
    fn operands_in_step_with_the_result_need_no_coordinates() {
        let addressing = addressing([2, 8, 8, 3], &[&[2, 8, 8, 3], &[], &[1, 1]]);
        assert_eq!(addressing.coordinates(), "");
        assert_eq!([0, 1, 2].map(|operand| addressing.index(operand)), ["element", "0u", "0u"]);
        assert_eq!(addressing.run(), 384);
    }

    #[test]
    fn images_and_their_samples_and_channels_share_divisions() {
        let addressing = addressing([2, 8, 8, 12], &[&[2, 8, 8, 12], &[12], &[2, 1, 1, 12], &[2, 1, 1, 1]]);
        let indices = [0, 1, 2, 3].map(|operand| addressing.index(operand));
        assert_eq!(indices, ["element", "at2", "(at0) * (given.size2) + at2", "at0"]);
        let lines = "    let at2 = element % given.size2;\n    let above2 = element / given.size2;\n    \
                     let at1 = above2 % given.size1;\n    let at0 = above2 / given.size1;\n";
        assert_eq!(addressing.coordinates(), lines);
        assert_eq!(addressing.run(), 12);
    }
}
