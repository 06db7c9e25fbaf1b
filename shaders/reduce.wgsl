// Folds the middle of [outer, middle, inner]: FOLD 0 sums (and scales), 1 takes the largest, 2 is ln Σ exp.
//
// A row is one index of the middle, or four (ROW); a column is one of the inner, or four (COLUMN): `Lane`s. A workgroup
// folds a chunk of rows, for `columns` neighbouring columns, and for several outer indices if few threads do for each.
// `strands` threads share a column: each folds every strands-th row of the chunk, CHAIN at most, and their results are
// folded as a tree. So no sum is a long chain of roundings, and its order depends on the middle and inner sizes alone.
// The result is [outer, chunks, inner]: if there are several chunks, another pass folds those.

struct Folded {
    // The largest, in FOLD 1 and 2.
    top: Lane,
    // In FOLD 2, of exp(x - top).
    sum: Lane,
}

var<workgroup> slots: array<Folded, 256>;

const MOST: f32 = 3.4028234e38;

fn nothing() -> Folded {
    return Folded(Lane(float_of(0xff800000u)), Lane(0.0));
}

fn folded_of(x: Lane) -> Folded {
    if (FOLD == 0u) {
        return Folded(Lane(0.0), x);
    }
    return Folded(x, Lane(1.0));
}

fn join(x: Folded, y: Folded) -> Folded {
    if (FOLD == 0u) {
        return Folded(x.top, x.sum + y.sum);
    }
    let top = max(x.top, y.top);
    if (FOLD == 1u) {
        return Folded(top, x.sum);
    }
    let shift = clamp(top, Lane(-MOST), Lane(MOST)); // ∞ - ∞ would be NaN
    return Folded(top, x.sum * exp_lane(x.top - shift) + y.sum * exp_lane(y.top - shift));
}

fn result_of(x: Folded) -> Lane {
    if (FOLD == 0u) {
        return x.sum * given.scale;
    }
    if (FOLD == 1u) {
        return x.top;
    }
    return x.top + ln_lane(x.sum);
}

// The results of four lanes as one.
fn fold_lanes(v: vec4<f32>) -> f32 {
    if (FOLD == 0u) {
        return (v.x + v.y) + (v.z + v.w);
    }
    let top = max(max(v.x, v.y), max(v.z, v.w));
    if (FOLD == 1u) {
        return top;
    }
    let e = exp4(v - clamp(top, -MOST, MOST));
    return top + ln1((e.x + e.y) + (e.z + e.w));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tiles = (given.inner + given.columns - 1u) / given.columns;
    let chunk_rows = given.strands * CHAIN;
    let chunks = max((given.middle + chunk_rows - 1u) / chunk_rows, 1u);
    let together = 256u / (given.strands * given.columns);
    let index = piece(workgroup, workgroups);
    let chunk = index / tiles % chunks;
    let column = index % tiles * given.columns + thread % given.columns;
    let strand = thread / given.columns % given.strands;
    let outer = index / (tiles * chunks) * together + thread / (given.columns * given.strands);
    let is_here = outer < given.outer && column < given.inner;

    var folded = nothing();
    if (is_here) {
        let end = min((chunk + 1u) * chunk_rows, given.middle);
        for (var row = chunk * chunk_rows + strand; row < end; row += given.strands) {
            folded = join(folded, folded_of(value(outer, ROW * row, COLUMN * column)));
        }
    }
    slots[thread] = folded;
    for (var half = given.strands / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (strand < half) {
            slots[thread] = join(slots[thread], slots[thread + half * given.columns]);
        }
    }
    if (is_here && strand == 0u) {
        store((outer * chunks + chunk) * given.inner + column, result_of(slots[thread]));
    }
}
