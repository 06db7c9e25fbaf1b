//! Networks that turn images into features: tensor programs with fixed weights.

mod inception;
mod layers;
mod resize;
mod squeezenet;
mod weights;

use std::fs;
use std::path::Path;

use tensor::{Array, Graph, Value};

use layers::Layers;
use weights::Weights;
pub use weights::digest;

/// The weights that come with the program; `assets/README.md` has their licence.
const SQUEEZENET: &[u8] = include_bytes!("../assets/squeezenet1_1-features.safetensors");

/// A network with its weights, and everything that features depend on.
#[derive(Clone, Debug)]
pub struct FeatureNetwork {
    sort: Sort,
    weights: Weights,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    SqueezeNet,
    /// With images scaled to so many pixels.
    Inception {
        size: usize,
    },
}

impl FeatureNetwork {
    /// SqueezeNet v1.1 (Iandola et al. 2016) without its last layer, at 64x64 pixels: 512 features.
    pub fn squeezenet() -> Self {
        let weights = Weights::parse(SQUEEZENET).expect("the embedded file is whole");
        Self { sort: Sort::SqueezeNet, weights }
    }

    /// Inception-v3 of 2015-12-05, with which FID is defined: 2048 features.
    ///
    /// The weights are a safetensors file with torchvision's names, as in `pt_inception-2015-12-05-6726825d.pth`.
    ///
    /// # Errors
    /// If the file cannot be read, or is of another network.
    pub fn inception(path: &Path) -> Result<Self, String> {
        let wrong = |what: String| format!("`{}` {what}", path.display());
        let file = fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        Self::inception_of(&file, inception::SIZE).map_err(wrong)
    }

    /// The same network for images scaled to another size, from the bytes of a file of weights. For tests: only
    /// [`inception`](Self::inception) makes features for FID.
    pub fn inception_of(file: &[u8], size: usize) -> Result<Self, String> {
        let weights = Weights::parse(file)?;
        inception::check(&weights)?;
        Ok(Self { sort: Sort::Inception { size }, weights })
    }

    /// What to call it: `SqueezeNet512@64`.
    pub fn name(&self) -> String {
        match self.sort {
            Sort::SqueezeNet => "SqueezeNet512@64".into(),
            Sort::Inception { size } => format!("Inception{}@{size}", self.width()),
        }
    }

    /// What to call a Fréchet distance of its features: FID with Inception-v3 and nothing else.
    pub fn distance(&self) -> String {
        match self.sort {
            Sort::Inception { size: inception::SIZE } => "FID".into(),
            _ => format!("FD-{}", self.name()),
        }
    }

    /// How images come to its size.
    pub fn resize(&self) -> String {
        match self.sort {
            Sort::SqueezeNet => "bilinear to 64x64, half-pixel centres, no antialiasing".into(),
            Sort::Inception { size } => {
                format!("bilinear to {size}x{size}, first pixels aligned as in TensorFlow 1, no antialiasing")
            }
        }
    }

    /// SHA-256 of the file of its weights, the first 16 digits.
    pub fn digest(&self) -> &str {
        &self.weights.digest
    }

    /// How many features an image has.
    pub fn width(&self) -> usize {
        match self.sort {
            Sort::SqueezeNet => squeezenet::WIDTH,
            Sort::Inception { .. } => inception::width(&self.weights),
        }
    }

    /// Adds the network to a graph: `images [n, h, w, c]` of bytes from 0 to 255, grey or RGB, to `[n, features]`. Returns
    /// the inputs that hold its weights as well, with what has to be bound to them.
    pub fn build(&self, graph: &mut Graph, images: Value) -> (Value, Vec<(String, Array)>) {
        let mut layers = Layers::new(graph, &self.weights);
        let features = match self.sort {
            Sort::SqueezeNet => squeezenet::build(&mut layers, images),
            Sort::Inception { size } => inception::build(&mut layers, images, size),
        };
        (features, layers.bound)
    }
}
