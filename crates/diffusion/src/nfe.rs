//! The price of a sample.

/// Evaluations of the network that Heun's method takes for one sample: two a step, and one in the last step,
/// which ends at zero noise. Euler's method takes one a step.
pub fn nfe(steps: usize) -> usize {
    (2 * steps).saturating_sub(1)
}
