//! ADM in training, as a node.

use ports::Parameters;

use crate::small::{mistake, wire};

fn nodes(settings: &str) -> String {
    let given = "\"set\": Given(shape: (2, 8, 4, 3), pixels: [0.0], classes: 5)";
    format!(
        "{given}, \"unet\": DhariwalUNet(like: \"set\", channels: 8, multipliers: [1, 2], blocks: 1, {settings})"
    )
}

/// Names of its parameters.
fn names(nodes: &str) -> Vec<String> {
    let mut engine = wire(nodes).unwrap();
    engine.tick().unwrap();
    let network = &engine.value::<Parameters>("unet").unwrap().network;
    network.layout().parameters.iter().map(|parameter| parameter.name.clone()).collect()
}

#[test]
fn images_may_be_higher_than_wide_and_labels_of_any_length() {
    let mut engine = wire(&nodes("labels: \"set\", augment: 9")).unwrap();
    assert!(engine.describe().contains("→ Labels 5\n      → Parameters 8x4x3"), "{}", engine.describe());
    engine.tick().unwrap();
    let network = &engine.value::<Parameters>("unet").unwrap().network;
    assert_eq!((network.image(), network.label_dim(), network.augment_dim()), ([8, 4, 3], 5, 9));
}

#[test]
fn heads_of_64_channels_need_as_many_channels() {
    let attention = |names: Vec<String>| names.iter().any(|name| name.contains("qkv"));
    assert!(!attention(names(&nodes("attention: [8, 4]"))));
    let wider = nodes("attention: [8, 4]").replace("channels: 8,", "channels: 32,");
    assert!(attention(names(&wider)));
}

#[test]
fn a_network_may_put_out_more_channels_than_it_sees_but_not_fewer() {
    let mut engine = wire(&nodes("out_channels: 6")).unwrap();
    engine.tick().unwrap();
    assert_eq!(engine.value::<Parameters>("unet").unwrap().network.out_channels(), 6);
    let few = "`out_channels` is 2, expected at least the 3 channels of the images; ";
    assert_eq!(mistake(&nodes("out_channels: 2")), few);
}

#[test]
fn sizes_that_do_not_fit_are_found_while_wiring() {
    let deep = nodes("").replace("multipliers: [1, 2]", "multipliers: [1, 1, 1, 1]");
    assert!(mistake(&deep).starts_with("images of 8x4 do not halve 3 times"), "{}", mistake(&deep));
    let odd = nodes("").replace("channels: 8", "channels: 10");
    assert!(mistake(&odd).contains("30 channels, which do not fall into equal groups"), "{}", mistake(&odd));
    let level = mistake(&nodes("attention: [16]"));
    assert_eq!(level, "`attention` at 16 is no level: the levels are [8, 4]; ");
}
