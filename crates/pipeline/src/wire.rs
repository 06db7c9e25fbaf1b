//! Inputs of nodes: wires, what reads through them, and the edges they become.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::PathBuf;

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use serde::de::{Deserialize, Deserializer, Visitor};

use crate::Running;

/// A component that other nodes may read. Implement it with [`port!`](crate::port).
pub trait Port: Component {
    const NAME: &'static str;
    const WIRE: &'static str;
    const WIRES: &'static str;
    const PAST: &'static str;
}

/// Declares components that wires can carry.
///
/// `port!(Shown: Images or Denoised)` is for wires that lead to a node which makes either: nobody makes or reads a
/// `Shown`, and whoever has such a wire looks with [`Read::of`] for what is there.
#[macro_export]
macro_rules! port {
    ($($name:ident),+ $(,)?) => {$(
        $crate::port!(@ $name stringify!($name));
    )+};
    ($name:ident: $first:ident $(or $other:ident)+) => {
        $crate::port!(@ $name concat!(stringify!($first) $(, " or ", stringify!($other))+));
    };
    (@ $name:ident $said:expr) => {
        impl $crate::Port for $name {
            const NAME: &'static str = $said;
            const WIRE: &'static str = concat!("wire:", $said);
            const WIRES: &'static str = concat!("wires:", $said);
            const PAST: &'static str = concat!("past:", $said);
        }
    };
}

/// The ports that a wire may carry.
pub(crate) fn either(port: &'static str) -> impl Iterator<Item = &'static str> {
    port.split(" or ")
}

/// A [`Wire`] or a [`Past`].
pub trait Link<T>: Copy {
    /// The node at the other end.
    fn node(self) -> Entity;
}

/// An input: the node whose `T` this one reads. In RON, that node's name.
pub struct Wire<T> {
    node: Entity,
    port: PhantomData<fn() -> T>,
}

/// An input that reads what the other node had made by the end of the last tick.
pub struct Past<T> {
    node: Entity,
    port: PhantomData<fn() -> T>,
}

macro_rules! link {
    ($name:ident, $token:ident) => {
        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for $name<T> {}

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.node)
            }
        }

        impl<T> $name<T> {
            /// The node at the other end.
            pub fn node(self) -> Entity {
                self.node
            }
        }

        impl<T> Link<T> for $name<T> {
            fn node(self) -> Entity {
                self.node
            }
        }

        impl<'de, T: Port> Deserialize<'de> for $name<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let node = deserializer.deserialize_newtype_struct(T::$token, Bits)?;
                Ok(Self { node, port: PhantomData })
            }
        }
    };
}

link!(Wire, WIRE);
link!(Past, PAST);

struct Bits;

impl Visitor<'_> for Bits {
    type Value = Entity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a node")
    }

    fn visit_u64<E: serde::de::Error>(self, bits: u64) -> Result<Entity, E> {
        Entity::try_from_bits(bits).ok_or_else(|| E::custom("not a node"))
    }
}

/// Inputs of one sort. In RON, the name of a node or a list of names.
pub struct Wires<T>(Vec<Wire<T>>);

impl<T> Deref for Wires<T> {
    type Target = [Wire<T>];

    fn deref(&self) -> &[Wire<T>] {
        &self.0
    }
}

impl<'de, T: Port> Deserialize<'de> for Wires<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore<T>(PhantomData<fn() -> T>);

        impl<'de, T: Port> Visitor<'de> for OneOrMore<T> {
            type Value = Vec<Wire<T>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a node, or a list of names")
            }

            fn visit_u64<E: serde::de::Error>(self, bits: u64) -> Result<Self::Value, E> {
                Ok(vec![Wire { node: Bits.visit_u64(bits)?, port: PhantomData }])
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Self::Value, D::Error> {
                Vec::deserialize(deserializer)
            }
        }

        Ok(Self(deserializer.deserialize_newtype_struct(T::WIRES, OneOrMore(PhantomData))?))
    }
}

/// A file that must exist before anything runs. Relative paths start at the working directory.
#[derive(Clone, Debug, PartialEq)]
pub struct File(pub PathBuf);

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = String;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a file, in quotes")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
                String::deserialize(deserializer)
            }
        }

        Ok(Self(deserializer.deserialize_newtype_struct("file:", Text)?.into()))
    }
}

/// The settings of the node that is running.
#[derive(SystemParam)]
pub struct This<'w, 's, K: Component> {
    running: Res<'w, Running>,
    kinds: Query<'w, 's, &'static K>,
}

impl<K: Component> This<'_, '_, K> {
    /// The node that is running.
    pub fn node(&self) -> Entity {
        self.running.0
    }
}

impl<K: Component> Deref for This<'_, '_, K> {
    type Target = K;

    fn deref(&self) -> &K {
        self.kinds.get(self.running.0).expect("a node's system runs on that node")
    }
}

/// Reads the values that nodes have made.
#[derive(SystemParam)]
pub struct Read<'w, 's, T: Component> {
    values: Query<'w, 's, &'static T>,
    names: Query<'w, 's, &'static Name>,
}

impl<T: Port> Read<'_, '_, T> {
    /// The value at the other end of a wire.
    pub fn get(&self, wire: Wire<T>) -> Result<&T> {
        self.values.get(wire.node).map_err(|_| {
            let name = self.names.get(wire.node).map_or("?", Name::as_str);
            format!("`{name}` has not made its {} yet", T::NAME).into()
        })
    }

    /// The value at the other end of a wire that need not be there.
    pub fn maybe(&self, wire: Option<Wire<T>>) -> Result<Option<&T>> {
        wire.map(|wire| self.get(wire)).transpose()
    }

    /// Last tick's value, `None` if there was none.
    pub fn past(&self, past: Past<T>) -> Option<&T> {
        self.values.get(past.node).ok()
    }

    /// What `node` itself made when it last ran, `None` if it has not.
    pub fn of(&self, node: Entity) -> Option<&T> {
        self.values.get(node).ok()
    }
}

// Relationships are one-to-many, so an edge is an entity of its own between two nodes.

/// An edge between two nodes: the field it fills and the port it reads.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Edge {
    /// The field of the node that reads; `after` for an edge that carries nothing.
    pub field: String,
    /// What it carries, if anything.
    pub port: Option<&'static str>,
    /// Whether it carries last tick's value.
    pub past: bool,
}

/// The node an [`Edge`] starts at.
#[derive(Component)]
#[relationship(relationship_target = Outgoing)]
pub struct ComesFrom(pub Entity);

/// The edges that start at a node.
#[derive(Component)]
#[relationship_target(relationship = ComesFrom, linked_spawn)]
pub struct Outgoing(Vec<Entity>);

/// The node an [`Edge`] ends at.
#[derive(Component)]
#[relationship(relationship_target = Incoming)]
pub struct LeadsTo(pub Entity);

/// The edges that end at a node.
#[derive(Component)]
#[relationship_target(relationship = LeadsTo, linked_spawn)]
pub struct Incoming(Vec<Entity>);
