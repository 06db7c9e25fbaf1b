//! Shapes of values, known while wiring.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::ops::Deref;

use bevy_ecs::prelude::*;

use crate::wire::either;
use crate::{Link, Mistake, Port};

/// The dimensions of one value: of an image height, width and channels, without the batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(pub Vec<usize>);

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self(dims.to_vec())
    }
}

impl Display for Shape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(if dims.is_empty() { "a single number".to_owned() } else { dims.join("x") }.as_str())
    }
}

/// The shapes of what a node makes, by port; a port that is not here is unknown until the node has run.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct Shapes(BTreeMap<&'static str, Shape>);

impl Shapes {
    /// A node that makes `T` of this shape, `None` for unknown.
    pub fn of<T: Port>(shape: impl Into<Option<Shape>>) -> Self {
        Self::default().and::<T>(shape)
    }

    /// And that makes `T` of that shape as well.
    pub fn and<T: Port>(mut self, shape: impl Into<Option<Shape>>) -> Self {
        if let Some(shape) = shape.into() {
            self.0.insert(T::NAME, shape);
        }
        self
    }

    /// The shape of the node's `T`.
    pub fn get<T: Port>(&self) -> Option<&Shape> {
        either(T::NAME).find_map(|port| self.0.get(port))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Shape)> {
        self.0.iter().map(|(port, shape)| (*port, shape))
    }
}

/// What the nodes that a node reads have declared.
pub struct Inputs<'w>(pub(crate) &'w World);

impl<'w> Inputs<'w> {
    /// What the nodes of a wired world have declared.
    pub fn new(world: &'w World) -> Self {
        Self(world)
    }
    /// The shape behind a wire, `None` while it is unknown.
    pub fn of<T: Port>(&self, input: impl Link<T>) -> Option<Shape> {
        self.0.get::<Shapes>(input.node())?.get::<T>().cloned()
    }

    /// Requires that the input of `field` has this shape, if its shape is known.
    pub fn expect<T: Port>(&self, field: &str, input: impl Link<T>, expected: &Shape) -> Result<(), Mistake> {
        let node = input.node();
        match self.of(input) {
            Some(shape) if shape != *expected => {
                let made = self.made::<T>(node, &shape);
                Err(Mistake::new(field, format!("{made}, but {expected} is needed here")))
            }
            _ => Ok(()),
        }
    }

    /// Requires that the input of `field` has the same shape as `like`, and returns the shape if either is known.
    pub fn same<T: Port, L: Port>(
        &self,
        field: &str,
        input: impl Link<T>,
        like: impl Link<L>,
    ) -> Result<Option<Shape>, Mistake> {
        let (node, other) = (input.node(), like.node());
        match (self.of(input), self.of(like)) {
            (Some(shape), Some(like)) if shape != like => {
                let [this, that] = [self.made::<T>(node, &shape), self.made::<L>(other, &like)];
                Err(Mistake::new(field, format!("{this}, but {that}"))
                    .help("both have to have the same shape"))
            }
            (shape, like) => Ok(shape.or(like)),
        }
    }

    /// The name of the node behind a wire.
    pub fn name<T: Port>(&self, input: impl Link<T>) -> &str {
        self.0.get::<Name>(input.node()).map_or("?", Name::as_str)
    }

    fn made<T: Port>(&self, node: Entity, shape: &Shape) -> String {
        let name = self.0.get::<Name>(node).map_or("?", Name::as_str);
        format!("`{name}` makes {} of {shape}", T::NAME)
    }
}
