//! Goes on with a training state from elsewhere, as `mollify import` writes it: whose node is which follows from who
//! trains whom.

use std::collections::BTreeMap;
use std::path::Path;

use bevy_ecs::prelude::*;
use checkpoint::{Array, Weights, compare, read_weights};
use data::{Dataset, Digits, Seen};
use denoise::{Precondition, Recipe, planned};
use diffusion::Scheme;
use pipeline::{Engine, Error, Keep, Kept, Saved};
use ports::{Architecture, Parameters, TRAINING};
use train::{Adam, Ema, Moments};
use unet::{Layout, Parameter};

/// The start of the names of parameters.
const PREFIX: &str = "model.";

/// The run that an imported training state stands for, in the terms of this pipeline.
///
/// # Errors
/// If the pipeline does not train one network, or another one than the state is of.
pub(crate) fn adopt(engine: &mut Engine, path: &Path) -> Result<Saved, Error> {
    let weights = read_weights(path).map_err(|error| Error::new(error.to_string()))?;
    let foreign = Foreign::read(weights).map_err(|what| {
        Error::new(format!("`{}` is no training state: {what}", path.display()))
            .help("`mollify import` makes one of a `training-state-*.pt`")
    })?;
    let roles = Roles::of(&mut engine.world)?;
    let unfit = |what: String| Error::new(format!("`{}` does not fit: {what}", path.display()));
    let planned = planned(&engine.world, roles.network.0).ok_or_else(|| {
        Error::new(format!("it is not known while wiring which network `{}` makes", roles.network.1))
    })?;
    foreign.expect_same(&planned, &roles).map_err(unfit)?;
    foreign.saved(&planned, &roles).map_err(unfit)
}

/// The nodes that keep something of training.
struct Roles {
    network: (Entity, String),
    adam: String,
    averages: Vec<String>,
    data: Vec<String>,
    /// What makes denoisers of the network.
    preconditions: Vec<(String, Scheme)>,
}

impl Roles {
    fn of(world: &mut World) -> Result<Self, Error> {
        let mut adams = world.query::<(Entity, &Name, &Adam)>();
        let adams: Vec<_> =
            adams.iter(world).map(|(node, name, adam)| (node, name.to_string(), adam.of())).collect();
        let [(optimiser, adam, of)] = &adams[..] else {
            let what = format!("the pipeline has {} `Adam`, expected one to give the state to", adams.len());
            return Err(Error::new(what));
        };
        let mut averages = world.query::<(&Name, &Ema)>();
        let averages = averages.iter(world).filter(|(_, ema)| ema.of().node() == *optimiser);
        let averages = averages.map(|(name, _)| name.to_string()).collect();
        let mut data = world.query_filtered::<&Name, Or<(With<Dataset>, With<Digits>)>>();
        let data = data.iter(world).map(ToString::to_string).collect();
        let mut preconditions = world.query::<(&Name, &Precondition)>();
        let preconditions = preconditions.iter(world).filter(|(_, kind)| kind.by().node() == of.node());
        let preconditions =
            preconditions.map(|(name, kind)| (name.to_string(), kind.scheme().clone())).collect();
        let network = world.get::<Name>(of.node()).map_or_else(String::new, ToString::to_string);
        Ok(Self { network: (of.node(), network), adam: adam.clone(), averages, data, preconditions })
    }
}

/// What the file says.
struct Foreign {
    recipe: Recipe,
    steps: u64,
    images: u64,
    arrays: BTreeMap<String, Array>,
}

impl Foreign {
    fn read(Weights { arrays, metadata }: Weights) -> Result<Self, String> {
        let text = |key: &str| metadata.get(key).ok_or_else(|| format!("it does not say `{key}`"));
        let number = |key: &str| text(key)?.parse().map_err(|_| format!("its `{key}` is no number"));
        Ok(Self {
            steps: number("steps")?,
            images: number("images")?,
            recipe: Recipe::read(text("recipe")?)?,
            arrays,
        })
    }

    /// Refuses a state of another network, or one in another preconditioning.
    fn expect_same(&self, planned: &Architecture, roles: &Roles) -> Result<(), String> {
        let layout = |network: &Architecture| {
            let network = network.clone().build()?;
            let list = network.layout().parameters.iter();
            Ok::<_, String>(list.map(|p| (p.name.clone(), p.file_shape.clone())).collect::<Vec<_>>())
        };
        compare(&layout(planned)?, &layout(&self.recipe.network)?).map_err(|error| error.to_string())?;
        if !planned.computes_as(&self.recipe.network) {
            return Err(format!(
                "it is of `{}`, and this is `{}`",
                self.recipe.network.recipe(),
                planned.recipe()
            ));
        }
        let mut other = roles.preconditions.iter().filter(|(_, scheme)| *scheme != self.recipe.scheme);
        match other.next() {
            Some((name, scheme)) => {
                Err(format!("it is trained with {:?}, and `{name}` has {scheme:?}", self.recipe.scheme))
            }
            None => Ok(()),
        }
    }

    fn saved(&self, planned: &Architecture, roles: &Roles) -> Result<Saved, String> {
        let plain = |kept: bevy_ecs::error::Result<Kept>| kept.map_err(|error| error.to_string());
        let network = planned.clone().build()?;
        let (layout, recipe) = (network.layout(), planned.recipe());
        let mut saved = Saved { tick: self.steps, ..Saved::default() };
        let mut keep = |node: &str, component: &str, kept: Kept| {
            saved.nodes.entry(node.to_owned()).or_default().insert(component.to_owned(), kept);
        };
        let parameters = self.gather(plain(Kept::plain(&recipe))?, layout, "", PREFIX)?;
        keep(&roles.network.1, Parameters::NAME, parameters);
        let moments = plain(Moments::kept(self.steps, &recipe))?;
        let moments = self.gather(moments, layout, Moments::MEAN, &format!("{TRAINING}mean."))?;
        let moments = self.gather(moments, layout, Moments::SQUARE, &format!("{TRAINING}square."))?;
        keep(&roles.adam, Moments::NAME, moments);
        let average = format!("{TRAINING}ema.");
        for node in roles.averages.iter().filter(|_| self.has_average()) {
            keep(node, Parameters::NAME, self.gather(plain(Kept::plain(&recipe))?, layout, "", &average)?);
        }
        for node in &roles.data {
            keep(node, Seen::NAME, plain(Kept::plain(&Seen(self.images)))?);
        }
        Ok(saved)
    }

    fn has_average(&self) -> bool {
        self.arrays.keys().any(|name| name.starts_with(&format!("{TRAINING}ema.")))
    }

    /// Adds an array for each parameter of a network. Adam has no moments of what never had a gradient: they are 0.
    fn gather(&self, kept: Kept, layout: &Layout, prefix: &str, from: &str) -> Result<Kept, String> {
        let array = |parameter: &Parameter| match self.arrays.get(&format!("{from}{}", parameter.name)) {
            Some(array) if array.shape == parameter.file_shape => {
                array.f32s().map_err(|error| format!("`{}`: {error}", parameter.name))
            }
            None if !prefix.is_empty() => Ok(vec![0.0; parameter.len()]),
            _ => Err(format!("it has no `{from}{}` of {:?}", parameter.name, parameter.file_shape)),
        };
        layout.parameters.iter().try_fold(kept, |kept, parameter| {
            let array = pipeline::Array::new(parameter.file_shape.clone(), &array(parameter)?);
            Ok(kept.with(format!("{prefix}{}", parameter.name), array))
        })
    }
}
