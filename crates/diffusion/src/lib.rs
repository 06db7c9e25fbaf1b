#![doc = include_str!("../README.md")]

mod brownian;
mod churn;
mod iddpm;
mod multistep;
mod nfe;
mod noise_level;
mod precondition;
mod ramp;
mod schedule;
mod setting;
mod sigma_data;
mod time_steps;
mod vp;
mod weight;

pub use brownian::{NODES, Share, brownian};
pub use churn::Churn;
pub use iddpm::{C_1, C_2, IddpmLevels, TIMESTEPS};
pub use multistep::{Update, ancestral, deis, dpm_pp, dpm_pp_sde, ipndm, lms, unipc_corrector};
pub use nfe::nfe;
pub use noise_level::{
    P_MEAN, P_STD, log_normal, log_normal_density, log_uniform, log_uniform_density, vp_uniform,
    vp_uniform_density,
};
pub use precondition::{Coefficients, Scheme};
pub use ramp::{ema_beta, ema_halflife, learning_rate};
pub use schedule::{Path, Scaling, Schedule, Slope};
pub use sigma_data::SigmaData;
pub use time_steps::{Spacing, TimeStepsError};
pub use vp::{BETA_D, BETA_MIN, EPSILON_T, Vp};
pub use weight::Weight;
