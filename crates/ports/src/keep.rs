//! Parameters in checkpoints, and images with what belongs to them.

use bevy_ecs::prelude::*;
use pipeline::{Dtype, Element, Keep, Kept};
use tensor::{Array, Data, Tensor};
use unet::Network;

use crate::{Architecture, AugmentLabels, Denoised, Images, Labels, Machine, Parameters, Sigma, Sigmas};

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

/// Keeps a tensor of numbers as an array, as exact as the device has it.
pub fn keep_tensor(kept: Kept, name: &str, tensor: &Tensor, world: &World) -> Result<Kept> {
    let numbers = world.resource::<Machine>().0.download(tensor)?.f64s();
    Ok(kept.with(name, pipeline::Array::new(tensor.shape().to_vec(), &numbers)))
}

/// What [`keep_tensor`] kept, on the device again.
pub fn load_tensor(kept: &Kept, name: &str, world: &World) -> Result<Tensor> {
    let array = kept.array(name)?;
    Ok(world.resource::<Machine>().0.upload(&Array::new(array.shape.clone(), array.read::<f64>()?))?)
}

impl Keep for Images {
    const NAME: &'static str = "Images";

    fn save(&self, world: &World) -> Result<Kept> {
        let (level, levels) = match &self.sigma {
            Sigma::Same(level) => (Some(*level), None),
            Sigma::Each(levels) => (None, Some(levels)),
        };
        let kept = Kept::plain(&(level, self.step, self.before))?;
        let kept = keep_tensor(kept, "pixels", &self.pixels, world)?;
        match levels {
            Some(levels) => keep_tensor(kept, "sigma", levels, world),
            None => Ok(kept),
        }
    }

    fn load(kept: &Kept, world: &mut World) -> Result<Self> {
        let (level, step, before): (Option<f64>, _, _) = kept.read()?;
        let sigma = match level {
            Some(level) => Sigma::Same(level),
            None => Sigma::Each(load_tensor(kept, "sigma", world)?),
        };
        Ok(Images { pixels: load_tensor(kept, "pixels", world)?, sigma, step, before })
    }
}

impl Keep for Denoised {
    const NAME: &'static str = "Denoised";

    fn save(&self, world: &World) -> Result<Kept> {
        keep_tensor(Kept::plain(&self.evaluations)?, "pixels", &self.pixels, world)
    }

    fn load(kept: &Kept, world: &mut World) -> Result<Self> {
        Ok(Denoised { pixels: load_tensor(kept, "pixels", world)?, evaluations: kept.read()? })
    }
}

impl Keep for Labels {
    const NAME: &'static str = "Labels";

    fn save(&self, world: &World) -> Result<Kept> {
        keep_tensor(Kept::plain(&self.classes)?, "rows", &self.rows, world)
    }

    fn load(kept: &Kept, world: &mut World) -> Result<Self> {
        Ok(Labels { rows: load_tensor(kept, "rows", world)?, classes: kept.read()? })
    }
}

impl Keep for Sigmas {
    const NAME: &'static str = "Sigmas";

    fn save(&self, world: &World) -> Result<Kept> {
        keep_tensor(Kept::default(), "sigma", &self.0, world)
    }

    fn load(kept: &Kept, world: &mut World) -> Result<Self> {
        Ok(Sigmas(load_tensor(kept, "sigma", world)?))
    }
}

impl Keep for AugmentLabels {
    const NAME: &'static str = "AugmentLabels";

    fn save(&self, world: &World) -> Result<Kept> {
        keep_tensor(Kept::default(), "rows", &self.0, world)
    }

    fn load(kept: &Kept, world: &mut World) -> Result<Self> {
        Ok(AugmentLabels(load_tensor(kept, "rows", world)?))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use diffusion::{Scaling, Schedule};
    use tensor::Reference;

    use super::*;
    use crate::Step;

    /// What comes back of a component.
    fn again<T: Keep>(value: &T) -> T {
        let mut world = World::new();
        world.insert_resource(Machine(Arc::new(Reference)));
        T::load(&value.save(&world).expect("it can be saved"), &mut world).expect("it can be loaded")
    }

    fn tensor(numbers: &[f64]) -> Tensor {
        let machine = Machine(Arc::new(Reference));
        machine.0.upload(&Array::new([numbers.len()], numbers.to_vec())).expect("a tensor")
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Machine(Arc::new(Reference)).0.download(tensor).expect("numbers").f64s()
    }

    #[test]
    fn images_come_back_with_their_levels_and_where_on_their_way_they_are() {
        let path = Schedule::Vp { epsilon_s: 1e-3 }.path(Scaling::Vp, 0.002, 80.0);
        let step = Step {
            index: 3,
            steps: 4,
            from: 0.1,
            to: 0.0,
            restart: None,
            at: 0.1,
            path,
            evaluations: 7,
            climbs: 1,
        };
        let sigma = Sigma::Each(tensor(&[0.5, 0.1]));
        let images = again(&Images { pixels: tensor(&[0.1, -0.3]), sigma, step: Some(step), before: 9 });
        assert_eq!((numbers(&images.pixels), images.step, images.before), (vec![0.1, -0.3], Some(step), 9));
        assert!(matches!(images.sigma, Sigma::Each(levels) if numbers(&levels) == [0.5, 0.1]));
        let clean = again(&Images::clean(tensor(&[1.0]), 0));
        assert!(clean.is_clean() && clean.step.is_none());
    }

    #[test]
    fn what_belongs_to_images_comes_back() {
        let labels = again(&Labels { rows: tensor(&[0.0, 1.0]), classes: Some(vec![1]) });
        assert_eq!((numbers(&labels.rows), labels.classes), (vec![0.0, 1.0], Some(vec![1])));
        let denoised = again(&Denoised { pixels: tensor(&[0.5]), evaluations: 3 });
        assert_eq!((numbers(&denoised.pixels), denoised.evaluations), (vec![0.5], 3));
        assert_eq!(numbers(&again(&Sigmas(tensor(&[2.0]))).0), [2.0]);
        assert_eq!(numbers(&again(&AugmentLabels(tensor(&[1.0, 0.0]))).0), [1.0, 0.0]);
    }
}
