//! Saves what a run cannot work out again, and puts it back.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

use crate::run::{Plan, Progress};
use crate::{Act, Constant, Edge, Engine, LeadsTo, Outgoing, Pure, Tick, Unfinished};

/// State that must survive a restart. Use [`keep_plain!`](crate::keep_plain) for plain data.
pub trait Keep: Component + Sized {
    const NAME: &'static str;

    /// What a checkpoint holds of it; `world` has the device, where some of it may be.
    fn save(&self, world: &World) -> Result<Kept>;

    /// The component again.
    fn load(kept: &Kept, world: &mut World) -> Result<Self>;
}

/// Keeps components that are nothing but plain data: `Serialize` and `Deserialize`.
#[macro_export]
macro_rules! keep_plain {
    ($($name:ident),+ $(,)?) => {$(
        impl $crate::Keep for $name {
            const NAME: &'static str = stringify!($name);

            fn save(&self, _: &bevy_ecs::world::World) -> bevy_ecs::error::Result<$crate::Kept> {
                $crate::Kept::plain(self)
            }

            fn load(kept: &$crate::Kept, _: &mut bevy_ecs::world::World) -> bevy_ecs::error::Result<Self> {
                kept.read()
            }
        }
    )+};
}

/// A component in a checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// RON of its plain part.
    pub text: String,
    /// Its arrays, by name.
    pub arrays: Vec<(String, Array)>,
}

impl Kept {
    /// A component, or the plain part of one, as RON.
    pub fn plain(value: &impl Serialize) -> Result<Self> {
        Ok(Self { text: ron::to_string(value)?, arrays: Vec::new() })
    }

    /// Adds an array.
    pub fn with(mut self, name: impl Into<String>, array: Array) -> Self {
        self.arrays.push((name.into(), array));
        self
    }

    /// The plain part again.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(ron::from_str(&self.text)?)
    }

    /// The array of that name.
    pub fn array(&self, name: &str) -> Result<&Array> {
        let array = self.arrays.iter().find(|(known, _)| known == name).map(|(_, array)| array);
        array.ok_or_else(|| format!("there is no array `{name}`").into())
    }
}

/// Numbers with their dimensions, in bytes, little end first.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// What an array is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    F32,
    F64,
    U32,
    U8,
}

impl Array {
    /// An array of these numbers.
    pub fn new<T: Element>(shape: impl Into<Vec<usize>>, numbers: &[T]) -> Self {
        let bytes = numbers.iter().flat_map(|number| number.bytes().into_iter()).collect();
        Self { dtype: T::DTYPE, shape: shape.into(), bytes }
    }

    /// The numbers, if they are of that type and as many as the shape says.
    pub fn read<T: Element>(&self) -> Result<Vec<T>> {
        if self.dtype != T::DTYPE {
            return Err(format!("expected an array of {:?}, found {:?}", T::DTYPE, self.dtype).into());
        }
        let (count, size) = (self.shape.iter().product::<usize>(), size_of::<T>());
        if self.bytes.len() != count * size {
            let found = self.bytes.len();
            return Err(format!(
                "expected {} bytes for the shape {:?}, found {found}",
                count * size,
                self.shape
            )
            .into());
        }
        Ok(self.bytes.chunks_exact(size).map(T::from_bytes).collect())
    }
}

/// A number that arrays are made of.
pub trait Element: Copy {
    const DTYPE: Dtype;
    fn bytes(self) -> impl IntoIterator<Item = u8>;
    /// From exactly as many bytes as it has.
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($($number:ident $dtype:ident),+) => {$(
        impl Element for $number {
            const DTYPE: Dtype = Dtype::$dtype;

            fn bytes(self) -> impl IntoIterator<Item = u8> {
                self.to_le_bytes()
            }

            fn from_bytes(bytes: &[u8]) -> Self {
                $number::from_le_bytes(bytes.try_into().expect("as many bytes as it has"))
            }
        }
    )+};
}

element!(f32 F32, f64 F64, u32 U32, u8 U8);

/// How to save and load one sort of component.
struct Keeper {
    /// Whether only what is handed on to a later act is saved.
    handed_on: bool,
    save: fn(&World, Entity) -> Option<Result<Kept>>,
    load: fn(&mut World, Entity, &Kept) -> Result,
}

#[derive(Resource, Default)]
pub(crate) struct Keepers(BTreeMap<&'static str, Keeper>);

impl Keepers {
    pub(crate) fn add<T: Keep>(&mut self, handed_on: bool) {
        let save = |world: &World, node: Entity| world.get::<T>(node).map(|value| value.save(world));
        let load = |world: &mut World, node: Entity, kept: &Kept| {
            let value = T::load(kept, world)?;
            world.entity_mut(node).insert(value);
            Ok(())
        };
        self.0.insert(T::NAME, Keeper { handed_on, save, load });
    }
}

/// A run between two ticks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// How many ticks had passed.
    pub tick: u64,
    /// Which act was playing; the number of acts if all were over.
    pub act: usize,
    /// The nodes that were [`Unfinished`] once and no longer are.
    pub finished: Vec<String>,
    /// Every [`Keep`] component by node and component.
    pub nodes: BTreeMap<String, BTreeMap<String, Kept>>,
}

impl Saved {
    /// Saves a run, between two ticks or in [`After`](crate::After).
    pub fn of(world: &World) -> Result<Self> {
        let Progress { ticks, act, .. } = *world.resource::<Progress>();
        let mut saved = Self { tick: ticks, act, ..Self::default() };
        for (node, its) in &world.resource::<Plan>().order {
            let handed_on = *its < act && is_read_from(world, *node, act);
            let name = world.get::<Name>(*node).map_or_else(String::new, ToString::to_string);
            if world.resource::<Plan>().unfinished.contains(node)
                && !world.entity(*node).contains::<Unfinished>()
            {
                saved.finished.push(name.clone());
            }
            let mut components = BTreeMap::new();
            let keepers = &world.resource::<Keepers>().0;
            for (what, keeper) in keepers.iter().filter(|(_, keeper)| handed_on || !keeper.handed_on) {
                if let Some(kept) = (keeper.save)(world, *node) {
                    let kept =
                        kept.map_err(|e| format!("`{what}` of `{name}` cannot be saved: {}", line(&e)))?;
                    components.insert((*what).to_owned(), kept);
                }
            }
            if !components.is_empty() {
                saved.nodes.insert(name, components);
            }
        }
        Ok(saved)
    }

    /// Puts a run back into the world of a freshly wired engine of the same pipeline.
    pub fn load(&self, world: &mut World) -> Result {
        let acts = world.resource::<Plan>().acts();
        if self.act > acts {
            return Err(format!(
                "the checkpoint is from act {}, this pipeline has {acts} acts",
                self.act + 1
            )
            .into());
        }
        for name in &self.finished {
            let node = find(world, name)?;
            world.entity_mut(node).remove::<Unfinished>();
        }
        for (name, components) in &self.nodes {
            let node = find(world, name)?;
            for (what, kept) in components {
                let load = world.resource::<Keepers>().0.get(what.as_str()).map(|keeper| keeper.load);
                let load = load.ok_or_else(|| {
                    format!("the checkpoint has `{what}` of `{name}`, nothing here keeps that")
                })?;
                load(world, node, kept)
                    .map_err(|e| format!("`{what}` of `{name}` cannot be loaded: {}", line(&e)))?;
            }
        }
        world.insert_resource(Tick(self.tick));
        world.insert_resource(Act(self.act));
        world.insert_resource(Progress::at(self.tick, self.act));
        Ok(())
    }
}

/// Whether a node that plays from this act on reads the node, or one of an earlier act that a resumed world runs again.
fn is_read_from(world: &World, node: Entity, act: usize) -> bool {
    let order = &world.resource::<Plan>().order;
    let edges = world.get::<Outgoing>(node).into_iter().flat_map(Outgoing::iter);
    let carries = |edge: &Entity| world.get::<Edge>(*edge).is_some_and(|edge| edge.port.is_some());
    let readers = edges.filter(carries).filter_map(|edge| Some(world.get::<LeadsTo>(edge)?.0));
    let plays = |reader| order.iter().any(|(other, its)| *other == reader && *its >= act);
    let again = |reader| world.get::<Constant>(reader).is_some() || world.get::<Pure>(reader).is_some();
    act < world.resource::<Plan>().acts() && readers.into_iter().any(|reader| plays(reader) || again(reader))
}

fn find(world: &World, name: &str) -> Result<Entity> {
    let node = world.resource::<Plan>().find(world, name);
    node.ok_or_else(|| {
        format!("the checkpoint has a node `{name}`, this pipeline has none of that name").into()
    })
}

fn line(error: &BevyError) -> String {
    error.to_string().trim_end().to_owned()
}

impl Engine {
    /// Saves the run, between two ticks. In a system, use [`Saved::of`].
    pub fn save(&self) -> Result<Saved> {
        Saved::of(&self.world)
    }

    /// Goes on where a run was saved. The engine has been wired with the same pipeline and has not run yet.
    pub fn load(&mut self, saved: &Saved) -> Result {
        saved.load(&mut self.world)
    }
}
