//! The geometric augmentations of the training default, written as plainly as possible: they make the images that the
//! oracle's training run saw.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::compare::{Tolerance, rms};
use crate::fixtures::{Noise, Numbers, Oracle, Settings};
use crate::plane::Plane;
use crate::report::{Checks, Failure, Report};

/// Half of half the filter's taps: how far it reaches in the image's own pixels.
const REACH: usize = 3;

type Matrix = [[f64; 3]; 3];

#[derive(Deserialize)]
struct Case {
    name: String,
    images: String,
    kwargs: Map<String, Json>,
    draws: Vec<Draw>,
    f32_vs_f64: Noise,
}

/// Captured random numbers.
#[derive(Deserialize)]
pub struct Draw {
    pub name: String,
}

pub fn run(oracle: &Oracle, report: &mut Report) {
    let cases: Vec<Case> = oracle.cases("augment");
    if cases.is_empty() {
        return;
    }
    let tensors = oracle.tensors("augment/augment.safetensors");
    for case in &cases {
        report.case("augment", &case.name, "the test's own", |checks: &mut Checks| {
            let get = |what: &str| tensors.get(&format!("{}/{what}", case.name)).clone();
            let augment = Augment::new(&case.kwargs, oracle)?;
            let draws: Vec<Numbers> = case.draws.iter().map(|draw| get(&draw.name)).collect();
            let (images, labels) = augment.run(tensors.get(&case.images), &mut draws.iter());
            let expected = get("y").values;
            let tolerance = Tolerance::absolute(30.0 * case.f32_vs_f64.max_abs.max(1e-7 * rms(&expected)));
            checks.compare("y", &images.values, &expected, tolerance);
            checks.compare("labels", &labels.values, &get("labels").values, Tolerance::absolute(2e-6));
            Ok(())
        });
    }
}

pub struct Augment {
    settings: Map<String, Json>,
    /// The low-pass filter sym6.
    taps: Vec<f64>,
}

/// What was drawn for each sample; zeros where a transform is gated off.
struct Drawn {
    flips: [Vec<f64>; 2],
    scale: Vec<f64>,
    angle: Vec<f64>,
    stretch: Vec<f64>,
    stretch_angle: Vec<f64>,
    shift: [Vec<f64>; 2],
}

impl Augment {
    pub fn new(settings: &Map<String, Json>, oracle: &Oracle) -> Result<Self, Failure> {
        let here = ["xflip", "yflip", "scale", "rotate_frac", "aniso", "translate_frac"];
        let others =
            ["rotate_int", "translate_int", "brightness", "contrast", "lumaflip", "hue", "saturation"];
        let asked = |name: &str| Settings(settings).number(name, 0.0) > 0.0;
        if let Some(other) = others.into_iter().find(|name| asked(name)) {
            return Err(Failure::NotBuilt(format!("augmentation `{other}`")));
        }
        if let Some(missing) = here.into_iter().find(|name| !asked(name)) {
            return Err(Failure::NotBuilt(format!("augmentation without `{missing}`")));
        }
        let sym6: Map<String, Json> = oracle.json("augment/sym6.json");
        Ok(Augment { settings: settings.clone(), taps: Settings(&sym6).list("float64", &[]) })
    }

    /// Augmented images `[n, c, h, w]` and their labels, from as many draws as the transforms take.
    pub fn run<'a>(
        &self,
        images: &Numbers,
        draws: &mut impl Iterator<Item = &'a Numbers>,
    ) -> (Numbers, Numbers) {
        let [n, c, h, w] = self.sizes(images);
        let drawn = self.draw(n, draws);
        let maps: Vec<Matrix> = (0..n).map(|sample| self.map(&drawn, sample, [h, w])).collect();
        let margins = margins(&maps, [h, w]);
        let mut values = Vec::with_capacity(images.values.len());
        for (sample, map) in maps.iter().enumerate() {
            let flips = [drawn.flips[0][sample] != 0.0, drawn.flips[1][sample] != 0.0];
            for channel in 0..c {
                let plane = &images.values[(sample * c + channel) * h * w..][..h * w];
                let plane = Plane { width: w, values: plane.to_vec() };
                values
                    .extend(self.warp(plane.flipped(flips).reflected(margins), map, margins, [h, w]).values);
            }
        }
        let labels = (0..n).flat_map(|sample| drawn.labels(sample)).collect();
        (Numbers { shape: images.shape.clone(), values }, Numbers { shape: vec![n, 9], values: labels })
    }

    fn sizes(&self, images: &Numbers) -> [usize; 4] {
        images.shape[..].try_into().expect("images have four axes")
    }

    fn draw<'a>(&self, n: usize, draws: &mut impl Iterator<Item = &'a Numbers>) -> Drawn {
        let settings = Settings(&self.settings);
        let p = settings.number("p", 1.0);
        let mut next = || draws.next().expect("every transform has its draws").values.clone();
        let gated = |values: Vec<f64>, gate: Vec<f64>, probability: f64| -> Vec<f64> {
            let pairs = values.into_iter().zip(gate);
            pairs.map(|(value, gate)| if gate < probability { value } else { 0.0 }).collect()
        };
        let turn = |uniforms: Vec<f64>| -> Vec<f64> {
            uniforms.into_iter().map(|u| (2.0 * u - 1.0) * std::f64::consts::PI).collect()
        };
        let chance = |name: &str| settings.number(name, 0.0) * p;
        let mut plain = |name: &str| gated(next(), next(), chance(name));
        let flips = [plain("xflip"), plain("yflip")];
        let scale = plain("scale");
        let angle = gated(turn(next()), next(), chance("rotate_frac"));
        let angle = angle.into_iter().map(|angle| angle * settings.number("rotate_frac_max", 1.0)).collect();
        let (stretch, stretch_angle) = (next(), turn(next()));
        let stretch = gated(stretch, next(), chance("aniso"));
        let stretch_angle = gated(stretch_angle, next(), settings.number("aniso_rotate_prob", 0.5));
        let shifts = next();
        let gate = next();
        let shift = [0, 1]
            .map(|axis| gated(shifts[axis * n..][..n].to_vec(), gate.clone(), chance("translate_frac")));
        Drawn { flips, scale, angle, stretch, stretch_angle, shift }
    }

    /// From a place in the output to a place in the input, both in pixels from the image's centre.
    fn map(&self, drawn: &Drawn, sample: usize, [h, w]: [usize; 2]) -> Matrix {
        let settings = Settings(&self.settings);
        let scale = (drawn.scale[sample] * settings.number("scale_std", 0.2)).exp2();
        let stretch = (drawn.stretch[sample] * settings.number("aniso_std", 0.2)).exp2();
        let (angle, r) = (drawn.angle[sample], drawn.stretch_angle[sample]);
        let std = settings.number("translate_frac_std", 0.125);
        let (x, y) = (drawn.shift[0][sample] * w as f64 * std, drawn.shift[1][sample] * h as f64 * std);
        let steps = [
            scaling(1.0 / scale, 1.0 / scale),
            rotation(angle),
            rotation(-r),
            scaling(1.0 / stretch, stretch),
            rotation(r),
            translation(-x, -y),
        ];
        product(&steps)
    }

    /// Samples a plane, which has been padded, at twice its resolution.
    fn warp(
        &self,
        plane: Plane,
        map: &Matrix,
        [left, top, right, bottom]: [usize; 4],
        [h, w]: [usize; 2],
    ) -> Plane {
        let up = plane.doubled(&self.taps);
        let offset = |before: usize, after: usize| (before as f64 - after as f64) / 2.0;
        let padded = translation(offset(left, right), offset(top, bottom));
        let map = product(&[
            translation(-0.5, -0.5),
            scaling(2.0, 2.0),
            padded,
            *map,
            scaling(0.5, 0.5),
            translation(0.5, 0.5),
        ]);
        let [out_h, out_w] = [h, w].map(|size| 2 * (size + 2 * REACH));
        let centre = |size: usize| (size as f64 - 1.0) / 2.0;
        let mut values = Vec::with_capacity(out_h * out_w);
        for row in 0..out_h {
            for column in 0..out_w {
                let from = apply(&map, column as f64 - centre(out_w), row as f64 - centre(out_h));
                values.push(up.sample(from[0] + centre(up.width), from[1] + centre(up.height())));
            }
        }
        Plane { width: out_w, values }.halved(&self.taps).cropped(REACH)
    }
}

impl Drawn {
    fn labels(&self, sample: usize) -> [f64; 9] {
        let at = |values: &[f64]| values[sample];
        let (stretch, r) = (at(&self.stretch), at(&self.stretch_angle));
        [
            at(&self.flips[0]),
            at(&self.flips[1]),
            at(&self.scale),
            at(&self.angle).cos() - 1.0,
            at(&self.angle).sin(),
            stretch * r.cos(),
            stretch * r.sin(),
            at(&self.shift[0]),
            at(&self.shift[1]),
        ]
    }
}

/// How far left, up, right and down any sample looks out of the image, filter included.
fn margins(maps: &[Matrix], [h, w]: [usize; 2]) -> [usize; 4] {
    let (cx, cy) = ((w as f64 - 1.0) / 2.0, (h as f64 - 1.0) / 2.0);
    let mut reached = [f64::NEG_INFINITY; 4];
    for map in maps {
        for (x, y) in [(-cx, -cy), (cx, -cy), (cx, cy), (-cx, cy)] {
            let [x, y] = apply(map, x, y);
            for (side, value) in reached.iter_mut().zip([-x, -y, x, y]) {
                *side = side.max(value);
            }
        }
    }
    let limits = [w, h, w, h];
    std::array::from_fn(|side| {
        let half = (limits[side] as f64 - 1.0) / 2.0;
        (reached[side] + 2.0 * REACH as f64 - half).clamp(0.0, 2.0 * half).ceil() as usize
    })
}

fn scaling(x: f64, y: f64) -> Matrix {
    [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]]
}

fn rotation(angle: f64) -> Matrix {
    let (sin, cos) = angle.sin_cos();
    [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]
}

fn translation(x: f64, y: f64) -> Matrix {
    [[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]
}

/// The product, last step first.
fn product(steps: &[Matrix]) -> Matrix {
    steps.iter().fold(scaling(1.0, 1.0), |a, b| {
        std::array::from_fn(|row| {
            std::array::from_fn(|column| (0..3).map(|k| a[row][k] * b[k][column]).sum())
        })
    })
}

fn apply(map: &Matrix, x: f64, y: f64) -> [f64; 2] {
    [0, 1].map(|row| map[row][0] * x + map[row][1] * y + map[row][2])
}
