//! Augmentation with captured draws: every transformation, its labels, and all of them together.

use std::sync::Arc;

use augment::{Batch, Drawn, Draws, Lane, Margins, Of, SYM6, Transforms, augment_graph};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tensor::Device;

use crate::compare::{Tolerance, rms};
use crate::fixtures::{Noise, Numbers, Oracle, Settings};
use crate::report::{Checks, Failure, Report};
use crate::trial::Trial;

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

pub fn run(oracle: &Oracle, devices: &[Arc<dyn Device>], report: &mut Report) {
    let cases: Vec<Case> = oracle.cases("augment");
    if cases.is_empty() {
        return;
    }
    let tensors = oracle.tensors("augment/augment.safetensors");
    let sym6: Map<String, Json> = oracle.json("augment/sym6.json");
    report.case("augment", "sym6", "-", |checks| {
        let close = Tolerance { absolute: 0.0, relative: 1e-15 };
        checks.compare("the filter", &SYM6, &Settings(&sym6).list("float64", &[]), close);
        Ok(())
    });
    for case in &cases {
        for device in devices {
            report.case("augment", &case.name, &device.name(), |checks: &mut Checks| {
                let get = |what: &str| tensors.get(&format!("{}/{what}", case.name)).clone();
                let augment = Augment::new(&case.kwargs)?;
                let draws: Vec<Numbers> = case.draws.iter().map(|draw| get(&draw.name)).collect();
                let (images, labels) =
                    augment.run(tensors.get(&case.images), &mut draws.iter(), device.as_ref())?;
                let expected = get("y").values;
                let tolerance =
                    Tolerance::absolute(30.0 * case.f32_vs_f64.max_abs.max(1e-7 * rms(&expected)));
                checks.compare("y", &images.values, &expected, tolerance);
                checks.compare("labels", &labels.values, &get("labels").values, Tolerance::absolute(2e-6));
                Ok(())
            });
        }
    }
}

/// The product's augmentation, with margins as the reference has them.
pub struct Augment(Transforms);

impl Augment {
    pub fn new(kwargs: &Map<String, Json>) -> Result<Self, Failure> {
        let mut kwargs = kwargs.clone();
        kwargs.remove("class_name");
        let settings = serde_json::from_value(Json::Object(kwargs));
        settings.map(Augment).map_err(|error| Failure::NotBuilt(error.to_string()))
    }

    /// Augmented images `[n, c, h, w]` and their labels, from as many draws as the transforms take.
    pub fn run<'a>(
        &self,
        images: &Numbers,
        draws: &mut impl Iterator<Item = &'a Numbers>,
        device: &dyn Device,
    ) -> Result<(Numbers, Numbers), Failure> {
        let images = images.channels_last();
        let [n, h, w, c] = images.shape[..] else { return Err("images have four axes".to_owned().into()) };
        let mut captured = Captured { taken: Vec::new(), draws, next: 0, sample: 0 };
        let drawn = (0..n).map(|sample| {
            (captured.next, captured.sample) = (0, sample);
            Drawn::new(&self.0, &mut captured)
        });
        let batch = Batch::new(&drawn.collect::<Vec<_>>(), &self.0, [h, w, c], Margins::Batch);
        let labels = Numbers { shape: batch.labels.shape.to_vec(), values: batch.labels.f64s() };

        let mut trial = Trial::new(device);
        trial.input("y", &images)?;
        trial.bind(&batch.bindings(device)?);
        augment_graph(&mut trial.graph, &images.shape.clone().into(), &self.0);
        let values = trial.run()?.remove("x").ok_or("no images".to_owned())?;
        Ok((Numbers { shape: images.shape, values }.channels_first(), labels))
    }
}

/// Captured draws, each `[n]` or `[2, n]`, read for one sample after another.
struct Captured<'a, 'b, I> {
    draws: &'b mut I,
    taken: Vec<&'a Numbers>,
    next: usize,
    sample: usize,
}

impl<'a, I: Iterator<Item = &'a Numbers>> Draws for Captured<'a, '_, I> {
    fn draw<const N: usize>(&mut self, _: Lane, _: Of) -> [f64; N] {
        if self.next == self.taken.len() {
            self.taken.push(self.draws.next().expect("every transformation has its draws"));
        }
        let numbers = self.taken[self.next];
        self.next += 1;
        let n = numbers.values.len() / N;
        std::array::from_fn(|at| numbers.values[at * n + self.sample])
    }
}
