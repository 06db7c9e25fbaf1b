// Doubles or halves images x [n, height, width, channels] by a separable filter whose taps sum to 1, times a gain. A
// thread makes a unit of 4 channels (`UNIT`), or 1 where they are no multiple of 4, of one pixel of y, gathered from
// the pixels that the filter sees there. Along each axis those are neighbours, seen by every tap when going down, and
// by every second one when going up, as zeros lie between pixels then.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = piece(workgroup, workgroups) * 256u + thread;
    if (at >= given.units) {
        return;
    }
    let units = given.channels / UNIT;
    let pixel = at / units;
    let line = pixel / given.to_width;
    let sample = line / given.to_height;
    let rows = seen(line % given.to_height, given.height);
    let columns = seen(pixel % given.to_width, given.width);
    let start = sample * given.height * given.width * given.channels + at % units * UNIT;
    var sum = vec4<f32>();
    for (var i = rows.first; i < rows.end; i++) {
        var along = vec4<f32>();
        for (var j = columns.first; j < columns.end; j++) {
            let tap = read_taps(columns.tap + (j - columns.first) * STRIDE);
            along = fma(vec4<f32>(tap), load_x(start + (i * given.width + j) * given.channels), along);
        }
        sum = fma(vec4<f32>(read_taps(rows.tap + (i - rows.first) * STRIDE)), along, sum);
    }
    if (UNIT == 4u) {
        write_y4(at * 4u, sum * given.gain);
    } else {
        write_y(at, sum.x * given.gain);
    }
}

// Pixels from one to before another along an axis, and the tap that sees the first.
struct Seen {
    first: u32,
    end: u32,
    tap: u32,
}

// How many taps lie between two that see neighbours.
const STRIDE: u32 = 1u + UP;

// What the filter sees of an axis of `size` pixels at pixel `to` of the result.
fn seen(to: u32, size: u32) -> Seen {
    let taps = i32(given.taps);
    let padding = i32(given.padding);
    var tap = 0;
    var first = 2 * i32(to) - padding;
    if (UP == 1u) {
        let spread = i32(to) + padding + 1 - taps;
        tap = spread & 1;
        first = (spread + tap) >> 1u;
    }
    // What lies before the image is not there.
    let skipped = max(-first, 0);
    let stride = i32(STRIDE);
    let count = (taps - tap + stride - 1) / stride;
    let end = min(first + count, i32(size));
    return Seen(u32(first + skipped), u32(max(end, 0)), u32(tap + skipped * stride));
}

fn load_x(i: u32) -> vec4<f32> {
    if (UNIT == 4u) {
        return read_x4(i);
    }
    return vec4<f32>(read_x(i), 0.0, 0.0, 0.0);
}
