#![doc = include_str!("../README.md")]

mod batches;
mod churn;
mod classes;
mod denoise;
mod euler;
mod evaluations;
mod heun;
mod interval;
mod latents;
mod seed_list;
mod sinks;
mod time_steps;
mod trajectory;

pub use batches::{Batches, batches};
pub use churn::{Churn, add_noise, churn};
pub use classes::{Classes, classes};
pub use denoise::{Denoise, denoise};
pub use euler::{Euler, euler, euler_step};
pub use heun::{Heun, heun, heun_step};
pub use interval::Interval;
pub use latents::{Latents, latent, latents};
pub use seed_list::SeedList;
pub use sinks::{Grid, Png, Tiles, bytes, grid, png};
pub use time_steps::{TimeSteps, time_steps};
pub use trajectory::{Trajectory, trajectory};

use pipeline::{After, Engine};

/// The kinds of Algorithm 2, and those that write pictures.
pub fn plugin(engine: &mut Engine) {
    engine.node::<TimeSteps, _>(time_steps).node::<Batches, _>(batches).node::<Latents, _>(latents);
    engine.node::<Trajectory, _>(trajectory).node::<Churn, _>(churn).node::<Denoise, _>(denoise);
    engine.node::<Euler, _>(euler).node::<Heun, _>(heun).node::<Classes, _>(classes);
    engine.node::<Png, _>(png).node::<Grid, _>(grid);
    engine.keep::<Tiles>();
    engine.add_systems(After, evaluations::tell_evaluations);
}
