//! Layers of networks that only run forward, from the operations that devices have: convolutions of any size and stride
//! are products with patches, pools are folds over shifted images.

use tensor::{Array, Graph, Shape, Value};

use super::weights::Weights;

/// Convolutions of fewer rows or columns are products with patches as well: most of what they see is padding.
const SMALLEST: usize = 8;

/// A network in the making.
pub struct Layers<'a> {
    pub graph: &'a mut Graph,
    pub weights: &'a Weights,
    /// The inputs that hold weights, arranged as the graph reads them.
    pub bound: Vec<(String, Array)>,
}

/// A window that moves over images.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    pub stride: usize,
    /// Rows of zeros above and below, columns left and right.
    pub padding: [usize; 2],
}

impl Window {
    pub fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel: [kernel; 2], stride, padding: [padding; 2] }
    }

    /// One that keeps the size of images.
    pub fn same(kernel: [usize; 2]) -> Self {
        Self { kernel, stride: 1, padding: kernel.map(|size| size / 2) }
    }

    /// How many places it has along an axis (0 for rows) of that size.
    fn places(self, axis: usize, size: usize) -> usize {
        (size + 2 * self.padding[axis] - self.kernel[axis]) / self.stride + 1
    }
}

/// A convolution with everything that is linear after it.
pub struct Kernel {
    /// `[out, in, height, width]`.
    pub shape: [usize; 4],
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

impl<'a> Layers<'a> {
    pub fn new(graph: &'a mut Graph, weights: &'a Weights) -> Self {
        Self { graph, weights, bound: Vec::new() }
    }

    /// An input that holds these numbers.
    pub fn bind(&mut self, name: String, shape: impl Into<Shape>, numbers: Vec<f32>) -> Value {
        let shape = shape.into();
        let value = self.graph.input(&name, shape.clone());
        self.bound.push((name, Array::new(shape, numbers)));
        value
    }

    /// ReLU of a convolution.
    pub fn conv(&mut self, x: Value, name: &str, kernel: Kernel, window: Window) -> Value {
        let [out, cin, height, width] = kernel.shape;
        let bias = self.bind(format!("{name}.bias"), [out], kernel.bias.clone());
        let [h, w] = [1, 2].map(|axis| self.graph.shape(x)[axis]);
        let plain = window.stride == 1 && [height, width] == [3, 3] && h.min(w) >= SMALLEST;
        let weight = format!("{name}.weight");
        let y = if plain {
            let weight = self.bind(weight, [9, cin, out], kernel.by_tap());
            let y = self.graph.conv(x, weight, None);
            // Devices pad so that the size stays.
            let cut = window.padding.map(|padding| 1 - padding);
            let y = self.graph.slice(y, 1, cut[0]..h - cut[0]);
            self.graph.slice(y, 2, cut[1]..w - cut[1])
        } else {
            let weight = self.bind(weight, [height * width * cin, out], kernel.by_tap());
            let patches = self.patches(x, window);
            let &[n, h, w, seen] = &self.graph.shape(patches)[..] else { panic!("patches are images") };
            let rows = self.graph.reshape(patches, [n * h * w, seen]);
            let y = self.graph.matmul(rows, weight);
            self.graph.reshape(y, [n, h, w, out])
        };
        self.graph.map(&[y, bias], |v| (v(0) + v(1)).max(0.0))
    }

    /// `[n, h', w', kernel · c]`: what the window sees at each of its places, pixel by pixel.
    fn patches(&mut self, x: Value, window: Window) -> Value {
        let padded = self.padded(x, window.padding);
        let rows = self.shifted(padded, 0, window);
        let taps: Vec<Value> = rows.into_iter().flat_map(|row| self.shifted(row, 1, window)).collect();
        self.graph.concat(&taps, 3)
    }

    /// The largest number that the window sees. Padding counts as 0, which nothing after a ReLU is below.
    pub fn max_pool(&mut self, x: Value, window: Window) -> Value {
        let padded = self.padded(x, window.padding);
        [0, 1].into_iter().fold(padded, |x, axis| {
            let shifted = self.shifted(x, axis, window);
            let largest = |v: fn(usize) -> tensor::Expr| {
                (1..shifted.len()).fold(v(0), |largest, at| largest.max(v(at)))
            };
            self.graph.map(&shifted, largest)
        })
    }

    /// The mean of what the window sees of the image, padding left out.
    pub fn mean_pool(&mut self, x: Value, window: Window) -> Value {
        let [h, w] = [1, 2].map(|axis| self.graph.shape(x)[axis]);
        let padded = self.padded(x, window.padding);
        let sums = [0, 1].into_iter().fold(padded, |x, axis| {
            let shifted = self.shifted(x, axis, window);
            self.graph.map(&shifted, |v| (1..shifted.len()).fold(v(0), |sum, at| sum + v(at)))
        });
        let [rows, columns] = [(0, h), (1, w)].map(|(axis, size)| {
            let [padding, kernel] = [window.padding[axis], window.kernel[axis]];
            let seen = move |place: usize| {
                let start = place * window.stride;
                ((start + kernel).min(size + padding) - start.max(padding)) as f64
            };
            (0..window.places(axis, size)).map(seen).collect::<Vec<_>>()
        });
        let parts = rows.iter().flat_map(|row| columns.iter().map(move |column| 1.0 / (row * column)));
        let parts = self.graph.table(parts.collect(), [1, rows.len(), columns.len(), 1]);
        self.graph.mul(sums, parts)
    }

    /// `[n, c]`: the mean over all pixels.
    pub fn mean(&mut self, x: Value) -> Value {
        let shape = self.graph.shape(x).clone();
        let mean = self.graph.reduce(tensor::Fold::Mean, x, &[1, 2]);
        self.graph.reshape(mean, [shape[0], shape[3]])
    }

    fn padded(&mut self, x: Value, [rows, columns]: [usize; 2]) -> Value {
        self.graph.pad(x, &[(0, 0), (rows, rows), (columns, columns), (0, 0)])
    }

    /// For each element of the window along an axis (0 for rows), what it sees at all places.
    fn shifted(&mut self, x: Value, axis: usize, window: Window) -> Vec<Value> {
        let size = self.graph.shape(x)[axis + 1];
        let places = Window { padding: [0; 2], ..window }.places(axis, size);
        (0..window.kernel[axis]).map(|at| self.every(x, axis, at, window.stride, places)).collect()
    }

    /// Of rows or columns (axis 0 or 1) `first`, `first + step` and so on, as many as `count`.
    fn every(&mut self, x: Value, axis: usize, first: usize, step: usize, count: usize) -> Value {
        let &[n, h, w, c] = &self.graph.shape(x)[..] else { panic!("images are [n, h, w, c]") };
        let size = [h, w][axis];
        // Groups of `step` that all lie inside the image.
        let start = first.min(size - step * count);
        let whole = self.graph.slice(x, axis + 1, start..start + step * count);
        let (groups, line) = if axis == 0 { ([n, count, 1], w * c) } else { ([n, h, count], c) };
        let whole = self.graph.reshape(whole, [groups[0], groups[1], groups[2], step * line]);
        let one = self.graph.slice(whole, 3, (first - start) * line..(first - start + 1) * line);
        let shape = if axis == 0 { [n, count, w, c] } else { [n, h, count, c] };
        self.graph.reshape(one, shape)
    }
}

impl Kernel {
    /// The weight as graphs read it: `[height · width, in, out]`.
    fn by_tap(&self) -> Vec<f32> {
        let [out, cin, height, width] = self.shape;
        let taps = height * width;
        let place = |at: usize| {
            let (tap, from, to) = (at / (cin * out), at / out % cin, at % out);
            self.weight[(to * cin + from) * taps + tap]
        };
        (0..taps * cin * out).map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use tensor::{Bindings, Device, Reference, compile};

    use super::*;

    const SIZE: [usize; 3] = [7, 6, 2];

    /// What a layer makes of one image, `number` of each pixel.
    fn run(layer: impl FnOnce(&mut Layers, Value) -> Value) -> (Vec<usize>, Vec<f64>) {
        let (mut graph, weights) = (Graph::new(), Weights::default());
        let [h, w, c] = SIZE;
        let x = graph.input("x", [1, h, w, c]);
        let mut layers = Layers::new(&mut graph, &weights);
        let y = layer(&mut layers, x);
        let mut bound = layers.bound;
        bound.push(("x".into(), Array::new([1, h, w, c], (0..h * w * c).map(number).collect::<Vec<f32>>())));
        graph.output("y", y);
        let bind = |to: Bindings, (name, array): &(String, Array)| {
            to.tensor(name, &Reference.upload(array).expect("it fits"))
        };
        let bindings = bound.iter().fold(Bindings::new(), bind);
        let program = Reference.prepare(compile(graph)).expect("a program");
        let y = Reference.run(&program, &bindings).and_then(|mut made| made.take("y")).expect("it runs");
        let y = Reference.download(&y).expect("numbers");
        (y.shape.to_vec(), y.f64s())
    }

    fn number(at: usize) -> f32 {
        ((at * 37) % 23) as f32 / 8.0
    }

    /// What the window sees in a channel at a place, element by element; none outside of the image.
    fn seen(window: Window, place: [usize; 2], channel: usize) -> Vec<Option<f64>> {
        let [h, w, c] = SIZE;
        let elements = (0..window.kernel[0]).flat_map(|i| (0..window.kernel[1]).map(move |j| [i, j]));
        let at = |element: [usize; 2]| {
            let [row, column] = [0, 1]
                .map(|axis| (place[axis] * window.stride + element[axis]).checked_sub(window.padding[axis]));
            let (row, column) = (row.filter(|row| *row < h)?, column.filter(|column| *column < w)?);
            Some(f64::from(number((row * w + column) * c + channel)))
        };
        elements.map(at).collect()
    }

    fn windows() -> Vec<Window> {
        let wide = Window::same([1, 7]);
        let same = [[1, 1], [3, 3], [5, 5], [3, 1]].map(Window::same);
        let others = [(3, 1, 0), (3, 2, 0), (3, 2, 1), (2, 2, 0)].map(|(k, s, p)| Window::square(k, s, p));
        [vec![wide], same.to_vec(), others.to_vec()].concat()
    }

    /// Compares a layer with `expected`, from a place and channel of the result.
    fn hold(window: Window, found: (Vec<usize>, Vec<f64>), expected: impl Fn([usize; 2], usize) -> f64) {
        let (shape, numbers) = found;
        let places = [0, 1].map(|axis| window.places(axis, SIZE[axis]));
        assert_eq!(shape[..3], [1, places[0], places[1]], "{window:?}");
        for (at, number) in numbers.iter().enumerate() {
            let (place, channel) = (at / shape[3], at % shape[3]);
            let expected = expected([place / places[1], place % places[1]], channel);
            assert!((number - expected).abs() < 1e-9, "{window:?} at {at}: {number}, expected {expected}");
        }
    }

    #[test]
    fn convolutions_of_any_window_are_sums_over_what_it_sees() {
        for window in windows() {
            let [height, width] = window.kernel;
            let weight: Vec<f32> = (0..3 * 2 * height * width).map(|at| number(at * 5 + 1)).collect();
            let kernel =
                Kernel { shape: [3, 2, height, width], weight: weight.clone(), bias: vec![0.5, 1.0, 1.5] };
            let found = run(|layers, x| layers.conv(x, "conv", kernel, window));
            hold(window, found, |place, to| {
                let from = (0..2).flat_map(|from| seen(window, place, from));
                let row = &weight[to * 2 * height * width..];
                let sum = from.zip(row).map(|(x, weight)| x.unwrap_or(0.0) * f64::from(*weight)).sum::<f64>();
                sum + 0.5 + 0.5 * to as f64
            });
        }
    }

    #[test]
    fn pools_fold_what_the_window_sees_of_the_image() {
        for window in windows() {
            let found = run(|layers, x| layers.max_pool(x, window));
            hold(window, found, |place, channel| {
                seen(window, place, channel).into_iter().flatten().fold(0.0, f64::max)
            });
            let found = run(|layers, x| layers.mean_pool(x, window));
            hold(window, found, |place, channel| {
                let seen: Vec<f64> = seen(window, place, channel).into_iter().flatten().collect();
                seen.iter().sum::<f64>() / seen.len() as f64
            });
        }
    }
}
