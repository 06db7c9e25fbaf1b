//! The device against the reference interpreter, on whatever adapter there is: every operation, checked and trusted.

mod adapter;

use adapter::gpu;
use mollify_gpu::Mode;
use tensor::operation_table::rows;
use tensor::{Array, Reference};

/// The largest deviation, in units of the expected numbers' root mean square.
fn deviation(found: &Array, expected: &Array) -> f64 {
    assert_eq!(found.shape, expected.shape);
    let (found, expected) = (found.f64s(), expected.f64s());
    let rms = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt().max(1e-6);
    let apart = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { (a - b).abs() / rms };
    // NaN has to count.
    found.iter().zip(&expected).map(apart).fold(0.0, |most, next| if next <= most { most } else { next })
}

#[test]
fn every_operation_agrees_with_the_reference() {
    let mut wrong = Vec::new();
    for mode in [Mode::Trusted, Mode::Checked] {
        let Some(gpu) = gpu(mode) else { return };
        for row in rows() {
            let expected = row.run(&Reference).unwrap();
            let found = row.run(&gpu).unwrap_or_else(|error| panic!("{mode:?} {}: {error}", row.name));
            assert_eq!(found.len(), expected.len());
            for ((name, found), (_, expected)) in found.iter().zip(&expected) {
                let error = deviation(found, expected);
                // As on the CPU: a thousand roundings of 6e-8 at most. NaN is not close.
                if error.is_nan() || error > 2e-5 {
                    wrong.push(format!("{mode:?}: `{name}` of {} is off by {error:.1e}", row.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
