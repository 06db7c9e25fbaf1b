//! The kinds of this crate in pipelines.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use mollify_metrics::FeatureSet;
use pipeline::{Engine, Node, Pipeline, This};
use ports::{Cell, Compute, Denoise, Denoiser, Images, Machine, Query as Question, Seeds, Table};
use serde::Deserialize;
use tensor::{Bindings, Distribution, Graph, Shape, Value};

/// The standard deviation of the images.
const SPREAD: f64 = 0.5;

/// Images of nothing but normal noise around `mean`, with seeds as if they were samples: the last batch is the third.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noise {
    batch: usize,
    size: usize,
    seed: u64,
    #[serde(default)]
    mean: f64,
}

impl Node for Noise {
    type Value = (Images, Seeds);
}

fn noise(this: This<Noise>, seen: Query<&Images>, mut compute: Compute) -> Result<(Images, Seeds)> {
    let before = seen.get(this.node()).map_or(0, |images| images.before + images.batch() as u64);
    let ids = before..before + this.batch as u64;
    let keys = compute.keys(ids.clone().map(|step| philox::Key { seed: this.seed, stream: 200, step }))?;
    let shape = [this.batch, this.size, this.size, 1];
    let bindings = Bindings::new().tensor("keys", &keys).scalar("mean", this.mean);
    let mut made = compute.run("noise", &bindings, |graph| {
        let (keys, mean) = (graph.keys("keys", this.batch), graph.scalar("mean"));
        let normal = graph.random(Distribution::Normal, keys, 0, shape);
        let images = graph.map(&[normal, mean], |v| v(0) * SPREAD + v(1));
        graph.output("images", images);
    })?;
    let seeds = Seeds { ids: ids.collect(), fresh: true, last: before == 2 * this.batch as u64 };
    Ok((Images::clean(made.take("images")?, before), seeds))
}

/// The ideal denoiser of that noise.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shrink {
    size: usize,
}

impl Node for Shrink {
    type Value = Denoiser;
}

fn shrink(this: This<Shrink>) -> Denoiser {
    Denoiser(Arc::new(Shrinks(this.size)))
}

struct Shrinks(usize);

impl Denoise for Shrinks {
    fn image(&self) -> Shape {
        [self.0, self.0, 1].into()
    }

    fn labels(&self) -> usize {
        0
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        let variance = SPREAD * SPREAD;
        graph.map(&[query.x, query.sigma], |v| v(0) * variance / (v(1).square() + variance))
    }

    fn bindings(&self) -> Bindings {
        Bindings::new()
    }
}

fn engine(nodes: &str) -> Result<Engine, String> {
    let mut engine = Engine::default().with(ports::plugin).with(mollify_metrics::plugin);
    engine.node::<Noise, _>(noise).node::<Shrink, _>(shrink);
    engine.world.insert_resource(Machine(Arc::new(cpu::Cpu::new(2))));
    let text = format!("(nodes: {{{nodes}}})");
    let pipeline = Pipeline::read("test.ron", &text, &[]).map_err(|report| report.to_string())?;
    engine.wire(&pipeline).map_err(|report| report.to_string())?;
    Ok(engine)
}

fn run(nodes: &str, ticks: usize) -> Engine {
    let mut engine = engine(nodes).expect("it wires");
    for _ in 0..ticks {
        engine.tick().expect("a tick");
    }
    engine
}

fn number(table: &Table, row: usize, column: &str) -> f64 {
    match table.cells(column).expect("the column is there")[row] {
        Cell::Number(number) => *number,
        Cell::Word(word) => panic!("{column} is {word}"),
    }
}

const SETS: &str = r#"
    "drawn":   Noise(batch: 12, size: 8, seed: 1),
    "real":    Noise(batch: 20, size: 8, seed: 2),
    "shifted": Noise(batch: 20, size: 8, seed: 3, mean: 1.0),
    "of_drawn":   Features(x: "drawn", seeds: "drawn"),
    "of_real":    Features(x: "real", count: 50),
    "of_shifted": Features(x: "shifted", count: 50),
"#;

#[test]
fn features_collect_samples_by_seeds_and_data_by_count() {
    let engine = run(SETS, 2);
    assert!(!engine.value::<FeatureSet>("of_drawn").expect("a set").complete);
    let engine = run(SETS, 5);
    let set = |name| engine.value::<FeatureSet>(name).expect("a set");
    let (drawn, real) = (set("of_drawn"), set("of_real"));
    assert!(drawn.complete && real.complete);
    assert_eq!((drawn.rows.count(), drawn.origin.n, drawn.origin.seeds.as_str()), (36, 36, "0-35"));
    assert_eq!((real.rows.count(), real.rows.width(), real.origin.seeds.as_str()), (50, 512, ""));
    assert_eq!(real.origin.network, "SqueezeNet512@64");
}

#[test]
fn features_that_skip_images_begin_after_them_in_whatever_batch_that_is() {
    let nodes = r#"
        "real": Noise(batch: 20, size: 8, seed: 2),
        "all":  Features(x: "real", count: 80),
        "some": Features(x: "real", count: 30),
        "rest": Features(x: "real", skip: 30, count: 25),
        "late": Features(x: "real", skip: 60, count: 20),"#;
    let engine = run(nodes, 4);
    let set = |name| engine.value::<FeatureSet>(name).expect("a set");
    for (name, images) in [("some", 0..30), ("rest", 30..55), ("late", 60..80)] {
        let set = set(name);
        assert!(set.complete && set.origin.n == images.len(), "{name}");
        assert!(*set.rows == engine.value::<FeatureSet>("all").expect("a set").rows.pick(images), "{name}");
    }
}

#[test]
fn scores_are_told_once_both_sets_are_complete_with_all_that_they_depend_on() {
    let nodes = format!(
        r#"{SETS}
        "near": FrechetDistance(x: "of_drawn", against: "of_real"),
        "far":  FrechetDistance(x: "of_drawn", against: "of_shifted"),
        "kid":  KernelDistance(x: "of_drawn", against: "of_shifted"),
        "both": PrecisionRecall(x: "of_drawn", against: "of_real"),
        "copies": Memorisation(x: "of_real", training: "of_real", held_out: "of_drawn"),"#
    );
    let mut engine = run(&nodes, 2);
    let table = |engine: &Engine, name| engine.value::<Table>(name).expect("a table").clone();
    assert_eq!(table(&engine, "near").rows().len(), 0);
    for _ in 0..2 {
        engine.tick().expect("a tick");
    }
    let [near, far, kid, both, copies] =
        ["near", "far", "kid", "both", "copies"].map(|name| table(&engine, name));
    assert!(number(&near, 0, "value") < number(&far, 0, "value"));
    assert_eq!((number(&near, 0, "n"), near.rows().len()), (36.0, 1));
    let word = |column| near.cells(column).expect("the column is there")[0].to_string();
    assert_eq!([word("metric"), word("against"), word("seeds")], ["FD-SqueezeNet512@64", "50", "0-35"]);
    assert!(number(&kid, 0, "value") > 3.0 * number(&kid, 0, "standard_error"));
    assert!((0..2).all(|row| (0.2..=1.0).contains(&number(&both, row, "value"))), "{both:?}");
    let [nearest, memorised] = [0, 2].map(|row| number(&copies, row, "value"));
    assert!(nearest < 1e-3 && memorised == 1.0, "{copies:?}");
}

#[test]
fn the_ideal_denoiser_of_gaussian_data_has_a_loss_of_one_at_every_noise_level() {
    let nodes = r#"
        "data": Noise(batch: 50, size: 16, seed: 1),
        "ideal": Shrink(size: 16),
        "loss": LossBySigma(by: "ideal", images: "data", sigmas: [0.01, 0.1, 0.5, 2.0, 80.0], count: 200),"#;
    let engine = run(nodes, 6);
    let table = engine.value::<Table>("loss").expect("a table");
    assert_eq!(table.rows().len(), 5);
    for row in 0..5 {
        let (loss, n) = (number(table, row, "loss"), number(table, row, "n"));
        // The mean of 256 squares of normal numbers has a variance of 2 / 256.
        let error = (2.0f64 / 256.0 / n).sqrt();
        assert_eq!(n, 200.0);
        assert!((loss - 1.0).abs() < 4.0 * error, "{loss} at {}", number(table, row, "sigma"));
        assert!((number(table, row, "std") / (2.0f64 / 256.0).sqrt() - 1.0).abs() < 0.3);
    }
}

#[test]
fn a_set_of_features_comes_back_as_it_was_saved() {
    use pipeline::Keep;

    let mut engine = run(SETS, 2);
    let set = engine.value::<FeatureSet>("of_drawn").expect("a set").clone();
    let kept = set.save(&engine.world).expect("plain data");
    let loaded = FeatureSet::load(&kept, &mut engine.world).expect("as saved");
    assert_eq!((loaded.rows, loaded.origin), (set.rows, set.origin));
}

#[test]
fn mistakes_are_found_while_wiring() {
    let data = r#""data": Noise(batch: 4, size: 8, seed: 1), "net": Shrink(size: 8), "set": Features(x: "data", count: 4),"#;
    for (node, expected) in [
        (r#"Features(x: "data")"#, "how many images to take"),
        (r#"Features(x: "data", count: 1)"#, "expected at least 2"),
        (r#"Features(x: "data", count: 5, seeds: "data")"#, "leave out `count`"),
        (r#"FrechetDistance(x: "set")"#, "what to compare with"),
        (r#"PrecisionRecall(x: "set", against: "set", neighbours: 0)"#, "expected at least 1"),
        (r#"LossBySigma(by: "net", images: "data", sigmas: [1.0, 0.0], count: 4)"#, "is not above 0"),
        (r#"LossBySigma(by: "net", images: "data", sigmas: [], count: 4)"#, "is empty"),
    ] {
        let report = engine(&format!("{data} \"wrong\": {node},")).err().unwrap_or_default();
        assert!(report.contains(expected), "{node}: {report}");
    }
}
