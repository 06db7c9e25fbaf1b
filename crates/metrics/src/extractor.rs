//! Features of pictures on a device, so many at a time that memory stays as it is.

use tensor::{Array, Bindings, Device, Executable, Graph, Result, compile};

use crate::{FeatureNetwork, Rows};

/// Images that go through a network together, if there are so many.
const TOGETHER: usize = 32;

/// A network on a device.
pub struct Extractor {
    network: FeatureNetwork,
    prepared: Option<Prepared>,
}

/// The program for images of one size.
struct Prepared {
    image: [usize; 3],
    /// How many go together.
    together: usize,
    executable: Executable,
    weights: Bindings,
}

impl Extractor {
    pub fn new(network: FeatureNetwork) -> Self {
        Self { network, prepared: None }
    }

    pub fn network(&self) -> &FeatureNetwork {
        &self.network
    }

    /// The features of pictures of `[height, width, channels]`, grey or RGB: their bytes, one picture after the other.
    pub fn rows(&mut self, device: &dyn Device, image: [usize; 3], bytes: &[u8]) -> Result<Rows> {
        let (size, width) = (image.iter().product::<usize>().max(1), self.network.width());
        let together = (bytes.len() / size).clamp(1, TOGETHER);
        let fits = |prepared: &Prepared| prepared.image == image && prepared.together >= together;
        let prepared = match self.prepared.take().filter(fits) {
            Some(prepared) => self.prepared.insert(prepared),
            None => self.prepared.insert(Prepared::new(&self.network, device, image, together)?),
        };
        let mut features = Vec::with_capacity(bytes.len() / size * width);
        for some in bytes.chunks(prepared.together * size) {
            let mut pixels: Vec<f32> = some.iter().map(|byte| f32::from(*byte)).collect();
            // The last pictures go with empty ones, so that there is one program.
            pixels.resize(prepared.together * size, 0.0);
            let [h, w, c] = image;
            let pixels = device.upload(&Array::new([prepared.together, h, w, c], pixels))?;
            let bindings = prepared.weights.clone().tensor("images", &pixels);
            let rows = device.run(&prepared.executable, &bindings)?.take("features")?;
            features.extend_from_slice(&device.download(&rows)?.f32s()[..some.len() / size * width]);
        }
        Ok(Rows::new(width, features))
    }
}

impl Prepared {
    fn new(
        network: &FeatureNetwork,
        device: &dyn Device,
        image: [usize; 3],
        together: usize,
    ) -> Result<Self> {
        let mut graph = Graph::new();
        let [h, w, c] = image;
        let images = graph.input("images", [together, h, w, c]);
        let (features, arrays) = network.build(&mut graph, images);
        graph.output("features", features);
        let bind = |bindings: Bindings, (name, array): &(String, Array)| {
            Ok::<_, tensor::Error>(bindings.tensor(name, &device.upload(array)?))
        };
        let weights = arrays.iter().try_fold(Bindings::new(), bind)?;
        Ok(Self { image, together, executable: device.prepare(compile(graph))?, weights })
    }
}
