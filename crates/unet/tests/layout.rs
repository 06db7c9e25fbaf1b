//! Layouts are those of the published networks, and arrays survive the way to the arena and back.

use mollify_unet::{Init, Layout, Network, SongUNet, SongUNetConfig};

fn ddpmpp(size: usize, change: impl FnOnce(&mut SongUNetConfig)) -> SongUNet {
    let mut config = SongUNetConfig::ddpmpp([size, size], 3);
    change(&mut config);
    SongUNet::new(config).unwrap()
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
    ];
    for (network, count) in counts {
        assert_eq!(network.layout().count(), count, "{:?}", network.config());
    }
}

#[test]
fn names_shapes_and_order_are_those_of_the_published_files() {
    let files = [
        (include_str!("fixtures/cifar10_ddpmpp.txt"), ddpmpp(32, |c| c.augment_dim = 9)),
        (
            include_str!("fixtures/ffhq64_ddpmpp.txt"),
            ddpmpp(64, |c| (c.multipliers, c.augment_dim) = (vec![1, 2, 2, 2], 9)),
        ),
    ];
    for (published, network) in files {
        let state = network.layout().state();
        let ours: Vec<String> = state.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
        assert_eq!(ours, published.lines().collect::<Vec<_>>());
    }
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

    let values = |name: &str| {
        let parameter = layout.parameters.iter().find(|p| p.name == name).unwrap();
        parameter.to_file(&arena)
    };
    let rms = |values: &[f32]| (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt();
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
