//! Augments images and says how.

use bevy_ecs::prelude::*;
use philox::{Key, stream};
use pipeline::{Inputs, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{AugmentLabels, Compute, Images};
use serde::Deserialize;

use crate::{Batch, Counted, Drawn, Margins, Preset, Transforms, augment_graph};

/// Settings of the augmentation; what is not given is what the preset says.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    images: Wire<Images>,
    p: f64,
    #[serde(default)]
    preset: Option<Preset>,
    #[serde(default)]
    xflip: Option<f64>,
    #[serde(default)]
    yflip: Option<f64>,
    #[serde(default)]
    rotate_int: Option<f64>,
    #[serde(default)]
    translate_int: Option<f64>,
    #[serde(default)]
    translate_int_max: Option<f64>,
    #[serde(default)]
    scale: Option<f64>,
    #[serde(default)]
    scale_std: Option<f64>,
    #[serde(default)]
    rotate_frac: Option<f64>,
    #[serde(default)]
    rotate_frac_max: Option<f64>,
    #[serde(default)]
    aniso: Option<f64>,
    #[serde(default)]
    aniso_std: Option<f64>,
    #[serde(default)]
    aniso_rotate_prob: Option<f64>,
    #[serde(default)]
    translate_frac: Option<f64>,
    #[serde(default)]
    translate_frac_std: Option<f64>,
    #[serde(default)]
    brightness: Option<f64>,
    #[serde(default)]
    brightness_std: Option<f64>,
    #[serde(default)]
    contrast: Option<f64>,
    #[serde(default)]
    contrast_std: Option<f64>,
    #[serde(default)]
    lumaflip: Option<f64>,
    #[serde(default)]
    hue: Option<f64>,
    #[serde(default)]
    hue_max: Option<f64>,
    #[serde(default)]
    saturation: Option<f64>,
    #[serde(default)]
    saturation_std: Option<f64>,
    #[serde(default)]
    margins: Margins,
    #[serde(default)]
    seed: u64,
}

impl Node for Augment {
    type Value = (Images, AugmentLabels);

    const DOC: &'static str = "Augments images: each transformation acts on an image with probability `p` times its multiplier.\n\
        Makes labels of what it did, for a network that is told (appendix F.2 of the paper): one for each transformation \
        that may act, two for turns, shifts, `aniso` and `hue`. Pixels are changed on the device.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("images", "the images"),
        ("p", "how often transformations act: 0.12 in the paper on CIFAR-10, 0.15 at 64x64"),
        ("preset", "`Paper` is what the paper trains with: 9 labels; nothing unless given"),
        ("xflip", "mirrors every other time it acts"),
        ("yflip", "turns upside down every other time it acts"),
        ("rotate_int", "turns by quarters"),
        ("translate_int", "shifts by whole pixels"),
        ("translate_int_max", "the farthest, 0.125 of the image unless given"),
        ("scale", "scales"),
        ("scale_std", "standard deviation of log2 of the size, 0.2 unless given"),
        ("rotate_frac", "turns by any angle"),
        ("rotate_frac_max", "the farthest, 1 half turn unless given"),
        ("aniso", "stretches"),
        ("aniso_std", "standard deviation of log2 of the stretch, 0.2 unless given"),
        ("aniso_rotate_prob", "how often that is not along the axes, 0.5 unless given"),
        ("translate_frac", "shifts by any distance"),
        ("translate_frac_std", "standard deviation, 0.125 of the image unless given"),
        ("brightness", "adds to all colours"),
        ("brightness_std", "standard deviation, 0.2 unless given"),
        ("contrast", "multiplies all colours"),
        ("contrast_std", "standard deviation of log2 of the factor, 0.5 unless given"),
        ("lumaflip", "inverts the brightness and keeps the hue every other time it acts"),
        ("hue", "turns colours around grey"),
        ("hue_max", "the farthest, 1 half turn unless given"),
        ("saturation", "multiplies the distance from grey"),
        ("saturation_std", "standard deviation of log2 of the factor, 1 unless given"),
        (
            "margins",
            "how far images are reflected: `Own`, as each needs, unless given; `Batch`, as any in the batch needs, as the \
             paper's code does",
        ),
        ("seed", "which random numbers, 0 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        for (field, number) in self.given().into_iter().chain([("p", Some(self.p))]) {
            let number = number.unwrap_or_default();
            if !(number.is_finite() && number >= 0.0) {
                let what = format!("`{field}` is {number}, expected a finite number from 0 on");
                return Err(Mistake::new(field, what));
            }
        }
        if self.translate_int_max == Some(0.0) {
            return Err(Mistake::new("translate_int_max", "`translate_int_max` is 0, expected more"));
        }
        if self.transforms().labels() == 0 {
            let what = "no transformation has a multiplier above 0";
            return Err(Mistake::new("images", what).help("say `preset: Paper`, or for example `xflip: 1`"));
        }
        Ok(())
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let (image, transforms) = (inputs.of(self.images), self.transforms());
        if let Some(&[h, w, c]) = image.as_deref()
            && let Some((field, what)) = transforms.misfit([h, w, c])
        {
            return Err(Mistake::new(field, what));
        }
        Ok(Shapes::of::<Images>(image).and::<AugmentLabels>(Shape::from([transforms.labels()])))
    }
}

impl Augment {
    /// The settings that override the preset, in the order of [`Transforms::settings`].
    fn given(&self) -> [(&'static str, Option<f64>); 23] {
        [
            ("xflip", self.xflip),
            ("yflip", self.yflip),
            ("rotate_int", self.rotate_int),
            ("translate_int", self.translate_int),
            ("translate_int_max", self.translate_int_max),
            ("scale", self.scale),
            ("scale_std", self.scale_std),
            ("rotate_frac", self.rotate_frac),
            ("rotate_frac_max", self.rotate_frac_max),
            ("aniso", self.aniso),
            ("aniso_std", self.aniso_std),
            ("aniso_rotate_prob", self.aniso_rotate_prob),
            ("translate_frac", self.translate_frac),
            ("translate_frac_std", self.translate_frac_std),
            ("brightness", self.brightness),
            ("brightness_std", self.brightness_std),
            ("contrast", self.contrast),
            ("contrast_std", self.contrast_std),
            ("lumaflip", self.lumaflip),
            ("hue", self.hue),
            ("hue_max", self.hue_max),
            ("saturation", self.saturation),
            ("saturation_std", self.saturation_std),
        ]
    }

    fn transforms(&self) -> Transforms {
        let preset = self.preset.map_or_else(Transforms::default, Preset::transforms);
        let mut transforms = Transforms { p: self.p, ..preset };
        for (setting, (_, number)) in transforms.settings().into_iter().zip(self.given()) {
            *setting = number.unwrap_or(*setting);
        }
        transforms
    }
}

/// The images augmented, and how.
pub fn augment(
    this: This<Augment>,
    images: Read<Images>,
    mut compute: Compute,
) -> Result<(Images, AugmentLabels)> {
    let (images, transforms) = (images.get(this.images)?, this.transforms());
    let shape = images.pixels.shape();
    let [n, h, w, c] = shape[..] else { return Err(format!("{shape} is not [n, h, w, c]").into()) };
    if let Some((_, what)) = transforms.misfit([h, w, c]) {
        return Err(what.into());
    }
    let steps = images.before..images.before + n as u64;
    let key = |step| Key { seed: this.seed, stream: stream::AUGMENT, step };
    let drawn: Vec<Drawn> = steps.map(|step| Drawn::new(&transforms, &mut Counted::new(key(step)))).collect();
    let batch = Batch::new(&drawn, &transforms, [h, w, c], this.margins);
    let bindings = batch.bindings(compute.device())?.tensor("y", &images.pixels);
    let mut made =
        compute.run(&shape.to_string(), &bindings, |graph| augment_graph(graph, shape, &transforms))?;
    let labels = compute.upload(&batch.labels)?;
    Ok((Images { pixels: made.take("x")?, ..images.clone() }, AugmentLabels(labels)))
}
