// The gradient of group norm, in one dispatch or in parts. With z what the activation sees and dz its gradient:
//
//     sums [n, 2, channels] = Σ dz and Σ dz · x̂ over pixels; written where `MAKE_SUMS`, else read
//     dx = ((dx̂ - mean(dx̂) - x̂ · mean(dx̂ · x̂)) / σ + residual) · factor, where dx̂ = dz · scale; where `APPLY`
//
// Where `ACTIVATE`, what the activation made is written as well: a weight gradient reads it next, and it was not kept.
// The means over a group are sums of sums. Operands are those of group_norm.wgsl, dy beside them. groups.wgsl tells
// who does what; dz is worked out again for dx, as it costs less than to keep it.

// Sums of each thread; in the end, those of a column lie with its first lane.
var<workgroup> plain: array<vec4<f32>, 256>;
var<workgroup> weighted: array<vec4<f32>, 256>;

// What a thread knows of a unit: its channels' scale and shift, mean and 1/σ of their group.
struct Unit {
    // Of the sample's first pixel.
    start: u32,
    channel: u32,
    scale: vec4<f32>,
    shift: vec4<f32>,
    stats: vec2<f32>,
}

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
    var stats: vec2<f32>;
    if (mine.there) {
        let at = 2u * (mine.sample * given.groups + mine.group);
        stats = vec2<f32>(read_stats(at), read_stats(at + 1u));
    }
    let totals = sum_up(mine, thread, stats);
    if (APPLY == 1u && mine.there) {
        for (var number = mine.unit; number < given.units; number += given.across) {
            apply(mine, unit_of(mine, number, stats), totals / f32(given.pixels * given.width));
        }
    }
}

// Σ dx̂ and Σ dx̂ · x̂ of the thread's group; the sums of its channels are read or written on the way.
fn sum_up(mine: Share, thread: u32, stats: vec2<f32>) -> vec2<f32> {
    var own = vec2<f32>();
    for (var round = 0u; round < given.units; round += given.across) {
        let number = round + mine.unit;
        let there = mine.there && number < given.units;
        var unit: Unit;
        if (there) {
            unit = unit_of(mine, number, stats);
        }
        if (MAKE_SUMS == 1u) {
            workgroupBarrier();
            if (there) {
                sum_pixels(mine, thread, unit);
            }
            join_lanes(mine, thread);
        }
        if (there && mine.lane == 0u) {
            own += sums_of(mine, thread, unit);
        }
    }
    // The sums of columns become those of groups.
    workgroupBarrier();
    if (mine.lane == 0u) {
        plain[mine.column] = vec4<f32>(own, 0.0, 0.0);
    }
    workgroupBarrier();
    var totals = vec2<f32>();
    let first = mine.column - mine.unit;
    for (var column = first; column < first + given.across; column++) {
        totals += plain[column].xy;
    }
    return totals;
}

// What a thread's pixels add to the sums of a unit.
fn sum_pixels(mine: Share, thread: u32, unit: Unit) {
    var sums = vec4<f32>();
    var products = vec4<f32>();
    for (var pixel = mine.lane; pixel < given.pixels; pixel += given.lanes) {
        let element = pixel * given.channels + unit.channel;
        let x_hat = (load_x(unit.start + element) - unit.stats.x) * unit.stats.y;
        let dz = gradient_of(mine.sample, element, unit, x_hat);
        sums += dz;
        products = fma(dz, x_hat, products);
    }
    plain[thread] = sums;
    weighted[thread] = products;
}

fn join_lanes(mine: Share, thread: u32) {
    let columns = given.together * given.across;
    for (var left = given.lanes; left > 1u; left = (left + 1u) / 2u) {
        workgroupBarrier();
        let other = mine.lane + (left + 1u) / 2u;
        if (other < left) {
            plain[thread] += plain[thread + (left + 1u) / 2u * columns];
            weighted[thread] += weighted[thread + (left + 1u) / 2u * columns];
        }
    }
}

// Σ dx̂ and Σ dx̂ · x̂ of a unit, by the first lane.
fn sums_of(mine: Share, thread: u32, unit: Unit) -> vec2<f32> {
    let at = 2u * mine.sample * given.channels + unit.channel;
    var first: vec4<f32>;
    var second: vec4<f32>;
    if (MAKE_SUMS == 1u) {
        first = plain[thread];
        second = weighted[thread];
        write_sum(at, first);
        write_sum(at + given.channels, second);
    } else {
        first = read_sum(at);
        second = read_sum(at + given.channels);
    }
    return vec2<f32>(dot(first, unit.scale), dot(second, unit.scale));
}

fn unit_of(mine: Share, number: u32, stats: vec2<f32>) -> Unit {
    let channel = channel_of(mine, number);
    let scale = load_scale(mine.sample * given.scale_row + channel);
    let shift = load_shift(mine.sample * given.shift_row + channel);
    return Unit(mine.sample * given.pixels * given.channels, channel, scale, shift, stats);
}

// dz at an element of the sample.
fn gradient_of(sample: u32, element: u32, unit: Unit, x_hat: vec4<f32>) -> vec4<f32> {
    var dz = load_dy(unit.start + element);
    if (SILU == 1u) {
        dz *= silu_gradient4(fma(x_hat, unit.scale, unit.shift));
    }
    if (DROPOUT == 1u) {
        dz *= kept(sample, element);
    }
    return dz;
}

fn apply(mine: Share, unit: Unit, means: vec2<f32>) {
    for (var pixel = mine.lane; pixel < given.pixels; pixel += given.lanes) {
        let element = pixel * given.channels + unit.channel;
        let i = unit.start + element;
        let x_hat = (load_x(i) - unit.stats.x) * unit.stats.y;
        let dx_hat = gradient_of(mine.sample, element, unit, x_hat) * unit.scale;
        let dx = (dx_hat - means.x - x_hat * means.y) * unit.stats.y;
        store_dx(i, (dx + load_residual(i)) * given.factor);
        if (ACTIVATE == 1u) {
            store_activated(mine.sample, element, i, fma(x_hat, unit.scale, unit.shift));
        }
    }
}

fn store_activated(sample: u32, element: u32, i: u32, z: vec4<f32>) {
    var y = z;
    if (SILU == 1u) {
        y = silu4(y);
    }
    if (DROPOUT == 1u) {
        y *= kept(sample, element);
    }
    if (UNIT == 4u) {
        write_activated4(i, y);
    } else {
        write_activated(i, y.x);
    }
}

fn load_dy(i: u32) -> vec4<f32> {
    if (UNIT == 4u) {
        return read_dy4(i);
    }
    return vec4<f32>(read_dy(i), 0.0, 0.0, 0.0);
}

fn load_residual(i: u32) -> vec4<f32> {
    if (UNIT == 4u) {
        return read_residual4(i);
    }
    return vec4<f32>(read_residual(i), 0.0, 0.0, 0.0);
}

fn store_dx(i: u32, dx: vec4<f32>) {
    if (UNIT == 4u) {
        write_dx4(i, dx);
    } else {
        write_dx(i, dx.x);
    }
}

fn read_sum(i: u32) -> vec4<f32> {
    if (UNIT == 4u) {
        return read_sums4(i);
    }
    return vec4<f32>(read_sums(i), 0.0, 0.0, 0.0);
}

fn write_sum(i: u32, sum: vec4<f32>) {
    if (UNIT == 4u) {
        write_made4(i, sum);
    } else {
        write_made(i, sum.x);
    }
}
