// The gradient of a convolution's weights, [tap, input channel, output channel], as a matrix product: a row m is a tap
// and an input channel, a column an output channel, and k goes through the pixels of a group of samples. left is the
// images, shifted by the tap; right is the gradient of the convolution's result.
//
// Groups of the same samples make the same sums, whatever else is in the batch: a row of sums each, in `to`, that are
// added to the gradient in their order later. After a group's weights come the sums of the gradient itself, for the
// bias (SUM_RIGHT). With ADD there is one group of all, which is added to what is there.
//
// Where input channels come by fours (LEFT_WIDE), a quad of rows is four of them under one tap. Else rows are loaded one
// by one (LEFT_ALONG_K).

fn first_step(batch: u32) -> Step {
    let pixel = (given.first + batch) * given.group;
    let pixels = min(given.group, given.pixels - pixel);
    return Step(0u, pixels, 0u, pixel * given.channels, pixel * given.columns);
}

fn next_step(step: Step) -> Step {
    let left = step.left + TILE_K * given.channels;
    return Step(step.k + TILE_K, step.end, 0u, left, step.right + TILE_K * given.columns);
}

/// An input channel under a tap, for a pixel of each step: which row and column of its image that is, and where the
/// tap is.
struct Left { at: u32, k: u32, y: u32, x: u32, down: u32, right: u32 }

fn left_at(m: u32, k: u32) -> Left {
    if (m >= given.rows) {
        return Left(0u, 0x80000000u, 0u, 0u, 0u, 0u);
    }
    if (TAPS == 1u) {
        return Left(k * given.channels + m, k, 0u, 0u, 0u, 0u);
    }
    let tap = m / given.channels;
    let shift = tap / 3u * given.width + tap % 3u - given.width - 1u;
    let at = (k + shift) * given.channels + m % given.channels;
    return Left(at, k, k / given.width % given.height, k % given.width, tap / 3u, tap % 3u);
}

/// TILE_K pixels on, which are `step_y` rows and `step_x` columns, in whichever sample that is.
fn next_left(left: Left) -> Left {
    if (TAPS == 1u) {
        return left;
    }
    var next = left;
    next.x += given.step_x;
    next.y += given.step_y;
    if (next.x >= given.width) {
        next.x -= given.width;
        next.y += 1u;
    }
    if (next.y >= given.height) {
        next.y -= given.height;
    }
    return next;
}

fn is_seen(left: Left, step: Step) -> bool {
    let inside = step.k + left.k < step.end;
    if (TAPS == 1u) {
        return inside;
    }
    // One up and left of the image wraps around to far outside of it.
    return inside && left.y + left.down - 1u < given.height && left.x + left.right - 1u < given.width;
}

fn load_left(left: Left, step: Step) -> f32 {
    if (!is_seen(left, step)) {
        return 0.0;
    }
    return read_left(step.left + left.at);
}

fn load_left4(left: Left, step: Step) -> vec4<f32> {
    return first_left(step.left + left.at, select(0u, 4u, is_seen(left, step)));
}

fn start(batch: u32, m: u32, n: u32) -> vec4<f32> {
    return vec4<f32>();
}

fn store(batch: u32, m: u32, n: u32, sums: vec4<f32>) {
    if (m < given.rows) {
        store_row(batch, m, n, sums);
    }
}

fn store_column_sums(batch: u32, n: u32, sums: vec4<f32>) {
    store_row(batch, given.rows, n, sums);
}

fn store_row(batch: u32, row: u32, n: u32, sums: vec4<f32>) {
    let at = batch * given.stride + row * given.columns + n;
    if (n + 4u <= given.columns) {
        var all = sums;
        if (ADD == 1u) {
            all += read_to4(at);
        }
        write_to4(at, all);
        return;
    }
    for (var j = 0u; n + j < given.columns; j += 1u) {
        var one = sums[j];
        if (ADD == 1u) {
            one += read_to(at + j);
        }
        write_to(at + j, one);
    }
}
