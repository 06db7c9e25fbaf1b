//! What the ODE is good for besides drawing: the way up from images to latents, and what can be done with those.

mod each_class;
mod hutchinson;
mod inpaint;
mod likelihood;
mod slerp;
mod upwards;

pub use each_class::{EachClass, each_class};
pub use hutchinson::{Hutchinson, Trace, hutchinson, trace};
pub use inpaint::{Hole, Inpaint, inpaint};
pub use likelihood::{Likelihood, LogLikelihood, likelihood};
pub use slerp::{Slerp, slerp, slerp_weights};
pub use upwards::{Upwards, upwards};
