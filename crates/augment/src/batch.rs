//! What happens to a batch of images, as tensors, and the formula that does it.

use tensor::{Array, Bindings, Device, Graph, Resample, Result, Shape, Value, Warp};

use crate::colours::colours;
use crate::places::{Margins, SYM6, moves, warps};
use crate::{Drawn, Transforms};

/// What happens to a batch of images, a row each.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[n, labels]`
    pub labels: Array,
    inputs: Vec<(&'static str, Array)>,
}

impl Batch {
    /// From what was drawn for images of `size` `[h, w, c]`.
    pub fn new(drawn: &[Drawn], of: &Transforms, [h, w, c]: [usize; 3], margins: Margins) -> Self {
        let n = drawn.len();
        let array =
            |shape: &[usize], numbers: Vec<f64>| Array::new(Shape::from([&[n], shape].concat()), numbers);
        let labels = drawn.iter().flat_map(|drawn| drawn.labels(of, [h, w])).collect();
        let mut inputs = Vec::new();
        if of.moves() {
            let places = drawn.iter().flat_map(|drawn| moves(drawn, of, [h, w])).collect();
            inputs.push(("moves", array(&[Warp::PLACES], places)));
        }
        if of.warps() {
            let places = warps(drawn, of, [h, w], margins).concat();
            inputs.push(("warps", array(&[Warp::PLACES], places)));
        }
        if of.colours() {
            let maps = drawn.iter().flat_map(|drawn| colours(drawn, of, c)).collect();
            inputs.push(("colours", array(&[c + 1, c], maps)));
        }
        Batch { labels: array(&[of.labels()], labels), inputs }
    }

    /// What [`augment_graph`] reads besides the images.
    pub fn bindings(&self, device: &dyn Device) -> Result<Bindings> {
        self.inputs.iter().try_fold(Bindings::new(), |bindings, (name, array)| {
            Ok(bindings.tensor(name, &device.upload(array)?))
        })
    }
}

/// Augments `y [n, h, w, c]` to `x` by what a [`Batch`] binds: whole pixels move first, then images are doubled, read at
/// other places and halved, then colours change.
pub fn augment_graph(graph: &mut Graph, shape: &Shape, of: &Transforms) {
    let (n, size, c) = (shape[0], [shape[1], shape[2]], shape[3]);
    let mut x = graph.input("y", shape.clone());
    if of.moves() {
        let places = graph.input("moves", [n, Warp::PLACES]);
        x = graph.warp(x, places, Warp { size, doubled: None });
    }
    if of.warps() {
        let places = graph.input("warps", [n, Warp::PLACES]);
        // The filter is as good backwards: doubling is the adjoint of halving.
        let doubled = Some(SYM6.iter().rev().copied().collect());
        let around = SYM6.len() - 2;
        x = graph.warp(x, places, Warp { size: size.map(|size| 2 * size + around), doubled });
        x = graph.resample(x, Resample::down(&SYM6).with_padding(0));
    }
    if of.colours() {
        let maps = graph.input("colours", [n, c + 1, c]);
        x = recoloured(graph, x, maps);
    }
    graph.output("x", x);
}

/// `x [n, h, w, c]` by affine maps `[n, c + 1, c]`.
fn recoloured(graph: &mut Graph, x: Value, maps: Value) -> Value {
    let [n, c] = [0, 3].map(|axis| graph.shape(x)[axis]);
    let row = |graph: &mut Graph, at: usize| {
        let row = graph.slice(maps, 1, at..at + 1);
        graph.reshape(row, [n, 1, 1, c])
    };
    let offset = row(graph, c);
    (0..c).fold(offset, |sum, channel| {
        let (from, by) = (graph.slice(x, 3, channel..channel + 1), row(graph, channel));
        graph.map(&[sum, from, by], |v| v(0) + v(1) * v(2))
    })
}
