//! What is drawn for one image.

use std::f64::consts::PI;

use philox::{Key, Row, lane_words, normals_f64, unit_f64};

use crate::Transforms;

/// Where random numbers come from.
pub trait Draws {
    /// The next `N` numbers; `lane` tells what they are for.
    fn draw<const N: usize>(&mut self, lane: Lane, of: Of) -> [f64; N];
}

/// How numbers are distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Of {
    /// Integers from 0 on, below this.
    Below(u32),
    /// Between 0 and 1.
    Uniform,
    Normal,
}

/// A transformation as a lane of random numbers, so that none changes what another draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lane {
    XFlip,
    YFlip,
    RotateInt,
    TranslateInt,
    Scale,
    RotateFrac,
    Aniso,
    TranslateFrac,
    Brightness,
    Contrast,
    LumaFlip,
    Hue,
    Saturation,
}

/// Random numbers by counter: a function of the key and the lane alone.
pub struct Counted {
    row: Row,
    lane: Option<Lane>,
    block: u32,
}

impl Counted {
    pub fn new(key: Key) -> Self {
        Counted { row: key.words(), lane: None, block: 0 }
    }
}

impl Draws for Counted {
    /// At most 4 at a time, from a block of their own.
    fn draw<const N: usize>(&mut self, lane: Lane, of: Of) -> [f64; N] {
        self.block = if self.lane == Some(lane) { self.block + 1 } else { 0 };
        self.lane = Some(lane);
        let words = lane_words(self.row, lane as u32, self.block);
        let numbers = match of {
            Of::Below(end) => words.map(|word| ((u64::from(word) * u64::from(end)) >> 32) as f64),
            Of::Uniform => words.map(unit_f64),
            Of::Normal => normals_f64(words),
        };
        std::array::from_fn(|at| numbers[at])
    }
}

/// What happens to one image; zeros where nothing does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    pub flips: [f64; 2],
    /// Quarters of a turn.
    pub turn: f64,
    /// Of the farthest whole pixels: in (-1, 1).
    pub shift_int: [f64; 2],
    pub scale: f64,
    /// In radians.
    pub angle: f64,
    pub stretch: f64,
    /// In radians.
    pub stretch_angle: f64,
    pub shift: [f64; 2],
    pub brightness: f64,
    pub contrast: f64,
    pub lumaflip: f64,
    /// In radians.
    pub hue: f64,
    pub saturation: f64,
}

impl Drawn {
    /// Draws in the order of the transformations: what each does, then whether.
    pub fn new(of: &Transforms, draws: &mut impl Draws) -> Self {
        let p = of.p;
        let mut drawn = Drawn::default();
        let signed = |u: f64| 2.0 * u - 1.0;
        let [flip] = gated(draws, Lane::XFlip, Of::Below(2), p * of.xflip);
        let [flip_y] = gated(draws, Lane::YFlip, Of::Below(2), p * of.yflip);
        drawn.flips = [flip, flip_y];
        [drawn.turn] = gated(draws, Lane::RotateInt, Of::Below(4), p * of.rotate_int);
        drawn.shift_int = gated_as(draws, Lane::TranslateInt, Of::Uniform, p * of.translate_int, signed);
        [drawn.scale] = gated(draws, Lane::Scale, Of::Normal, p * of.scale);
        let turned = |u: f64| signed(u) * PI * of.rotate_frac_max;
        [drawn.angle] = gated_as(draws, Lane::RotateFrac, Of::Uniform, p * of.rotate_frac, turned);
        (drawn.stretch, drawn.stretch_angle) = stretch(of, draws);
        drawn.shift = gated(draws, Lane::TranslateFrac, Of::Normal, p * of.translate_frac);
        [drawn.brightness] = gated(draws, Lane::Brightness, Of::Normal, p * of.brightness);
        [drawn.contrast] = gated(draws, Lane::Contrast, Of::Normal, p * of.contrast);
        [drawn.lumaflip] = gated(draws, Lane::LumaFlip, Of::Below(2), p * of.lumaflip);
        let turned = |u: f64| signed(u) * PI * of.hue_max;
        [drawn.hue] = gated_as(draws, Lane::Hue, Of::Uniform, p * of.hue, turned);
        [drawn.saturation] = gated(draws, Lane::Saturation, Of::Normal, p * of.saturation);
        drawn
    }

    /// What the network is told, in the order of the transformations that may act: raw draws, angles as cosine less 1 and
    /// sine.
    pub fn labels(&self, of: &Transforms, [h, w]: [usize; 2]) -> Vec<f64> {
        let turn = |turns: [f64; 2]| f64::from(turns.contains(&self.turn));
        let [tx, ty] = self.whole_shift(of, [h, w]);
        let part = |pixels: f64, size: usize| pixels / (size as f64 * of.translate_int_max);
        let circle = |angle: f64| vec![angle.cos() - 1.0, angle.sin()];
        let r = self.stretch_angle;
        let all = [
            (of.xflip, vec![self.flips[0]]),
            (of.yflip, vec![self.flips[1]]),
            (of.rotate_int, vec![turn([1.0, 2.0]), turn([2.0, 3.0])]),
            (of.translate_int, vec![part(tx, w), part(ty, h)]),
            (of.scale, vec![self.scale]),
            (of.rotate_frac, circle(self.angle)),
            (of.aniso, vec![self.stretch * r.cos(), self.stretch * r.sin()]),
            (of.translate_frac, self.shift.to_vec()),
            (of.brightness, vec![self.brightness]),
            (of.contrast, vec![self.contrast]),
            (of.lumaflip, vec![self.lumaflip]),
            (of.hue, circle(self.hue)),
            (of.saturation, vec![self.saturation]),
        ];
        all.into_iter().filter(|(multiplier, _)| *multiplier > 0.0).flat_map(|(_, labels)| labels).collect()
    }

    /// To the right and down, in whole pixels.
    pub(crate) fn whole_shift(&self, of: &Transforms, [h, w]: [usize; 2]) -> [f64; 2] {
        let pixels = |at: usize, size: usize| self.shift_int[at] * size as f64 * of.translate_int_max;
        [pixels(0, w).round_ties_even(), pixels(1, h).round_ties_even()]
    }
}

/// A stretch, and where to: along the axes where that is not drawn.
fn stretch(of: &Transforms, draws: &mut impl Draws) -> (f64, f64) {
    if of.aniso <= 0.0 {
        return (0.0, 0.0);
    }
    let [stretch] = draws.draw(Lane::Aniso, Of::Normal);
    let [turn] = draws.draw(Lane::Aniso, Of::Uniform);
    let [acts] = draws.draw(Lane::Aniso, Of::Uniform);
    let [turns] = draws.draw(Lane::Aniso, Of::Uniform);
    let stretch = if acts < of.p * of.aniso { stretch } else { 0.0 };
    let turn = if turns < of.aniso_rotate_prob { (2.0 * turn - 1.0) * PI } else { 0.0 };
    (stretch, turn)
}

fn gated<const N: usize>(draws: &mut impl Draws, lane: Lane, of: Of, probability: f64) -> [f64; N] {
    gated_as(draws, lane, of, probability, |number| number)
}

/// Numbers made of what is drawn, and zeros where the transformation does not act. One that never acts draws nothing.
fn gated_as<const N: usize>(
    draws: &mut impl Draws,
    lane: Lane,
    of: Of,
    probability: f64,
    made: impl Fn(f64) -> f64,
) -> [f64; N] {
    if probability <= 0.0 {
        return [0.0; N];
    }
    let numbers = draws.draw(lane, of).map(made);
    let [gate] = draws.draw(lane, Of::Uniform);
    if gate < probability { numbers } else { [0.0; N] }
}
