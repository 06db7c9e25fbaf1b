//! The transforms of Winograd's F(4, 3): four outputs of a filter of three taps in six products.
//!
//! Inputs d, filters g and outputs y of one dimension are y = Aᵀ[(G g) ⊙ (Bᵀ d)] (Lavin and Gray 2016, with the
//! polynomials taken at 0, ±1/√2, ±√2 and infinity instead of their 0, ±1, ±2 and infinity, which has half the error).

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::Simd;

/// Outputs of a tile along each side.
pub(in crate::kernels) const OUTPUTS: usize = 4;
/// Inputs of a tile along each side.
pub(in crate::kernels) const SIDE: usize = 6;
/// Products of a tile.
pub(in crate::kernels) const ELEMENTS: usize = SIDE * SIDE;

/// Bᵀ d.
#[inline(always)]
pub(in crate::kernels) fn input<S: Simd>(s: S, d: [S::F; SIDE]) -> [S::F; SIDE] {
    let [near, far] = [s.splat(FRAC_1_SQRT_2), s.splat(SQRT_2)];
    let outer = s.splat(-2.5);
    let (even, odd) = (s.fma(s.splat(-2.0), d[2], d[4]), s.fma(s.splat(-2.0), d[1], d[3]));
    let [a, b] = both(s, even, near, odd);
    let (even, odd) = (s.fma(s.splat(-0.5), d[2], d[4]), s.fma(s.splat(-0.5), d[1], d[3]));
    let [c, e] = both(s, even, far, odd);
    [s.fma(outer, d[2], s.add(d[0], d[4])), a, b, c, e, s.fma(outer, d[3], s.add(d[1], d[5]))]
}

/// G g.
#[inline(always)]
pub(in crate::kernels) fn filter<S: Simd>(s: S, g: [S::F; 3]) -> [S::F; SIDE] {
    let even = s.mul(s.splat(-2.0 / 3.0), s.fma(s.splat(0.5), g[2], g[0]));
    let [a, b] = both(s, even, s.splat(-2.0 / 3.0 * FRAC_1_SQRT_2), g[1]);
    let even = s.mul(s.splat(1.0 / 6.0), s.fma(s.splat(2.0), g[2], g[0]));
    let [c, d] = both(s, even, s.splat(SQRT_2 / 6.0), g[1]);
    [g[0], a, b, c, d, g[2]]
}

/// Aᵀ m.
#[inline(always)]
pub(in crate::kernels) fn output<S: Simd>(s: S, m: [S::F; SIDE]) -> [S::F; OUTPUTS] {
    let [near, far] = [s.splat(FRAC_1_SQRT_2), s.splat(SQRT_2)];
    let (even, odd) = (s.add(m[1], m[2]), s.mul(near, s.sub(m[1], m[2])));
    let (even_far, odd_far) = (s.add(m[3], m[4]), s.mul(far, s.sub(m[3], m[4])));
    let [half, two] = [s.splat(0.5), s.splat(2.0)];
    [
        s.add(m[0], s.add(even, even_far)),
        s.add(odd, odd_far),
        s.fma(two, even_far, s.mul(half, even)),
        s.fma(two, odd_far, s.fma(half, odd, m[5])),
    ]
}

/// A e: the adjoint of [`output`].
#[inline(always)]
pub(in crate::kernels) fn output_adjoint<S: Simd>(s: S, e: [S::F; OUTPUTS]) -> [S::F; SIDE] {
    let [half, two] = [s.splat(0.5), s.splat(2.0)];
    let [a, b] = both(s, s.fma(half, e[2], e[0]), s.splat(FRAC_1_SQRT_2), s.fma(half, e[3], e[1]));
    let [c, d] = both(s, s.fma(two, e[2], e[0]), s.splat(SQRT_2), s.fma(two, e[3], e[1]));
    [e[0], a, b, c, d, e[3]]
}

/// Gᵀ u: the adjoint of [`filter`].
#[inline(always)]
pub(in crate::kernels) fn filter_adjoint<S: Simd>(s: S, u: [S::F; SIDE]) -> [S::F; 3] {
    let even = s.mul(s.splat(-1.0 / 3.0), s.add(u[1], u[2]));
    let even_far = s.mul(s.splat(1.0 / 6.0), s.add(u[3], u[4]));
    let odd = s.mul(s.splat(-2.0 / 3.0 * FRAC_1_SQRT_2), s.sub(u[1], u[2]));
    let two = s.splat(2.0);
    [
        s.add(u[0], s.fma(two, even, even_far)),
        s.fma(s.splat(SQRT_2 / 6.0), s.sub(u[3], u[4]), odd),
        s.add(s.fma(two, even_far, even), u[5]),
    ]
}

/// `even + x · odd` and `even - x · odd`: a polynomial at a point and at the point opposite.
#[inline(always)]
fn both<S: Simd>(s: S, even: S::F, x: S::F, odd: S::F) -> [S::F; 2] {
    let odd = s.mul(x, odd);
    [s.add(even, odd), s.sub(even, odd)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Level};

    /// What a transform makes of numbers.
    fn of<const N: usize, const M: usize>(x: [f32; N], transform: Transform) -> [f32; M] {
        let mut y = [0.0; M];
        Level::Scalar.run(Run { x: &x, y: &mut y, transform });
        y
    }

    #[derive(Clone, Copy)]
    enum Transform {
        Input,
        Filter,
        Output,
        OutputAdjoint,
        FilterAdjoint,
    }

    struct Run<'a> {
        x: &'a [f32],
        y: &'a mut [f32],
        transform: Transform,
    }

    impl Kernel for Run<'_> {
        type Output = ();

        fn run<S: Simd>(self, s: S) {
            let x = |i: usize| s.splat(self.x[i]);
            let four = || [x(0), x(1), x(2), x(3)];
            let six = || [x(0), x(1), x(2), x(3), x(4), x(5)];
            let y = match self.transform {
                Transform::Input => input(s, six()).to_vec(),
                Transform::Filter => filter(s, [x(0), x(1), x(2)]).to_vec(),
                Transform::Output => output(s, six()).to_vec(),
                Transform::OutputAdjoint => output_adjoint(s, four()).to_vec(),
                Transform::FilterAdjoint => filter_adjoint(s, six()).to_vec(),
            };
            for (to, y) in self.y.iter_mut().zip(y) {
                s.write(std::slice::from_mut(to), 0, y);
            }
        }
    }

    const INPUTS: [f32; SIDE] = [0.3, -1.2, 0.7, 2.0, -0.4, 0.9];
    const TAPS: [f32; 3] = [0.5, -0.8, 1.1];
    const SUMS: [f32; SIDE] = [-0.6, 0.2, 1.4, -1.0, 0.8, 0.1];
    const GRADIENTS: [f32; OUTPUTS] = [1.5, -0.3, 0.6, -0.9];

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn four_outputs_come_of_six_products() {
        let (d, g): ([f32; SIDE], [f32; SIDE]) = (of(INPUTS, Transform::Input), of(TAPS, Transform::Filter));
        let products: [f32; SIDE] = std::array::from_fn(|i| d[i] * g[i]);
        let outputs: [f32; OUTPUTS] = of(products, Transform::Output);
        for (i, output) in outputs.iter().enumerate() {
            let expected = dot(&INPUTS[i..i + 3], &TAPS);
            assert!((output - expected).abs() < 1e-5, "{output} and {expected}");
        }
    }

    #[test]
    fn adjoints_have_the_same_inner_products() {
        let forward: [f32; OUTPUTS] = of(SUMS, Transform::Output);
        let back: [f32; SIDE] = of(GRADIENTS, Transform::OutputAdjoint);
        assert!((dot(&forward, &GRADIENTS) - dot(&SUMS, &back)).abs() < 1e-5);
        let forward: [f32; SIDE] = of(TAPS, Transform::Filter);
        let back: [f32; 3] = of(SUMS, Transform::FilterAdjoint);
        assert!((dot(&forward, &SUMS) - dot(&TAPS, &back)).abs() < 1e-5);
    }
}
