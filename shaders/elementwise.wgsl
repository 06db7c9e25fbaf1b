// Makes the elements of results one by one: a thread works out LANES neighbouring ones by `make`, the text of this use.
// It reads all that it needs of them before it writes, so results may lie over operands.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let element = LANES * (256u * piece(workgroup, workgroups) + thread);
    if (element < given.len) {
        make(element);
    }
}
