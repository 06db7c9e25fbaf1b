// Group norm of x [n, pixels, channels], in one dispatch or in parts: the statistics of each sample and group, mean and
// 1/√(variance + eps), are worked out and written where `MAKE_STATS`, else read; then y = x̂ · scale + shift, through
// SiLU and dropout if asked, unless the statistics alone are wanted (`APPLY`). Scale and shift are [channels], or
// [n, channels] with a `scale_row` of channels instead of 0. groups.wgsl tells who does what.

// How many numbers, their mean, and the sum of their squared distances from it; a thread each, then joined as a tree.
var<workgroup> moments: array<vec3<f32>, 256>;

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
    let mine = share(job, thread);
    let at = 2u * (mine.sample * given.groups + mine.group);
    var stats: vec2<f32>;
    if (MAKE_STATS == 1u) {
        stats = make_stats(mine);
        if (mine.there && mine.lane + mine.unit == 0u) {
            write_made(at, stats.x);
            write_made(at + 1u, stats.y);
        }
    } else if (mine.there) {
        stats = vec2<f32>(read_stats(at), read_stats(at + 1u));
    }
    if (APPLY == 1u && mine.there) {
        for (var unit = mine.unit; unit < given.units; unit += given.across) {
            apply(mine, channel_of(mine, unit), stats);
        }
    }
}

fn make_stats(mine: Share) -> vec2<f32> {
    var own = vec3<f32>();
    if (mine.there) {
        for (var unit = mine.unit; unit < given.units; unit += given.across) {
            own = join(own, moments_of(mine, channel_of(mine, unit)));
        }
    }
    // The members of a group lie side by side.
    let members = given.lanes * given.across;
    let member = mine.lane * given.across + mine.unit;
    let slot = mine.column / given.across * members + member;
    let is_member = mine.lane < given.lanes;
    if (is_member) {
        moments[slot] = own;
    }
    for (var left = members; left > 1u; left = (left + 1u) / 2u) {
        workgroupBarrier();
        let other = member + (left + 1u) / 2u;
        if (is_member && other < left) {
            moments[slot] = join(moments[slot], moments[slot + (left + 1u) / 2u]);
        }
    }
    workgroupBarrier();
    let whole = moments[select(0u, slot - member, is_member)];
    return vec2<f32>(whole.y, 1.0 / sqrt(whole.z / max(whole.x, 1.0) + given.eps));
}

// Those of the channels of a unit over the thread's pixels, four pixels at a time: a chain of single numbers would
// wait for each of them, and for a division.
fn moments_of(mine: Share, channel: u32) -> vec3<f32> {
    let start = mine.sample * given.pixels * given.channels + channel;
    let step = given.lanes * given.channels;
    let four = 4u * given.lanes;
    var count = 0.0;
    var mean = vec4<f32>();
    var square = vec4<f32>();
    var pixel = mine.lane;
    for (; pixel + 3u * given.lanes < given.pixels; pixel += four) {
        let i = start + pixel * given.channels;
        let x0 = load_x(i);
        let x1 = load_x(i + step);
        let x2 = load_x(i + 2u * step);
        let x3 = load_x(i + 3u * step);
        let part = ((x0 + x1) + (x2 + x3)) * 0.25;
        let share = 4.0 / (count + 4.0);
        let distance = part - mean;
        let squares = (squared(x0 - part) + squared(x1 - part)) + (squared(x2 - part) + squared(x3 - part));
        square += squares + squared(distance) * (count * share);
        mean += distance * share;
        count += 4.0;
    }
    for (; pixel < given.pixels; pixel += given.lanes) {
        let share = 1.0 / (count + 1.0);
        let distance = load_x(start + pixel * given.channels) - mean;
        square += squared(distance) * (count * share);
        mean += distance * share;
        count += 1.0;
    }
    if (UNIT == 1u) {
        return vec3<f32>(count, mean.x, square.x);
    }
    let both = dot(mean, vec4<f32>(0.25));
    return vec3<f32>(4.0 * count, both, dot(square, vec4<f32>(1.0)) + count * dot(mean - both, mean - both));
}

fn squared(x: vec4<f32>) -> vec4<f32> {
    return x * x;
}

fn join(one: vec3<f32>, other: vec3<f32>) -> vec3<f32> {
    let count = one.x + other.x;
    let share = other.x / max(count, 1.0);
    let distance = other.y - one.y;
    return vec3<f32>(count, one.y + distance * share, one.z + other.z + distance * distance * (one.x * share));
}

fn apply(mine: Share, channel: u32, stats: vec2<f32>) {
    let start = mine.sample * given.pixels * given.channels;
    let scale = load_scale(mine.sample * given.scale_row + channel) * stats.y;
    let shift = load_shift(mine.sample * given.shift_row + channel);
    for (var pixel = mine.lane; pixel < given.pixels; pixel += given.lanes) {
        let element = pixel * given.channels + channel;
        var y = fma(load_x(start + element) - stats.x, scale, shift);
        if (SILU == 1u) {
            y = silu4(y);
        }
        if (DROPOUT == 1u) {
            y *= kept(mine.sample, element);
        }
        if (UNIT == 4u) {
            write_y4(start + element, y);
        } else {
            write_y(start + element, y.x);
        }
    }
}
