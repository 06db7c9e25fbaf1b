//! SqueezeNet v1.1 (Iandola et al. 2016) up to the mean over pixels.

use tensor::Value;

use super::layers::{Kernel, Layers, Window};
use super::resize::{Pixels, bilinear};

/// Features of an image.
pub const WIDTH: usize = 512;
/// Height and width that images are scaled to.
const SIZE: usize = 64;
/// What the network was trained without: the mean of red, green and blue.
const MEAN: [f64; 3] = [122.679, 116.669, 104.006];

/// `[n, h, w, c]` to `[n, 512]`.
pub fn build(layers: &mut Layers, images: Value) -> Value {
    let blocks = blocks(layers, images);
    let mut x = first(layers, blocks);
    for fire_number in 2..=9 {
        if matches!(fire_number, 2 | 4 | 6) {
            x = layers.max_pool(x, Window::square(3, 2, 0));
        }
        x = fire(layers, x, fire_number);
    }
    layers.mean(x)
}

/// `[n, 32, 32, 12]`: scaled images without the mean, the four pixels of each square of two side by side.
fn blocks(layers: &mut Layers, images: Value) -> Value {
    let (n, graph) = (layers.graph.shape(images)[0], &mut *layers.graph);
    let halves = [0, 1].map(|first| {
        let rows = bilinear(graph, images, SIZE, Pixels::HalfCentres, [first, 2]);
        let pairs = graph.reshape(rows, [n, SIZE / 2, SIZE / 2, 6]);
        let mean = graph.table([MEAN; 2].concat(), [1, 1, 1, 6]);
        graph.sub(pairs, mean)
    });
    graph.concat(&halves, 3)
}

/// The first convolution, of stride 2 with a row and column of zeros all round, as one of stride 1 over squares of two:
/// a window sees the second row of the square above and both rows of its own.
fn first(layers: &mut Layers, blocks: Value) -> Value {
    let (weight, bias) = (layers.weights.get("conv1.weight"), layers.weights.get("conv1.bias"));
    let out = bias.len();
    let mut over_blocks = vec![0.0; out * 12 * 4];
    for (at, number) in weight.iter().enumerate() {
        // [out, 3, 3, 3]; the weights see blue first.
        let (to, colour, row, column) = (at / 27, 2 - at / 9 % 3, at / 3 % 3, at % 3);
        let (square, inside) = ([row.div_ceil(2), column.div_ceil(2)], [(row + 1) % 2, (column + 1) % 2]);
        let channel = (inside[0] * 2 + inside[1]) * 3 + colour;
        over_blocks[(to * 12 + channel) * 4 + square[0] * 2 + square[1]] = *number;
    }
    let kernel = Kernel { shape: [out, 12, 2, 2], weight: over_blocks, bias: bias.to_vec() };
    let blocks = layers.graph.pad(blocks, &[(0, 0), (1, 0), (1, 0), (0, 0)]);
    layers.conv(blocks, "conv1", kernel, Window::square(2, 1, 0))
}

fn fire(layers: &mut Layers, x: Value, number: usize) -> Value {
    let squeezed = conv(layers, x, &format!("fire{number}.squeeze1x1"));
    let expanded =
        ["expand1x1", "expand3x3"].map(|part| conv(layers, squeezed, &format!("fire{number}.{part}")));
    layers.graph.concat(&expanded, 3)
}

fn conv(layers: &mut Layers, x: Value, name: &str) -> Value {
    let weights = layers.weights;
    let (weight, bias) = (weights.get(&format!("{name}.weight")), weights.get(&format!("{name}.bias")));
    let size = if name.ends_with("3x3") { 3 } else { 1 };
    let shape = [bias.len(), weight.len() / (bias.len() * size * size), size, size];
    let kernel = Kernel { shape, weight: weight.to_vec(), bias: bias.to_vec() };
    layers.conv(x, name, kernel, Window::same([size, size]))
}
