#![doc = include_str!("../README.md")]

mod block;
mod layers;
mod layout;
mod mixed;
mod network;
mod song;
mod song_config;

pub use block::{Block, BlockOptions, Heads};
pub use layers::{Conv, ConvOptions, Linear, Norm, Resampling, fourier, positional};
pub use layout::{Buffer, Init, Layout, Parameter, Parameters};
pub use mixed::Precision;
pub use network::{Forward, Inputs, Network};
pub use song::SongUNet;
pub use song_config::SongUNetConfig;
