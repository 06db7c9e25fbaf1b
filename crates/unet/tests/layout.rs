//! Layouts are those of the published networks, and arrays survive the way to the arena and back.

use mollify_unet::{
    DhariwalUNet, DhariwalUNetConfig, Init, Layout, Network, Parameters, SongUNet, SongUNetConfig,
};
use tensor::{Graph, Op};

fn ddpmpp(size: usize, change: impl FnOnce(&mut SongUNetConfig)) -> SongUNet {
    song(SongUNetConfig::ddpmpp([size, size], 3), change)
}

fn ncsnpp(size: usize, change: impl FnOnce(&mut SongUNetConfig)) -> SongUNet {
    song(SongUNetConfig::ncsnpp([size, size], 3), change)
}

fn song(mut config: SongUNetConfig, change: impl FnOnce(&mut SongUNetConfig)) -> SongUNet {
    change(&mut config);
    SongUNet::new(config).unwrap()
}

fn adm(change: impl FnOnce(&mut DhariwalUNetConfig)) -> DhariwalUNet {
    let mut config = DhariwalUNetConfig::adm([64, 64], 3);
    change(&mut config);
    DhariwalUNet::new(config).unwrap()
}

/// The values that a parameter starts with.
fn first(network: &dyn Network, arena: &[f32], name: &str) -> Vec<f32> {
    network.layout().parameters.iter().find(|p| p.name == name).unwrap().to_file(arena)
}

fn rms(values: &[f32]) -> f32 {
    (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt()
}

#[test]
fn parameter_counts_are_those_of_the_published_networks() {
    let counts = [
        (ddpmpp(32, |c| c.augment_dim = 9), 55_733_891),
        (ddpmpp(32, |c| (c.label_dim, c.augment_dim) = (10, 9)), 55_735_299),
        (ddpmpp(64, |c| (c.multipliers, c.augment_dim) = (vec![1, 2, 2, 2], 9)), 61_805_571),
        (ddpmpp(32, |c| c.multipliers = vec![1, 2, 2, 2]), 61_804_419),
        (
            ddpmpp(32, |c| {
                (c.model_channels, c.multipliers, c.blocks, c.augment_dim) = (32, vec![1, 2, 2], 2, 9)
            }),
            1_754_435,
        ),
        (ncsnpp(32, |c| c.augment_dim = 9), 56_397_827),
        (ncsnpp(32, |c| (c.label_dim, c.augment_dim) = (10, 9)), 56_400_643),
        (ncsnpp(64, |c| (c.multipliers, c.augment_dim) = (vec![1, 2, 2, 2], 9)), 62_761_091),
    ];
    for (network, count) in counts {
        assert_eq!(network.layout().count(), count, "{:?}", network.config());
    }
    assert_eq!(adm(|c| c.label_dim = 1000).layout().count(), 295_899_267);
    // For iDDPM.
    assert_eq!(adm(|c| (c.label_dim, c.channels_out) = (1000, 6)).layout().count(), 295_904_454);
}

#[test]
fn resampling_filters_are_kept_as_files_hold_them() {
    let network = ddpmpp(32, |c| c.filter = vec![1.0, 3.0, 3.0, 1.0]);
    let buffer = &network.layout().buffers[0];
    assert_eq!(buffer.name, "enc.16x16_down.conv0.resample_filter");
    assert_eq!((buffer.values[0], buffer.values[5]), (1.0 / 64.0, 9.0 / 64.0));
    assert_eq!(buffer.values.iter().sum::<f64>(), 1.0);
}

#[test]
fn arrays_survive_the_way_to_the_arena_and_back() {
    let network = ddpmpp(32, |c| (c.model_channels, c.multipliers, c.label_dim) = (16, vec![1, 2], 3));
    let layout = network.layout();
    let mut next = 0.0;
    let mut files = Vec::new();
    let arena = layout.import(|parameter| {
        files.push((0..parameter.len()).map(|i| next + i as f64).collect::<Vec<_>>());
        next += parameter.len() as f64;
        Ok(files[files.len() - 1].clone())
    });
    let arena = arena.unwrap();
    assert_eq!(arena.len(), layout.len);
    for ((parameter, file), original) in layout.export(&arena).zip(&files) {
        assert_eq!(&file, original, "{}", parameter.name);
        assert_eq!(parameter.offset % 16, 0);
    }
}

#[test]
fn weights_are_transposed_and_queries_keys_and_values_sorted() {
    let mut layout = Layout::default();
    let conv = layout.add("conv".into(), &[2, 2, 1, 2], Init::Zeros);
    let qkv = layout.add("qkv".into(), &[6], Init::Zeros);
    layout.parameters[qkv].interleaved = true;
    let arena = layout.import(|p| Ok((0..p.len()).collect())).unwrap();
    // File: [out][in][tap]; arena: [tap][in][out].
    assert_eq!(arena[layout.parameters[conv].offset..][..8], [0, 4, 2, 6, 1, 5, 3, 7]);
    // File: q0 k0 v0 q1 k1 v1.
    assert_eq!(arena[layout.parameters[qkv].offset..][..6], [0, 3, 1, 4, 2, 5]);
}

#[test]
fn an_array_of_the_wrong_length_is_named() {
    let mut layout = Layout::default();
    layout.add("map_layer0.bias".into(), &[4], Init::Zeros);
    let error = layout.import(|_| Ok(vec![0.0f32; 3])).unwrap_err();
    assert_eq!(error, "`map_layer0.bias` has 3 elements, expected 4 ([4])");
}

#[test]
fn first_values_depend_on_the_seed_and_the_place_alone() {
    let network = ddpmpp(8, |c| {
        (c.model_channels, c.multipliers, c.attention) = (16, vec![1, 2], vec![8]);
    });
    let layout = network.layout();
    let arena = layout.initialise(5);
    assert_eq!(arena, layout.initialise(5));
    assert_ne!(arena, layout.initialise(6));

    let values = |name: &str| first(&network, &arena, name);
    assert!(values("enc.8x8_block0.norm0.weight").iter().all(|v| *v == 1.0));
    assert!(values("enc.8x8_conv.bias").iter().all(|v| *v == 0.0));
    // Uniform within a bound has the bound over the root of 3 as its root mean square.
    let expected = (2.0f32 / (9.0 * 32.0)).sqrt();
    let conv0 = values("enc.8x8_block0.conv0.weight");
    assert!((rms(&conv0) / expected - 1.0).abs() < 0.05, "{} {expected}", rms(&conv0));
    assert!(conv0.iter().all(|v| v.abs() <= expected * 3f32.sqrt()));
    let conv1 = values("enc.8x8_block0.conv1.weight");
    assert!((rms(&conv1) / expected / 1e-5 - 1.0).abs() < 0.05);
    assert_ne!(conv0[..8], values("enc.8x8_block1.conv0.weight")[..8]);
}

#[test]
fn adm_starts_as_pytorch_does_and_with_silent_last_layers() {
    let network = adm(|c| {
        (c.image, c.model_channels, c.multipliers, c.blocks) = ([16, 16], 64, vec![1, 2], 1);
        (c.attention, c.label_dim, c.augment_dim) = (vec![16], 40, 9);
    });
    let arena = network.layout().initialise(3);
    let values = |name: &str| first(&network, &arena, name);
    for silent in ["enc.16x16_block0.conv1", "enc.16x16_block0.proj", "out_conv"] {
        assert!(values(&format!("{silent}.weight")).iter().all(|v| *v == 0.0), "{silent}");
        assert!(values(&format!("{silent}.bias")).iter().all(|v| *v == 0.0), "{silent}");
    }
    assert!(values("map_augment.weight").iter().all(|v| *v == 0.0));
    assert!((rms(&values("map_label.weight")) - 1.0).abs() < 0.05);
    // Weights and biases are uniform within one over the root of the fan-in.
    for (layer, fan_in) in [("enc.16x16_block0.conv0", 9.0 * 64.0), ("map_layer1", 256.0f32)] {
        let bound = 1.0 / fan_in.sqrt();
        let (weight, bias) = (values(&format!("{layer}.weight")), values(&format!("{layer}.bias")));
        assert!((rms(&weight) * 3f32.sqrt() / bound - 1.0).abs() < 0.05, "{layer}");
        assert!(weight.iter().chain(&bias).all(|v| v.abs() <= bound), "{layer}");
        assert!(bias.iter().any(|v| v.abs() > 0.5 * bound), "{layer}");
    }
}

#[test]
fn random_frequencies_are_kept_with_the_parameters_but_not_learned() {
    let network = ncsnpp(32, |c| (c.model_channels, c.multipliers) = (64, vec![1, 1]));
    let layout = network.layout();
    let frequencies = &layout.parameters[0];
    assert_eq!((frequencies.name.as_str(), frequencies.len()), ("map_noise.freqs", 64));
    assert!(layout.parameters.iter().skip(1).all(|parameter| parameter.learned));
    let all: usize = layout.parameters.iter().map(|parameter| parameter.len()).sum();
    assert_eq!(layout.count(), all - 64);
    let spread = rms(&first(&network, &layout.initialise(0), "map_noise.freqs"));
    assert!((10.0..22.0).contains(&spread), "{spread}");

    // Training asks for the gradients of windows.
    let mut graph = Graph::new();
    let arena = graph.input("parameters", [layout.len]);
    Parameters::windows(&mut graph, arena, layout);
    let offset = |value| match graph.operation(value).op {
        Op::Window { offset } => Some(offset),
        _ => None,
    };
    let windows: Vec<usize> = graph.values().filter_map(offset).collect();
    let learned: Vec<usize> = layout.parameters.iter().filter(|p| p.learned).map(|p| p.offset).collect();
    assert_eq!(windows, learned);
}
