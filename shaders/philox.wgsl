// Random numbers by counter: Philox4x32 with ten rounds, the integers of `crates/philox`.

// The full product of two words as (high, low), by halves of 16 bits: WGSL has no wide multiplication.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
    let low = vec2<u32>(a, b) & vec2<u32>(0xffffu);
    let high = vec2<u32>(a, b) >> vec2<u32>(16u);
    let carried = high.x * low.y + ((low.x * low.y) >> 16u);
    let middle = low.x * high.y + (carried & 0xffffu);
    return vec2<u32>(high.x * high.y + (carried >> 16u) + (middle >> 16u), a * b);
}

// The four random words of one block of a row: a row is four words a sample, and lanes of a row are independent.
fn philox(row: vec4<u32>, lane: u32, block: u32) -> vec4<u32> {
    var key = row.xy;
    var words = vec4<u32>(block, row.zw, lane);
    for (var round = 0u; round < 10u; round++) {
        let first = multiply_wide(0xD2511F53u, words.x);
        let second = multiply_wide(0xCD9E8D57u, words.z);
        words = vec4<u32>(second.x ^ words.y ^ key.x, second.y, first.x ^ words.w ^ key.y, first.y);
        key += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return words;
}
