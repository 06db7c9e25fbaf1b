//! The device against the reference interpreter, on whatever adapter there is: every operation, checked and trusted.

use mollify_gpu::{Gpu, Mode, find};
use tensor::operation_table::rows;
use tensor::{Array, Reference};

fn gpu(mode: Mode) -> Gpu {
    let adapter = find(None).expect("`cargo xtask test` installs a driver");
    Gpu::open(&adapter, mode).expect("the adapter opens")
}

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
    let word = std::env::var("ROW").unwrap_or_default();
    let mut wrong = Vec::new();
    for mode in [Mode::Trusted, Mode::Checked] {
        let gpu = gpu(mode);
        for row in rows().into_iter().filter(|row| row.name.contains(&word)) {
            let expected = row.run(&Reference).unwrap();
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| row.run(&gpu)));
            match ran {
                Err(_) => wrong.push(format!("{mode:?} {} panics", row.name)),
                Ok(Err(error)) => wrong.push(format!("{mode:?} {}: {error}", row.name)),
                Ok(Ok(found)) => {
                    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
                        let error = deviation(found, expected);
                        if !(error <= 2e-5) {
                            wrong.push(format!("{mode:?}: `{name}` of {} is off by {error:.1e}", row.name));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
