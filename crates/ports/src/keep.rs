//! Parameters in checkpoints.

use bevy_ecs::prelude::*;
use pipeline::{Dtype, Element, Keep, Kept};
use tensor::{Array, Data, Tensor};
use unet::Network;

use crate::{Architecture, Machine, Parameters};

/// A node that holds parameters finds them again as its own last value, in this act and in later ones.
impl Keep for Parameters {
    const NAME: &'static str = "Parameters";

    fn save(&self, world: &World) -> Result<Kept> {
        keep_arena(Kept::plain(&self.recipe)?, "", self.network.as_ref(), &self.arena, world)
    }

    fn load(kept: &Kept, world: &mut World) -> Result<Self> {
        let recipe: String = kept.read()?;
        let network = Architecture::read(&recipe)?.build()?;
        let arena = load_arena(kept, "", network.as_ref(), world)?;
        Ok(Parameters { network, arena, recipe })
    }
}

/// Keeps a number for each parameter of a network, as exact as the device has it: an array for each
/// parameter, called `prefix` and the parameter's name, in the order of PyTorch's files.
pub fn keep_arena(
    kept: Kept,
    prefix: &str,
    network: &dyn Network,
    arena: &Tensor,
    world: &World,
) -> Result<Kept> {
    Ok(match world.resource::<Machine>().0.download(arena)?.data {
        Data::F64(numbers) => export(kept, prefix, network, &numbers),
        numbers => export(kept, prefix, network, &Array::new(arena.shape().clone(), numbers).f32s()),
    })
}

fn export<T: Element>(kept: Kept, prefix: &str, network: &dyn Network, numbers: &[T]) -> Kept {
    network.layout().export(numbers).fold(kept, |kept, (parameter, values)| {
        let array = pipeline::Array::new(parameter.file_shape.clone(), &values);
        kept.with(format!("{prefix}{}", parameter.name), array)
    })
}

/// What [`keep_arena`] kept, on the device again.
pub fn load_arena(kept: &Kept, prefix: &str, network: &dyn Network, world: &World) -> Result<Tensor> {
    let shape = [network.layout().len];
    let exact = kept.arrays.iter().any(|(_, array)| array.dtype == Dtype::F64);
    let array = match exact {
        true => Array::new(shape, import::<f64>(kept, prefix, network)?),
        false => Array::new(shape, import::<f32>(kept, prefix, network)?),
    };
    Ok(world.resource::<Machine>().0.upload(&array)?)
}

fn import<T: Element + Default>(kept: &Kept, prefix: &str, network: &dyn Network) -> Result<Vec<T>> {
    let numbers = network.layout().import(|parameter| {
        let array = kept.array(&format!("{prefix}{}", parameter.name));
        array.and_then(pipeline::Array::read).map_err(|error| error.to_string().trim_end().to_owned())
    });
    Ok(numbers?)
}
