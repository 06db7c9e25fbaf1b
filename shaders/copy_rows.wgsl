// Lays rows of up to four tensors side by side: y[row] = a[row], b[row], …. A row of the result has `row` elements, of
// which those of `a` end before element `end_a`. Rows of `a` lie `stride_a` apart, those of the result `stride`.
// A thread copies LANES elements.
fn element_of(row: u32, column: u32) -> Lane {
    if (column < given.end_a) {
        return load_a(row * given.stride_a + column);
    }
    if (column < given.end_b) {
        return load_b(row * given.stride_b + column - given.end_a);
    }
    if (column < given.end_c) {
        return load_c(row * given.stride_c + column - given.end_b);
    }
    return load_d(row * given.stride_d + column - given.end_c);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let element = LANES * (256u * piece(workgroup, workgroups) + thread);
    if (element >= given.len) {
        return;
    }
    let row = element / given.row;
    let column = element % given.row;
    store(row * given.stride + column, element_of(row, column));
}
