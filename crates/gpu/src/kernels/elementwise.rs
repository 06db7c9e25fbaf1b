//! Formulas over tensors, element by element.

use tensor::{Expr, Map, Shape, Step};

use super::addressing::Counter;
use super::formula::Lanes;
use super::inputs::Inputs;
use crate::call::{Call, View};
use crate::schedule::{Lowering, WINDOW_ALIGNMENT};
use crate::shader::{Access, Source, source};

/// Runs `fn make(element: u32)` of a use's own text for every element, or every fourth.
pub(crate) static ELEMENTWISE: Source = source!("elementwise", "math");

/// What kernels call the results of formulas.
pub(crate) const RESULTS: [&str; 16] =
    ["ya", "yb", "yc", "yd", "ye", "yf", "yg", "yh", "yi", "yj", "yk", "yl", "ym", "yn", "yo", "yp"];

impl Lowering<'_> {
    pub(crate) fn map(&mut self, map: &Map, step: &Step) {
        let results: Vec<View> = step.outputs.iter().map(|made| self.result(made)).collect();
        let inputs = self.inputs(map, &results, counter(&map.shape));
        self.formulas(&inputs, &map.exprs, &results, step.accumulate);
    }

    /// Copies as many numbers as `to` has.
    pub(crate) fn copy(&mut self, from: View, to: View) {
        let shape = Shape::from([to.len]);
        let inputs = Inputs::of(from, &shape, counter(&shape));
        self.formulas(&inputs, &[Expr::Input(0)], &[to], false);
    }

    /// Writes formulas to results, or adds them to what is there.
    fn formulas(&mut self, inputs: &Inputs, exprs: &[Expr], results: &[View], accumulate: bool) {
        let text = make_text(inputs, exprs, accumulate);
        let len = results[0].len;
        let largest = results.iter().map(View::bytes).fold(inputs.largest(), usize::max);
        let most = if inputs.fall_apart() { self.largest_part(len, largest) } else { len };
        for start in (0..len).step_by(most.max(1)) {
            let part = most.min(len - start);
            let call = inputs.bind(Call::new(&ELEMENTWISE).number("len", part), &text, start, part);
            let call = results.iter().zip(RESULTS).fold(call, |call, (view, name)| {
                let view = view.skip(start).first(part);
                call.operand(name, view, Access::Write, inputs.lanes.binds_fours(view))
            });
            let call = call.labelled(&described(exprs)).in_place();
            self.push(each(call, &text, inputs.lanes, part));
        }
    }

    /// How many of `len` elements to compute at once, so that no tensor, of `largest` bytes at most, exceeds a binding.
    pub(crate) fn largest_part(&self, len: usize, largest: usize) -> usize {
        // A binding may have to start at a boundary before the part.
        let most = self.offer.largest_binding.saturating_sub(WINDOW_ALIGNMENT as usize);
        if largest <= most { len } else { (most / 4 / 1024 * 1024).max(1024) }
    }
}

/// `fn make`, which works formulas out and stores them.
fn make_text(inputs: &Inputs, exprs: &[Expr], accumulate: bool) -> String {
    let (lines, names) = inputs.lines(exprs);
    let suffix = inputs.lanes.suffix();
    let stores = names.iter().zip(RESULTS).map(|(name, to)| match accumulate {
        true => format!("    write_{to}{suffix}(element, read_{to}{suffix}(element) + {name});\n"),
        false => format!("    write_{to}{suffix}(element, {name});\n"),
    });
    format!("fn make(element: u32) {{\n{lines}{}}}\n", stores.collect::<String>())
}

/// What formulas are, or how long they are.
fn described(exprs: &[Expr]) -> String {
    match exprs {
        [expr] if expr.size() <= 8 => expr.to_string(),
        _ => format!("of {} operations", exprs.iter().map(Expr::size).sum::<usize>()),
    }
}

/// The only counter of an elementwise kernel.
fn counter(shape: &Shape) -> Vec<Counter> {
    vec![Counter { name: "element", axes: 0..shape.rank() }]
}

/// Completes a call of [`ELEMENTWISE`], which has its operands and `len`.
pub(crate) fn each(call: Call, text: &str, lanes: Lanes, len: usize) -> Call {
    let call = call.constant("LANES", lanes.count()).formulas(format!("{}{text}", lanes.alias()));
    call.over_threads(len / lanes.count())
}

#[cfg(test)]
mod tests {
    use tensor::{Fold, Graph, compile};

    use crate::schedule::{Offer, Schedule};

    #[test]
    fn tensors_that_are_too_large_to_bind_go_in_parts() {
        let mut graph = Graph::new();
        let x = graph.input("x", [10_000]);
        let half = graph.scale(x, 0.5);
        let most = graph.reduce(Fold::Max, x, &[0]);
        graph.store(x, 0, half);
        graph.output("most", most);
        let program = compile(graph);
        let schedule = |largest_binding| {
            let offer = Offer { largest_binding, halves: false, cooperative: false };
            let schedule = Schedule::new(&program, offer);
            assert_eq!(schedule.check(&program, offer).map_err(|error| error.to_string()), Ok(()));
            schedule.calls.len()
        };
        // In 9216 and 784 elements: both parts are folded, then what has become of them.
        assert_eq!(schedule(40_000), 2 + 1 + 2);
        assert_eq!(schedule(1 << 20), 1 + 1);
    }
}
