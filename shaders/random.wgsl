// Draws y [n, width] from keys [n, 4]: a thread draws the four elements of a block of Philox, which the key of its
// sample, the lane and the block's number decide on. `drawn_of` is `words`, `units` or `normals`.

// Odd multiples of 2^-24 between 0 and 1.
fn units(words: vec4<u32>) -> vec4<f32> {
    return vec4<f32>((words >> vec4<u32>(8u)) | vec4<u32>(1u)) * 5.9604644775390625e-8;
}

// Two normals by Box and Muller. The angle is cut down to an eighth of a turn while it is exact.
fn normal_pair(unit: vec2<f32>) -> vec2<f32> {
    let radius = sqrt(-2.0 * ln1(unit.x));
    let quarters = round(4.0 * unit.y);
    let turned = sin_cos(6.28318531 * (unit.y - 0.25 * quarters)).yx;
    let quadrant = u32(quarters) % 4u;
    let swapped = select(turned, turned.yx, quadrant % 2u == 1u);
    let negative = vec2<bool>(quadrant == 1u || quadrant == 2u, quadrant >= 2u);
    return radius * select(swapped, -swapped, negative);
}

fn normals(words: vec4<u32>) -> vec4<f32> {
    let unit = units(words);
    return vec4<f32>(normal_pair(unit.xy), normal_pair(unit.zw));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let blocks = (given.width + 3u) / 4u;
    let index = 256u * piece(workgroup, workgroups) + thread;
    let sample = index / blocks;
    let block = index % blocks;
    if (sample >= given.n) {
        return;
    }
    let drawn = drawn_of(philox(read_keys4(4u * sample), given.lane, block));
    let at = sample * given.width + 4u * block;
    let count = min(given.width - 4u * block, 4u);
    if (count == 4u) {
        write_y4(at, drawn);
        return;
    }
    for (var element = 0u; element < count; element++) {
        write_y(at + element, drawn[element]);
    }
}
