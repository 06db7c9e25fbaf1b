// A tile of a matrix product by matrix units: a workgroup of eight subgroups of 32 threads works out TILE_M x TILE_N =
// 128 x 128 sums by steps of TILE_K = 32 along k. It multiplies 16 bits and sums 32.
//
// Threads load the next step's part of both sides into registers while the subgroups multiply this step's part, which
// lies in workgroup memory; each subgroup holds 64 x 32 sums as 4 x 2 fragments of 16 x 16. At the end fragments go
// through workgroup memory, so that threads can take quads of columns to `store`.
//
// The kernel beside this file says what is multiplied, as for `tile.wgsl`.

// A side whose rows (or columns) lie along k in memory lies so here: row by row, quads of k side by side. The other lies
// k by k. Two quads more than there are keep lines in different banks, and aligned to 16 bytes. Matrix units count the
// distance from line to line in quads, as the pointer they get is to one.
const LEFT_PITCH = (LEFT_ALONG_K * TILE_K + (1u - LEFT_ALONG_K) * TILE_M) / 4u + 2u;
const RIGHT_PITCH = (RIGHT_ALONG_K * TILE_K + (1u - RIGHT_ALONG_K) * TILE_N) / 4u + 2u;
const LEFT_LINES = LEFT_ALONG_K * TILE_M + (1u - LEFT_ALONG_K) * TILE_K;
const RIGHT_LINES = RIGHT_ALONG_K * TILE_N + (1u - RIGHT_ALONG_K) * TILE_K;
var<workgroup> left_tile: array<vec4<f16>, LEFT_LINES * LEFT_PITCH>;
var<workgroup> right_tile: array<vec4<f16>, RIGHT_LINES * RIGHT_PITCH>;

/// A fragment of each subgroup on its way to memory.
var<workgroup> sums_tile: array<vec4<f32>, 8u * 64u>;

/// A quad of a step that a thread loads: the first row or column of it, its first k, and where it goes.
struct Place { row: u32, k: u32, to: u32 }

/// Neighbouring threads load what lies side by side in memory; each loads four quads of both sides.
fn place(thread: u32, size: u32, along_k: u32, pitch: u32) -> Place {
    if (along_k == 1u) {
        let row = thread / (TILE_K / 4u);
        let quad = thread % (TILE_K / 4u);
        return Place(row, 4u * quad, row * pitch + quad);
    }
    let k = thread / (size / 4u);
    let quad = thread % (size / 4u);
    return Place(4u * quad, k, k * pitch + quad);
}

/// Where a fragment begins in a tile.
fn fragment_at(row: u32, k: u32, along_k: u32, pitch: u32) -> u32 {
    return select(k * pitch + row / 4u, row * pitch + k / 4u, along_k == 1u);
}

fn left_place(thread: u32) -> Place {
    return place(thread, TILE_M, LEFT_ALONG_K, LEFT_PITCH);
}

fn right_place(thread: u32) -> Place {
    return place(thread, TILE_N, RIGHT_ALONG_K, RIGHT_PITCH);
}

fn left_fragment_at(m: u32, k: u32) -> u32 {
    return fragment_at(m, k, LEFT_ALONG_K, LEFT_PITCH);
}

fn right_fragment_at(n: u32, k: u32) -> u32 {
    return fragment_at(n, k, RIGHT_ALONG_K, RIGHT_PITCH);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    // As `piece` does it, where naga sees that all threads of a workgroup return.
    let tile = workgroup.x + workgroup.y * workgroups.x;
    if (tile >= given.pieces) {
        return;
    }
    let batch = tile / (given.tiles_m * given.tiles_n);
    let tile_m = TILE_M * (tile / given.tiles_n % given.tiles_m);
    let tile_n = TILE_N * (tile % given.tiles_n);

    // What this thread loads of every step.
    let left_place_0 = left_place(thread);
    let left_place_1 = left_place(thread + 256u);
    let left_place_2 = left_place(thread + 512u);
    let left_place_3 = left_place(thread + 768u);
    let right_place_0 = right_place(thread);
    let right_place_1 = right_place(thread + 256u);
    let right_place_2 = right_place(thread + 512u);
    let right_place_3 = right_place(thread + 768u);
    var left_from_0 = left_at(tile_m + left_place_0.row, left_place_0.k);
    var left_from_1 = left_at(tile_m + left_place_1.row, left_place_1.k);
    var left_from_2 = left_at(tile_m + left_place_2.row, left_place_2.k);
    var left_from_3 = left_at(tile_m + left_place_3.row, left_place_3.k);
    let right_from_0 = right_at(tile_n + right_place_0.row, right_place_0.k);
    let right_from_1 = right_at(tile_n + right_place_1.row, right_place_1.k);
    let right_from_2 = right_at(tile_n + right_place_2.row, right_place_2.k);
    let right_from_3 = right_at(tile_n + right_place_3.row, right_place_3.k);
    var left_next_0: vec4<f16>;
    var left_next_1: vec4<f16>;
    var left_next_2: vec4<f16>;
    var left_next_3: vec4<f16>;
    var right_next_0: vec4<f16>;
    var right_next_1: vec4<f16>;
    var right_next_2: vec4<f16>;
    var right_next_3: vec4<f16>;
    var column_sums = vec4<f32>();

    // The sums of this subgroup: fragments by their row and column.
    let first_m = subgroup / 4u * 64u;
    let first_n = subgroup % 4u * 32u;
    var sums_00 = coop_mat16x16<f32, C>();
    var sums_01 = coop_mat16x16<f32, C>();
    var sums_10 = coop_mat16x16<f32, C>();
    var sums_11 = coop_mat16x16<f32, C>();
    var sums_20 = coop_mat16x16<f32, C>();
    var sums_21 = coop_mat16x16<f32, C>();
    var sums_30 = coop_mat16x16<f32, C>();
    var sums_31 = coop_mat16x16<f32, C>();

    // Each turn loads a step and multiplies the one before, which is zeros at first: matrix units work only where naga
    // sees that all threads do.
    left_tile[left_place_0.to] = left_next_0;
    left_tile[left_place_1.to] = left_next_1;
    left_tile[left_place_2.to] = left_next_2;
    left_tile[left_place_3.to] = left_next_3;
    right_tile[right_place_0.to] = right_next_0;
    right_tile[right_place_1.to] = right_next_1;
    right_tile[right_place_2.to] = right_next_2;
    right_tile[right_place_3.to] = right_next_3;
    workgroupBarrier();
    var step = first_step(batch);
    for (var turn = 0u; turn <= given.steps; turn += 1u) {
        if (turn < given.steps) {
            left_next_0 = vec4<f16>(load_left4(left_from_0, step));
            left_next_1 = vec4<f16>(load_left4(left_from_1, step));
            left_next_2 = vec4<f16>(load_left4(left_from_2, step));
            left_next_3 = vec4<f16>(load_left4(left_from_3, step));
            left_from_0 = next_left(left_from_0);
            left_from_1 = next_left(left_from_1);
            left_from_2 = next_left(left_from_2);
            left_from_3 = next_left(left_from_3);
            let loaded_0 = load_right4(right_from_0, step);
            let loaded_1 = load_right4(right_from_1, step);
            let loaded_2 = load_right4(right_from_2, step);
            let loaded_3 = load_right4(right_from_3, step);
            if (SUM_RIGHT == 1u) {
                column_sums += (loaded_0 + loaded_1) + (loaded_2 + loaded_3);
            }
            right_next_0 = vec4<f16>(loaded_0);
            right_next_1 = vec4<f16>(loaded_1);
            right_next_2 = vec4<f16>(loaded_2);
            right_next_3 = vec4<f16>(loaded_3);
            step = next_step(step);
        }
        for (var k = 0u; k < TILE_K; k += 16u) {
            let right_at_0 = right_fragment_at(first_n, k);
            let right_at_1 = right_fragment_at(first_n + 16u, k);
            var right_0: coop_mat16x16<f16, B>;
            var right_1: coop_mat16x16<f16, B>;
            if (RIGHT_ALONG_K == 1u) {
                right_0 = coopLoad<coop_mat16x16<f16, B>>(&right_tile[right_at_0], RIGHT_PITCH);
                right_1 = coopLoad<coop_mat16x16<f16, B>>(&right_tile[right_at_1], RIGHT_PITCH);
            } else {
                right_0 = coopLoadT<coop_mat16x16<f16, B>>(&right_tile[right_at_0], RIGHT_PITCH);
                right_1 = coopLoadT<coop_mat16x16<f16, B>>(&right_tile[right_at_1], RIGHT_PITCH);
            }
            let left_at_0 = left_fragment_at(first_m, k);
            let left_at_1 = left_fragment_at(first_m + 16u, k);
            let left_at_2 = left_fragment_at(first_m + 32u, k);
            let left_at_3 = left_fragment_at(first_m + 48u, k);
            var left_0: coop_mat16x16<f16, A>;
            var left_1: coop_mat16x16<f16, A>;
            var left_2: coop_mat16x16<f16, A>;
            var left_3: coop_mat16x16<f16, A>;
            if (LEFT_ALONG_K == 1u) {
                left_0 = coopLoadT<coop_mat16x16<f16, A>>(&left_tile[left_at_0], LEFT_PITCH);
                left_1 = coopLoadT<coop_mat16x16<f16, A>>(&left_tile[left_at_1], LEFT_PITCH);
                left_2 = coopLoadT<coop_mat16x16<f16, A>>(&left_tile[left_at_2], LEFT_PITCH);
                left_3 = coopLoadT<coop_mat16x16<f16, A>>(&left_tile[left_at_3], LEFT_PITCH);
            } else {
                left_0 = coopLoad<coop_mat16x16<f16, A>>(&left_tile[left_at_0], LEFT_PITCH);
                left_1 = coopLoad<coop_mat16x16<f16, A>>(&left_tile[left_at_1], LEFT_PITCH);
                left_2 = coopLoad<coop_mat16x16<f16, A>>(&left_tile[left_at_2], LEFT_PITCH);
                left_3 = coopLoad<coop_mat16x16<f16, A>>(&left_tile[left_at_3], LEFT_PITCH);
            }
            sums_00 = coopMultiplyAdd(left_0, right_0, sums_00);
            sums_01 = coopMultiplyAdd(left_0, right_1, sums_01);
            sums_10 = coopMultiplyAdd(left_1, right_0, sums_10);
            sums_11 = coopMultiplyAdd(left_1, right_1, sums_11);
            sums_20 = coopMultiplyAdd(left_2, right_0, sums_20);
            sums_21 = coopMultiplyAdd(left_2, right_1, sums_21);
            sums_30 = coopMultiplyAdd(left_3, right_0, sums_30);
            sums_31 = coopMultiplyAdd(left_3, right_1, sums_31);
        }
        workgroupBarrier();
        if (turn < given.steps) {
            left_tile[left_place_0.to] = left_next_0;
            left_tile[left_place_1.to] = left_next_1;
            left_tile[left_place_2.to] = left_next_2;
            left_tile[left_place_3.to] = left_next_3;
            right_tile[right_place_0.to] = right_next_0;
            right_tile[right_place_1.to] = right_next_1;
            right_tile[right_place_2.to] = right_next_2;
            right_tile[right_place_3.to] = right_next_3;
        }
        workgroupBarrier();
    }

    let m = tile_m + first_m;
    let n = tile_n + first_n;
    let slot = 64u * subgroup;
    coopStoreT(sums_00, &sums_tile[slot], 4u);
    store_fragment(batch, m, n, slot, lane);
    coopStoreT(sums_01, &sums_tile[slot], 4u);
    store_fragment(batch, m, n + 16u, slot, lane);
    coopStoreT(sums_10, &sums_tile[slot], 4u);
    store_fragment(batch, m + 16u, n, slot, lane);
    coopStoreT(sums_11, &sums_tile[slot], 4u);
    store_fragment(batch, m + 16u, n + 16u, slot, lane);
    coopStoreT(sums_20, &sums_tile[slot], 4u);
    store_fragment(batch, m + 32u, n, slot, lane);
    coopStoreT(sums_21, &sums_tile[slot], 4u);
    store_fragment(batch, m + 32u, n + 16u, slot, lane);
    coopStoreT(sums_30, &sums_tile[slot], 4u);
    store_fragment(batch, m + 48u, n, slot, lane);
    coopStoreT(sums_31, &sums_tile[slot], 4u);
    store_fragment(batch, m + 48u, n + 16u, slot, lane);

    // Each thread has summed a quad of columns over every eighth k.
    if (SUM_RIGHT == 1u) {
        sums_tile[thread] = column_sums;
        workgroupBarrier();
        if (tile_m == 0u && thread < TILE_N / 4u) {
            var sums = sums_tile[thread];
            for (var k = 1u; k < 8u; k += 1u) {
                sums += sums_tile[k * TILE_N / 4u + thread];
            }
            store_column_sums(batch, tile_n + 4u * thread, sums);
        }
    }
}

/// Takes the fragment that a subgroup has put aside to memory: two quads a thread.
fn store_fragment(batch: u32, m: u32, n: u32, slot: u32, lane: u32) {
    workgroupBarrier();
    store(batch, m + lane / 4u, n + 4u * (lane % 4u), sums_tile[slot + lane]);
    store(batch, m + 8u + lane / 4u, n + 4u * (lane % 4u), sums_tile[slot + 32u + lane]);
    workgroupBarrier();
}
