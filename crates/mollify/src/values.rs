//! How the values of nodes become numbers, for snapshots.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use pipeline::{Engine, Port};
use ports::{Denoised, Gradients, Images, Labels, Machine, Parameters, Seeds, Sigmas, Step, Table, Times};
use tensor::{Device, Tensor};

/// The numbers of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Numbers {
    /// A plain list.
    pub fn list(values: Vec<f64>) -> Self {
        Self { shape: vec![values.len()], values }
    }

    /// Those of a tensor.
    pub fn of(tensor: &Tensor, device: &dyn Device) -> Result<Self> {
        Ok(Self { shape: tensor.shape().to_vec(), values: device.download(tensor)?.f64s() })
    }
}

/// What `mollify snapshot` looks at: for each port, how to get the numbers of a value.
///
/// A port of your own joins by `engine.world.get_resource_or_init::<Values>().add::<MyPort>(…)`.
#[derive(Resource, Default)]
pub struct Values(BTreeMap<&'static str, Look>);

type Look = Box<dyn Fn(&World, Entity, &dyn Device) -> Option<Result<Numbers>> + Send + Sync>;

impl Values {
    /// Says how to get the numbers of a `T`.
    pub fn add<T: Port>(
        &mut self,
        numbers: impl Fn(&T, &dyn Device) -> Result<Numbers> + Send + Sync + 'static,
    ) -> &mut Self {
        let look =
            move |world: &World, node, device: &dyn Device| Some(numbers(world.get::<T>(node)?, device));
        self.0.insert(T::NAME, Box::new(look));
        self
    }

    /// The numbers of everything that a node made last, by port.
    ///
    /// # Errors
    /// If the device cannot tell them.
    pub fn of(world: &World, node: Entity) -> Result<Vec<(&'static str, Numbers)>> {
        let (Some(values), Some(machine)) = (world.get_resource::<Self>(), world.get_resource::<Machine>())
        else {
            return Ok(Vec::new());
        };
        let looks = values.0.iter();
        looks.filter_map(|(port, look)| Some(look(world, node, &*machine.0)?.map(|n| (*port, n)))).collect()
    }
}

/// Declares the numbers of every port that mollify comes with.
pub(crate) fn plugin(engine: &mut Engine) {
    let mut values = engine.world.get_resource_or_init::<Values>();
    values
        .add::<Images>(|images, device| Numbers::of(&images.pixels, device))
        .add::<Sigmas>(|sigmas, device| Numbers::of(&sigmas.0, device))
        .add::<Labels>(|labels, device| Numbers::of(&labels.rows, device))
        .add::<Denoised>(|denoised, device| Numbers::of(&denoised.pixels, device))
        .add::<Parameters>(|parameters, device| Numbers::of(&parameters.arena, device))
        .add::<Gradients>(|gradients, device| match gradients.arena() {
            Some(arena) => Numbers::of(arena, device),
            None => Ok(Numbers::list(Vec::new())),
        })
        .add::<Times>(|times, _| Ok(Numbers::list(times.t.clone())))
        .add::<Seeds>(|seeds, _| Ok(Numbers::list(seeds.ids.iter().map(|seed| *seed as f64).collect())))
        .add::<Table>(|table, _| {
            let numbers = table.columns().iter().filter_map(|column| table.numbers(column).ok());
            Ok(Numbers::list(numbers.flatten().collect()))
        })
        .add::<Step>(|step, _| Ok(Numbers::list(vec![step.from, step.to])));
}
