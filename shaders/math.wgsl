// Functions of one number to a few ulp, as what drivers have for them may be coarse (sin to 2^-11), and tests of
// numbers by their bits, as drivers may assume that there is neither infinity nor NaN. `exp1` is for one number, `exp4`
// for four, and so on.
//
// A constant that is subtracted n times is split in parts, of which the products with n are exact. They are made of
// integers, as drivers turn a · n + b · n into (a + b) · n.

// The number with these bits, which may stand for infinity: a constant may not.
fn float_of(bits: u32) -> f32 {
    return bitcast<f32>(bits);
}

fn is_nan_bits(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_finite_bits(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) < 0x7f800000u;
}

// 1 where a number is neither infinite nor NaN, else 0.
fn is_finite1(x: f32) -> f32 {
    return select(0.0, 1.0, is_finite_bits(x));
}

// 1 where a number is NaN, else 0.
fn is_nan1(x: f32) -> f32 {
    return select(0.0, 1.0, is_nan_bits(x));
}

// 2^n for n in -126..=127.
fn power_of_two(n: i32) -> f32 {
    return bitcast<f32>((n + 127) << 23u);
}

// e^x; 0 below -104, infinite above 89, NaN of NaN.
fn exp1(x: f32) -> f32 {
    let held = clamp(x, -104.0, 89.0);
    let n = i32(round(held * 1.44269504));
    let r = (held - f32(355 * n) / 512.0) + f32(n) * 2.12194440e-4; // ln 2 in parts
    var p = fma(1.9875691e-4, r, 1.3981999e-3);
    p = fma(p, r, 8.333452e-3);
    p = fma(p, r, 4.1665796e-2);
    p = fma(p, r, 1.6666665e-1);
    p = fma(p, r, 0.5);
    let y = fma(p, r * r, r) + 1.0;
    let half = n >> 1u; // 2^n itself may be out of range
    return select(y * power_of_two(half) * power_of_two(n - half), x, is_nan_bits(x));
}

// The natural logarithm; -∞ at 0, NaN below.
fn ln1(x: f32) -> f32 {
    let subnormal = x < 1.17549435e-38;
    let scaled = select(x, x * 33554432.0, subnormal);
    // x = m · 2^e with m in [√½, √2)
    let shifted = bitcast<i32>(scaled) - 0x3f3504f3;
    let e = (shifted >> 23u) - select(0, 25, subnormal);
    let r = bitcast<f32>((shifted & 0x007fffff) + 0x3f3504f3) - 1.0;
    var p = fma(7.0376836e-2, r, -1.151461e-1);
    p = fma(p, r, 1.1676999e-1);
    p = fma(p, r, -1.2420141e-1);
    p = fma(p, r, 1.4249323e-1);
    p = fma(p, r, -1.6668058e-1);
    p = fma(p, r, 2.0000715e-1);
    p = fma(p, r, -2.4999994e-1);
    p = fma(p, r, 3.333333e-1);
    let rr = r * r;
    let tail = fma(rr, -0.5, fma(f32(e), -2.12194440e-4, p * r * rr));
    var y = f32(355 * e) / 512.0 + (r + tail);
    y = select(x, y, is_finite_bits(x)); // ∞ and NaN stay
    y = select(y, float_of(0xff800000u), x == 0.0);
    return select(y, float_of(0x7fc00000u), x < 0.0);
}

// sin x and cos x for |x| < 10^4.
fn sin_cos(x: f32) -> vec2<f32> {
    let n = i32(round(x * 0.636619772));
    let r = ((x - f32(201 * n) / 128.0) - f32(2029 * n) / 4194304.0) - f32(n) * 7.54978995e-8; // π/2 in parts
    let rr = r * r;
    let s = fma(fma(fma(-1.9515296e-4, rr, 8.332161e-3), rr, -1.6666655e-1) * rr, r, r);
    let p = fma(fma(2.4433157e-5, rr, -1.3887316e-3), rr, 4.1666646e-2);
    let c = fma(p, rr * rr, fma(-0.5, rr, 1.0));
    let turned = select(vec2<f32>(s, c), vec2<f32>(c, s), (n & 1) == 1);
    let negative = (vec2<i32>(n, n + 1) & vec2<i32>(2)) == vec2<i32>(2);
    return select(turned, -turned, negative);
}

fn sin1(x: f32) -> f32 {
    return sin_cos(x).x;
}

fn cos1(x: f32) -> f32 {
    return sin_cos(x).y;
}

// 1 / (1 + e^-x).
fn sigmoid1(x: f32) -> f32 {
    return 1.0 / (1.0 + exp1(clamp(-x, -87.0, 87.0)));
}

// x · sigmoid(x).
fn silu1(x: f32) -> f32 {
    return x * sigmoid1(x);
}

// d silu(x) / dx: sigmoid(x) · (1 + x · sigmoid(-x)).
fn silu_gradient1(x: f32) -> f32 {
    let e = exp1(clamp(-x, -87.0, 87.0));
    let sigmoid = 1.0 / (1.0 + e);
    // e · sigmoid is sigmoid(-x), without the cancellation of 1 - sigmoid
    return sigmoid * fma(x, e * sigmoid, 1.0);
}

fn is_finite4(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(is_finite1(x.x), is_finite1(x.y), is_finite1(x.z), is_finite1(x.w));
}

fn is_nan4(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(is_nan1(x.x), is_nan1(x.y), is_nan1(x.z), is_nan1(x.w));
}

fn exp4(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(exp1(x.x), exp1(x.y), exp1(x.z), exp1(x.w));
}

fn ln4(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(ln1(x.x), ln1(x.y), ln1(x.z), ln1(x.w));
}

fn sin4(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(sin1(x.x), sin1(x.y), sin1(x.z), sin1(x.w));
}

fn cos4(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(cos1(x.x), cos1(x.y), cos1(x.z), cos1(x.w));
}

fn sigmoid4(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(sigmoid1(x.x), sigmoid1(x.y), sigmoid1(x.z), sigmoid1(x.w));
}

fn silu4(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(silu1(x.x), silu1(x.y), silu1(x.z), silu1(x.w));
}

fn silu_gradient4(x: vec4<f32>) -> vec4<f32> {
    let low = vec2<f32>(silu_gradient1(x.x), silu_gradient1(x.y));
    return vec4<f32>(low, silu_gradient1(x.z), silu_gradient1(x.w));
}
