// Products of matrices: to = (left · right + bias + residual) · scale, for each matrix of a batch, which has two axes.
// left is [m, k], right [k, n]; LEFT_ALONG_K says that left's rows go along k in memory, RIGHT_ALONG_K that right's do.
// With ACCUMULATE the sums start from what is there.

fn first_step(batch: u32) -> Step {
    let outer = batch / given.batch_inner;
    let inner = batch % given.batch_inner;
    let left = outer * given.left_outer + inner * given.left_inner;
    let right = outer * given.right_outer + inner * given.right_inner;
    return Step(0u, given.inner, 0u, left, right);
}

fn next_step(step: Step) -> Step {
    let left = step.left + step_in_memory(LEFT_ALONG_K, given.left_row);
    let right = step.right + step_in_memory(RIGHT_ALONG_K, given.right_row);
    return Step(step.k + TILE_K, step.end, 0u, left, right);
}

/// Rows from m on, or one row, at a k within each step.
struct Left { at: u32, k: u32, rows: u32 }

fn left_at(m: u32, k: u32) -> Left {
    let at = select(k * given.left_row + m, m * given.left_row + k, LEFT_ALONG_K == 1u);
    return Left(at, k, given.rows - min(m, given.rows));
}

fn next_left(left: Left) -> Left {
    return left;
}

fn load_left(left: Left, step: Step) -> f32 {
    if (left.rows == 0u || step.k + left.k >= step.end) {
        return 0.0;
    }
    return read_left(step.left + left.at);
}

fn load_left4(left: Left, step: Step) -> vec4<f32> {
    let depth = step.end - min(step.k + left.k, step.end);
    let along = select(left.rows, depth, LEFT_ALONG_K == 1u);
    let across = select(depth, left.rows, LEFT_ALONG_K == 1u);
    return first_left(step.left + left.at, select(0u, along, across > 0u));
}

fn to_at(batch: u32, m: u32, n: u32) -> u32 {
    let matrix = batch / given.batch_inner * given.to_outer + batch % given.batch_inner * given.to_inner;
    return matrix + m * given.to_row + n;
}

fn start(batch: u32, m: u32, n: u32) -> vec4<f32> {
    var sums = vec4<f32>();
    if (ACCUMULATE == 0u || m >= given.rows) {
        return sums;
    }
    let at = to_at(batch, m, n);
    if (n + 4u <= given.columns) {
        return read_to4(at);
    }
    for (var j = 0u; n + j < given.columns; j += 1u) {
        sums[j] = read_to(at + j);
    }
    return sums;
}

fn store(batch: u32, m: u32, n: u32, sums: vec4<f32>) {
    if (m >= given.rows) {
        return;
    }
    let at = to_at(batch, m, n);
    if (n + 4u <= given.columns) {
        write_to4(at, (sums + read_bias4(n) + read_residual4(at)) * given.scale);
        return;
    }
    for (var j = 0u; n + j < given.columns; j += 1u) {
        write_to(at + j, (sums[j] + read_bias(n + j) + read_residual(at + j)) * given.scale);
    }
}

fn store_column_sums(batch: u32, n: u32, sums: vec4<f32>) {}
