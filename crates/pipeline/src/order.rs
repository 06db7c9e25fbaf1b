//! In which order nodes run, and in which act.

use bevy_ecs::prelude::*;
use ron_tree::{Error, Span};

/// An edge on its way to becoming an entity.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) from: Entity,
    pub(crate) to: Entity,
    /// The name of the node it comes from.
    pub(crate) name: String,
    pub(crate) port: Option<&'static str>,
    pub(crate) past: bool,
    pub(crate) span: Span,
}

/// The nodes in running order, each with its act.
///
/// Inputs come first, and file order is kept where edges leave a choice. An act is one more than that of a node it
/// waits for through `after`, if that node can be unfinished. An error stands at the edge without which the
/// rest can be looked at.
pub(crate) fn order(
    nodes: &[Entity],
    edges: &[Line],
    unfinished: &[Entity],
) -> Result<Vec<(Entity, usize)>, Error> {
    let links: Vec<(Entity, Entity, &Line)> =
        edges.iter().filter(|edge| !edge.past).map(|edge| (edge.from, edge.to, edge)).collect();
    let sorted = sort(nodes, &links).map_err(|around| cycle(&around))?;
    let mut acts: Vec<(Entity, usize)> = Vec::new();
    let act_of =
        |acts: &[(Entity, usize)], node| acts.iter().find(|(n, _)| *n == node).map_or(0, |(_, act)| *act);
    for node in sorted {
        let inputs = links.iter().filter(|(_, to, _)| *to == node);
        let act = inputs
            .map(|(from, _, edge)| {
                act_of(&acts, *from) + usize::from(edge.port.is_none() && unfinished.contains(from))
            })
            .max();
        acts.push((node, act.unwrap_or(0)));
    }
    // Who reads last tick's value has to run before it is replaced.
    let mut all = links;
    for edge in edges.iter().filter(|edge| edge.past && edge.from != edge.to) {
        if act_of(&acts, edge.from) == act_of(&acts, edge.to) {
            all.push((edge.to, edge.from, edge));
        }
    }
    let sorted = sort(nodes, &all).map_err(|around| too_late(&around))?;
    let mut order: Vec<(Entity, usize)> =
        sorted.into_iter().map(|node| (node, act_of(&acts, node))).collect();
    order.sort_by_key(|(_, act)| *act);
    Ok(order)
}

/// Sorts so that the first of each pair comes before the second, or returns links that go round in a circle.
fn sort<'a>(
    nodes: &[Entity],
    links: &[(Entity, Entity, &'a Line)],
) -> Result<Vec<Entity>, Vec<(Entity, Entity, &'a Line)>> {
    let mut left: Vec<Entity> = nodes.to_vec();
    let mut done = Vec::new();
    while !left.is_empty() {
        let waits = |node: Entity| links.iter().find(|(from, to, _)| *to == node && left.contains(from));
        match left.iter().position(|node| waits(*node).is_none()) {
            Some(at) => done.push(left.remove(at)),
            None => {
                // Everyone left waits for someone left, so walking back has to meet itself.
                let mut walk = vec![*waits(left[0]).expect("it waits")];
                loop {
                    let next = *waits(walk[walk.len() - 1].0).expect("it waits");
                    if let Some(at) = walk.iter().position(|link| link.0 == next.0) {
                        walk.drain(..at);
                        walk.reverse();
                        return Err(walk);
                    }
                    walk.push(next);
                }
            }
        }
    }
    Ok(done)
}

fn cycle(around: &[(Entity, Entity, &Line)]) -> Error {
    let names: Vec<&str> = around.iter().map(|(.., edge)| edge.name.as_str()).collect();
    let what = match names.as_slice() {
        [name] => format!("`{name}` waits for itself"),
        names => format!("these nodes wait for each other: {} → {}", names.join(" → "), names[0]),
    };
    let mut error = Error::new(what).help("to close a loop, read last tick's value in a `Past` field");
    for (i, (.., edge)) in around.iter().enumerate() {
        let label = format!("`{}` waits for `{}`", names[(i + 1) % names.len()], edge.name);
        error = if i == 0 { error.at(edge.span).label(label) } else { error.note(edge.span, label) };
    }
    error
}

fn too_late(around: &[(Entity, Entity, &Line)]) -> Error {
    let (.., past) = around.iter().find(|(.., edge)| edge.past).expect("without `Past` there was no circle");
    let what = format!("`{}` runs before this node, so its last tick's value is gone by then", past.name);
    let mut error =
        Error::new(what).at(past.span).help("read last tick's value in all of these fields, or in none");
    for (.., edge) in around.iter().filter(|(.., edge)| edge.span != past.span) {
        let word = if edge.past { "has to run before" } else { "waits for" };
        error = error.note(edge.span, format!("this {word} `{}`", edge.name));
    }
    error
}
