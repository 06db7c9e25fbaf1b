#![doc = include_str!("../README.md")]

mod ancestral;
mod batches;
mod brownian;
mod churn;
mod classes;
mod deis;
mod denoise;
mod dpm_pp;
mod dpm_pp_sde;
mod edit;
mod euler;
mod evaluations;
mod even_latents;
mod fixed_level;
mod heun;
mod ipndm;
mod latents;
mod lms;
mod multistep;
mod place;
mod restart;
mod seed_list;
mod sinks;
mod slope;
mod time_steps;
mod trajectory;
mod truncation;
mod unipc;

pub use ancestral::{Ancestral, ancestral};
pub use batches::{Batches, batches};
pub use churn::{Churn, add_noise, churn};
pub use classes::{Classes, classes};
pub use deis::{Deis, deis};
pub use denoise::{Denoise, denoise};
pub use dpm_pp::{DpmPP, dpm_pp};
pub use dpm_pp_sde::{DpmPPSde, dpm_pp_sde};
pub use edit::{
    EachClass, Hole, Hutchinson, Inpaint, Likelihood, LogLikelihood, Slerp, Trace, Upwards, each_class,
    hutchinson, inpaint, likelihood, slerp, slerp_weights, trace, upwards,
};
pub use euler::{Euler, euler, euler_step};
pub use evaluations::tell_evaluations;
pub use even_latents::{EvenLatents, even_latents};
pub use fixed_level::{FixedLevel, fixed_level};
pub use heun::{Heun, Point, heun, heun_step};
pub use ipndm::{Ipndm, ipndm};
pub use latents::{Latents, latent, latents};
pub use lms::{Lms, lms};
pub use multistep::History;
pub use restart::{Restart, restart};
pub use seed_list::SeedList;
pub use sinks::{Grid, Png, Tiles, bytes, grid, png};
pub use slope::Slope;
pub use time_steps::{TimeSteps, time_steps};
pub use trajectory::{Trajectory, trajectory};
pub use truncation::{Truncation, truncation};
pub use unipc::{Corrected, UniPC, unipc};

use pipeline::{After, Engine, port};
use ports::explain;

port!(Trace);

/// The kinds of Algorithm 2, those of other solvers, those that edit images and measure likelihood, and those that write pictures.
pub fn plugin(engine: &mut Engine) {
    engine.node::<TimeSteps, _>(time_steps).node::<Batches, _>(batches).node::<Latents, _>(latents);
    engine.node::<Trajectory, _>(trajectory).node::<Churn, _>(churn).node::<Denoise, _>(denoise);
    engine.node::<Euler, _>(euler).node::<Heun, _>(heun).node::<Classes, _>(classes);
    engine.node::<Lms, _>(lms).node::<Deis, _>(deis).node::<Ipndm, _>(ipndm).node::<UniPC, _>(unipc);
    engine.node::<DpmPP, _>(dpm_pp).node::<DpmPPSde, _>(dpm_pp_sde).node::<Ancestral, _>(ancestral);
    engine.node::<Restart, _>(restart);
    engine.node::<EvenLatents, _>(even_latents).node::<FixedLevel, _>(fixed_level);
    engine.node::<Truncation, _>(truncation);
    engine.node::<Upwards, _>(upwards).node::<Slerp, _>(slerp).node::<EachClass, _>(each_class);
    engine.node::<Inpaint, _>(inpaint);
    engine.port::<Trace>().node::<Hutchinson, _>(hutchinson).node::<Likelihood, _>(likelihood);
    engine.node::<Png, _>(png).node::<Grid, _>(grid);
    explain::<TimeSteps>(engine);
    explain::<Restart>(engine);
    explain::<Upwards>(engine);
    explain::<Hutchinson>(engine);
    explain::<Trajectory>(engine);
    explain::<Churn>(engine);
    explain::<Denoise>(engine);
    explain::<Euler>(engine);
    engine.keep::<Tiles>();
    engine.add_systems(After, tell_evaluations);
}
