//! A world that knows kinds of nodes and can become a pipeline.

use std::collections::BTreeMap;

use bevy_ecs::component::ComponentId;
use bevy_ecs::error::FallbackErrorHandler;
use bevy_ecs::message::{MessageRegistry, message_update_system};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleLabel;
use bevy_ecs::system::{RegisteredSystem, ScheduleSystem};
use ron_tree::{Error, Reader};

use crate::keep::Keepers;
use crate::outline::{Outline, outline};
use crate::run::{Plan, Progress, set_aside};
use crate::{
    Act, After, Before, Closing, Inputs, Interrupt, Keep, Metric, Mistake, Node, Note, Port, Running, Shapes,
    Tick, Timing,
};

/// Something that teaches an [`Engine`] new kinds, ports or systems.
pub trait Plugin {
    fn build(&self, engine: &mut Engine);
}

impl<F: Fn(&mut Engine)> Plugin for F {
    fn build(&self, engine: &mut Engine) {
        self(engine);
    }
}

/// A world that knows kinds of nodes and can become a pipeline.
pub struct Engine {
    pub world: World,
    pub(crate) kinds: BTreeMap<&'static str, Kind>,
    pub(crate) ports: BTreeMap<&'static str, ComponentId>,
}

/// A kind of node, with its type erased.
pub(crate) struct Kind {
    pub(crate) outline: Outline,
    pub(crate) doc: &'static str,
    pub(crate) docs: &'static [(&'static str, &'static str)],
    /// What it makes, in the order it says so.
    pub(crate) values: Vec<ComponentId>,
    pub(crate) settings: ComponentId,
    pub(crate) fill: Fill,
    pub(crate) check: fn(&World, Entity) -> Result<(), Mistake>,
    pub(crate) shapes: fn(&World, Entity) -> Result<Shapes, Mistake>,
    pub(crate) check_shapes: fn(&World, Entity) -> Result<(), Mistake>,
}

/// Reads a node's settings, and returns what puts them and its system on the node.
pub(crate) type Fill = Box<dyn Fn(Reader<'_>) -> Result<Insert, Error> + Send + Sync>;
pub(crate) type Insert = Box<dyn FnOnce(&mut EntityWorldMut<'_>)>;

impl Default for Engine {
    fn default() -> Self {
        let mut world = World::new();
        world.init_resource::<Tick>();
        world.init_resource::<Act>();
        world.init_resource::<Closing>();
        world.init_resource::<Interrupt>();
        world.init_resource::<Plan>();
        world.init_resource::<Progress>();
        world.init_resource::<Keepers>();
        world.init_resource::<Schedules>();
        world.insert_resource(Running(Entity::PLACEHOLDER));
        world.insert_resource(FallbackErrorHandler(set_aside));
        MessageRegistry::register_message::<Metric>(&mut world);
        MessageRegistry::register_message::<Note>(&mut world);
        MessageRegistry::register_message::<Timing>(&mut world);
        let mut schedules = world.resource_mut::<Schedules>();
        schedules.entry(Before).add_systems(message_update_system);
        schedules.entry(After);
        Self { world, kinds: BTreeMap::new(), ports: BTreeMap::new() }
    }
}

impl Engine {
    /// This engine with everything a plugin teaches it.
    pub fn with(mut self, plugin: impl Plugin) -> Self {
        plugin.build(&mut self);
        self
    }

    /// Declares a component that wires can carry.
    pub fn port<T: Port>(&mut self) -> &mut Self {
        let id = self.world.register_component::<T>();
        let old = self.ports.insert(T::NAME, id);
        assert!(old.is_none_or(|old| old == id), "two ports are called `{}`", T::NAME);
        self
    }

    /// Declares a kind of node and the system that works out its value.
    pub fn node<K, M>(
        &mut self,
        system: impl IntoSystem<(), K::Value, M> + Clone + Send + Sync + 'static,
    ) -> &mut Self
    where
        K: Node,
        M: 'static,
    {
        let outline = outline::<K>();
        let name = outline.name;
        for reserved in ["every", "after"] {
            let taken = outline.fields.iter().any(|field| field.name == reserved);
            assert!(
                !taken,
                "`{reserved}` means the same on every node, so `{name}` cannot have it as a field"
            );
        }
        let kind = Kind {
            outline,
            doc: K::DOC,
            docs: K::FIELDS,
            values: self.world.register_bundle::<K::Value>().explicit_components().to_vec(),
            settings: self.world.register_component::<K>(),
            fill: fill::<K, M>(system),
            check: |world, node| world.get::<K>(node).map_or(Ok(()), K::check),
            shapes: |world, node| {
                world.get::<K>(node).map_or(Ok(Shapes::default()), |kind| kind.shapes(&Inputs(world)))
            },
            check_shapes: |world, node| {
                world.get::<K>(node).map_or(Ok(()), |kind| kind.check_shapes(&Inputs(world)))
            },
        };
        let old = self.kinds.insert(name, kind);
        assert!(old.is_none(), "two kinds of node are called `{name}`");
        self
    }

    /// Declares a component that checkpoints save.
    pub fn keep<T: Keep>(&mut self) -> &mut Self {
        self.world.resource_mut::<Keepers>().add::<T>(false);
        self
    }

    /// Declares a component that checkpoints save of nodes whose act is over, as long as later acts read it.
    pub fn keep_handed_on<T: Keep>(&mut self) -> &mut Self {
        self.world.resource_mut::<Keepers>().add::<T>(true);
        self
    }

    /// Adds systems to a schedule, such as [`Before`] or [`After`].
    pub fn add_systems<M>(
        &mut self,
        label: impl ScheduleLabel,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M>,
    ) -> &mut Self {
        self.world.resource_mut::<Schedules>().add_systems(label, systems);
        self
    }

    /// The node of that name.
    pub fn find(&self, node: &str) -> Option<Entity> {
        self.world.resource::<Plan>().find(&self.world, node)
    }

    /// The value a node holds, by name.
    pub fn value<T: Component>(&self, node: &str) -> Option<&T> {
        self.world.get::<T>(self.find(node)?)
    }

    /// The act that a node runs in, counted from 0.
    pub fn act(&self, node: &str) -> Option<usize> {
        let node = self.find(node)?;
        let order = &self.world.resource::<Plan>().order;
        order.iter().find(|(other, _)| *other == node).map(|(_, act)| *act)
    }

    /// The names of all nodes, in running order.
    pub fn nodes(&self) -> Vec<&str> {
        let order = &self.world.resource::<Plan>().order;
        order.iter().filter_map(|(node, _)| Some(self.world.get::<Name>(*node)?.as_str())).collect()
    }
}

fn fill<K: Node, M: 'static>(
    system: impl IntoSystem<(), K::Value, M> + Clone + Send + Sync + 'static,
) -> Fill {
    Box::new(move |reader| {
        let settings = K::deserialize(reader)?;
        let formula = IntoSystem::into_system(system.clone().pipe(store::<K::Value>));
        Ok(Box::new(move |node| {
            node.insert((settings, RegisteredSystem::<(), ()>::new(Box::new(formula))));
        }))
    })
}

/// Puts what a node's system returned on the node.
fn store<B: Bundle>(In(value): In<B>, running: Res<Running>, mut commands: Commands) {
    commands.entity(running.0).insert(value);
}
