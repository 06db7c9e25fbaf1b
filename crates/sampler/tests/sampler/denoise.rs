//! Questions to denoisers.

use ports::Denoised;
use tensor::{Device, Reference};

use crate::small::wire;

/// D of four images, and of each of them alone with its level.
#[test]
fn a_batch_has_one_noise_level_or_a_level_for_each_image() {
    let ask = |images: &str, levels: &str| -> Vec<f64> {
        let text = format!(
            "(nodes: {{ \"net\": Normal(std: 0.5, image: (1, 1, 1)), \
             \"x\": Noisy(pixels: {images}, levels: {levels}), \"d\": Denoise(x: \"x\", by: \"net\") }})"
        );
        let mut engine = wire(&text, &[]).unwrap();
        engine.tick().unwrap_or_else(|failure| panic!("{failure}"));
        Reference.download(&engine.value::<Denoised>("d").unwrap().pixels).unwrap().f64s()
    };
    let each = ask("[1.0, 2.0, 3.0]", "[0.5, 1.0, 80.0]");
    let alone =
        [("[1.0]", "[0.5]"), ("[2.0]", "[1.0]"), ("[3.0]", "[80.0]")].map(|(x, level)| ask(x, level)[0]);
    assert_eq!(each, alone);
    assert_eq!(each[0], 0.5, "half of the variance is noise");
    assert_eq!(ask("[1.0, 2.0]", "[0.0]"), [1.0, 2.0], "clean images are their own answer");
}

#[test]
fn images_of_another_size_are_told_apart_from_those_of_the_denoiser() {
    let text = "(nodes: { \"net\": Normal(std: 0.5, image: (2, 2, 1)), \
                \"x\": Noisy(pixels: [1.0], levels: [1.0]), \"d\": Denoise(x: \"x\", by: \"net\") })";
    let failure = wire(text, &[]).unwrap().tick().unwrap_err().to_string();
    assert!(failure.contains("the images are [1, 1, 1], but the denoiser takes [2, 2, 1]"), "{failure}");
}
