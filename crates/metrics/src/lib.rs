#![doc = include_str!("../README.md")]

mod distances;
mod extractor;
mod features;
mod frechet;
mod kernel_distance;
mod kinds;
mod memorisation;
mod moments;
mod network;
mod precision_recall;
mod score;
mod statistics;

pub use extractor::Extractor;
pub use features::Rows;
pub use frechet::frechet_distance;
pub use kernel_distance::{Estimate, kernel_distance};
pub use kinds::features::{FeatureSet, Features};
pub use kinds::frechet::FrechetDistance;
pub use kinds::kernel::KernelDistance;
pub use kinds::loss_by_sigma::{LossBySigma, Losses};
pub use memorisation::{Memorisation, memorisation};
pub use moments::Moments;
pub use network::{FeatureNetwork, digest};
pub use precision_recall::{PrecisionRecall, precision_recall};
pub use score::{Origin, Score, ranges};
pub use statistics::Statistics;

use pipeline::Engine;

/// Teaches the kinds of this crate.
pub fn plugin(engine: &mut Engine) {
    engine.port::<FeatureSet>().keep::<FeatureSet>().keep::<Losses>();
    engine.node::<Features, _>(kinds::features::features);
    engine.node::<FrechetDistance, _>(kinds::frechet::frechet);
    engine.node::<KernelDistance, _>(kinds::kernel::kernel);
    engine.node::<kinds::precision_recall::PrecisionRecall, _>(kinds::precision_recall::measure);
    engine.node::<kinds::memorisation::Memorisation, _>(kinds::memorisation::measure);
    engine.node::<LossBySigma, _>(kinds::loss_by_sigma::loss_by_sigma);
    engine.node::<kinds::upright::Upright, _>(kinds::upright::upright);
}
