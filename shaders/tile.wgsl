// A tile of a matrix product: a workgroup of 256 threads works out TILE_M x TILE_N sums by steps of TILE_K along k.
//
// Threads load the next step's part of both sides into registers, work through this step's part, which lies in
// workgroup memory, and then put the next one beside it. A thread holds the sums of one or two quads of rows (QUADS_M)
// by one or two quads of columns (QUADS_N); each sum adds its products in the order of k, whatever the tile.
//
// The kernel beside this file says what is multiplied, and reads zeros wherever there is nothing:
//   first_step(batch), next_step(step)       where all threads are along k
//   left_at(m, k), next_left(left)           what a thread keeps about row m, at a k within each step
//   load_left(left, step)                    one element of that row; LEFT_ALONG_K: they lie side by side along k
//   load_left4(left, step)                   four elements that lie side by side, which are rows from m on otherwise
//   start(batch, m, n)                       where the sums of four columns start
//   store(batch, m, n, sums)                 takes the sums of four columns
//   store_column_sums(batch, n, sums)        takes sums of the right side over k (SUM_RIGHT)

const THREADS_M = TILE_M / (4u * QUADS_M);
const THREADS_N = TILE_N / (4u * QUADS_N);

// Both sides lie by quads of rows or columns, k after k. One quad more than there is keeps threads that write the same
// quad of different k out of each other's banks.
const LEFT_PITCH = TILE_M / 4u + 1u;
const RIGHT_PITCH = TILE_N / 4u + 1u;
const LEFT_HALF = TILE_K * LEFT_PITCH;
const RIGHT_HALF = TILE_K * RIGHT_PITCH;
var<workgroup> left_tile: array<vec4<f32>, 2u * LEFT_HALF>;
var<workgroup> right_tile: array<vec4<f32>, 2u * RIGHT_HALF>;

/// The quads of a step that each thread loads.
const LEFT_LOADS = TILE_M * TILE_K / 1024u;
const RIGHT_QUADS = TILE_N * TILE_K / 4u;

/// A quad of rows or columns at one k.
struct Place { quad: u32, k: u32 }

/// Neighbouring threads load what lies side by side in memory.
fn place(thread: u32, size: u32, along_k: u32) -> Place {
    if (along_k == 1u) {
        return Place(thread / TILE_K, thread % TILE_K);
    }
    return Place(thread % (size / 4u), thread / (size / 4u));
}

/// Four rows, the first of which stands for all where they lie side by side.
struct LeftQuad { first: Left, second: Left, third: Left, fourth: Left }

fn left_quad_at(m: u32, k: u32) -> LeftQuad {
    let first = left_at(m, k);
    if (LEFT_ALONG_K == 0u) {
        return LeftQuad(first, first, first, first);
    }
    return LeftQuad(first, left_at(m + 1u, k), left_at(m + 2u, k), left_at(m + 3u, k));
}

fn load_left_quad(quad: LeftQuad, step: Step) -> vec4<f32> {
    if (LEFT_ALONG_K == 0u) {
        return load_left4(quad.first, step);
    }
    return vec4<f32>(
        load_left(quad.first, step),
        load_left(quad.second, step),
        load_left(quad.third, step),
        load_left(quad.fourth, step),
    );
}

fn next_left_quad(quad: LeftQuad) -> LeftQuad {
    let first = next_left(quad.first);
    if (LEFT_ALONG_K == 0u) {
        return LeftQuad(first, first, first, first);
    }
    return LeftQuad(first, next_left(quad.second), next_left(quad.third), next_left(quad.fourth));
}

struct RightQuad { first: Right, second: Right, third: Right, fourth: Right }

fn right_quad_at(n: u32, k: u32) -> RightQuad {
    let first = right_at(n, k);
    if (RIGHT_ALONG_K == 0u) {
        return RightQuad(first, first, first, first);
    }
    return RightQuad(first, right_at(n + 1u, k), right_at(n + 2u, k), right_at(n + 3u, k));
}

fn load_right_quad(quad: RightQuad, step: Step) -> vec4<f32> {
    if (RIGHT_ALONG_K == 0u) {
        return load_right4(quad.first, step);
    }
    return vec4<f32>(
        load_right(quad.first, step),
        load_right(quad.second, step),
        load_right(quad.third, step),
        load_right(quad.fourth, step),
    );
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    // Tiles of the same rows come one after the other: they read the same left side.
    let tile = piece(workgroup, workgroups);
    if (tile >= given.pieces) {
        return;
    }
    let batch = tile / (given.tiles_m * given.tiles_n);
    let tile_m = TILE_M * (tile / given.tiles_n % given.tiles_m);
    let tile_n = TILE_N * (tile % given.tiles_n);

    // What this thread loads of every step.
    let left_place = place(thread, TILE_M, LEFT_ALONG_K);
    let left_second_place = place(thread + 256u, TILE_M, LEFT_ALONG_K);
    let right_place = place(thread, TILE_N, RIGHT_ALONG_K);
    let left_to = left_place.k * LEFT_PITCH + left_place.quad;
    let left_second_to = left_second_place.k * LEFT_PITCH + left_second_place.quad;
    let right_to = right_place.k * RIGHT_PITCH + right_place.quad;
    var left = left_quad_at(tile_m + 4u * left_place.quad, left_place.k);
    var left_second: LeftQuad;
    if (LEFT_LOADS == 2u) {
        left_second = left_quad_at(tile_m + 4u * left_second_place.quad, left_second_place.k);
    }
    let right = right_quad_at(tile_n + 4u * right_place.quad, right_place.k);
    var column_sums = vec4<f32>();

    // Whose sums it works out: 32 threads share as few rows and columns as they can.
    const ACROSS = min(8u, THREADS_N);
    const BLOCKS_N = THREADS_N / ACROSS;
    let thread_n = (thread / 32u) % BLOCKS_N * ACROSS + thread % ACROSS;
    let thread_m = (thread / 32u) / BLOCKS_N * (32u / ACROSS) + thread % 32u / ACROSS;
    let m = tile_m + 4u * thread_m;
    let n = tile_n + 4u * thread_n;
    const FAR_M = 4u * THREADS_M;
    const FAR_N = 4u * THREADS_N;

    // Rows 0 to 3 belong to the first quad of rows, 4 to 7 to the second; near and far are the quads of columns.
    var near_0 = start(batch, m, n);
    var near_1 = start(batch, m + 1u, n);
    var near_2 = start(batch, m + 2u, n);
    var near_3 = start(batch, m + 3u, n);
    var near_4: vec4<f32>;
    var near_5: vec4<f32>;
    var near_6: vec4<f32>;
    var near_7: vec4<f32>;
    var far_0: vec4<f32>;
    var far_1: vec4<f32>;
    var far_2: vec4<f32>;
    var far_3: vec4<f32>;
    var far_4: vec4<f32>;
    var far_5: vec4<f32>;
    var far_6: vec4<f32>;
    var far_7: vec4<f32>;
    if (QUADS_M == 2u) {
        near_4 = start(batch, m + FAR_M, n);
        near_5 = start(batch, m + FAR_M + 1u, n);
        near_6 = start(batch, m + FAR_M + 2u, n);
        near_7 = start(batch, m + FAR_M + 3u, n);
    }
    if (QUADS_N == 2u) {
        far_0 = start(batch, m, n + FAR_N);
        far_1 = start(batch, m + 1u, n + FAR_N);
        far_2 = start(batch, m + 2u, n + FAR_N);
        far_3 = start(batch, m + 3u, n + FAR_N);
    }
    if (QUADS_M == 2u && QUADS_N == 2u) {
        far_4 = start(batch, m + FAR_M, n + FAR_N);
        far_5 = start(batch, m + FAR_M + 1u, n + FAR_N);
        far_6 = start(batch, m + FAR_M + 2u, n + FAR_N);
        far_7 = start(batch, m + FAR_M + 3u, n + FAR_N);
    }

    var step = first_step(batch);
    var left_next: vec4<f32>;
    var left_second_next: vec4<f32>;
    var right_next: vec4<f32>;
    // Each turn loads a step and works through the one before; the first and the last do one of the two.
    for (var turn = 0u; turn <= given.steps; turn += 1u) {
        if (turn < given.steps) {
            left_next = load_left_quad(left, step);
            left = next_left_quad(left);
            if (LEFT_LOADS == 2u) {
                left_second_next = load_left_quad(left_second, step);
                left_second = next_left_quad(left_second);
            }
            if (RIGHT_QUADS >= 256u || thread < RIGHT_QUADS) {
                right_next = load_right_quad(right, step);
            }
            if (SUM_RIGHT == 1u) {
                column_sums += right_next;
            }
            step = next_step(step);
        }
        if (turn > 0u) {
            var left_from = (turn + 1u) % 2u * LEFT_HALF + thread_m;
            var right_from = (turn + 1u) % 2u * RIGHT_HALF + thread_n;
            for (var k = 0u; k < TILE_K; k += 1u) {
                let rows = left_tile[left_from];
                let columns = right_tile[right_from];
                near_0 = fma(rows.xxxx, columns, near_0);
                near_1 = fma(rows.yyyy, columns, near_1);
                near_2 = fma(rows.zzzz, columns, near_2);
                near_3 = fma(rows.wwww, columns, near_3);
                var far_rows: vec4<f32>;
                var far_columns: vec4<f32>;
                if (QUADS_M == 2u) {
                    far_rows = left_tile[left_from + THREADS_M];
                    near_4 = fma(far_rows.xxxx, columns, near_4);
                    near_5 = fma(far_rows.yyyy, columns, near_5);
                    near_6 = fma(far_rows.zzzz, columns, near_6);
                    near_7 = fma(far_rows.wwww, columns, near_7);
                }
                if (QUADS_N == 2u) {
                    far_columns = right_tile[right_from + THREADS_N];
                    far_0 = fma(rows.xxxx, far_columns, far_0);
                    far_1 = fma(rows.yyyy, far_columns, far_1);
                    far_2 = fma(rows.zzzz, far_columns, far_2);
                    far_3 = fma(rows.wwww, far_columns, far_3);
                }
                if (QUADS_M == 2u && QUADS_N == 2u) {
                    far_4 = fma(far_rows.xxxx, far_columns, far_4);
                    far_5 = fma(far_rows.yyyy, far_columns, far_5);
                    far_6 = fma(far_rows.zzzz, far_columns, far_6);
                    far_7 = fma(far_rows.wwww, far_columns, far_7);
                }
                left_from += LEFT_PITCH;
                right_from += RIGHT_PITCH;
            }
        }
        if (turn < given.steps) {
            let half = turn % 2u;
            left_tile[half * LEFT_HALF + left_to] = left_next;
            if (LEFT_LOADS == 2u) {
                left_tile[half * LEFT_HALF + left_second_to] = left_second_next;
            }
            if (RIGHT_QUADS >= 256u || thread < RIGHT_QUADS) {
                right_tile[half * RIGHT_HALF + right_to] = right_next;
            }
        }
        workgroupBarrier();
    }

    store(batch, m, n, near_0);
    store(batch, m + 1u, n, near_1);
    store(batch, m + 2u, n, near_2);
    store(batch, m + 3u, n, near_3);
    if (QUADS_M == 2u) {
        store(batch, m + FAR_M, n, near_4);
        store(batch, m + FAR_M + 1u, n, near_5);
        store(batch, m + FAR_M + 2u, n, near_6);
        store(batch, m + FAR_M + 3u, n, near_7);
    }
    if (QUADS_N == 2u) {
        store(batch, m, n + FAR_N, far_0);
        store(batch, m + 1u, n + FAR_N, far_1);
        store(batch, m + 2u, n + FAR_N, far_2);
        store(batch, m + 3u, n + FAR_N, far_3);
    }
    if (QUADS_M == 2u && QUADS_N == 2u) {
        store(batch, m + FAR_M, n + FAR_N, far_4);
        store(batch, m + FAR_M + 1u, n + FAR_N, far_5);
        store(batch, m + FAR_M + 2u, n + FAR_N, far_6);
        store(batch, m + FAR_M + 3u, n + FAR_N, far_7);
    }

    // Each thread has summed a quad of columns over every TILE_K-th k.
    if (SUM_RIGHT == 1u) {
        if (RIGHT_QUADS >= 256u || thread < RIGHT_QUADS) {
            right_tile[right_to] = column_sums;
        }
        workgroupBarrier();
        if (tile_m == 0u && thread < TILE_N / 4u) {
            var sums = right_tile[thread];
            for (var k = 1u; k < TILE_K; k += 1u) {
                sums += right_tile[k * RIGHT_PITCH + thread];
            }
            store_column_sums(batch, tile_n + 4u * thread, sums);
        }
    }
}
