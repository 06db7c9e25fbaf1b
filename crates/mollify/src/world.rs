//! Pipelines on their way to a world: opened, wired, a world for each point of a sweep.

use std::path::Path;

use pipeline::{Engine, Pipeline, Plugin};

use crate::problem::Problem;

/// One point of a sweep; a pipeline without a sweep has one point without a name.
pub(crate) struct Point {
    /// `steps=18,churn=0.0`.
    pub(crate) name: String,
    /// What the user set, and then what the sweep does.
    pub(crate) settings: Vec<String>,
}

/// An engine that knows what `plugins` teach.
pub(crate) fn engine(plugins: &[&dyn Plugin]) -> Engine {
    let mut engine = Engine::default();
    plugins.iter().for_each(|plugin| plugin.build(&mut engine));
    engine
}

/// Every point of a pipeline's sweep, in reading order.
pub(crate) fn points(file: &Path, settings: &[String]) -> Result<Vec<Point>, Problem> {
    let points = open(file, settings)?.points();
    let point = |swept: Vec<String>| Point {
        name: swept.join(","),
        settings: settings.iter().chain(&swept).cloned().collect(),
    };
    Ok(points.into_iter().map(point).collect())
}

/// Opens a pipeline and turns it into a world, which computes nothing yet.
pub(crate) fn wired(
    file: &Path,
    settings: &[String],
    plugins: &[&dyn Plugin],
) -> Result<(Engine, Pipeline), Problem> {
    let pipeline = open(file, settings)?;
    let mut engine = engine(plugins);
    engine.wire(&pipeline)?;
    Ok((engine, pipeline))
}

fn open(file: &Path, settings: &[String]) -> Result<Pipeline, Problem> {
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    Ok(Pipeline::open(file, &settings)?)
}
