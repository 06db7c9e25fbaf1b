//! Images of any size to the one that a network takes.

use tensor::{Graph, Op, Value};

/// Where the pixels of the result lie in the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pixels {
    /// The centres of the corners lie inside by half a pixel of either size: `(d + 0.5) n / to - 0.5`.
    HalfCentres,
    /// The first ones lie on one another: `d n / to`, as TensorFlow 1 does.
    FirstAligned,
}

/// Bilinear, without antialiasing whatever the size: `[n, h, w, c]` to `[n, c, size, size]`.
///
/// Each axis is a product with a matrix of two numbers a row.
pub fn bilinear(graph: &mut Graph, images: Value, size: usize, pixels: Pixels) -> Value {
    let &[n, h, w, c] = &graph.shape(images)[..] else { panic!("images are [n, h, w, c]") };
    let mut along = |x: Value, from: usize| {
        let matrix = graph.table(matrix(from, size, pixels), [size, from]);
        let rest = graph.shape(x).len() / (n * from);
        let x = graph.reshape(x, [n, from, rest]);
        graph.push(Op::MatMul { transpose_left: true, transpose_right: true }, &[x, matrix], None)
    };
    let columns = along(images, h);
    let both = along(columns, w);
    graph.reshape(both, [n, c, size, size])
}

/// `[to, from]`: what the pixels of an axis are made of.
fn matrix(from: usize, to: usize, pixels: Pixels) -> Vec<f64> {
    let mut matrix = vec![0.0; to * from];
    for (at, row) in matrix.chunks_exact_mut(from).enumerate() {
        // Positions are those of f32, which the networks were used with.
        let scale = from as f32 / to as f32;
        let place = match pixels {
            Pixels::HalfCentres => ((at as f32 + 0.5) * scale - 0.5).max(0.0),
            Pixels::FirstAligned => at as f32 * scale,
        };
        let first = (place as usize).min(from - 1);
        let part = f64::from(place - first as f32);
        row[first] += 1.0 - part;
        row[(first + 1).min(from - 1)] += part;
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_between_two_pixels_and_never_beyond_the_last() {
        assert_eq!(matrix(2, 4, Pixels::HalfCentres), [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
        assert_eq!(matrix(2, 4, Pixels::FirstAligned), [1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(matrix(4, 2, Pixels::HalfCentres), [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5]);
        assert_eq!(matrix(3, 3, Pixels::HalfCentres), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
