//! The streams of the project: two draws of one sample never share numbers unless they share a stream and a
//! step.
//!
//! The numbers are part of every saved picture and run: add to the list, never change it. A plugin takes
//! numbers from 128 to 255 for its own.

/// Orders `0..n` in [`permute`](crate::permute), and the order of a data set with it.
pub const SHUFFLE: u32 = 0;
/// The latent that sampling starts from.
pub const LATENT: u32 = 1;
/// The fresh noise of each stochastic sampling step (Algorithm 2, line 4).
pub const CHURN: u32 = 2;
/// The noise level of each training image.
pub const SIGMA: u32 = 3;
/// The noise added to each training image.
pub const NOISE: u32 = 4;
/// Which activations dropout zeroes.
pub const DROPOUT: u32 = 5;
/// The class each sample is given when it is drawn at random.
pub const LABEL: u32 = 6;
/// Which training images lose their label.
pub const LABEL_DROPOUT: u32 = 7;
/// The first weights of a network, where the seed is the network's and the step counts its parameters.
pub const INIT: u32 = 8;
/// Which training images are mirrored.
pub const MIRROR: u32 = 9;
/// The Brownian path of a sample over noise levels, where the step is a node of its tree.
pub const BROWNIAN: u32 = 10;
/// What augmentation does to each training image, a lane a transformation.
pub const AUGMENT: u32 = 11;
/// The uniform noise within the steps of quantised training images.
pub const DEQUANTIZE: u32 = 12;
/// The vectors that estimate the trace of a denoiser's Jacobian, a lane a vector.
pub const PROBE: u32 = 13;
/// The noise of images on which a loss is measured, not trained.
pub const EVALUATION: u32 = 14;
