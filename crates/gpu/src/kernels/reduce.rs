//! Folds of formulas over axes.

use std::ops::Range;

use tensor::{Expr, Fold, Made, Map, Shape};

use super::addressing::Counter;
use super::formula::Lanes;
use super::inputs::Inputs;
use crate::call::{Call, View, WORKGROUP};
use crate::schedule::Lowering;
use crate::shader::{Access, Element, Source, source};

static REDUCE: Source = source!("reduce", "math");
static ADD_SAMPLES: Source = source!("add_samples", "math");

/// Rows that a strand folds one after another at most; see `reduce.wgsl`.
const CHAIN: usize = 64;

/// A tensor as `[outer, middle, inner]`, of which the middle is folded.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Folding {
    outer: usize,
    middle: usize,
    inner: usize,
}

/// How workgroups share a fold. It depends on what is folded alone, never on `outer`, which counts samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tiling {
    strands: usize,
    columns: usize,
    /// Parts of the middle that workgroups fold on their own.
    chunks: usize,
}

/// Where lanes lie.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Layout {
    lanes: Lanes,
    /// Along the middle: they are folded in the end.
    across: bool,
}

impl Lowering<'_> {
    /// Folds the formula's values. A sum over samples that is added to what is there is added sample by sample.
    pub(crate) fn reduce(&mut self, map: &Map, (by, axes): (Fold, &[usize]), out: &Made, accumulate: bool) {
        let result = self.result(out);
        if accumulate {
            return self.add_samples(map, result);
        }
        let groups = neighbours(&map.shape, axes);
        let count: usize = axes.iter().map(|axis| map.shape[*axis]).product();
        let mut shape = map.shape.clone();
        let mut inputs = self.inputs(map, &[result], counters(&shape, &groups[0]));
        let mut exprs = &map.exprs[..];
        for (at, group) in groups.iter().enumerate() {
            let folding = Folding::new(&shape, group.clone());
            let is_last = at + 1 == groups.len();
            let to = if is_last { result } else { self.partial(folding.outer * folding.inner) };
            let scale = if is_last && by == Fold::Mean { 1.0 / count as f64 } else { 1.0 };
            self.fold(&inputs, exprs, folding, (by, scale), to);
            shape = group.clone().fold(shape, |shape, axis| shape.with(axis, 1));
            if let Some(next) = groups.get(at + 1) {
                inputs = Inputs::of(to, &shape, counters(&shape, next));
                exprs = &[Expr::Input(0)];
            }
        }
    }

    /// Room for what is folded in part.
    fn partial(&mut self, len: usize) -> View {
        self.work(Element::F32, len, "partial folds")
    }

    /// Folds a formula into `to`; sums are scaled.
    fn fold(&mut self, inputs: &Inputs, exprs: &[Expr], folding: Folding, by: (Fold, f64), to: View) {
        let layout = Layout::of(inputs.lanes, folding);
        let tiling = Tiling::new(folding, layout);
        let parts = match folding.outer == 1 && folding.inner == 1 && inputs.fall_apart() {
            true => self.largest_part(folding.middle, inputs.largest()),
            false => folding.middle,
        };
        if tiling.chunks == 1 && parts == folding.middle {
            return self.push(reduce_call(inputs, exprs, (folding, layout), by, to, 0));
        }
        // What workgroups fold on their own is folded again. A tensor too large to bind is folded in several calls.
        let starts = (0..folding.middle).step_by(parts.max(1));
        let part = |start: usize| Folding { middle: parts.min(folding.middle - start), ..folding };
        let chunks: usize = starts.clone().map(|start| Tiling::new(part(start), layout).chunks).sum();
        let partial = self.partial(folding.outer * chunks * folding.inner);
        let mut done = 0;
        for start in starts {
            let chunks = Tiling::new(part(start), layout).chunks;
            let rows = partial.skip(done).first(folding.outer * chunks * folding.inner);
            self.push(reduce_call(inputs, exprs, (part(start), layout), (by.0, 1.0), rows, start));
            done += rows.len;
        }
        let shape = Shape::from([folding.outer, chunks, folding.inner]);
        let partial = Inputs::of(partial, &shape, counters(&shape, &(1..2)));
        self.fold(&partial, &[Expr::Input(0)], Folding { middle: chunks, ..folding }, by, to);
    }

    /// Adds the rows of a formula to the result one after another, each rounded: a batch gives the same bits whole or
    /// in parts.
    fn add_samples(&mut self, map: &Map, result: View) {
        let counters = vec![
            Counter { name: "sample", axes: 0..1 },
            Counter { name: "element", axes: 1..map.shape.rank() },
        ];
        let mut inputs = self.inputs(map, &[result], counters);
        if !result.len.is_multiple_of(4) {
            inputs.lanes = Lanes::One; // the samples of a single number are no lanes
        }
        let (lanes, suffix) = (inputs.lanes, inputs.lanes.suffix());
        let text = format!(
            "{}{}fn load(i: u32) -> Lane {{ return read_y{suffix}(i); }}\n\
             fn store(i: u32, v: Lane) {{ write_y{suffix}(i, v); }}\n",
            lanes.alias(),
            value_text(&inputs, &map.exprs, "sample: u32, element: u32")
        );
        let call = Call::new(&ADD_SAMPLES).number("samples", map.shape[0]).number("len", result.len);
        let call = inputs.bind(call, &text, 0, map.shape.len());
        let call = call.operand("y", result, Access::Write, lanes.binds_fours(result));
        let call = call.constant("LANES", lanes.count()).formulas(text);
        self.push(call.over_threads(result.len / lanes.count()));
    }
}

/// `fn value`, which works out the only formula of an element.
fn value_text(inputs: &Inputs, exprs: &[Expr], counters: &str) -> String {
    let (lines, names) = inputs.lines(&exprs[..1]);
    format!("fn value({counters}) -> Lane {{\n{lines}    return {};\n}}\n", names[0])
}

/// One pass over a formula; tensors are read from element `start` on.
fn reduce_call(
    inputs: &Inputs,
    exprs: &[Expr],
    (folding, layout): (Folding, Layout),
    (by, scale): (Fold, f64),
    to: View,
    start: usize,
) -> Call {
    let Folding { outer, middle, inner } = folding;
    let [rows, columns] = layout.units(folding);
    let tiling = Tiling::new(folding, layout);
    let text = format!(
        "{}{}{}",
        layout.lanes.alias(),
        value_text(inputs, exprs, "outer: u32, middle: u32, inner: u32"),
        layout.text()
    );
    let call = Call::new(&REDUCE).number("outer", outer).number("middle", rows).number("inner", columns);
    let call = call.number("strands", tiling.strands).number("columns", tiling.columns).real("scale", scale);
    let call = inputs.bind(call, &text, start, outer * middle * inner);
    let wide = !layout.across && layout.lanes.binds_fours(to);
    let fold = match by {
        Fold::Sum | Fold::Mean => 0,
        Fold::Max => 1,
        Fold::LogSumExp => 2,
    };
    let lanes = layout.lanes.count();
    let [row, column] = if layout.across { [lanes, 1] } else { [1, lanes] };
    let call = call.operand("y", to, Access::Write, wide).formulas(text).labelled(&format!("{by:?}"));
    let call =
        call.constant("FOLD", fold).constant("CHAIN", CHAIN).constant("ROW", row).constant("COLUMN", column);
    let together = WORKGROUP / (tiling.strands * tiling.columns);
    call.over(outer.div_ceil(together) * tiling.chunks * columns.div_ceil(tiling.columns))
}

impl Folding {
    fn new(shape: &Shape, axes: Range<usize>) -> Self {
        let product = |sizes: &[usize]| sizes.iter().product();
        let (outer, middle) = (product(&shape[..axes.start]), product(&shape[axes.clone()]));
        Folding { outer, middle, inner: product(&shape[axes.end..]) }
    }
}

impl Layout {
    fn of(lanes: Lanes, folding: Folding) -> Self {
        Layout { lanes, across: lanes == Lanes::Four && folding.inner == 1 }
    }

    /// The rows and columns, in lanes.
    fn units(self, folding: Folding) -> [usize; 2] {
        let Folding { middle, inner, .. } = folding;
        let lanes = self.lanes.count();
        if self.across { [middle.div_ceil(lanes), inner] } else { [middle, inner / lanes] }
    }

    /// How results are stored, and functions for lanes.
    fn text(self) -> String {
        let count = self.lanes.count();
        let store = match (self.lanes, self.across) {
            (Lanes::One, _) => "write_y(i, v);",
            (Lanes::Four, true) => "write_y(i, fold_lanes(v));",
            (Lanes::Four, false) => "write_y4(4u * i, v);",
        };
        format!(
            "fn store(i: u32, v: Lane) {{ {store} }}\n\
             fn exp_lane(x: Lane) -> Lane {{ return exp{count}(x); }}\n\
             fn ln_lane(x: Lane) -> Lane {{ return ln{count}(x); }}\n"
        )
    }
}

impl Tiling {
    fn new(folding: Folding, layout: Layout) -> Self {
        let [rows, columns] = layout.units(folding);
        // Enough to read 256 bytes at once.
        let most = 64 / layout.lanes.count();
        let columns = columns.max(1).next_power_of_two().min(most);
        // No strand for fewer than 8 rows.
        let strands = rows.div_ceil(8).max(1).next_power_of_two().min(WORKGROUP / columns);
        Tiling { strands, columns, chunks: rows.div_ceil(strands * CHAIN).max(1) }
    }
}

fn counters(shape: &Shape, middle: &Range<usize>) -> Vec<Counter> {
    let Range { start, end } = *middle;
    vec![
        Counter { name: "outer", axes: 0..start },
        Counter { name: "middle", axes: start..end },
        Counter { name: "inner", axes: end..shape.rank() },
    ]
}

/// Runs of neighbouring axes to fold, the last first; axes of size 1 are in nobody's way.
fn neighbours(shape: &Shape, axes: &[usize]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut end = shape.rank();
    while end > 0 {
        let folded = |axis: &usize| axes.contains(axis) || shape[*axis] == 1;
        let start = (0..end).rev().take_while(folded).last().unwrap_or(end);
        if shape[start..end].iter().any(|size| *size != 1) {
            groups.push(start..end);
        }
        end = start.saturating_sub(1);
    }
    if groups.is_empty() {
        groups.push(0..0);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_beside_each_other_are_folded_at_once() {
        let image = Shape::from([2, 4, 8, 3]);
        assert_eq!(neighbours(&image, &[1, 2]), vec![1..3; 1]);
        assert_eq!(neighbours(&image, &[0, 2, 3]), [2..4, 0..1]);
        assert_eq!(neighbours(&Shape::from([2, 1, 3]), &[0, 2]), vec![0..3; 1]);
        assert_eq!(neighbours(&Shape::from([2, 1]), &[1]), vec![0..0; 1]);
    }

    #[test]
    fn the_way_of_a_fold_does_not_depend_on_the_batch() {
        let layout = Layout { lanes: Lanes::Four, across: false };
        let tiling = |outer| Tiling::new(Folding { outer, middle: 4096, inner: 128 }, layout);
        assert_eq!(tiling(1), tiling(256));
        assert_eq!(tiling(1), Tiling { strands: 16, columns: 16, chunks: 4 });
    }
}
