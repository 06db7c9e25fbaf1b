//! Every shader that a shipped pipeline or an operation needs is valid and can be said to every driver. Needs no adapter.

use mollify_tests::on_paper::{self, EVERYTHING, LITTLE};
use mollify_tests::translations::Translations;

#[test]
fn every_shader_is_valid_and_every_driver_can_be_told() {
    let mut wrong = Vec::new();
    for offer in [LITTLE, EVERYTHING] {
        let shaders = on_paper::shaders(offer);
        assert!(shaders.len() > 50, "only {} shaders were found", shaders.len());
        for shader in shaders {
            let text = shader.text().map_err(|flaw| flaw.to_string());
            let said = text.and_then(|text| {
                Translations::of(&text).map_err(|what| format!("`{}`: {what}", shader.source.name))
            });
            wrong.extend(said.err());
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn other_batches_need_no_new_shaders() {
    let of =
        |batch: &str| on_paper::shaders_of("train/cifar10.ron", &[batch, "unet.channels=64"], EVERYTHING);
    let (few, many) = (of("batch=12"), of("batch=64"));
    assert!(few.len() > 20, "only {} shaders were found", few.len());
    assert!(few == many, "{} shaders for batches of 12, {} for 64", few.len(), many.len());
}
