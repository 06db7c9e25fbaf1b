#![doc = include_str!("../README.md")]

mod churn;
mod nfe;
mod noise_level;
mod precondition;
mod ramp;
mod setting;
mod time_steps;
mod weight;

pub use churn::Churn;
pub use nfe::nfe;
pub use noise_level::{P_MEAN, P_STD, log_normal};
pub use precondition::{Coefficients, Scheme};
pub use ramp::{ema_beta, ema_halflife, learning_rate};
pub use time_steps::{Spacing, TimeStepsError};
pub use weight::Weight;
