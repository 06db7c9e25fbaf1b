// Adds the samples of a formula's values, [samples, len], to y [len], one after another: a thread sums LANES columns.
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
    var sum = load(element);
    for (var sample = 0u; sample < given.samples; sample++) {
        sum += value(sample, element);
    }
    store(element, sum);
}
