//! How far images are from others.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Metric, Mistake, Node, Read, Shapes, This, Tick, Wire};
use ports::{Compute, Images, RunFolder};
use serde::Deserialize;
use tensor::{Bindings, Fold};

/// Settings of the comparison.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rmse {
    x: Wire<Images>,
    of: Wire<Images>,
    #[serde(default)]
    to: Option<String>,
}

impl Node for Rmse {
    type Value = ();

    const DOC: &'static str = "The root of the mean squared difference between images: of all as the metric `rmse`, and of \
        each in a table.\n\
        Of images that were encoded and decoded again it is the truncation error of both ways together.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images"),
        ("of", "as many that they are compared with"),
        ("to", "a `.csv` file, in `{run}` or elsewhere, with a row an image; none unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        match &self.to {
            Some(to) if !to.ends_with(".csv") => {
                Err(Mistake::new("to", format!("`{to}` does not end in `.csv`")))
            }
            _ => Ok(()),
        }
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        inputs.same("x", self.x, self.of)?;
        Ok(Shapes::default())
    }
}

/// Compares the images of this tick.
pub fn rmse(
    this: This<Rmse>,
    images: Read<Images>,
    tick: Res<Tick>,
    folder: RunFolder,
    mut compute: Compute,
    mut metrics: MessageWriter<Metric>,
) -> Result {
    let (x, y) = (&images.get(this.x)?.pixels, &images.get(this.of)?.pixels);
    let shape = x.shape();
    if shape != y.shape() {
        return Err(format!("images {shape} cannot be compared with {}", y.shape()).into());
    }
    let bindings = Bindings::new().tensor("x", x).tensor("y", y);
    let mut outputs = compute.run(&shape.to_string(), &bindings, |graph| {
        let [x, y] = ["x", "y"].map(|name| graph.input(name, shape.clone()));
        let squares = graph.map(&[x, y], |v| (v(0) - v(1)).square());
        let mean = graph.reduce(Fold::Mean, squares, &[1, 2, 3]);
        graph.output("squares", mean);
    })?;
    let squares = compute.download(&outputs.take("squares")?)?.f64s();
    let value = (squares.iter().sum::<f64>() / squares.len().max(1) as f64).sqrt();
    metrics.write(Metric { name: "rmse", tick: tick.0, value });
    if let Some(to) = &this.to {
        write(&folder.fill(to)?, &squares)?;
    }
    Ok(())
}

/// A row an image.
fn write(to: &str, squares: &[f64]) -> Result<(), String> {
    let rows = squares.iter().enumerate().map(|(image, square)| format!("{image},{}\n", square.sqrt()));
    let text: String = std::iter::once("image,rmse\n".to_owned()).chain(rows).collect();
    let folder = std::path::Path::new(to).parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| std::fs::write(to, text)).map_err(|error| format!("cannot write `{to}`: {error}"))
}
