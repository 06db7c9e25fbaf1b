#![doc = include_str!("../README.md")]

mod coefficients;
mod dhariwal_unet;
mod exact;
mod guidance;
mod ideal;
mod network;
mod nvidia;
mod points;
mod precision;
mod precondition;
mod recipe;
mod song_unet;
mod transfer;
mod untrained;
mod weights;

pub use coefficients::{Coefficients, coefficients};
pub use dhariwal_unet::{DhariwalUNet, dhariwal_unet};
pub use exact::{Exact, exact};
pub use guidance::{Guidance, GuidedDenoiser, guidance};
pub use ideal::{Ideal, IdealDenoiser, ideal, ideal_denoiser};
pub use network::{Network, network};
pub use points::{Points, points};
pub use precondition::{Precondition, PreconditionedNetwork, precondition, precondition_network};
pub use recipe::Recipe;
pub use song_unet::{Preset, SongUNet, song_unet};
pub use untrained::planned;
pub use weights::{Trained, newest_weights, read_network};

use pipeline::Engine;
use ports::explain;

/// The kinds that make networks and denoisers.
pub fn plugin(engine: &mut Engine) {
    engine.node::<SongUNet, _>(song_unet).node::<DhariwalUNet, _>(dhariwal_unet);
    engine.node::<Precondition, _>(precondition);
    engine.node::<Network, _>(network).node::<Points, _>(points).node::<Ideal, _>(ideal);
    engine.node::<Exact, _>(exact);
    engine.node::<Guidance, _>(guidance);
    explain::<Precondition>(engine);
    explain::<Network>(engine);
    explain::<Guidance>(engine);
}
