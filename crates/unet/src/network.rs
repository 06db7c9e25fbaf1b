//! What every network is to the rest of the project.

use tensor::{Graph, Value};

use crate::{Layout, Parameters, Precision};

/// A network F(x; c_noise, labels), the raw thing inside a denoiser (equation 7).
pub trait Network: Send + Sync {
    fn layout(&self) -> &Layout;

    /// Height, width and channels of the images that go in.
    fn image(&self) -> [usize; 3];

    /// Channels of the images that come out.
    fn out_channels(&self) -> usize;

    /// The width of a label row; 0 for a network without labels.
    fn label_dim(&self) -> usize;

    /// The width of a row of augmentation labels; 0 for a network without.
    fn augment_dim(&self) -> usize;

    /// How its activations are stored.
    fn precision(&self) -> Precision {
        Precision::Full
    }

    /// Adds the network to a graph and gives its output `[n, h, w, out_channels]`.
    ///
    /// Panics where the inputs do not have the shapes that [`Inputs`] says.
    fn build(&self, graph: &mut Graph, parameters: &Parameters, inputs: &Inputs) -> Value;
}

/// What a network sees.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// `[n, h, w, c]`, scaled by c_in.
    pub x: Value,
    /// `[n]`, the noise level as c_noise.
    pub noise: Value,
    /// `[n, label_dim]`, one-hot or any weights. Without them a network that takes labels sees zeros.
    pub labels: Option<Value>,
    /// `[n, augment_dim]`. Without them the augmentation does not enter at all.
    pub augment: Option<Value>,
    /// Keys `[n, 4]` of the draws of dropout; without them the network is in evaluation.
    pub dropout: Option<Value>,
}

/// A graph that layers are being added to.
pub struct Forward<'a> {
    pub graph: &'a mut Graph,
    pub parameters: &'a Parameters,
    /// Keys of the draws of dropout; none in evaluation.
    pub dropout: Option<Value>,
}

impl Forward<'_> {
    /// The parameter at a place of the layout.
    pub fn parameter(&self, place: usize) -> Value {
        self.parameters.values()[place]
    }
}
