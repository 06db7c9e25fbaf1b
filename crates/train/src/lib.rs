#![doc = include_str!("../README.md")]

mod adam;
mod checkpoint;
mod corrupt;
mod ema;
mod gather;
mod gradient;
mod inverse_normal;
mod levels;
mod log_normal;
mod log_uniform;
mod loss;
mod sample_keys;
mod setting;
mod state;
mod uniforms;
mod until;
mod update;
mod vp_uniform;
mod weights_file;

pub use adam::{Adam, Betas, Moments, adam, adam_graph, adam_numbers, adam_step_graph, moments_graph};
pub use checkpoint::{Checkpoint, Due, checkpoint, write_checkpoints};
pub use corrupt::{Corrupt, corrupt, corrupt_graph};
pub use ema::{Ema, ema, ema_graph};
pub use gather::{Gather, Optimisers};
pub use gradient::{Gradient, Scaling, gradient};
pub use levels::{Levels, levels};
pub use log_normal::{LogNormal, log_normal, log_normal_graph};
pub use log_uniform::{LogUniform, log_uniform, log_uniform_graph};
pub use loss::{
    ParameterGradient, gradient_graph, mean_loss_graph, parameter_gradients, weighted_squared_error,
};
pub use state::{from_state, to_state};
pub use until::{Until, until};
pub use update::Update;
pub use vp_uniform::{VpUniform, vp_uniform, vp_uniform_graph};
pub use weights_file::{Origin, write_weights};

use pipeline::{After, Engine};
use ports::explain;

/// Teaches the kinds of this crate, what checkpoints keep of them, and writing checkpoints.
pub fn plugin(engine: &mut Engine) {
    engine.node::<LogNormal, _>(log_normal).node::<LogUniform, _>(log_uniform);
    engine.node::<Levels, _>(levels);
    engine.node::<VpUniform, _>(vp_uniform).node::<Corrupt, _>(corrupt).node::<Gradient, _>(gradient);
    engine.node::<Adam, _>(adam).node::<Ema, _>(ema);
    engine.node::<Checkpoint, _>(checkpoint).node::<Until, _>(until);
    explain::<LogNormal>(engine);
    explain::<LogUniform>(engine);
    explain::<VpUniform>(engine);
    explain::<Gradient>(engine);
    engine.keep::<Moments>().keep::<Scaling>();
    engine.add_systems(After, write_checkpoints);
}
