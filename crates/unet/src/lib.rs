#![doc = include_str!("../README.md")]

mod block;
mod conditions;
mod dhariwal;
mod dhariwal_config;
mod layers;
mod layout;
mod mixed;
mod network;
mod sizes;
mod song;
mod song_config;
mod trunk;

pub use block::{Block, BlockOptions, Heads};
pub use dhariwal::DhariwalUNet;
pub use dhariwal_config::DhariwalUNetConfig;
pub use layers::{Conv, ConvOptions, Linear, Norm, Resampling, fourier, positional};
pub use layout::{Buffer, Init, Layout, Parameter, Parameters, Start};
pub use mixed::Precision;
pub use network::{Forward, Inputs, Network};
pub use song::SongUNet;
pub use song_config::{Decoder, Embedding, Encoder, SongUNetConfig};
