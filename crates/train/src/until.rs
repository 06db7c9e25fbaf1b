//! When training is over.

use bevy_ecs::prelude::*;
use pipeline::{Mistake, Node, Read, This, Unfinished, Wire};
use ports::Images;
use serde::Deserialize;

use crate::setting::above_zero;

/// Settings of the end.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
pub struct Until {
    images: Wire<Images>,
    #[serde(default)]
    mimg: Option<f64>,
    #[serde(default)]
    kimg: Option<f64>,
    #[serde(default)]
    count: Option<f64>,
}

impl Until {
    /// The images that are counted.
    pub fn images(&self) -> Wire<Images> {
        self.images
    }

    /// How many of them to see.
    pub fn target(&self) -> f64 {
        self.given().map(|(_, number, unit)| number * unit).sum()
    }

    /// What the fields say, and in which unit: one of them, if the settings make sense.
    fn given(&self) -> impl Iterator<Item = (&'static str, f64, f64)> + use<> {
        let fields = [("mimg", self.mimg, 1e6), ("kimg", self.kimg, 1e3), ("count", self.count, 1.0)];
        fields.into_iter().filter_map(|(field, number, unit)| Some((field, number?, unit)))
    }
}

impl Node for Until {
    type Value = ();

    const DOC: &'static str = "Ends training when so many images have been seen, after the whole of the last batch.\n\
        Give one of `mimg`, `kimg` and `count`.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("images", "the images that are counted"),
        ("mimg", "how many, in millions"),
        ("kimg", "how many, in thousands"),
        ("count", "how many"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        match self.given().collect::<Vec<_>>()[..] {
            [(field, number, _)] => above_zero(field, number),
            [] => Err(Mistake::new("images", "it is not said how many images to see")
                .help("add one of `mimg`, `kimg` and `count`")),
            [(one, ..), (other, ..), ..] => {
                Err(Mistake::new(other, format!("`{one}` and `{other}` both say how many images to see"))
                    .help("leave out all but one"))
            }
        }
    }
}

/// Lets the run end once the images of this tick are enough.
pub fn until(this: This<Until>, images: Read<Images>, mut commands: Commands) -> Result {
    let images = images.get(this.images)?;
    let seen = (images.before + images.batch() as u64) as f64;
    if seen >= this.target() {
        commands.entity(this.node()).remove::<Unfinished>();
    }
    Ok(())
}
