//! The kernels again as plain loops in f64.

use mollify_cpu::kernels::conv::Conv;
use mollify_cpu::kernels::load::{Load, Resize};

pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

pub fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

pub fn silu_gradient(x: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    sigmoid * (1.0 + x * (1.0 - sigmoid))
}

/// Whether dropout leaves an element.
pub fn keeps(key: philox::Row, lane: u32, element: usize, threshold: u32) -> bool {
    let word = philox::lane_words(key, lane, (element / 8) as u32)[element % 8 / 2];
    word >> (element % 2 * 16) & 0xffff >= threshold
}

/// Loaded images `[n, h, w, c]`.
pub fn load([n, h, w]: [usize; 3], load: &Load) -> Vec<f64> {
    let c = load.channels();
    let (height, width) = match load.resize {
        Resize::Same => (h, w),
        Resize::Up => (h / 2, w / 2),
        Resize::Down => (2 * h, 2 * w),
    };
    let mut images = vec![0.0; n * height * width * c];
    for (i, image) in images.iter_mut().enumerate() {
        let (pixel, sample, channel) = (i / c, i / (height * width * c), i % c);
        let mut source = 0;
        let mut at = channel;
        while at >= load.sources[source].channels {
            at -= load.sources[source].channels;
            source += 1;
        }
        let mut x = f64::from(load.sources[source].x.get(pixel * load.sources[source].channels + at));
        if let Some(affine) = load.affine {
            x = x * f64::from(affine.scale[sample * c + channel])
                + f64::from(affine.shift[sample * c + channel]);
        }
        x = if load.silu { silu(x) } else { x };
        if let Some(dropout) = load.dropout {
            let stays =
                keeps(dropout.keys[sample], dropout.lane, i % (height * width * c), dropout.threshold);
            x *= if stays { f64::from(dropout.scale) } else { 0.0 };
        }
        *image = x * f64::from(load.scale);
    }
    let at = |sample: usize, y: usize, x: usize, channel: usize| {
        images[((sample * height + y) * width + x) * c + channel]
    };
    let mut out = Vec::new();
    for i in 0..n * h * w * c {
        let (sample, y, x, channel) = (i / (h * w * c), i / (w * c) % h, i / c % w, i % c);
        out.push(match load.resize {
            Resize::Same => at(sample, y, x, channel),
            Resize::Up => at(sample, y / 2, x / 2, channel),
            Resize::Down => {
                let four = [(0, 0), (0, 1), (1, 0), (1, 1)];
                four.iter().map(|(a, b)| at(sample, 2 * y + a, 2 * x + b, channel)).sum::<f64>() / 4.0
            }
        });
    }
    out
}

/// Calls `product(x, weight, y)` with the indices of every product of a convolution.
fn products(shape: Conv, mut product: impl FnMut(usize, usize, usize)) {
    let Conv { n, h, w, cin, cout, taps } = shape;
    let (side, border) = if taps == 9 { (3, 1) } else { (1, 0) };
    for pixel in 0..n * h * w {
        let (sample, y, x) = (pixel / (h * w), pixel / w % h, pixel % w);
        for tap in 0..taps {
            let (from_y, from_x) = (y + tap / side, x + tap % side);
            if from_y < border || from_x < border || from_y - border >= h || from_x - border >= w {
                continue;
            }
            let from = (sample * h + from_y - border) * w + from_x - border;
            for i in 0..cin {
                for o in 0..cout {
                    product(from * cin + i, (tap * cin + i) * cout + o, pixel * cout + o);
                }
            }
        }
    }
}

pub fn conv(shape: Conv, x: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; shape.n * shape.h * shape.w * shape.cout];
    products(shape, |i, k, o| out[o] += x[i] * weights[k]);
    out
}

pub fn conv_input_gradient(shape: Conv, dy: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; shape.n * shape.h * shape.w * shape.cin];
    products(shape, |i, k, o| dx[i] += dy[o] * weights[k]);
    dx
}

pub fn conv_weight_gradient(shape: Conv, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dw = vec![0.0; shape.taps * shape.cin * shape.cout];
    products(shape, |i, k, o| dw[k] += x[i] * dy[o]);
    dw
}
