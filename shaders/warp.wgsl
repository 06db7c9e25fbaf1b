// Reads images x [n, height, width, channels] at other places, a thread a pixel of y with all its channels. A row of
// `places` says where (`tensor::Warp`). Along each axis a pixel sees SEEN neighbours: two of the image itself, or those
// that make two of the image doubled by a filter, whose `taps` are divided by half their sum (`DOUBLED`).
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = piece(workgroup, workgroups) * 256u + thread;
    if (at >= given.pixels) {
        return;
    }
    let line = at / given.to_width;
    let sample = line / given.to_height;
    let place = sample * 10u;
    let u = f32(at % given.to_width) - 0.5 * f32(given.to_width - 1u);
    let v = f32(line % given.to_height) - 0.5 * f32(given.to_height - 1u);
    let column = read_places(place) * u + read_places(place + 1u) * v + read_places(place + 2u);
    let row = read_places(place + 3u) * u + read_places(place + 4u) * v + read_places(place + 5u);
    let columns = seen(column, i32(given.width), read_places(place + 6u), read_places(place + 8u));
    let rows = seen(row, i32(given.height), read_places(place + 7u), read_places(place + 9u));
    let start = sample * given.height * given.width * given.channels;
    for (var channel = 0u; channel < given.channels; channel++) {
        var sum = 0.0;
        for (var i = 0u; i < SEEN; i++) {
            let source = start + rows.at[i] * given.width * given.channels + channel;
            var along = 0.0;
            for (var j = 0u; j < SEEN; j++) {
                along = fma(columns.by[j], read_x(source + columns.at[j] * given.channels), along);
            }
            sum = fma(rows.by[i], along, sum);
        }
        write_y(at * given.channels + channel, sum);
    }
}

// The rows or columns that are seen, and their weights.
struct Seen {
    at: array<u32, SEEN>,
    by: array<f32, SEEN>,
}

const SCALE: i32 = 1 + i32(DOUBLED);
const FARTHEST: f32 = 1048576.0;

// What is seen at a place, counted from the centre, of an axis of `size` pixels and the margins around.
fn seen(from_centre: f32, size: i32, before: f32, after: f32) -> Seen {
    let place = clamp(from_centre, -FARTHEST, FARTHEST) + 0.5 * f32(SCALE * size - 1);
    let part = place - floor(place);
    let at = i32(floor(place));
    let low = -i32(clamp(before, 0.0, FARTHEST));
    let high = size + i32(clamp(after, 0.0, FARTHEST));
    let first_within = (SCALE * low <= at) && (at < SCALE * high);
    let second_within = (SCALE * low <= at + 1) && (at + 1 < SCALE * high);
    let two = vec2<f32>(select(0.0, 1.0 - part, first_within), select(0.0, part, second_within));
    var result: Seen;
    if (DOUBLED == 0u) {
        for (var k = 0u; k < 2u; k++) {
            result.at[k] = reflected(at + i32(k), size);
            result.by[k] = two[k];
        }
        return result;
    }
    let half = i32(given.taps) / 2;
    let first = (at - half + 1) >> 1u;
    for (var k = 0u; k < SEEN; k++) {
        let pixel = first + i32(k);
        let tap = 2 * pixel - at + half;
        result.at[k] = reflected(pixel, size);
        if (pixel >= low && pixel < high) {
            result.by[k] = two.x * tap_at(tap) + two.y * tap_at(tap - 1);
        }
    }
    return result;
}

fn tap_at(tap: i32) -> f32 {
    if (tap < 0 || tap >= i32(given.taps)) {
        return 0.0;
    }
    return read_taps(u32(tap));
}

// The image goes on as its reflection, in which its last pixel is not repeated.
fn reflected(at: i32, size: i32) -> u32 {
    let period = max(2 * size - 2, 1);
    let turned = ((at % period) + period) % period;
    return u32(min(turned, period - turned));
}
