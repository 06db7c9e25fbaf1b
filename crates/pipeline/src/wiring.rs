//! Turns a pipeline into entities, or says everything that is wrong with it.

use bevy_ecs::prelude::*;
use ron_tree::{Error, Form, Links, Literal, Report, Tree, Word};

use crate::engine::Kind;
use crate::order::{Line, order};
use crate::reading::{Names, read};
use crate::run::{Every, Place, Plan};
use crate::wire::either;
use crate::{ComesFrom, Edge, Engine, LeadsTo, Mistake, Pipeline, Unfinished};

impl Engine {
    /// Turns a pipeline into entities, or says everything that is wrong with it. Computes nothing.
    ///
    /// An engine is wired once; a second pipeline needs an engine of its own.
    pub fn wire(&mut self, pipeline: &Pipeline) -> Result<(), Report> {
        assert!(!self.world.contains_resource::<Pipeline>(), "an engine is wired once");
        let mut wiring = Wiring::new(self, pipeline);
        wiring.read();
        wiring.check_ports();
        wiring.check_settings();
        let plan = wiring.plan();
        wiring.check_shapes(&plan);
        wiring.engine.world.insert_resource(plan);
        wiring.finish()
    }
}

/// A pipeline that is being wired, and what was found wrong with it so far.
struct Wiring<'a> {
    engine: &'a mut Engine,
    pipeline: &'a Pipeline,
    entities: Vec<Entity>,
    edges: Vec<Line>,
    errors: Vec<Error>,
}

impl<'a> Wiring<'a> {
    fn new(engine: &'a mut Engine, pipeline: &'a Pipeline) -> Self {
        let spawn = |(word, node): &(Word, Tree)| {
            let place = node.name().map_or(word.span, |name| name.span);
            engine.world.spawn((Name::new(word.text.clone()), Place(place))).id()
        };
        let entities = pipeline.nodes.iter().map(spawn).collect();
        Self { engine, pipeline, entities, edges: Vec::new(), errors: pipeline.mistakes.clone() }
    }

    fn tree(&self, node: Entity) -> &'a Tree {
        let at = self.entities.iter().position(|entity| *entity == node).expect("a node of this pipeline");
        &self.pipeline.nodes[at].1
    }

    fn kind(&self, node: Entity) -> Option<&Kind> {
        self.engine.kinds.get(self.tree(node).name()?.text.as_str())
    }

    fn read(&mut self) {
        for entity in self.entities.clone() {
            let mut tree = self.tree(entity).clone();
            self.read_pace(entity, &mut tree);
            let names = Names::new(self.engine, self.pipeline, &self.entities, entity);
            let insert = read(self.engine, &names, tree, &mut self.errors);
            self.edges.append(&mut names.into_edges());
            if let Some(insert) = insert {
                insert(&mut self.engine.world.entity_mut(entity));
            }
        }
    }

    /// Takes out what means the same on every node: `every` and `after`.
    fn read_pace(&mut self, entity: Entity, tree: &mut Tree) {
        if let Some((_, every)) = tree.take("every") {
            if let Form::Literal(Literal::Int(n @ 1..)) = every.form {
                self.engine.world.entity_mut(entity).insert(Every(n as u64));
            } else {
                let what = format!("`every` is a whole number of ticks from 1, found `{every}`");
                self.errors.push(Error::new(what).at(every.span));
            }
        }
        let Some((_, after)) = tree.take("after") else { return };
        let Form::List(others) = &after.form else {
            let what = format!("`after` is a list of nodes, like `[\"stop\"]`, found `{after}`");
            return self.errors.push(Error::new(what).at(after.span));
        };
        let names = Names::new(self.engine, self.pipeline, &self.entities, entity);
        self.errors.extend(others.iter().filter_map(|other| names.link("wire:", other)?.err()));
        self.edges.append(&mut names.into_edges());
    }

    /// Every wire has to lead to a node that makes what it carries.
    fn check_ports(&mut self) {
        for edge in &self.edges {
            let (Some(port), Some(kind)) = (edge.port, self.kind(edge.from)) else { continue };
            let undeclared = either(port).find(|port| !self.engine.ports.contains_key(port));
            if let Some(port) = undeclared {
                let error = Error::new(format!("nobody has declared the port `{port}`")).at(edge.span);
                self.errors.push(error.help(format!("a plugin has to call `engine.port::<{port}>()`")));
                continue;
            }
            if self.engine.ports.get(port).is_some_and(|id| kind.values.contains(id)) {
                continue;
            }
            let what =
                format!("`{}` makes {}, but {port} is needed here", edge.name, self.engine.makes(kind));
            let names = Names::new(self.engine, self.pipeline, &self.entities, edge.to);
            let mut error = Error::new(what).at(edge.span).help(names.makers(port));
            if let Some(place) = self.engine.world.get::<Place>(edge.from) {
                error = error.note(place.0, format!("`{}` is this", edge.name));
            }
            self.errors.push(error);
        }
    }

    fn check_settings(&mut self) {
        for node in self.entities.clone() {
            let mistake = self.kind(node).and_then(|kind| (kind.check)(&self.engine.world, node).err());
            self.errors.extend(mistake.map(|mistake| self.locate(node, mistake)));
        }
    }

    /// The running order; without one edge of each circle, if there are any.
    fn plan(&mut self) -> Plan {
        let mut unfinished = self.entities.clone();
        unfinished.retain(|node| self.engine.world.entity(*node).contains::<Unfinished>());
        let mut edges = self.edges.clone();
        loop {
            match order(&self.entities, &edges, &unfinished) {
                Ok(order) => return Plan { order, unfinished },
                Err(error) => {
                    edges.retain(|edge| Some(edge.span) != error.span);
                    self.errors.push(error);
                }
            }
        }
    }

    /// Asks every node for its shapes, inputs first, then again for what only all shapes together tell.
    fn check_shapes(&mut self, plan: &Plan) {
        for (node, _) in &plan.order {
            let Some(kind) = self.kind(*node) else { continue };
            match (kind.shapes)(&self.engine.world, *node) {
                Ok(shapes) => {
                    self.engine.world.entity_mut(*node).insert(shapes);
                }
                Err(mistake) => self.errors.push(self.locate(*node, mistake)),
            }
        }
        for (node, _) in &plan.order {
            let mistake =
                self.kind(*node).and_then(|kind| (kind.check_shapes)(&self.engine.world, *node).err());
            self.errors.extend(mistake.map(|mistake| self.locate(*node, mistake)));
        }
    }

    /// A kind's own mistake at the field it names, or at the kind's name if the file does not mention that field.
    fn locate(&self, node: Entity, mistake: Mistake) -> Error {
        let tree = self.tree(node);
        let found = tree.nearest(&mistake.field);
        let name = tree.name().expect("only a kind makes a mistake");
        let span = if found.span == tree.span { name.span } else { found.span };
        let mut error = Error::new(mistake.what).at(span);
        if !tree.span.contains(span) {
            error = error.note(name.span, format!("`{}` of this node", mistake.field));
        }
        error.help = mistake.help;
        error
    }

    fn finish(mut self) -> Result<(), Report> {
        if !self.errors.is_empty() {
            for node in self.entities {
                self.engine.world.despawn(node);
            }
            self.engine.world.insert_resource(Plan::default());
            self.errors.sort_by_key(|error| error.span);
            return Err(Report { errors: self.errors, sources: self.pipeline.sources.clone() });
        }
        for edge in std::mem::take(&mut self.edges) {
            let holds = |(_, value): &&(Word, Tree)| value.span.contains(edge.span);
            let field = self.tree(edge.to).fields().iter().find(holds).map(|(key, _)| key.text.clone());
            let edge_is = Edge { field: field.unwrap_or_default(), port: edge.port, past: edge.past };
            self.engine.world.spawn((edge_is, ComesFrom(edge.from), LeadsTo(edge.to)));
        }
        self.engine.world.insert_resource(self.pipeline.clone());
        Ok(())
    }
}
