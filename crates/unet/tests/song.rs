//! The graph of the network, and what is wrong with sizes that do not fit.

use mollify_unet::{Inputs, Network, Parameters, SongUNet, SongUNetConfig};
use tensor::{Dtype, Graph, Op, Value};

fn small() -> SongUNetConfig {
    SongUNetConfig {
        model_channels: 16,
        multipliers: vec![1, 2],
        blocks: 1,
        attention: vec![8],
        ..SongUNetConfig::ddpmpp([8, 8], 3)
    }
}

/// The network on two samples, in training if asked.
fn graph(network: &SongUNet, training: bool) -> (Graph, Value) {
    let mut graph = Graph::new();
    let arena = graph.input("parameters", [network.layout().len]);
    let parameters = Parameters::windows(&mut graph, arena, network.layout());
    let [h, w, c] = network.image();
    let inputs = Inputs {
        x: graph.input("x", [2, h, w, c]),
        noise: graph.input("noise", [2]),
        labels: (network.label_dim() > 0).then(|| graph.input("labels", [2, network.label_dim()])),
        augment: (network.augment_dim() > 0).then(|| graph.input("augment", [2, network.augment_dim()])),
        dropout: training.then(|| graph.keys("dropout", 2)),
    };
    let y = network.build(&mut graph, &parameters, &inputs);
    (graph, y)
}

fn ops(graph: &Graph) -> Vec<Op> {
    graph.values().map(|value| graph.operation(value).op.clone()).collect()
}

#[test]
fn images_may_be_higher_than_wide() {
    let network = SongUNet::new(SongUNetConfig {
        image: [16, 8],
        channels_in: 1,
        channels_out: 2,
        attention: vec![8],
        ..small()
    });
    let network = network.unwrap();
    let (graph, y) = graph(&network, false);
    assert_eq!(graph.shape(y)[..], [2, 16, 8, 2]);
    let names: Vec<_> = network.layout().parameters.iter().map(|p| p.name.as_str()).collect();
    assert!(names.contains(&"enc.16x8_conv.weight") && names.contains(&"enc.8x4_block0.qkv.weight"));
    assert!(!names.contains(&"enc.16x8_block0.qkv.weight"));
}

#[test]
fn every_dropout_layer_draws_numbers_of_its_own() {
    let network = SongUNet::new(SongUNetConfig { label_dim: 3, label_dropout: 0.1, ..small() }).unwrap();
    let lanes = |graph: &Graph| {
        let lane = |op: Op| match op {
            Op::Normalize(normalize) => normalize.dropout.map(|dropout| dropout.lane),
            Op::Random { lane, .. } => Some(lane),
            _ => None,
        };
        ops(graph).into_iter().filter_map(lane).collect::<Vec<_>>()
    };
    let (training, _) = graph(&network, true);
    let mut drawn = lanes(&training);
    // The labels, and blocks: 1, down, 1 and in0, in1, 2, up, 2.
    assert_eq!(drawn.len(), 1 + 3 + 7);
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 1 + 3 + 7);

    let (evaluation, _) = graph(&network, false);
    assert!(lanes(&evaluation).is_empty());
}

#[test]
fn a_network_without_dropout_needs_no_draws() {
    let network = SongUNet::new(SongUNetConfig { dropout: 0.0, ..small() }).unwrap();
    let (training, _) = graph(&network, true);
    let operations: Vec<_> = training.values().map(|value| training.operation(value)).collect();
    assert!(operations.iter().all(|operation| {
        let read = operation.inputs.iter().map(|input| training.operation(*input).dtype);
        !read.into_iter().any(|dtype| dtype == Dtype::Bits)
    }));
}

#[test]
fn convolutions_are_followed_by_bias_embedding_residual_and_scale() {
    let network = SongUNet::new(small()).unwrap();
    let (graph, _) = graph(&network, false);
    let reader = |value: Value| graph.values().find(|v| graph.operation(*v).inputs.contains(&value)).unwrap();
    let text = |value: Value| match &graph.operation(value).op {
        Op::Map { expr } => expr.to_string(),
        _ => String::new(),
    };
    let convs: Vec<Value> = graph.values().filter(|v| matches!(graph.operation(*v).op, Op::Conv)).collect();
    // The first block: conv0, conv1, then qkv and proj of its attention.
    let bias = reader(convs[1]);
    let embedded = reader(bias);
    assert_eq!((text(bias), text(embedded)), ("(a + b)".into(), "(a + b)".into()));
    assert_eq!(graph.shape(graph.operation(embedded).inputs[1])[..], [2, 1, 1, 16]);
    let residual = reader(reader(convs[2]));
    let skip = graph.operation(residual).inputs[1];
    assert_eq!(graph.operation(skip).inputs[0], convs[0]);
    assert_eq!(text(reader(residual)), format!("(a * {})", 0.5f64.sqrt()));
}

#[test]
fn sizes_that_do_not_fit_are_explained() {
    let error = |change: fn(&mut SongUNetConfig)| {
        let mut config = small();
        change(&mut config);
        SongUNet::new(config).unwrap_err()
    };
    let halves = "images of 6x8 do not halve 2 times, as `multipliers` of 3 levels need; \
                  give fewer multipliers or other images";
    assert_eq!(error(|c| (c.image, c.multipliers) = ([6, 8], vec![1, 1, 1])), halves);
    assert_eq!(error(|c| c.channels_in = 0), "`channels_in` is 0, expected at least 1");
    assert_eq!(error(|c| c.multipliers = vec![]), "`multipliers` is empty, expected one for each level");
    assert_eq!(error(|c| c.model_channels = 7), "`model_channels` is 7, expected an even number");
    assert_eq!(error(|c| c.model_channels = 2), "`model_channels` is 2, expected at least 4");
    assert_eq!(error(|c| c.multipliers = vec![1, 0]), "`multipliers` is 0, expected at least 1");
    assert_eq!(error(|c| c.attention = vec![16]), "`attention` at 16 is no level: the levels are [8, 4]");
    assert_eq!(error(|c| c.dropout = 1.0), "`dropout` is 1, expected at least 0 and below 1");
    assert_eq!(
        error(|c| c.label_dropout = f64::NAN),
        "`label_dropout` is NaN, expected at least 0 and below 1"
    );
    assert_eq!(
        error(|c| c.blocks = usize::MAX),
        format!("`blocks` is {}, expected at most 65536", usize::MAX)
    );
    let widest = "`channels of a level` is 131072, expected at most 65536";
    assert_eq!(error(|c| c.model_channels = 1 << 16), widest);
    let taps = "`filter` is [1.0, 1.0, 1.0], expected 2 or 4 taps, such as [1, 1] or [1, 3, 3, 1]";
    assert_eq!(error(|c| c.filter = vec![1.0; 3]), taps);
    let groups = "`enc.8x8_block0.norm0` has 22 channels, which do not fall into equal groups of at least 4; \
                  give `model_channels` a multiple of 4, or of 32 where levels have more than 128 channels";
    assert_eq!(error(|c| c.model_channels = 22), groups);
}

#[test]
fn a_configuration_survives_being_written_down() {
    let config = small();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<SongUNetConfig>(&text).unwrap(), config);
}

#[test]
fn a_configuration_from_before_ncsnpp_is_ddpmpp() {
    let mut written = serde_json::to_value(small()).unwrap();
    let fields = written.as_object_mut().unwrap();
    for new in ["embedding", "noise_multiplier", "encoder", "decoder"] {
        fields.remove(new).unwrap();
    }
    assert_eq!(serde_json::from_value::<SongUNetConfig>(written).unwrap(), small());
}
