// How the kernels of group norms share out the work, and what activation and dropout make of what is normalised.
//
// A workgroup takes `together` neighbouring groups of the channels of one sample. Threads that follow each other take
// units of channels that follow each other: a unit is 4 channels (`UNIT`) where groups have a multiple of 4, else 1.
// This repeats on `lanes` pixels at once; a thread has every `lanes`-th pixel. Groups of more than `across` units take
// several rounds:
//
//     thread = (lane · together + group in the workgroup) · across + unit in the round
//
// Numbers of one unit are a vec4, of which a unit of 1 has x alone.

struct Share {
    sample: u32,
    group: u32,
    lane: u32,
    // The thread's place among those of a lane.
    column: u32,
    unit: u32,
    // Whether there is anything for the thread to do.
    there: bool,
}

fn share(job: u32, thread: u32) -> Share {
    let columns = given.together * given.across;
    let column = thread % columns;
    let lane = thread / columns;
    let group = job % given.blocks * given.together + column / given.across;
    let there = lane < given.lanes && group < given.groups;
    return Share(job / given.blocks, group, lane, column, column % given.across, there);
}

// The first channel of a unit of the thread's group.
fn channel_of(mine: Share, unit: u32) -> u32 {
    return mine.group * given.width + unit * UNIT;
}

fn load_x(i: u32) -> vec4<f32> {
    if (UNIT == 4u) {
        return read_x4(i);
    }
    return vec4<f32>(read_x(i), 0.0, 0.0, 0.0);
}

fn load_scale(i: u32) -> vec4<f32> {
    if (UNIT == 4u) {
        return read_scale4(i);
    }
    return vec4<f32>(read_scale(i), 0.0, 0.0, 0.0);
}

fn load_shift(i: u32) -> vec4<f32> {
    if (UNIT == 4u) {
        return read_shift4(i);
    }
    return vec4<f32>(read_shift(i), 0.0, 0.0, 0.0);
}

// What dropout multiplies the elements of a sample from `element` on by. A random word decides on two elements.
fn kept(sample: u32, element: u32) -> vec4<f32> {
    let row = vec4<u32>(read_keys4(4u * sample));
    let words = philox(row, given.drop_lane, element / 8u);
    let pair = select(words.xy, words.zw, (element & 4u) != 0u);
    var halves: vec4<u32>;
    if (UNIT == 4u) {
        halves = vec4<u32>(pair.x, pair.x >> 16u, pair.y, pair.y >> 16u) & vec4<u32>(0xffffu);
    } else {
        let word = select(pair.x, pair.y, (element & 2u) != 0u);
        halves = vec4<u32>((word >> (16u * (element & 1u))) & 0xffffu, 0u, 0u, 0u);
    }
    return select(vec4<f32>(given.drop_scale), vec4<f32>(), halves < vec4<u32>(given.drop_below));
}
