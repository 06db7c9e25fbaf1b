//! Zip archives: read at any place, written stored.

mod read;
mod write;

pub use read::{Entry, Zip};
pub use write::ZipWriter;

/// What begins a file's own header, a file's line in the list, and the end of the list.
const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// The same for archives that are too large for the ordinary end.
const LARGE_END: u32 = 0x0606_4b50;
const LARGE_PLACE: u32 = 0x0706_4b50;
/// The sort of extra field that holds numbers of 64 bits.
const LARGE: u16 = 1;
