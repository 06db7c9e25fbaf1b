// Adds rows to the gradients: a workgroup sums 256 elements of one value over its rows, in their order.
// Each of the `chunks` is five numbers: where the first row starts, how far the next one is, how many there are, where
// the sum goes, and how many elements it has.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let chunk = 5u * piece(workgroup, workgroups);
    if (chunk >= 5u * given.pieces || thread >= read_chunks(chunk + 4u)) {
        return;
    }
    let stride = read_chunks(chunk + 1u);
    let to = read_chunks(chunk + 3u) + thread;
    var at = read_chunks(chunk) + thread;
    var sum = read_to(to);
    for (var row = read_chunks(chunk + 2u); row > 0u; row--) {
        sum += read_rows(at);
        at += stride;
    }
    write_to(to, sum);
}
