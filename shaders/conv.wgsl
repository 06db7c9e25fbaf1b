// A convolution of images [n, height, width, inner] with weights, or its input gradient, as a matrix product:
// to = (Σ left · right + bias + channel + residual) · scale. A row m is a pixel, a column an output channel, and k goes
// through the input channels of one tap after the other (TAPS: 9, row by row, or 1); a step never straddles taps.
//
// Weights are [tap, input channel, output channel]. The input gradient (TRANSPOSED) reads them from output to input
// channel, RIGHT_ALONG_K, and taps backwards. Pixels outside the image are zeros: for each row of the product, bits say
// which taps see a pixel.

fn first_step(batch: u32) -> Step {
    return first_step_of(0u);
}

fn first_step_of(tap: u32) -> Step {
    // Relative to the pixel; the sums wrap around below zero and back.
    var shift = 0u;
    if (TAPS == 9u) {
        shift = tap / 3u * given.width + tap % 3u - given.width - 1u;
    }
    let weights = select(tap, TAPS - 1u - tap, TRANSPOSED == 1u);
    return Step(0u, given.inner, tap, shift * given.inner, weights * given.inner * given.columns);
}

fn next_step(step: Step) -> Step {
    if (step.k + TILE_K >= given.inner) {
        return first_step_of(step.tap + 1u);
    }
    let right = step.right + step_in_memory(RIGHT_ALONG_K, given.right_row);
    return Step(step.k + TILE_K, step.end, step.tap, step.left + TILE_K, right);
}

/// A pixel, at a k within each step.
struct Left { at: u32, k: u32, taps: u32 }

fn left_at(m: u32, k: u32) -> Left {
    if (m >= given.rows) {
        return Left(0u, k, 0u);
    }
    var taps = 1u;
    if (TAPS == 9u) {
        let y = m / given.width % given.height;
        let x = m % given.width;
        taps = 0x1ffu;
        taps &= select(0x1ffu, 0x1f8u, y == 0u);
        taps &= select(0x1ffu, 0x03fu, y + 1u == given.height);
        taps &= select(0x1ffu, 0x1b6u, x == 0u);
        taps &= select(0x1ffu, 0x0dbu, x + 1u == given.width);
    }
    return Left(m * given.inner + k, k, taps);
}

fn next_left(left: Left) -> Left {
    return left;
}

fn is_seen(left: Left, step: Step) -> bool {
    return ((left.taps >> step.tap) & 1u) == 1u;
}

fn load_left(left: Left, step: Step) -> f32 {
    if (!is_seen(left, step) || step.k + left.k >= step.end) {
        return 0.0;
    }
    return read_left(step.left + left.at);
}

fn load_left4(left: Left, step: Step) -> vec4<f32> {
    let depth = step.end - min(step.k + left.k, step.end);
    return first_left(step.left + left.at, select(0u, depth, is_seen(left, step)));
}

fn start(batch: u32, m: u32, n: u32) -> vec4<f32> {
    return vec4<f32>();
}

fn store(batch: u32, m: u32, n: u32, sums: vec4<f32>) {
    if (m >= given.rows) {
        return;
    }
    let at = m * given.columns + n;
    let channel = m / (given.height * given.width) * given.columns + n;
    if (n + 4u <= given.columns) {
        let added = read_bias4(n) + read_channel4(channel) + read_residual4(at);
        write_to4(at, (sums + added) * given.scale);
        return;
    }
    for (var j = 0u; n + j < given.columns; j += 1u) {
        let added = read_bias(n + j) + read_channel(channel + j) + read_residual(at + j);
        write_to(at + j, (sums[j] + added) * given.scale);
    }
}

fn store_column_sums(batch: u32, n: u32, sums: vec4<f32>) {}
