//! GFLOP/s of the kernels of small diffusion networks: `roofline [THREADS [scalar|avx2]]`.
//!
//! One thread is measured in processor time, so that what else runs on the machine does not count; several threads by
//! the clock on the wall.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mollify_cpu::kernels::attention::{Attention, attention, attention_gradient};
use mollify_cpu::kernels::conv::{Conv, conv, conv_input_gradient};
use mollify_cpu::kernels::conv_weight::conv_weight_gradient;
use mollify_cpu::kernels::gemm::{Finish, Gemm, View, gemm};
use mollify_cpu::kernels::load::{Affine, Load, Source};
use mollify_cpu::kernels::norm::{Backward, Norm, SourceGradient, group_stats, load_images, norm_backward};
use mollify_cpu::kernels::random::Dropout;
use mollify_cpu::kernels::softmax::softmax;
use mollify_cpu::kernels::store::Store;
use mollify_cpu::{Kernel, Level, Pool, Simd};

/// (name, n, size, cin, cout, taps)
const LAYERS: &[(&str, [usize; 5])] = &[
    ("32 > 32 @32 b16", [16, 32, 32, 32, 9]),
    ("64 > 64 @16 b16", [16, 16, 64, 64, 9]),
    ("64 > 64 @8 b64", [64, 8, 64, 64, 9]),
    ("32 > 32 @8 b64", [64, 8, 32, 32, 9]),
    ("64 > 64 @4 b64", [64, 4, 64, 64, 9]),
    ("256 > 256 @32 b4", [4, 32, 256, 256, 9]),
    ("256 > 256 @8 b4", [4, 8, 256, 256, 9]),
    ("512 > 256 @16 b4", [4, 16, 512, 256, 9]),
    ("3 > 32 @32 b16", [16, 32, 3, 32, 9]),
    ("32 > 3 @32 b16", [16, 32, 32, 3, 9]),
    ("64 > 32 @32 b16 1x1", [16, 32, 64, 32, 1]),
    ("64 > 192 @16 b16 1x1", [16, 16, 64, 192, 1]),
    ("256 > 256 @16 b4 1x1", [4, 16, 256, 256, 1]),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().map_or(1, |threads| threads.parse().expect("a number of threads"));
    let level = match arguments.next().as_deref() {
        Some("scalar") => Level::Scalar,
        #[cfg(target_arch = "x86_64")]
        Some("avx2") => Level::Avx2,
        _ => Level::detect(),
    };
    let mut pool = Pool::with_level(threads, level);
    WALL.store(threads > 1, Relaxed);
    println!(
        "{level:?}, {threads} threads; GFLOP/s; peak of a thread {:.0}",
        best(2.0 * 16e6 * 16.0, || level.run(Peak))
    );
    println!("{:24}{:>10}{:>10}{:>10}{:>10}", "layer", "forward", "+ silu", "dgrad", "wgrad");
    for (name, [n, size, cin, cout, taps]) in LAYERS.iter().copied() {
        let shape = Conv { n, h: size, w: size, cin, cout, taps };
        let pixels = n * size * size;
        let (x, dy) = (numbers(pixels * cin), numbers(pixels * cout));
        let (w, scale) = (numbers(taps * cin * cout), numbers(n * cin));
        let (mut y, mut dx) = (vec![0.0; pixels * cout], vec![0.0; pixels * cin]);
        let flops = 2.0 * (pixels * taps * cin * cout) as f64;
        let sources = [Source { x: (&x).into(), channels: cin }];
        let plain = Load::plain(&sources);
        let affine = Some(Affine { scale: &scale, shift: &scale });
        let normed = Load { affine, silu: true, ..plain };
        let forward = best(flops, || conv(&mut pool, shape, &plain, &w, &Store::plain(), &mut y));
        let silu = best(flops, || conv(&mut pool, shape, &normed, &w, &Store::plain(), &mut y));
        let gradients = [Source { x: (&dy).into(), channels: cout }];
        let plain = Load::plain(&gradients);
        let dgrad =
            best(flops, || conv_input_gradient(&mut pool, shape, &plain, &w, &Store::plain(), &mut dx));
        let mut dw = vec![0.0; w.len()];
        let wgrad = best(flops, || conv_weight_gradient(&mut pool, shape, &normed, &dy, &mut dw, None));
        println!("{name:24}{forward:10.1}{silu:10.1}{dgrad:10.1}{wgrad:10.1}");
    }
    products(&mut pool);
    others(&mut pool);
}

/// GFLOP/s of matrix products by how each side lies: n as it is multiplied, t transposed.
fn products(pool: &mut Pool) {
    println!("{:24}{:>10}{:>10}{:>10}{:>10}", "products", "nn", "nt", "tn", "softmax");
    for [batch, m, n, k] in [[16, 256, 256, 64], [16, 256, 64, 256], [1, 64, 512, 512], [1, 512, 512, 64]] {
        let (a, b) = (numbers(batch * m * k), numbers(batch * k * n));
        let (shape, mut out) = (Gemm { batch, m, n, k }, vec![0.0; batch * m * n]);
        let flops = (2 * batch * m * n * k) as f64;
        let left = [View::rows(&a, k, m * k), View::rows(&a, m, m * k).transposed()];
        let right = [View::rows(&b, n, k * n), View::rows(&b, k, k * n).transposed()];
        print!("{:24}", format!("{batch} x {m} {n} {k}"));
        for [l, r] in [[0, 0], [0, 1], [1, 0]] {
            print!(
                "{:10.1}",
                best(flops, || gemm(pool, shape, left[l], right[r], Finish::Scale(1.0), &mut out))
            );
        }
        let x = numbers(out.len());
        println!("{:10.1}", 1000.0 / best(x.len() as f64, || softmax(pool, n, &x, &mut out)));
    }
}

/// (n, size, channels)
const IMAGES: &[[usize; 3]] = &[[16, 32, 32], [16, 16, 64], [4, 32, 256], [64, 8, 64]];

/// Picoseconds per element of the kernels around convolutions, and GFLOP/s of attention.
fn others(pool: &mut Pool) {
    let columns = ["stats", "load", "+ dropout", "gradient", "attention", "backward"];
    print!("{:24}", "images");
    columns.iter().for_each(|column| print!("{column:>10}"));
    println!();
    for &[n, size, c] in IMAGES {
        let (norm, pixels) = (Norm { n, h: size, w: size, groups: (c / 4).min(32) }, n * size * size);
        let (x, dy, qkv) = (numbers(pixels * c), numbers(pixels * c), numbers(pixels * 3 * c));
        let (mut y, mut dqkv) = (vec![0.0; pixels * c], vec![0.0; pixels * 3 * c]);
        let (mut stats, mut sums) = (vec![0.0; n * norm.groups * 2], vec![0.0; n * 2 * c]);
        let sources = [Source { x: (&x).into(), channels: c }];
        let scale = numbers(n * c);
        let load = Load {
            affine: Some(Affine { scale: &scale, shift: &scale }),
            silu: true,
            ..Load::plain(&sources)
        };
        let keys = vec![[1, 2, 3, 4]; n];
        let dropped =
            Load { dropout: Some(Dropout { keys: &keys, lane: 0, threshold: 6554, scale: 1.1 }), ..load };
        let each = |rate: f64| 1000.0 / rate;
        let elements = (pixels * c) as f64;
        print!("{:24}", format!("{c} @{size} b{n}"));
        print!("{:10.0}", each(best(elements, || group_stats(pool, norm, &sources, 1e-5, &mut stats))));
        print!("{:10.0}", each(best(elements, || load_images(pool, [n, size, size], &load, &mut y))));
        print!("{:10.0}", each(best(elements, || load_images(pool, [n, size, size], &dropped, &mut y))));
        let backward = Backward { norm, load, stats: &stats, dy: (&dy).into() };
        let both = || {
            let gradient = vec![SourceGradient { dx: (&mut y).into(), residual: None, scale: 1.0 }];
            norm_backward(pool, backward, &mut sums, gradient)
        };
        print!("{:10.0}", each(best(elements, both)));
        if size <= 16 {
            let shape = Attention { n, pixels: size * size, c, heads: 1 };
            let flops = (4 * pixels * size * size * c) as f64;
            print!("{:10.1}", best(flops, || attention(pool, shape, &qkv, &mut y)));
            print!("{:10.1}", best(2.5 * flops, || attention_gradient(pool, shape, &qkv, &dy, &mut dqkv)));
        }
        println!();
    }
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 1000.0).collect()
}

/// Whether to look at the clock on the wall.
static WALL: AtomicBool = AtomicBool::new(false);

/// GFLOP/s of the quickest of several calls within a quarter of a second.
fn best(flops: f64, mut call: impl FnMut()) -> f64 {
    call();
    let (start, mut quickest) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < Duration::from_millis(250) {
        let before = seconds();
        call();
        quickest = quickest.min(seconds() - before);
    }
    flops / quickest / 1e9
}

/// Seconds on the wall, or those that this thread has run; 64-bit Unix only.
fn seconds() -> f64 {
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
    }
    let own = if cfg!(target_os = "macos") { 16 } else { 3 };
    let wall = if cfg!(target_os = "macos") { 6 } else { 1 };
    let clock = if WALL.load(Relaxed) { wall } else { own };
    let mut time = [0; 2];
    // SAFETY: on 64-bit Unix a timespec is two i64.
    let failed = unsafe { clock_gettime(clock, &mut time) };
    assert_eq!(failed, 0, "the system tells the time");
    time[0] as f64 + time[1] as f64 * 1e-9
}

/// Products and sums that never leave the registers: a million of 16 vectors.
struct Peak;

impl Kernel for Peak {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut acc = std::array::from_fn::<_, 16, _>(|i| s.splat(std::hint::black_box(i as f32)));
        let x = std::hint::black_box(0.999);
        for _ in 0..1_000_000 * 16 / S::LANES {
            for acc in &mut acc {
                *acc = s.fma(*acc, s.splat(x), s.splat(x));
            }
        }
        let mut out = [0.0; 256];
        acc.iter().enumerate().for_each(|(i, acc)| s.write(&mut out, i * S::LANES, *acc));
        std::hint::black_box(out);
    }
}
