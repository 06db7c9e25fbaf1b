//! How the sums of a matrix product are shared out: tiles, each the work of one workgroup.

use crate::call::{Call, View};
use crate::shader::{Element, Source};

/// The sums of a workgroup, and how far it goes along k at a time; see `tile.wgsl` and `tile_cooperative.wgsl`.
///
/// What is chosen follows from the sizes of one sample and from channels, never from the number of samples: else a
/// sample's bits would depend on its neighbours wherever matrix units sum in another order than threads do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tile {
    m: usize,
    n: usize,
    k: usize,
    /// The quads of rows and of columns that belong to each of the 256 threads.
    quads: [usize; 2],
    cooperative: bool,
}

const LARGE: Tile = Tile { m: 128, n: 128, k: 8, quads: [2, 2], cooperative: false };
/// Wastes less where columns are no multiple of 128.
const TALL: Tile = Tile { m: 128, n: 64, k: 16, quads: [2, 1], cooperative: false };
/// For few rows: large tiles would leave most of a GPU without work.
const SMALL: Tile = Tile { m: 64, n: 64, k: 16, quads: [1, 1], cooperative: false };
/// For images of a few channels.
const NARROW: Tile = Tile { m: 256, n: 16, k: 8, quads: [1, 1], cooperative: false };
/// For matrix units, which multiply 16 bits: 16x16 sums at a time.
const COOPERATIVE: Tile = Tile { m: 128, n: 128, k: 32, quads: [0, 0], cooperative: true };

/// A kernel of matrix products in both its forms.
pub(crate) struct Sources {
    pub threads: Source,
    pub cooperative: Source,
}

/// Declares [`Sources`] by the name of the kernel's file.
macro_rules! sources {
    ($name:literal) => {
        $crate::kernels::tile::Sources {
            threads: $crate::shader::source!($name, "operands", "tile"),
            cooperative: $crate::shader::Source {
                name: concat!($name, "_cooperative"),
                ..$crate::shader::source!($name, "operands", "tile_cooperative")
            },
        }
    };
}
pub(crate) use sources;

impl Tile {
    /// For products with `m` rows a sample, and `n` columns.
    pub fn new(m: usize, n: usize) -> Self {
        match n {
            ..=16 if m > 64 => NARROW,
            _ if m <= 64 => SMALL,
            _ if 3 * n.next_multiple_of(128) >= 4 * n.next_multiple_of(64) => TALL,
            _ => LARGE,
        }
    }

    /// The tile of matrix units where they are worth it: both sides in 16 bits, read by fours.
    pub fn cooperative(self, worth: bool) -> Self {
        if worth { COOPERATIVE } else { self }
    }

    /// A call that works out `batch` products of `m` rows and `n` columns, each a sum of `steps` times this tile's k.
    pub fn call(self, sources: &'static Sources, [batch, m, n]: [usize; 3], k: usize, taps: usize) -> Call {
        let source = if self.cooperative { &sources.cooperative } else { &sources.threads };
        let call = Call::new(source).constant("TILE_M", self.m).constant("TILE_N", self.n);
        let call = call.constant("TILE_K", self.k);
        let call = match self.cooperative {
            true => call,
            false => call.constant("QUADS_M", self.quads[0]).constant("QUADS_N", self.quads[1]),
        };
        let (tiles_m, tiles_n) = (m.div_ceil(self.m), n.div_ceil(self.n));
        let call = call.number("tiles_m", tiles_m).number("tiles_n", tiles_n);
        call.number("steps", taps * k.div_ceil(self.k)).over(batch * tiles_m * tiles_n)
    }

    pub fn k(self) -> usize {
        self.k
    }
}

/// Whether all of these are multiples of 4, as reading by fours needs.
pub(crate) fn by_fours(view: View, numbers: &[usize]) -> bool {
    view.offset.is_multiple_of(4) && numbers.iter().all(|number| number.is_multiple_of(4))
}

/// Whether matrix units may multiply what lies there.
pub(crate) fn is_half(view: View) -> bool {
    view.element == Element::F16
}
