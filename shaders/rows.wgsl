// How the kernels of softmax share out the rows of a tensor: `threads` of a workgroup, a power of two, take one row of
// `size` elements, each of them every `threads`-th unit of 4 elements (`UNIT`), or of 1 where rows are no multiple of 4.
// Numbers of a unit are a vec4, of which a unit of 1 has x alone.

struct Row {
    // The first element, and that after the last, that the thread looks at; none beyond the last row.
    start: u32,
    end: u32,
    lane: u32,
}

var<workgroup> slots: array<f32, 256>;

fn row_of(job: u32, thread: u32) -> Row {
    let row = job * (256u / given.threads) + thread / given.threads;
    let lane = thread % given.threads;
    let size = select(0u, given.size, row < given.rows);
    return Row(row * given.size + lane * UNIT, row * given.size + size, lane);
}

// The sum of a unit.
fn total(x: vec4<f32>) -> f32 {
    return select(x.x, dot(x, vec4<f32>(1.0)), UNIT == 4u);
}

// The sum of a number over the threads of a row.
fn sum_of_row(mine: Row, thread: u32, own: f32) -> f32 {
    workgroupBarrier();
    slots[thread] = own;
    for (var left = given.threads / 2u; left > 0u; left /= 2u) {
        workgroupBarrier();
        if (mine.lane < left) {
            slots[thread] += slots[thread + left];
        }
    }
    workgroupBarrier();
    return slots[thread - mine.lane];
}

// The largest of the numbers of the threads of a row.
fn largest_of_row(mine: Row, thread: u32, own: f32) -> f32 {
    workgroupBarrier();
    slots[thread] = own;
    for (var left = given.threads / 2u; left > 0u; left /= 2u) {
        workgroupBarrier();
        if (mine.lane < left) {
            slots[thread] = max(slots[thread], slots[thread + left]);
        }
    }
    workgroupBarrier();
    return slots[thread - mine.lane];
}
