//! Tests of the engine with a vocabulary of its own: sampling in a plane, small enough to check by hand.

mod documents;
mod feeds;
mod kinds;
mod mistakes;
mod resume;
mod running;
mod settings;
mod toy;

use mollify_pipeline::{Engine, Pipeline, Report};

fn engine() -> Engine {
    Engine::default().with(toy::plugin)
}

/// Wires the nodes of a pipeline that has nothing else.
fn wire(nodes: &str) -> Engine {
    let text = format!("(nodes: {{ {nodes} }})");
    wired(&Pipeline::read("test.ron", &text, &[]).unwrap_or_else(|report| panic!("{report}")))
}

fn wired(pipeline: &Pipeline) -> Engine {
    let mut engine = engine();
    engine.wire(pipeline).unwrap_or_else(|report| panic!("{report}"));
    engine
}

/// Opens and wires a file, and returns what is wrong with it.
fn open(path: &str, settings: &[&str]) -> Result<Engine, Report> {
    let pipeline = Pipeline::open(path, settings)?;
    let mut engine = engine();
    engine.wire(&pipeline)?;
    Ok(engine)
}

fn toy(settings: &[&str]) -> Engine {
    open("tests/pipelines/toy.ron", settings).unwrap_or_else(|report| panic!("{report}"))
}
