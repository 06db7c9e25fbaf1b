//! A network in training, as a node.

use bevy_ecs::prelude::*;
use ports::{Parameters, Slice};
use tensor::{Device, Reference};

use crate::small::{mistake, wire};

const GIVEN: &str = "\"set\": Given(shape: (2, 8, 8, 1), pixels: [0.0], classes: 10)";

/// A small network with more settings.
fn nodes(settings: &str) -> String {
    format!(
        "{GIVEN}, \"unet\": SongUNet(like: \"set\", channels: 8, multipliers: [1, 2], blocks: 1, {settings})"
    )
}

fn arena(nodes: &str) -> Vec<f64> {
    let mut engine = wire(nodes).unwrap();
    engine.tick().unwrap();
    Reference.download(&engine.value::<Parameters>("unet").unwrap().arena).unwrap().f64s()
}

#[test]
fn a_network_starts_from_its_seed_and_has_the_size_of_its_images() {
    assert_eq!(arena(&nodes("")), arena(&nodes("seed: 0")));
    assert_ne!(arena(&nodes("")), arena(&nodes("seed: 1")));
    let mut engine = wire(&nodes("labels: \"set\"")).unwrap();
    assert!(engine.describe().contains("→ Labels 10\n      → Parameters 8x8x1"), "{}", engine.describe());
    engine.tick().unwrap();
    let network = &engine.value::<Parameters>("unet").unwrap().network;
    assert_eq!((network.image(), network.label_dim()), ([8, 8, 1], 10));
}

#[test]
fn parameters_are_entities_under_their_layers() {
    let mut engine = wire(&nodes("")).unwrap();
    engine.tick().unwrap();
    engine.tick().unwrap();
    let unet = engine.find("unet").unwrap();
    let network = engine.value::<Parameters>("unet").unwrap().network.clone();
    let mut parameters = engine.world.query::<(&Name, &ChildOf, &Slice)>();
    let mut layers = engine.world.query::<(&Name, &ChildOf)>();
    let found = parameters.iter(&engine.world).map(|(name, layer, slice)| {
        let (layer, node) = layers.get(&engine.world, layer.parent()).unwrap();
        assert_eq!(node.parent(), unet);
        (slice.range.start, format!("{layer}.{name}"), slice.range.len())
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    let expected = network.layout().parameters.iter().map(|p| (p.offset, p.name.clone(), p.len()));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[test]
fn a_resumed_run_has_the_parameters_it_was_left_with() {
    let mut engine = wire(&nodes("")).unwrap();
    engine.tick().unwrap();
    let saved = engine.save().unwrap();
    let before = arena(&nodes(""));
    // Another seed would start from other numbers.
    let mut resumed = wire(&nodes("seed: 5")).unwrap();
    resumed.load(&saved).unwrap();
    resumed.tick().unwrap_or_else(|failure| panic!("{failure}"));
    let parameters = resumed.value::<Parameters>("unet").unwrap();
    assert_eq!(Reference.download(&parameters.arena).unwrap().f64s(), before);
    assert!(resumed.world.query::<&Slice>().iter(&resumed.world).count() > 0);
}

#[test]
fn attention_is_where_it_is_usual_or_where_somebody_says() {
    wire(&nodes("")).unwrap();
    wire(&nodes("attention: [4]")).unwrap();
    let nowhere = mistake(&nodes("attention: [16]"));
    assert_eq!(nowhere, "`attention` at 16 is no level: the levels are [8, 4]; ");
}

#[test]
fn a_preset_is_where_other_choices_start_from() {
    let names = |settings: &str| {
        let mut engine = wire(&nodes(settings)).unwrap();
        engine.tick().unwrap();
        let network = &engine.value::<Parameters>("unet").unwrap().network;
        network.layout().parameters.iter().map(|p| p.name.clone()).collect::<Vec<_>>()
    };
    let has = |names: &[String], part: &str| names.iter().any(|name| name.contains(part));
    let ddpmpp = names("preset: DdpmPP");
    assert!(!has(&ddpmpp, "map_noise") && !has(&ddpmpp, "aux_residual"));
    let ncsnpp = names("preset: NcsnPP");
    assert!(has(&ncsnpp, "map_noise.freqs") && has(&ncsnpp, "enc.4x4_aux_residual.weight"));
    let between = names("preset: NcsnPP, encoder: Skip, decoder: Skip, embedding: Positional");
    assert!(!has(&between, "map_noise") && has(&between, "enc.4x4_aux_skip.weight"));
    assert!(has(&between, "dec.4x4_aux_conv.weight") && has(&between, "dec.8x8_aux_conv.weight"));
}

#[test]
fn sizes_that_do_not_fit_are_found_while_wiring() {
    let odd = format!("{GIVEN}, \"unet\": SongUNet(like: \"set\", channels: 7)");
    assert!(mistake(&odd).starts_with("`channels` is 7, expected an even number"), "{}", mistake(&odd));
    let deep = format!("{GIVEN}, \"unet\": SongUNet(like: \"set\", multipliers: [1, 1, 1, 1, 1])");
    assert!(mistake(&deep).contains("images of 8x8 do not halve 4 times"), "{}", mistake(&deep));
    let filter = mistake(&nodes("filter: [1.0]"));
    assert!(filter.starts_with("`filter` is [1.0], expected 2 or 4 taps"), "{filter}");
    assert!(mistake(&nodes("noise_multiplier: 0")).starts_with("`noise_multiplier` is 0, expected"));
    assert!(mistake(&nodes("dropout: 1.0")).starts_with("`dropout` is 1, expected"));
    let unlabelled = nodes("labels: \"set\"").replace("classes: 10", "classes: 0");
    assert_eq!(
        mistake(&unlabelled),
        "these images have no labels; leave out `labels` for an unconditional network"
    );
}
