//! Where transformed tiles lie.

use super::transforms::ELEMENTS;
use crate::kernels::load::BLOCK;

/// Tiles that lie together.
pub(in crate::kernels) const GROUP: usize = 8;

/// Transformed tiles as `[group][part][element][tile][channel]`, a part being some channels: the elements of a tile, which
/// are written one after the other, lie on few pages of memory, which a core can keep track of.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Groups {
    /// Parts of the channels.
    pub parts: usize,
    /// Channels of a part.
    pub width: usize,
}

impl Groups {
    /// Floats from one element to the next: not a power of two, as those share few places of a cache.
    pub fn step(&self) -> usize {
        GROUP * self.width + BLOCK
    }

    /// Floats of a part of a group.
    pub fn part_len(&self) -> usize {
        ELEMENTS * self.step()
    }

    /// Floats of that many tiles.
    pub fn len(&self, tiles: usize) -> usize {
        tiles.div_ceil(GROUP) * self.parts * self.part_len()
    }

    /// Where the first element of a tile's part begins.
    #[inline(always)]
    pub fn place(&self, tile: usize, part: usize) -> usize {
        (tile / GROUP * self.parts + part) * self.part_len() + tile % GROUP * self.width
    }
}
