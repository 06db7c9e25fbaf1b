//! Which transformations there are, how often each acts, and how far it goes.

use serde::Deserialize;

/// How often each transformation acts (a probability is `p` times its multiplier), and how strong it is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transforms {
    pub p: f64,
    pub xflip: f64,
    pub yflip: f64,
    pub rotate_int: f64,
    pub translate_int: f64,
    pub scale: f64,
    pub rotate_frac: f64,
    pub aniso: f64,
    pub translate_frac: f64,
    pub brightness: f64,
    pub contrast: f64,
    pub lumaflip: f64,
    pub hue: f64,
    pub saturation: f64,
    /// Of width and height.
    pub translate_int_max: f64,
    /// Of log2 of the size.
    pub scale_std: f64,
    /// Of half a turn.
    pub rotate_frac_max: f64,
    /// Of log2 of the stretch.
    pub aniso_std: f64,
    /// How often a stretch is not along the axes; `p` does not count here.
    pub aniso_rotate_prob: f64,
    /// Of width and height.
    pub translate_frac_std: f64,
    pub brightness_std: f64,
    /// Of log2 of the contrast.
    pub contrast_std: f64,
    /// Of half a turn.
    pub hue_max: f64,
    /// Of log2 of the saturation.
    pub saturation_std: f64,
}

/// Nothing acts; the strengths are those of the paper's code.
impl Default for Transforms {
    fn default() -> Self {
        Transforms {
            p: 1.0,
            xflip: 0.0,
            yflip: 0.0,
            rotate_int: 0.0,
            translate_int: 0.0,
            scale: 0.0,
            rotate_frac: 0.0,
            aniso: 0.0,
            translate_frac: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            lumaflip: 0.0,
            hue: 0.0,
            saturation: 0.0,
            translate_int_max: 0.125,
            scale_std: 0.2,
            rotate_frac_max: 1.0,
            aniso_std: 0.2,
            aniso_rotate_prob: 0.5,
            translate_frac_std: 0.125,
            brightness_std: 0.2,
            contrast_std: 0.5,
            hue_max: 1.0,
            saturation_std: 1.0,
        }
    }
}

/// The sets of transformations that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub enum Preset {
    /// What the paper trains configuration F with: mirrored every other time whatever `p`, and with probability `p` each
    /// upside down every other time, scaled, rotated, stretched and moved.
    Paper,
}

impl Preset {
    pub fn transforms(self) -> Transforms {
        match self {
            Preset::Paper => Transforms {
                xflip: 1e8,
                yflip: 1.0,
                scale: 1.0,
                rotate_frac: 1.0,
                aniso: 1.0,
                translate_frac: 1.0,
                ..Default::default()
            },
        }
    }
}

impl Transforms {
    /// Everything but `p`, each strength after its multiplier.
    pub(crate) fn settings(&mut self) -> [&mut f64; 23] {
        [
            &mut self.xflip,
            &mut self.yflip,
            &mut self.rotate_int,
            &mut self.translate_int,
            &mut self.translate_int_max,
            &mut self.scale,
            &mut self.scale_std,
            &mut self.rotate_frac,
            &mut self.rotate_frac_max,
            &mut self.aniso,
            &mut self.aniso_std,
            &mut self.aniso_rotate_prob,
            &mut self.translate_frac,
            &mut self.translate_frac_std,
            &mut self.brightness,
            &mut self.brightness_std,
            &mut self.contrast,
            &mut self.contrast_std,
            &mut self.lumaflip,
            &mut self.hue,
            &mut self.hue_max,
            &mut self.saturation,
            &mut self.saturation_std,
        ]
    }

    /// How many labels an image has: one or two for each transformation that may act.
    pub fn labels(&self) -> usize {
        let one = [
            self.xflip,
            self.yflip,
            self.scale,
            self.brightness,
            self.contrast,
            self.lumaflip,
            self.saturation,
        ];
        let two = [
            self.rotate_int,
            self.translate_int,
            self.rotate_frac,
            self.aniso,
            self.translate_frac,
            self.hue,
        ];
        count(&one) + 2 * count(&two)
    }

    /// Whether whole pixels move.
    pub fn moves(&self) -> bool {
        count(&[self.xflip, self.yflip, self.rotate_int, self.translate_int]) > 0
    }

    /// Whether images are read between their pixels.
    pub fn warps(&self) -> bool {
        count(&[self.scale, self.rotate_frac, self.aniso, self.translate_frac]) > 0
    }

    /// Whether colours change.
    pub fn colours(&self) -> bool {
        count(&[self.brightness, self.contrast, self.lumaflip, self.hue, self.saturation]) > 0
    }

    /// Why an image of that shape cannot be augmented so, if it cannot; the setting first.
    pub fn misfit(&self, [h, w, c]: [usize; 3]) -> Option<(&'static str, String)> {
        if self.rotate_int > 0.0 && h != w {
            return Some((
                "rotate_int",
                format!("turns by 90 degrees need square images, these are {h}x{w}"),
            ));
        }
        let of_colour = [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("lumaflip", self.lumaflip),
            ("hue", self.hue),
            ("saturation", self.saturation),
        ];
        let (name, _) = of_colour.into_iter().find(|(_, multiplier)| *multiplier > 0.0)?;
        let wrong = || (name, format!("colours are changed in images of 1 or 3 channels, these have {c}"));
        (c != 1 && c != 3).then(wrong)
    }
}

fn count(multipliers: &[f64]) -> usize {
    multipliers.iter().filter(|multiplier| **multiplier > 0.0).count()
}
