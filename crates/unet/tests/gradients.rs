//! Every architecture runs on any image that halves often enough, and its gradients are those of its outputs.

use mollify_unet::{
    Decoder, DhariwalUNet, DhariwalUNetConfig, Embedding, Encoder, Inputs, Network, Parameters, SongUNet,
    SongUNetConfig,
};
use tensor::{Array, Bindings, Device, Graph, Reference, Value, compile, gradients};

const STEP: f64 = 1e-5;

/// Numbers between -1 and 1 that look random.
fn numbers(count: usize, salt: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 7919 + salt * 104_729) % 1009) as f64 / 504.0 - 1.0).collect()
}

fn song(encoder: Encoder, decoder: Decoder, embedding: Embedding) -> SongUNet {
    // Six is no power of two: levels are 4x6 and 2x3.
    let config = SongUNetConfig {
        model_channels: 8,
        multipliers: vec![1, 2],
        blocks: 1,
        attention: vec![3],
        label_dim: 3,
        augment_dim: 2,
        encoder,
        decoder,
        embedding,
        ..SongUNetConfig::ncsnpp([4, 6], 2)
    };
    SongUNet::new(config).unwrap()
}

fn adm(channels: usize) -> DhariwalUNet {
    let config = DhariwalUNetConfig {
        model_channels: 64,
        multipliers: vec![1, 2],
        blocks: 1,
        attention: vec![3],
        label_dim: 3,
        augment_dim: 2,
        channels_out: 2 * channels,
        ..DhariwalUNetConfig::adm([6, 2], channels)
    };
    DhariwalUNet::new(config).unwrap()
}

/// The sum of the outputs, weighted, and its derivative in a direction of the parameters.
struct Slope {
    graph: Graph,
    direction: Vec<f64>,
    arena: Vec<f64>,
    bindings: Bindings,
}

impl Slope {
    fn new(network: &dyn Network) -> Self {
        let layout = network.layout();
        let mut graph = Graph::new();
        let mut bindings = Bindings::new();
        let [h, w, c] = network.image();
        let arena = graph.input("parameters", [layout.len]);
        let parameters = Parameters::windows(&mut graph, arena, layout);
        let mut input = |name: &str, shape: &[usize]| {
            let values = numbers(shape.iter().product(), name.len());
            let tensor = Reference.upload(&Array::new(shape.to_vec(), values)).unwrap();
            bindings = std::mem::take(&mut bindings).tensor(name, &tensor);
            graph.input(name, shape.to_vec())
        };
        let inputs = Inputs {
            x: input("x", &[2, h, w, c]),
            noise: input("noise", &[2]),
            labels: Some(input("labels", &[2, network.label_dim()])),
            augment: Some(input("augment", &[2, network.augment_dim()])),
            dropout: None,
        };
        let weights = input("weights", &[2, h, w, network.out_channels()]);
        let y = network.build(&mut graph, &parameters, &inputs);
        let weighted = graph.mul(y, weights);
        let sum = graph.sum(weighted, &[0, 1, 2, 3]);
        let sum = graph.reshape(sum, []);
        graph.output("sum", sum);

        let learned = layout.parameters.iter().zip(parameters.values()).filter(|(p, _)| p.learned);
        let windows: Vec<Value> = learned.map(|(_, value)| *value).collect();
        let into = graph.input("gradients", [layout.len]);
        for (window, gradient) in windows.iter().zip(gradients(&mut graph, sum, &windows)) {
            let tensor::Op::Window { offset } = graph.operation(*window).op else { panic!("no window") };
            graph.accumulate(into, offset, gradient.expect("every parameter matters"));
        }

        let mut direction = vec![0.0; layout.len];
        for parameter in layout.parameters.iter().filter(|parameter| parameter.learned) {
            let place = parameter.offset..parameter.offset + parameter.len();
            direction[place].copy_from_slice(&numbers(parameter.len(), 5));
        }
        let arena = numbers(layout.len, 3).into_iter().map(|number| 0.3 * number).collect();
        Slope { graph, direction, arena, bindings }
    }

    /// The sum at the parameters plus `step` times the direction, and the gradient there.
    fn at(&self, step: f64) -> (f64, Vec<f64>) {
        let arena = self.arena.iter().zip(&self.direction).map(|(a, d)| a + step * d).collect::<Vec<_>>();
        let arena = Reference.upload(&Array::new([arena.len()], arena)).unwrap();
        let zeros = Reference.zeros(arena.shape(), tensor::Dtype::Real).unwrap();
        let given = Bindings::new().tensor("parameters", &arena).tensor("gradients", &zeros);
        let program = Reference.prepare(compile(self.graph.clone())).unwrap();
        let mut outputs = Reference.run(&program, &given.extend(&self.bindings)).unwrap();
        let sum = Reference.download(&outputs.take("sum").unwrap()).unwrap().f64s()[0];
        (sum, Reference.download(&zeros).unwrap().f64s())
    }
}

/// Compares the gradient with a central difference.
fn agrees(network: &dyn Network) {
    let slope = Slope::new(network);
    let (_, gradient) = slope.at(0.0);
    let along: f64 = gradient.iter().zip(&slope.direction).map(|(g, d)| g * d).sum();
    let difference = (slope.at(STEP).0 - slope.at(-STEP).0) / (2.0 * STEP);
    let error = (along - difference).abs() / difference.abs();
    assert!(error < 1e-5, "{along} and {difference} differ by {error}");
}

#[test]
fn any_choices_go_together() {
    let filters = [vec![1.0, 1.0], vec![1.0, 3.0, 3.0, 1.0]];
    for embedding in [Embedding::Positional, Embedding::Fourier] {
        for encoder in [Encoder::Standard, Encoder::Skip, Encoder::Residual] {
            for decoder in [Decoder::Standard, Decoder::Skip] {
                for (filter, noise_multiplier) in filters.iter().zip([3, 1]) {
                    let config = song(encoder, decoder, embedding).config().clone();
                    let config = SongUNetConfig { filter: filter.clone(), noise_multiplier, ..config };
                    let network = SongUNet::new(config).unwrap();
                    let (sum, gradient) = Slope::new(&network).at(0.0);
                    assert!(
                        sum.is_finite() && gradient.iter().all(|g| g.is_finite()),
                        "{:?}",
                        network.config()
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_of_a_residual_encoder() {
    agrees(&song(Encoder::Residual, Decoder::Standard, Embedding::Fourier));
}

#[test]
fn gradients_of_skips_at_every_level() {
    agrees(&song(Encoder::Skip, Decoder::Skip, Embedding::Positional));
}

#[test]
fn gradients_of_a_standard_encoder_and_fourier_features() {
    agrees(&song(Encoder::Standard, Decoder::Skip, Embedding::Fourier));
}

#[test]
fn gradients_of_adm_with_heads_and_more_channels_out_than_in() {
    agrees(&adm(1));
    agrees(&adm(5));
}
