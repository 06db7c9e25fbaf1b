//! Data, learning and counting.

use bevy_ecs::prelude::*;
use mollify_pipeline::{
    Array, Constant, Feed, File, Inputs, Keep, Kept, Metric, Mistake, Node, Past, Pure, Read, Shape, Shapes,
    This, Tick, Unfinished, Wire, Wires,
};
use serde::Deserialize;

use super::*;

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    #[serde(default)]
    workers: usize,
    /// The item that cannot be read.
    #[serde(default)]
    broken: Option<u64>,
    #[serde(default)]
    panics: bool,
    #[serde(default)]
    #[expect(dead_code, reason = "only has to exist")]
    from: Option<File>,
}

impl Node for Load {
    type Value = Count;

    const DOC: &'static str = "Counts with loader threads.";
}

pub fn load(
    this: This<Load>,
    counts: Read<Count>,
    mut feeds: Query<&mut Feed<u64>>,
    mut commands: Commands,
) -> Result<Count> {
    if let Ok(mut feed) = feeds.get_mut(this.node()) {
        return Ok(Count(feed.take()?));
    }
    let (broken, panics) = (this.broken, this.panics);
    let from = counts.of(this.node()).map_or(0, |count| count.0 + 1);
    let mut feed = Feed::start(this.workers, 2, from, move |item| match broken == Some(item) {
        true if panics => panic!("item {item} is a bomb"),
        true => Err(format!("item {item} is unreadable").into()),
        false => Ok(item),
    });
    let first = feed.take()?;
    commands.entity(this.node()).insert(feed);
    Ok(Count(first))
}

/// What was learnt: in the real thing, buffers on a device.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Weights {
    pub seen: u64,
    pub mean: Vec<f32>,
}

impl Keep for Weights {
    const NAME: &'static str = "Weights";

    fn save(&self, _: &World) -> Result<Kept> {
        Ok(Kept::plain(&self.seen)?.with("mean", Array::new([self.mean.len()], &self.mean)))
    }

    fn load(kept: &Kept, _: &mut World) -> Result<Self> {
        Ok(Self { seen: kept.read()?, mean: kept.array("mean")?.read()? })
    }
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learn {
    data: Wire<Count>,
    size: usize,
}

impl Node for Learn {
    type Value = Weights;

    const DOC: &'static str = "Learns the mean of all data, in every dimension.";

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Weights>(Shape::from([self.size])))
    }
}

pub fn learn(
    this: This<Learn>,
    counts: Read<Count>,
    weights: Read<Weights>,
    tick: Res<Tick>,
    mut metrics: MessageWriter<Metric>,
) -> Result<Weights> {
    let old = weights.of(this.node()).cloned();
    let mut weights = old.unwrap_or_else(|| Weights { seen: 0, mean: vec![0.0; this.size] });
    let item = counts.get(this.data)?.0;
    weights.seen += 1;
    for (mean, noise) in weights.mean.iter_mut().zip(normal(item, 0, this.size)) {
        *mean += (noise - *mean) / weights.seen as f32;
    }
    metrics.write(Metric { name: "seen", tick: tick.0, value: weights.seen as f64 });
    Ok(weights)
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Pure)]
pub struct Net {
    of: Wire<Weights>,
}

impl Node for Net {
    type Value = Denoiser;

    const DOC: &'static str = "The ideal denoiser of the mean and its mirror image.";

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Denoiser>(inputs.of(self.of)))
    }
}

pub fn net(this: This<Net>, weights: Read<Weights>) -> Result<Denoiser> {
    let mean = &weights.get(this.of)?.mean;
    Ok(ideal(vec![mean.clone(), mean.iter().map(|v| -v).collect()]))
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
pub struct Until {
    ticks: u64,
    #[serde(default)]
    fails_on: Option<u64>,
}

impl Node for Until {
    type Value = Count;

    const DOC: &'static str = "Keeps its act going for a number of its own ticks, and counts them.";
}

pub fn until(
    this: This<Until>,
    counts: Read<Count>,
    tick: Res<Tick>,
    mut commands: Commands,
) -> Result<Count> {
    if this.fails_on == Some(tick.0) {
        return Err("out of paper".into());
    }
    let count = counts.of(this.node()).map_or(1, |count| count.0 + 1);
    if count >= this.ticks {
        commands.entity(this.node()).remove::<Unfinished>();
    }
    Ok(Count(count))
}

/// How often `Once` has run in this world.
#[derive(Resource, Default)]
pub struct Runs(pub u64);

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Once {
    value: u64,
}

impl Node for Once {
    type Value = Count;
}

pub fn once(this: This<Once>, runs: Option<ResMut<Runs>>) -> Count {
    runs.into_iter().for_each(|mut runs| runs.0 += 1);
    Count(this.value)
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    #[serde(default)]
    of: Vec<Wire<Count>>,
    #[serde(default)]
    plus: Option<Wire<Count>>,
    #[serde(default)]
    times: Times,
}

#[derive(Default, Deserialize)]
pub enum Times {
    #[default]
    One,
    Node(Wire<Count>),
    Each {
        by: Wire<Count>,
    },
}

impl Node for Sum {
    type Value = Count;

    const DOC: &'static str = "Adds and multiplies counts.";

    fn check(&self) -> Result<(), Mistake> {
        match self.of.len() {
            0..4 => Ok(()),
            n => Err(Mistake::new("of.3", format!("at most 3 counts can be added, found {n}"))),
        }
    }
}

pub fn sum(this: This<Sum>, counts: Read<Count>) -> Result<Count> {
    let mut sum = counts.maybe(this.plus)?.map_or(0, |count| count.0);
    for wire in &this.of {
        sum += counts.get(*wire)?.0;
    }
    Ok(Count(match this.times {
        Times::One => sum,
        Times::Node(by) | Times::Each { by } => sum * counts.get(by)?.0,
    }))
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {
    of: Past<Count>,
    #[serde(default)]
    now: Option<Wire<Count>>,
}

impl Node for Last {
    type Value = Count;

    const DOC: &'static str = "Last tick's count, 0 in the first.";
}

pub fn last(this: This<Last>, counts: Read<Count>) -> Count {
    let _ = this.now;
    Count(counts.past(this.of).map_or(0, |count| count.0))
}

/// Adds what there is to count of nodes that make counts or lines.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    of: Wires<Counted>,
}

impl Node for Tally {
    type Value = Count;
}

pub fn tally(this: This<Tally>, counts: Read<Count>, lines: Read<Lines>) -> Count {
    let lines = |node| lines.of(node).map_or(0, |lines| lines.0.len() as u64);
    let each = this.of.iter().map(|wire| counts.of(wire.node()).map_or_else(|| lines(wire.node()), |n| n.0));
    Count(each.sum())
}

/// Reads a port that nobody declares.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    #[serde(rename = "of")]
    _of: Wire<Forgotten>,
}

impl Node for Lost {
    type Value = ();
}
