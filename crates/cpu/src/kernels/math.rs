//! Functions of one number on vectors: a few ulp, the same arithmetic for every lane, no branches.

use crate::Simd;

/// e^x: 1 ulp; 0 below -104, infinite above 89.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let x = s.min(s.splat(89.0), s.max(s.splat(-104.0), x));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = minus_logarithm(s, n, x);
    let p =
        polynomial(s, r, [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]);
    s.scale(s.add(s.fma(p, s.mul(r, r), r), s.splat(1.0)), n)
}

/// x - n · ln 2, for a whole number n.
#[inline(always)]
fn minus_logarithm<S: Simd>(s: S, n: S::F, x: S::F) -> S::F {
    // ln 2 in two parts, of which the first has so few digits that its products are exact.
    let r = s.fma(n, s.splat(-0.693_359_4), x);
    s.fma(n, s.splat(2.121_944_4e-4), r)
}

/// e^-x of x held between -87 and 87: 2 ulp. Faster than [`exp`], as no result is subnormal or infinite.
#[inline(always)]
pub(super) fn exp_of_negative<S: Simd>(s: S, x: S::F) -> S::F {
    let x = s.min(s.splat(87.0), s.max(s.splat(-87.0), x));
    let magic = s.splat(12_582_912.0); // 1.5 · 2^23 leaves no bits for a fraction
    let shifted = s.fma(x, s.splat(-std::f32::consts::LOG2_E), magic);
    let r = minus_logarithm(s, s.sub(magic, shifted), x);
    // e^-r to 9e-8 for |r| <= ln(2) / 2, fitted by Lawson's iteration
    let p =
        polynomial(s, r, [-8.290_315e-3, 4.189_793e-2, -1.666_763_6e-1, 4.999_915e-1, -9.999_997e-1, 1.0]);
    // Its exponent plus what is left of the magic.
    s.reinterpret(s.add_int(s.bits(p), s.shift_left::<23>(s.bits(shifted))))
}

/// Horner's rule, highest coefficient first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::F, coefficients: [f32; N]) -> S::F {
    let mut sum = s.splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(*coefficient));
    }
    sum
}

/// The natural logarithm: 2 ulp; -∞ at 0, NaN below.
#[inline(always)]
pub fn ln<S: Simd>(s: S, x: S::F) -> S::F {
    let subnormal = s.lt(x, s.splat(f32::MIN_POSITIVE));
    let scaled = s.select(subnormal, s.mul(x, s.splat((1u32 << 25) as f32)), x);
    // x = m · 2^e with m in [√½, √2)
    let root = s.splat_int(0x3f35_04f3);
    let shifted = s.add_int(s.bits(scaled), s.splat_int(-0x3f35_04f3));
    let e = s.to_float(s.shift_right::<23>(shifted));
    let e = s.select(subnormal, s.sub(e, s.splat(25.0)), e);
    let m = s.reinterpret(s.add_int(s.and(shifted, s.splat_int(0x007f_ffff)), root));
    let r = s.sub(m, s.splat(1.0));
    let rr = s.mul(r, r);
    let p = polynomial(
        s,
        r,
        [
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_9e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_8e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333e-1,
        ],
    );
    let y = s.mul(s.mul(p, r), rr);
    let y = s.fma(e, s.splat(-2.121_944_4e-4), y);
    let y = s.fma(rr, s.splat(-0.5), y);
    let y = s.fma(e, s.splat(0.693_359_4), s.add(r, y));
    let y = s.select(s.lt(x, s.splat(f32::INFINITY)), y, x); // ∞ and NaN stay
    let y = s.select(s.eq(x, s.splat(0.0)), s.splat(f32::NEG_INFINITY), y);
    s.select(s.lt(x, s.splat(0.0)), s.splat(f32::NAN), y)
}

/// sin x and cos x: 2 ulp of 1 for |x| < 10^4.
#[inline(always)]
pub fn sin_cos<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let n = s.round(s.mul(x, s.splat(std::f32::consts::FRAC_2_PI)));
    // π/2 in parts of few bits, whose products with n are exact
    let parts = [-1.570_312_5, -4.837_513e-4, -7.549_79e-8];
    let r = parts.iter().fold(x, |r, part| s.fma(n, s.splat(*part), r));
    let rr = s.mul(r, r);
    let sin = polynomial(s, rr, [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1]);
    let sin = s.fma(s.mul(sin, rr), r, r);
    let cos = polynomial(s, rr, [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2]);
    let cos = s.add(s.fma(s.splat(-0.5), rr, s.splat(1.0)), s.mul(cos, s.mul(rr, rr)));
    let quadrant = s.to_int(n);
    let odd = s.lt_int(s.splat_int(0), s.and(quadrant, s.splat_int(1)));
    let sign = |quadrant| s.shift_left::<30>(s.and(quadrant, s.splat_int(2)));
    let turned = |y, sign| s.reinterpret(s.xor(s.bits(y), sign));
    let next = s.add_int(quadrant, s.splat_int(1));
    (turned(s.select(odd, cos, sin), sign(quadrant)), turned(s.select(odd, sin, cos), sign(next)))
}

#[inline(always)]
pub fn neg<S: Simd>(s: S, x: S::F) -> S::F {
    s.reinterpret(s.xor(s.bits(x), s.splat_int(i32::MIN)))
}

#[inline(always)]
pub fn abs<S: Simd>(s: S, x: S::F) -> S::F {
    s.reinterpret(s.and(s.bits(x), s.splat_int(i32::MAX)))
}

/// 1 / (1 + e^-x): 3 ulp above -87, where it stays.
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    s.recip(s.add(s.splat(1.0), exp_of_negative(s, x)))
}

/// x · sigmoid(x).
#[inline(always)]
pub fn silu<S: Simd>(s: S, x: S::F) -> S::F {
    s.mul(x, sigmoid(s, x))
}

/// d silu(x) / dx: `sigmoid(x) · (1 + x · sigmoid(-x))`.
#[inline(always)]
pub fn silu_gradient<S: Simd>(s: S, x: S::F) -> S::F {
    let e = exp_of_negative(s, x);
    let sigmoid = s.recip(s.add(s.splat(1.0), e));
    // e · sigmoid is sigmoid(-x), without the cancellation of 1 - sigmoid
    s.mul(sigmoid, s.fma(x, s.mul(e, sigmoid), s.splat(1.0)))
}

/// 1 where a number is neither infinite nor NaN, else 0.
#[inline(always)]
pub fn is_finite<S: Simd>(s: S, x: S::F) -> S::F {
    let exponent = s.and(s.bits(x), s.splat_int(0x7f80_0000));
    s.select(s.lt_int(exponent, s.splat_int(0x7f80_0000)), s.splat(1.0), s.splat(0.0))
}

/// 1 where a number is NaN, else 0.
#[inline(always)]
pub fn is_nan<S: Simd>(s: S, x: S::F) -> S::F {
    let magnitude = s.and(s.bits(x), s.splat_int(i32::MAX));
    s.select(s.lt_int(s.splat_int(0x7f80_0000), magnitude), s.splat(1.0), s.splat(0.0))
}

/// The sum of a vector's lanes, as a tree of halves.
#[inline(always)]
pub fn total<S: Simd>(s: S, x: S::F) -> f32 {
    halve(s, x, |a, b| a + b)
}

/// The largest of a vector's lanes.
#[inline(always)]
pub fn largest<S: Simd>(s: S, x: S::F) -> f32 {
    halve(s, x, |a, b| if a > b { a } else { b })
}

#[inline(always)]
fn halve<S: Simd>(s: S, x: S::F, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; 16];
    s.write(&mut lanes, 0, x);
    let mut count = S::LANES;
    while count > 1 {
        count /= 2;
        for i in 0..count {
            lanes[i] = join(lanes[i], lanes[i + count]);
        }
    }
    lanes[0]
}
