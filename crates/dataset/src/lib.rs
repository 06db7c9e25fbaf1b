#![doc = include_str!("../README.md")]

mod bytes;
mod convert;
mod destination;
mod labels;
mod ordered;
mod picture;
mod positioned;
mod proposals;
mod resize;
mod source;
mod stats;
mod transform;
mod zip;

pub use convert::{Converted, Options, convert};
pub use labels::{Label, Labels};
pub use picture::{Format, Picture};
pub use proposals::{Proposal, proposals};
pub use resize::Lanczos;
pub use source::{Pictures, Source, open};
pub use stats::{Stats, stats};
pub use transform::{Crop, Resolution, Transform};
pub use zip::{Entry, Zip, ZipWriter};

/// Told after each picture: how many are done, and of how many.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);
