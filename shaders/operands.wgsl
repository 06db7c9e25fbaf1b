// What all kernels of matrix products share: where a workgroup is along k, and how the right side is read. The right
// side is a matrix of `given.columns` columns, stored row by row, or column by column if RIGHT_ALONG_K: what lies side
// by side in memory goes along k then. From one to the next are `given.right_row` elements.

/// Where the k of a step begin and all end, and what to add to addresses.
struct Step { k: u32, end: u32, tap: u32, left: u32, right: u32 }

/// How far a step goes in memory where one step of k is `row` elements, or one.
fn step_in_memory(along_k: u32, row: u32) -> u32 {
    return TILE_K * select(row, 1u, along_k == 1u);
}

/// Columns from n on, or one column, at a k within each step.
struct Right { at: u32, k: u32, columns: u32 }

fn right_at(n: u32, k: u32) -> Right {
    let at = select(k * given.right_row + n, n * given.right_row + k, RIGHT_ALONG_K == 1u);
    return Right(at, k, given.columns - min(n, given.columns));
}

fn load_right(right: Right, step: Step) -> f32 {
    if (right.columns == 0u || step.k + right.k >= step.end) {
        return 0.0;
    }
    return read_right(step.right + right.at);
}

/// Four elements that lie side by side.
fn load_right4(right: Right, step: Step) -> vec4<f32> {
    let depth = step.end - min(step.k + right.k, step.end);
    let along = select(right.columns, depth, RIGHT_ALONG_K == 1u);
    let across = select(depth, right.columns, RIGHT_ALONG_K == 1u);
    return first_right(step.right + right.at, select(0u, along, across > 0u));
}

/// The `count` elements from i on, four at most, then zeros. What is read by fours ends with four.
fn first_right(i: u32, count: u32) -> vec4<f32> {
    if (count >= 4u) {
        return read_right4(i);
    }
    var few = vec4<f32>();
    if (RIGHT_WIDE == 0u) {
        if (count > 0u) { few.x = read_right(i); }
        if (count > 1u) { few.y = read_right(i + 1u); }
        if (count > 2u) { few.z = read_right(i + 2u); }
    }
    return few;
}

fn first_left(i: u32, count: u32) -> vec4<f32> {
    if (count >= 4u) {
        return read_left4(i);
    }
    var few = vec4<f32>();
    if (LEFT_WIDE == 0u) {
        if (count > 0u) { few.x = read_left(i); }
        if (count > 1u) { few.y = read_left(i + 1u); }
        if (count > 2u) { few.z = read_left(i + 2u); }
    }
    return few;
}
