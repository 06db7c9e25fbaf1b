#![doc = include_str!("../README.md")]

mod compute;
mod explain;
mod gauges;
mod images;
mod keep;
mod labels;
mod networks;
mod run;
mod side_by_side;
mod steps;
mod table;

pub use compute::{Compute, Machine};
pub use explain::{Curve, Explain, Explainers, Fact, Others, explain};
pub use gauges::{Gauges, read_gauges};
pub use images::{AugmentLabels, Denoised, Images, Labels, Seeds, Shown, Sigma, Sigmas, check_sigmas};
pub use keep::{keep_arena, keep_tensor, load_arena, load_tensor};
pub use labels::{AugmentOf, LabelsOf, augment_rows, check_augment, check_labels, label_rows};
pub use networks::{
    Architecture, Denoise, Denoiser, Gathered, Gradients, LossScale, Parameters, Query, Slice, TRAINING,
    WEIGHTS_FORMAT,
};
pub use run::{Run, RunFolder};
pub use side_by_side::SideBySide;
pub use steps::{Step, Times};
pub use table::{Cell, Table};

use pipeline::{After, Engine, port};

port!(Shown: Images or Denoised);
port!(
    Images,
    Sigmas,
    Labels,
    AugmentLabels,
    Denoised,
    Step,
    Times,
    Seeds,
    Parameters,
    Denoiser,
    Gradients,
    Table
);

/// Declares every port, what checkpoints keep of them, and the metrics that wait for a device.
pub fn plugin(engine: &mut Engine) {
    engine
        .port::<Images>()
        .port::<Sigmas>()
        .port::<Labels>()
        .port::<AugmentLabels>()
        .port::<Denoised>()
        .port::<Step>();
    engine
        .port::<Times>()
        .port::<Seeds>()
        .port::<Parameters>()
        .port::<Denoiser>()
        .port::<Gradients>()
        .port::<Table>();
    engine.keep::<Seeds>().keep::<Parameters>().keep::<Table>();
    engine.keep_handed_on::<Images>().keep_handed_on::<Denoised>();
    engine.keep_handed_on::<Labels>().keep_handed_on::<Sigmas>().keep_handed_on::<AugmentLabels>();
    engine.world.init_resource::<Gauges>();
    engine.add_systems(After, read_gauges);
}
