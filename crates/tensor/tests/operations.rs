//! The reference device: what it computes, and its gradients against finite differences.

use std::collections::BTreeSet;

use mollify_tensor::operation_table::{Numbers, Row, bind, rows};
use mollify_tensor::{Array, Device, Executable, Graph, Op, Reference, compile};

/// Half the distance over which slopes are measured.
const STEP: f64 = 1e-5;

/// A row that is ready to run with other numbers.
struct Probe {
    executable: Executable,
    arrays: Vec<(String, Array)>,
}

impl Probe {
    fn new(row: &Row) -> Self {
        let graph = row.graph();
        let arrays = row.arrays(&graph);
        Probe { arrays, executable: Reference.prepare(compile(graph)).unwrap() }
    }

    fn loss(&self) -> f64 {
        let bindings = bind(&Reference, &self.arrays).unwrap();
        let mut outputs = Reference.run(&self.executable, &bindings).unwrap();
        Reference.download(&outputs.take("loss").unwrap()).unwrap().f64s()[0]
    }

    /// The slope of the loss along `direction`, a change of input `at`.
    fn slope(&mut self, at: usize, direction: &[f64]) -> f64 {
        let [above, below] = [STEP, -STEP].map(|step| {
            let moved = moved(&self.arrays[at].1, direction, step);
            let old = std::mem::replace(&mut self.arrays[at].1, moved);
            let loss = self.loss();
            self.arrays[at].1 = old;
            loss
        });
        (above - below) / (2.0 * STEP)
    }
}

fn moved(array: &Array, direction: &[f64], step: f64) -> Array {
    let numbers = array.f64s().iter().zip(direction).map(|(x, d)| x + d * step).collect::<Vec<f64>>();
    Array::new(array.shape.clone(), numbers)
}

/// Single elements, spread over the tensor, and two directions through all of them.
fn directions(len: usize) -> Vec<Vec<f64>> {
    let singles = if len > 2000 { 2 } else { 12 };
    let single = |at: usize| (0..len).map(|element| f64::from(element == at)).collect();
    let wave = |speed: f64| (0..len).map(|element| (speed * element as f64 + 1.0).sin()).collect();
    let mut directions: Vec<Vec<f64>> = (0..len).step_by(len.div_ceil(singles)).map(single).collect();
    directions.extend([wave(0.7), wave(2.3)]);
    directions
}

#[test]
fn gradients_agree_with_finite_differences() {
    for row in rows() {
        let outputs = row.run(&Reference).unwrap();
        if !outputs.iter().any(|(name, _)| name == "loss") {
            continue;
        }
        let mut probe = Probe::new(&row);
        for (at, input) in row.inputs.iter().enumerate().filter(|(_, input)| input.numbers != Numbers::Keys) {
            let gradient = outputs.iter().find(|(name, _)| *name == format!("d{at}"));
            let gradient = gradient.map_or(vec![0.0; input.shape.len()], |(_, array)| {
                assert_eq!(array.shape, input.shape, "gradient of input {at} of {}", row.name);
                array.f64s()
            });
            for direction in directions(gradient.len()) {
                let given: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
                let size: f64 =
                    gradient.iter().zip(&direction).map(|(g, d)| (g * d).powi(2)).sum::<f64>().sqrt();
                let measured = probe.slope(at, &direction);
                let close = (given - measured).abs() <= 1e-6 * (1e-2 + size);
                assert!(close, "{}, input {at}: {given} given, {measured} measured", row.name);
            }
        }
    }
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let mut names: Vec<String> = rows().into_iter().map(|row| row.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_operation_is_in_the_table() {
    let graphs: Vec<Graph> = rows().iter().map(Row::graph).collect();
    let named = |op: &Op| format!("{op:?}").split([' ', '(']).next().unwrap_or_default().to_owned();
    let all = graphs.iter().flat_map(|graph| graph.values().map(|value| named(&graph.operation(value).op)));
    let found: BTreeSet<String> = all.collect();
    // As many as `Op` has variants.
    assert_eq!(found.len(), 26, "{found:?}");
}
