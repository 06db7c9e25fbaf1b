//! The hash against the vectors that its authors publish (Random123, `philox4x32 10`).

use mollify_philox::{Key, bits, block, half, stream, words};

#[test]
fn blocks_equal_the_published_vectors() {
    let zeros = block([0; 2], [0; 4]);
    assert_eq!(zeros, [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);

    let ones = block([u32::MAX; 2], [u32::MAX; 4]);
    assert_eq!(ones, [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);

    let pi = block([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]);
    assert_eq!(pi, [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
}

#[test]
fn a_row_is_the_seed_the_step_and_the_stream() {
    let key = Key { seed: 0x1111_2222_3333_4444, stream: stream::NOISE, step: 0x5555_6666 };
    assert_eq!(key.words(), [0x3333_4444, 0x1111_2222, 0x5555_6666, stream::NOISE]);
    let far = Key { step: key.step + (1 << 32), ..key };
    assert_eq!(far.words(), [0x3333_4444, 0x1111_2222, 0x5555_6666, stream::NOISE ^ 0x100]);
}

#[test]
fn elements_are_the_words_and_half_words_of_blocks_in_order() {
    let row = [1, 2, 3, 4];
    assert_eq!(words(row, 5), block([1, 2], [5, 3, 4, 0]));
    let both = [words(row, 0), words(row, 1)].concat();
    for (element, word) in both.iter().enumerate() {
        assert_eq!(bits(row, element), *word);
        assert_eq!(half(row, 2 * element), *word as u16);
        assert_eq!(half(row, 2 * element + 1), (*word >> 16) as u16);
    }
}
