//! How the sums of a matrix product are shared out: tiles, each the work of one workgroup.

use crate::call::{Call, Memory, View};
use crate::shader::{Access, Element, Source};

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
    /// Whether matrix units multiply.
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

/// One side of a product, as kernels read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub view: View,
    /// What lies side by side in memory goes along k.
    pub along_k: bool,
    /// Everything is a multiple of 4 that reading by fours needs to be.
    pub wide: bool,
}

impl Side {
    /// A side whose sizes and strides are these.
    pub fn new(view: View, along_k: bool, numbers: &[usize]) -> Self {
        Side { view, along_k, wide: by_fours(view, numbers) }
    }

    /// Whether matrix units may multiply it: they round 32 bits to 16, which is for parameters only.
    fn is_half(self) -> bool {
        self.wide && self.view.element == Element::F16
    }

    fn is_half_or_parameter(self) -> bool {
        self.is_half() || (self.wide && matches!(self.view.memory, Memory::Bound(_)))
    }
}

/// The sizes of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub batch: usize,
    pub m: usize,
    pub k: usize,
    pub n: usize,
    /// How many of the m rows belong to one sample, or all of them if they are no pixels.
    pub sample_m: usize,
    /// How often k starts anew.
    pub taps: usize,
}

impl Tile {
    fn new(sizes: Sizes, sides: [Side; 2], cooperative: bool) -> Self {
        let Sizes { k, n, sample_m, .. } = sizes;
        let worth = sample_m >= 16 && k >= 16 && n > 32;
        match n {
            _ if cooperative && worth && sides[0].is_half() && sides[1].is_half_or_parameter() => COOPERATIVE,
            ..=16 if sample_m > 64 => NARROW,
            _ if sample_m <= 64 => SMALL,
            _ if 3 * n.next_multiple_of(128) >= 4 * n.next_multiple_of(64) => TALL,
            _ => LARGE,
        }
    }
}

/// A call for products of these sizes, with their two sides; `cooperative` says that matrix units are there. Also how
/// far it goes along k at a time.
pub(crate) fn tiled(
    sources: &'static Sources,
    sizes: Sizes,
    [left, right]: [Side; 2],
    cooperative: bool,
) -> (Call, usize) {
    let tile = Tile::new(sizes, [left, right], cooperative);
    let Sizes { batch, m, k, n, taps, .. } = sizes;
    let source = if tile.cooperative { &sources.cooperative } else { &sources.threads };
    let (tiles_m, tiles_n) = (m.div_ceil(tile.m), n.div_ceil(tile.n));
    let mut call = Call::new(source);
    if !tile.cooperative {
        call = call.constant("QUADS_M", tile.quads[0]).constant("QUADS_N", tile.quads[1]);
    }
    let call = call.constant("TILE_M", tile.m).constant("TILE_N", tile.n).constant("TILE_K", tile.k);
    let call = call.constant("LEFT_ALONG_K", left.along_k.into()).constant("LEFT_WIDE", left.wide.into());
    let call = call.constant("RIGHT_ALONG_K", right.along_k.into()).constant("RIGHT_WIDE", right.wide.into());
    let call = call.number("rows", m).number("columns", n).number("steps", taps * k.div_ceil(tile.k));
    let call = call.number("tiles_m", tiles_m).number("tiles_n", tiles_n).over(batch * tiles_m * tiles_n);
    let call = call.operand("left", left.view, Access::Read, left.wide);
    (call.operand("right", right.view, Access::Read, right.wide), tile.k)
}

/// Whether a tensor can be read by fours where these are its sizes and strides.
pub(crate) fn by_fours(view: View, numbers: &[usize]) -> bool {
    view.offset.is_multiple_of(4) && numbers.iter().all(|number| number.is_multiple_of(4))
}
