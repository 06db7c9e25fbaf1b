//! The vocabulary on the reference device.

use std::sync::Arc;

use bevy_ecs::message::Messages;
use bevy_ecs::prelude::*;
use mollify_ports::{Compute, Gauges, Images, Machine, Sigma, Sigmas};
use pipeline::{Engine, Metric, Node, Pipeline, This, Tick, Unfinished};
use serde::Deserialize;
use tensor::{Array, Device, Reference};

/// Tells the number of each tick, and that of ticks above 1 once more as a warning.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
struct Clock {
    ticks: u64,
}

impl Node for Clock {
    type Value = Sigmas;
}

fn clock(
    this: This<Clock>,
    tick: Res<Tick>,
    mut gauges: ResMut<Gauges>,
    compute: Compute,
    mut commands: Commands,
) -> Result<Sigmas> {
    let now = compute.upload(&Array::new([1], vec![tick.0 as f64]))?;
    gauges.watch("tick", *tick, now.clone());
    gauges.warn("late", *tick, compute.upload(&Array::new([1], vec![tick.0.saturating_sub(1) as f64]))?);
    if tick.0 + 1 == this.ticks {
        commands.entity(this.node()).remove::<Unfinished>();
    }
    Ok(Sigmas(compute.levels(&Sigma::Same(tick.0 as f64), 3)?))
}

fn engine() -> Engine {
    let mut engine = Engine::default().with(mollify_ports::plugin);
    engine.node::<Clock, _>(clock);
    engine.world.insert_resource(Machine(Arc::new(Reference)));
    engine
        .wire(&Pipeline::read("clock.ron", "(nodes: { \"clock\": Clock(ticks: 4) })", &[]).unwrap())
        .unwrap();
    engine
}

/// What a tick told.
fn told(engine: &mut Engine) -> Vec<(&'static str, f64)> {
    engine.tick().unwrap();
    let metrics = engine.world.resource::<Messages<Metric>>().iter_current_update_messages();
    metrics.map(|metric| (metric.name, metric.value)).collect()
}

#[test]
fn metrics_of_a_device_are_told_a_tick_later_and_on_the_last_tick_all() {
    let mut engine = engine();
    assert_eq!(told(&mut engine), []);
    assert_eq!(told(&mut engine), [("tick", 0.0)]);
    assert_eq!(told(&mut engine), [("tick", 1.0)]);
    assert_eq!(told(&mut engine), [("tick", 2.0), ("late", 1.0), ("tick", 3.0), ("late", 2.0)]);
    assert!(engine.is_finished());
}

#[test]
fn one_noise_level_becomes_a_level_for_each_image() {
    let mut engine = engine();
    engine.tick().unwrap();
    engine.tick().unwrap();
    let Sigmas(levels) = engine.value::<Sigmas>("clock").unwrap();
    assert_eq!(Reference.download(levels).unwrap().f64s(), [1.0; 3]);
}

#[test]
fn images_without_noise_are_clean() {
    let pixels = Reference.upload(&Array::new([2, 1, 1, 1], vec![0.5, -0.5])).unwrap();
    let images = Images::clean(pixels, 7);
    assert!(images.is_clean());
    assert_eq!((images.batch(), images.before), (2, 7));
    assert!(!Images { sigma: Sigma::Same(0.002), ..images }.is_clean());
}
