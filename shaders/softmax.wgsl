// y = softmax(x) over the last axis: e^(x - m) / Σ e^(x - m), where m is the largest of a row. rows.wgsl tells who does
// what; a thread comes back to the same elements three times, which are near by then.
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
    var most = -3.40282347e38;
    for (var i = mine.start; i < mine.end; i += step) {
        let x = load_x(i);
        most = max(most, select(x.x, max(max(x.x, x.y), max(x.z, x.w)), UNIT == 4u));
    }
    most = largest_of_row(mine, thread, most);
    var sum = 0.0;
    for (var i = mine.start; i < mine.end; i += step) {
        sum += total(exp4(load_x(i) - most));
    }
    let factor = 1.0 / sum_of_row(mine, thread, sum);
    for (var i = mine.start; i < mine.end; i += step) {
        let y = exp4(load_x(i) - most) * factor;
        if (UNIT == 4u) {
            write_y4(i, y);
        } else {
            write_y(i, y.x);
        }
    }
}

fn load_x(i: u32) -> vec4<f32> {
    if (UNIT == 4u) {
        return read_x4(i);
    }
    return vec4<f32>(read_x(i), 0.0, 0.0, 0.0);
}
