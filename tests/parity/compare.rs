//! Errors as parts of what is tolerated.

/// What is tolerated for one element: `absolute + relative · |expected|`.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
}

impl Tolerance {
    pub fn absolute(absolute: f64) -> Self {
        Tolerance { absolute, relative: 0.0 }
    }

    /// For gradients: 1e-4 of each element and 1e-5 of the array's root mean square.
    pub fn gradient(expected: &[f64]) -> Self {
        Tolerance { absolute: 1e-5 * rms(expected), relative: 1e-4 }
    }
}

/// The worst error of any element as a part of its tolerance: above 1 is wrong.
pub fn worst(got: &[f64], expected: &[f64], tolerance: Tolerance) -> f64 {
    if got.len() != expected.len() {
        return f64::INFINITY;
    }
    let part = |(got, expected): (&f64, &f64)| {
        let error = (got - expected).abs();
        let tolerated = tolerance.absolute + tolerance.relative * expected.abs();
        if error == 0.0 { 0.0 } else { error / tolerated }
    };
    let parts = got.iter().zip(expected).map(part);
    parts.map(|part| if part.is_nan() { f64::INFINITY } else { part }).fold(0.0, f64::max)
}

pub fn rms(values: &[f64]) -> f64 {
    let squares: f64 = values.iter().map(|value| value * value).sum();
    (squares / values.len().max(1) as f64).sqrt()
}
