//! Images of any size to the one that a network takes.

use tensor::{Graph, Value};

/// Where the pixels of the result lie in the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pixels {
    /// The centres of the corners lie inside by half a pixel of either size: `(d + 0.5) n / to - 0.5`.
    HalfCentres,
    /// The first ones lie on one another: `d n / to`, as TensorFlow 1 does.
    FirstAligned,
}

/// Bilinear, without antialiasing whatever the size: of the rows of `[n, h, w, c]` scaled to `[n, size, size, 3]`, every
/// `step`-th from `first`. Grey is repeated.
///
/// Each axis is a product: columns with a matrix that leaves channels side by side, so that nothing has to be transposed.
pub fn bilinear(
    graph: &mut Graph,
    images: Value,
    size: usize,
    pixels: Pixels,
    [first, step]: [usize; 2],
) -> Value {
    let &[n, h, w, c] = &graph.shape(images)[..] else { panic!("images are [n, h, w, c]") };
    let lines: Vec<f64> =
        matrix(h, size, pixels).chunks_exact(h).skip(first).step_by(step).flatten().copied().collect();
    let count = lines.len() / h;
    let lines = graph.table(lines, [1, count, h]);
    let lines = graph.broadcast(lines, [n, count, h]);
    let images = graph.reshape(images, [n, h, w * c]);
    let rows = graph.matmul(lines, images);
    let columns = graph.table(columns(&matrix(w, size, pixels), w, c), [w * c, size * 3]);
    let rows = graph.reshape(rows, [n * count, w * c]);
    let both = graph.matmul(rows, columns);
    graph.reshape(both, [n, count, size, 3])
}

/// `[from · c, to · 3]` of a matrix `[to, from]`: the same for each of `c` channels, or for one that becomes three.
fn columns(matrix: &[f64], from: usize, c: usize) -> Vec<f64> {
    let to = matrix.len() / from;
    let mut columns = vec![0.0; from * c * to * 3];
    for (at, part) in matrix.iter().enumerate() {
        for colour in 0..3 {
            let row = at % from * c + if c == 3 { colour } else { 0 };
            columns[row * to * 3 + at / from * 3 + colour] = *part;
        }
    }
    columns
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
