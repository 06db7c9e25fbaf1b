//! Affine maps of the plane and of colours, in f64 on the host.

pub(crate) type Matrix = [[f64; 3]; 3];

/// Of red, green, blue and 1.
pub(crate) type ColourMatrix = [[f64; 4]; 4];

pub(crate) fn scaling(x: f64, y: f64) -> Matrix {
    [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]]
}

pub(crate) fn rotation(angle: f64) -> Matrix {
    let (sin, cos) = angle.sin_cos();
    [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]
}

pub(crate) fn translation(x: f64, y: f64) -> Matrix {
    [[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]
}

/// The product, last step first.
pub(crate) fn product<const N: usize>(steps: &[[[f64; N]; N]]) -> [[f64; N]; N] {
    let one = std::array::from_fn(|row| std::array::from_fn(|column| f64::from(row == column)));
    steps.iter().fold(one, |a: [[f64; N]; N], b| {
        std::array::from_fn(|row| {
            std::array::from_fn(|column| (0..N).map(|k| a[row][k] * b[k][column]).sum())
        })
    })
}

pub(crate) fn apply(map: &Matrix, x: f64, y: f64) -> [f64; 2] {
    [0, 1].map(|row| map[row][0] * x + map[row][1] * y + map[row][2])
}
