//! Ticks, acts, paces and ends.

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemState;
use insta::assert_snapshot;
use mollify_pipeline::{Act, After, Before, Closing, Engine, Metric, Outcome, Readers, Tick};

use crate::toy::*;
use crate::{engine, toy, wire};

#[derive(Resource, Default)]
struct Seen<T>(Vec<T>);

/// Notes after every tick what `see` sees.
fn watch<T: Send + Sync + 'static>(engine: &mut Engine, see: impl Fn(&World) -> T + Send + Sync + 'static) {
    engine.world.insert_resource(Seen::<T>(Vec::new()));
    engine.add_systems(After, move |world: &mut World| {
        let value = see(world);
        world.resource_mut::<Seen<T>>().0.push(value);
    });
}

fn count(engine: &Engine, node: &str) -> Option<u64> {
    engine.value::<Count>(node).map(|count| count.0)
}

#[test]
fn a_sampler_walks_every_seed_to_a_point() {
    let mut engine = toy(&[]);
    assert_eq!(engine.run().unwrap(), Outcome::Finished);
    assert_eq!(engine.world.resource::<Tick>().0, 16, "two batches of eight steps");
    assert_snapshot!(engine.value::<Lines>("ends").unwrap().0.join("\n"));
}

#[test]
fn results_do_not_depend_on_the_batch_size() {
    let lines = |batch: &str| {
        let mut engine = toy(&[batch]);
        engine.run().unwrap();
        engine.value::<Lines>("ends").unwrap().clone()
    };
    let one = lines("seeds.batch=1");
    assert_eq!(one.0.len(), 6);
    assert_eq!(one, lines("seeds.batch=4"));
    assert_eq!(one, lines("seeds.batch=100"));
}

#[test]
fn wires_stand_in_lists_options_and_choices() {
    let mut engine = wire(
        r#" "all": Sum(of: ["one", "two"], plus: "two", times: Each(by: "three")),
            "some": Sum(of: [], plus: Some("two"), times: Node("three")),
            "none": Sum(plus: None),
            "one": Once(value: 1), "two": Once(value: 2), "three": Once(value: 3) "#,
    );
    engine.run().unwrap();
    assert_eq!(count(&engine, "all"), Some(15));
    assert_eq!(count(&engine, "some"), Some(6));
    assert_eq!(count(&engine, "none"), Some(0));
}

#[test]
fn wires_are_one_or_a_list_and_may_lead_to_either_of_two_ports() {
    let mut engine = wire(
        r#" "one": Once(value: 3),
            "alone": Tally(of: "one"), "both": Tally(of: ["one", "ends", "alone"]),
            "ladder": Karras(steps: 2), "ideal": Points(at: [(1.0, 0.0)]),
            "seeds": Batches(from: 0, to: 2, batch: 2, leg: "x"),
            "start": Gaussian(seeds: "seeds", ladder: "ladder", like: "ideal"),
            "x": Trajectory(seeds: "seeds", start: "start", next: "euler", ladder: "ladder"),
            "d": Denoise(x: "x", by: "ideal"), "euler": Euler(x: "x", denoised: "d", leg: "x"),
            "ends": Print(x: "euler", seeds: "seeds", leg: "x") "#,
    );
    engine.run().unwrap();
    assert_eq!(engine.value::<Lines>("ends").unwrap().0.len(), 2);
    assert_eq!((count(&engine, "alone"), count(&engine, "both")), (Some(3), Some(8)));
}

#[test]
fn past_wires_read_what_the_last_tick_ended_with() {
    // `n` could run first, but then `last` would read this tick's value.
    let mut engine = wire(r#" "n": Until(ticks: 3), "last": Last(of: "n"), "before": Last(of: "last") "#);
    assert_eq!(engine.nodes(), ["before", "last", "n"]);
    watch(&mut engine, |world| {
        let mut counts: Vec<(String, u64)> = Vec::new();
        for entity in world.iter_entities() {
            if let (Some(name), Some(count)) = (entity.get::<Name>(), entity.get::<Count>()) {
                counts.push((name.to_string(), count.0));
            }
        }
        counts.sort();
        counts.into_iter().map(|(_, count)| count).collect::<Vec<u64>>()
    });
    engine.run().unwrap();
    assert_eq!(engine.world.resource::<Seen<Vec<u64>>>().0, [[0, 0, 1], [0, 1, 2], [1, 2, 3]]);
}

#[test]
fn every_counts_ticks_from_one() {
    let mut engine = wire(r#" "fast": Until(ticks: 7), "slow": Until(ticks: 1, every: 3) "#);
    watch(&mut engine, |world| {
        let nodes = world.iter_entities().filter(|e| e.contains::<mollify_pipeline::Unfinished>());
        nodes.filter_map(|e| e.get::<Name>().map(ToString::to_string)).collect::<Vec<String>>().join(" ")
    });
    engine.run().unwrap();
    let unfinished = &engine.world.resource::<Seen<String>>().0;
    assert_eq!(unfinished[..3], ["slow fast", "slow fast", "fast"]);
    assert_eq!(unfinished.len(), 7);
}

#[test]
fn an_unfinished_node_that_seldom_runs_keeps_its_act_going() {
    let mut engine = wire(r#" "fast": Until(ticks: 1), "slow": Until(ticks: 2, every: 5) "#);
    engine.run().unwrap();
    assert_eq!(engine.world.resource::<Tick>().0, 10);
    assert_eq!(count(&engine, "fast"), Some(10));
}

#[test]
fn a_constant_runs_once() {
    let mut engine = wire(r#" "n": Until(ticks: 5), "once": Once(value: 7) "#);
    engine.world.init_resource::<Runs>();
    engine.run().unwrap();
    assert_eq!(engine.world.resource::<Runs>().0, 1);
    assert_eq!(count(&engine, "once"), Some(7));
}

#[test]
fn after_a_node_that_cannot_be_unfinished_means_later_in_the_tick() {
    let engine = wire(r#" "b": Sum(after: ["a"]), "a": Sum(), "n": Until(ticks: 1) "#);
    assert_eq!(engine.nodes(), ["a", "b", "n"]);
    assert!(!engine.describe().contains("act"));
}

#[test]
fn one_file_learns_and_then_samples() {
    let mut engine = crate::open("tests/pipelines/acts.ron", &[]).unwrap();
    watch(&mut engine, |world| {
        let seeds = world.iter_entities().find_map(|e| e.get::<Seeds>().map(|seeds| seeds.ids.clone()));
        (world.resource::<Act>().0, world.resource::<Closing>().0, seeds)
    });
    assert_eq!(engine.run().unwrap(), Outcome::Finished);
    let seen = &engine.world.resource::<Seen<(usize, bool, Option<std::ops::Range<u64>>)>>().0;
    assert_eq!(seen.len(), 12 + 2 * 4);
    assert_eq!(seen[11], (0, true, None), "the first act closes before any seed is drawn");
    assert_eq!(seen[12], (1, false, Some(0..2)));
    assert_eq!(seen[19], (1, true, Some(2..3)));
    assert_eq!(seen.iter().filter(|(_, closing, _)| *closing).count(), 2);
    assert_eq!(count(&engine, "data"), Some(11), "what was learnt from rests");
    assert_snapshot!(engine.value::<Lines>("ends").unwrap().0.join("\n"));
}

#[test]
fn acts_follow_one_another() {
    let mut engine = wire(
        r#" "third": Until(ticks: 1, after: ["second"]),
            "second": Until(ticks: 2, after: ["first"]),
            "first": Until(ticks: 3),
            "reads": Sum(of: ["second"]) "#,
    );
    watch(&mut engine, |world| world.resource::<Act>().0);
    engine.run().unwrap();
    assert_eq!(engine.world.resource::<Seen<usize>>().0, [0, 0, 0, 1, 1, 2]);
    assert_eq!(count(&engine, "reads"), Some(2));
    assert_eq!(engine.world.resource::<Act>().0, 3);
}

#[test]
fn a_finished_run_does_nothing_more() {
    let mut engine = wire(r#" "n": Until(ticks: 2) "#);
    engine.run().unwrap();
    assert_eq!(engine.run().unwrap(), Outcome::Finished);
    engine.tick().unwrap();
    assert_eq!(engine.world.resource::<Tick>().0, 2);
    assert_eq!(count(&engine, "n"), Some(2));
}

#[test]
fn an_interrupt_ends_the_run_after_the_current_tick() {
    let mut engine = wire(r#" "n": Until(ticks: 10) "#);
    watch(&mut engine, |world| world.resource::<Closing>().0);
    let interrupt = engine.interrupt();
    engine.add_systems(Before, move |tick: Res<Tick>| {
        if tick.0 == 3 {
            interrupt.set();
        }
    });
    assert_eq!(engine.run().unwrap(), Outcome::Interrupted);
    assert_eq!(engine.world.resource::<Tick>().0, 4);
    assert_eq!(engine.world.resource::<Seen<bool>>().0, [false, false, false, true]);
    assert_eq!(engine.run().unwrap(), Outcome::Interrupted, "nothing runs while the flag is set");
    assert_eq!(engine.world.resource::<Tick>().0, 4);
}

#[test]
fn metrics_reach_systems_after_the_tick() {
    let mut engine = wire(r#" "data": Load(), "mean": Learn(data: "data", size: 1), "n": Until(ticks: 3) "#);
    engine.world.insert_resource(Seen::<f64>(Vec::new()));
    engine.add_systems(After, |mut metrics: MessageReader<Metric>, mut seen: ResMut<Seen<f64>>| {
        seen.0.extend(metrics.read().map(|metric| metric.value));
    });
    engine.run().unwrap();
    assert_eq!(engine.world.resource::<Seen<f64>>().0, [1.0, 2.0, 3.0]);
}

#[test]
fn a_failing_node_is_blamed_by_name_tick_and_place() {
    let mut engine = wire(r#" "stop": Until(ticks: 9, fails_on: 2) "#);
    let failure = engine.run().unwrap_err();
    assert_eq!((failure.node.as_str(), failure.tick), ("stop", 2));
    assert_snapshot!(failure);
}

#[test]
fn a_value_that_was_never_made_is_an_error_of_its_reader() {
    let mut engine = wire(r#" "slow": Until(ticks: 1, every: 2), "sum": Sum(of: ["slow"]) "#);
    assert_snapshot!(engine.run().unwrap_err());
}

#[test]
fn errors_of_systems_around_the_nodes_surface_too() {
    fn save(tick: Res<Tick>) -> Result {
        if tick.0 == 2 { Err("disk full".into()) } else { Ok(()) }
    }
    let mut engine = wire(r#" "n": Until(ticks: 9) "#);
    engine.add_systems(After, save);
    let failure = engine.run().unwrap_err();
    assert_eq!(failure.tick, 2);
    assert!(failure.node.ends_with("::save"), "{}", failure.node);
    assert!(failure.to_string().ends_with("::save` failed after tick 2: disk full"), "{failure}");
}

#[test]
fn errors_of_commands_surface_too() {
    #[derive(Component, serde::Deserialize)]
    struct Breaks {}
    impl mollify_pipeline::Node for Breaks {
        type Value = ();
    }
    let mut engine = engine();
    engine.node::<Breaks, _>(|mut commands: Commands| {
        commands.queue(|_: &mut World| -> Result { Err("a command gave up".into()) });
    });
    engine
        .wire(&mollify_pipeline::Pipeline::read("c.ron", r#"(nodes: {"c": Breaks()})"#, &[]).unwrap())
        .unwrap();
    let failure = engine.run().unwrap_err();
    assert!(failure.to_string().contains("`c` failed on tick 0: a command gave up"), "{failure}");
}

/// One engine a thread is how several devices train side by side.
#[test]
fn engines_run_on_their_own_threads() {
    let run = |mut engine: Engine| {
        std::thread::spawn(move || {
            engine.run().unwrap();
            engine.value::<Lines>("ends").unwrap().clone()
        })
    };
    let [a, b] = [run(toy(&[])), run(toy(&[]))].map(|thread| thread.join().unwrap());
    assert_eq!(a, b);
    assert_eq!(a.0.len(), 6);
}

#[test]
fn the_only_reader_is_known_where_it_reads_in_step() {
    let in_step = |nodes: &str| {
        let mut engine = wire(&format!(r#" "stop": Until(ticks: 1), {nodes} "#));
        let one = engine.find("one").unwrap();
        let mut state = SystemState::<Readers>::new(&mut engine.world);
        let reader = state.get(&engine.world).unwrap().only_in_step(one);
        assert!(reader.is_none() || reader == engine.find("sum"));
        reader.is_some()
    };
    assert!(in_step(r#" "one": Sum(plus: None), "sum": Sum(plus: "one") "#));
    assert!(in_step(r#" "one": Sum(plus: None, every: 2), "sum": Sum(plus: "one", every: 2) "#));
    assert!(!in_step(r#" "one": Sum(plus: None), "sum": Sum(plus: "one", every: 2) "#), "at another pace");
    assert!(
        !in_step(r#" "one": Sum(plus: None), "sum": Sum(plus: "one", after: ["stop"]) "#),
        "in another act"
    );
    let two = r#" "one": Sum(plus: None), "sum": Sum(plus: "one"), "other": Sum(plus: "one") "#;
    assert!(!in_step(two), "there is another");
    assert!(!in_step(r#" "one": Sum(plus: None), "sum": Sum(plus: None) "#), "nobody reads it");
}
