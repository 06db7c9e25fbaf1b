// dx = y · (dy - Σ dy · y) over the last axis, for y = softmax(x). rows.wgsl tells who does what.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let job = piece(workgroup, workgroups);
    if (job >= given.pieces) {
        return;
    }
    let mine = row_of(job, thread);
    let step = given.threads * UNIT;
    var own = 0.0;
    for (var i = mine.start; i < mine.end; i += step) {
        own += total(load_dy(i) * load_y(i));
    }
    let sum = sum_of_row(mine, thread, own);
    for (var i = mine.start; i < mine.end; i += step) {
        let dx = load_y(i) * (load_dy(i) - sum);
        if (UNIT == 4u) {
            write_dx4(i, dx);
        } else {
            write_dx(i, dx.x);
        }
    }
}

fn load_dy(i: u32) -> vec4<f32> {
    if (UNIT == 4u) {
        return read_dy4(i);
    }
    return vec4<f32>(read_dy(i), 0.0, 0.0, 0.0);
}

fn load_y(i: u32) -> vec4<f32> {
    if (UNIT == 4u) {
        return read_y4(i);
    }
    return vec4<f32>(read_y(i), 0.0, 0.0, 0.0);
}
