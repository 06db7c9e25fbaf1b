//! Saving a run and going on with it.

use bevy_ecs::prelude::*;
use mollify_pipeline::{After, Array, Dtype, Engine, Kept, Outcome, Saved, Tick};

use crate::toy::*;
use crate::{open, toy, wire};

/// What a run ends with: everything that is kept, to the bit.
fn end(engine: &Engine) -> Saved {
    engine.save().unwrap()
}

/// Runs some ticks, saves, and runs the rest in a new world.
fn interrupted(new: impl Fn() -> Engine, ticks: u64) -> Engine {
    let mut first = new();
    for _ in 0..ticks {
        first.tick().unwrap();
    }
    let saved = first.save().unwrap();
    assert_eq!(saved.tick, ticks);
    drop(first);
    let mut rest = new();
    rest.load(&saved).unwrap();
    assert_eq!(rest.save().unwrap(), saved, "loading loses nothing");
    assert_eq!(rest.run().unwrap(), Outcome::Finished);
    rest
}

#[test]
fn a_resumed_run_ends_bit_for_bit_the_same() {
    let mut whole = toy(&[]);
    whole.run().unwrap();
    for ticks in [0, 1, 7, 8, 9, 15] {
        let rest = interrupted(|| toy(&[]), ticks);
        assert_eq!(rest.value::<Samples>("heun"), whole.value::<Samples>("heun"), "after {ticks} ticks");
        assert_eq!(end(&rest), end(&whole), "after {ticks} ticks");
    }
}

#[test]
fn a_run_is_resumed_in_any_act() {
    let new = || open("tests/pipelines/acts.ron", &[]).unwrap();
    let mut whole = new();
    whole.run().unwrap();
    assert_eq!(whole.value::<Lines>("ends").unwrap().0.len(), 3);
    for ticks in 1..20 {
        assert_eq!(end(&interrupted(new, ticks)), end(&whole), "after {ticks} ticks");
    }
}

#[test]
fn what_an_earlier_act_neither_kept_nor_makes_again_is_missed() {
    let nodes = r#" "stop": Until(ticks: 2), "sum": Sum(of: ["stop"], after: ["stop"]) "#;
    let mut first = wire(nodes);
    first.tick().unwrap();
    first.tick().unwrap();
    let mut saved = first.save().unwrap();
    assert_eq!(saved.act, 1);
    let mut rest = wire(nodes);
    rest.load(&saved).unwrap();
    rest.run().unwrap();
    assert_eq!(rest.value::<Count>("sum"), Some(&Count(2)));

    saved.nodes.clear();
    let mut rest = wire(nodes);
    rest.load(&saved).unwrap();
    let failure = rest.run().unwrap_err();
    assert!(failure.to_string().contains("`stop` has not made its Count yet"), "{failure}");
}

#[test]
fn constants_of_earlier_acts_are_made_again() {
    let nodes = r#" "once": Once(value: 5), "ladder": Karras(steps: 4), "stop": Until(ticks: 2),
                    "more": Until(ticks: 3, after: ["stop"]), "sum": Sum(of: ["once", "more"]) "#;
    let rest = interrupted(
        || {
            let mut engine = wire(nodes);
            engine.world.init_resource::<Runs>();
            engine
        },
        3,
    );
    assert_eq!(rest.world.resource::<Runs>().0, 1);
    assert!(rest.value::<Ladder>("ladder").is_some(), "it is not kept, so it was made");
    assert_eq!(rest.value::<Count>("sum"), Some(&Count(8)));
    assert_eq!(rest.world.resource::<Tick>().0, 5);
}

#[test]
fn a_resumed_finished_run_does_nothing() {
    let mut whole = toy(&[]);
    whole.run().unwrap();
    let saved = whole.save().unwrap();
    let mut again = toy(&[]);
    again.load(&saved).unwrap();
    assert!(again.is_finished());
    assert_eq!(again.run().unwrap(), Outcome::Finished);
    assert_eq!(again.save().unwrap(), saved);
}

#[test]
fn a_system_after_the_tick_saves_what_can_be_resumed() {
    #[derive(Resource, Default)]
    struct Checkpoints(Vec<Saved>);
    let new = || wire(r#" "first": Until(ticks: 2), "second": Until(ticks: 2, after: ["first"]) "#);
    let mut engine = new();
    engine.world.init_resource::<Checkpoints>();
    engine.add_systems(After, |world: &mut World| -> Result {
        let saved = Saved::of(world)?;
        world.resource_mut::<Checkpoints>().0.push(saved);
        Ok(())
    });
    engine.run().unwrap();
    let end = engine.save().unwrap();
    let checkpoints = &engine.world.resource::<Checkpoints>().0;
    let stands: Vec<(u64, usize)> = checkpoints.iter().map(|saved| (saved.tick, saved.act)).collect();
    assert_eq!(stands, [(1, 0), (2, 1), (3, 1), (4, 2)]);
    assert_eq!(checkpoints[1].finished, ["first"]);
    for saved in checkpoints {
        let mut rest = new();
        rest.load(saved).unwrap();
        rest.run().unwrap();
        assert_eq!(rest.save().unwrap(), end);
    }
}

#[test]
fn checkpoints_hold_text_and_arrays_by_node() {
    let mut engine = open("tests/pipelines/acts.ron", &[]).unwrap();
    engine.tick().unwrap();
    let saved = engine.save().unwrap();
    let names: Vec<&str> = saved.nodes.keys().map(String::as_str).collect();
    assert_eq!(names, ["data", "mean", "stop"], "nodes without anything to keep are left out");
    let weights = &saved.nodes["mean"]["Weights"];
    assert_eq!(weights.text, "1");
    let (name, array) = &weights.arrays[0];
    assert_eq!((name.as_str(), array.dtype, array.shape.as_slice()), ("mean", Dtype::F32, &[2][..]));
    assert_eq!(array.bytes.len(), 8);
}

#[test]
fn a_checkpoint_of_another_pipeline_is_refused() {
    let refused = |change: &dyn Fn(&mut Saved)| {
        let mut engine = open("tests/pipelines/acts.ron", &[]).unwrap();
        engine.tick().unwrap();
        let mut saved = engine.save().unwrap();
        change(&mut saved);
        let mut other = open("tests/pipelines/acts.ron", &[]).unwrap();
        other.load(&saved).unwrap_err().to_string().trim_end().to_owned()
    };
    let rename = |saved: &mut Saved| {
        let kept = saved.nodes.remove("mean").unwrap();
        saved.nodes.insert("means".to_owned(), kept);
    };
    assert_eq!(refused(&rename), "the checkpoint has a node `means`, this pipeline has none of that name");
    let finished = |saved: &mut Saved| saved.finished.push("halt".to_owned());
    assert_eq!(refused(&finished), "the checkpoint has a node `halt`, this pipeline has none of that name");
    let unknown = |saved: &mut Saved| {
        saved.nodes.get_mut("mean").unwrap().insert("Moments".to_owned(), Kept::default());
    };
    assert_eq!(refused(&unknown), "the checkpoint has `Moments` of `mean`, nothing here keeps that");
    let garbled =
        |saved: &mut Saved| saved.nodes.get_mut("mean").unwrap().get_mut("Weights").unwrap().text.clear();
    assert_eq!(refused(&garbled), "`Weights` of `mean` cannot be loaded: 1:1: Unexpected end of RON");
    let lacking =
        |saved: &mut Saved| saved.nodes.get_mut("mean").unwrap().get_mut("Weights").unwrap().arrays.clear();
    assert_eq!(refused(&lacking), "`Weights` of `mean` cannot be loaded: there is no array `mean`");
    let act = |saved: &mut Saved| saved.act = 3;
    assert_eq!(refused(&act), "the checkpoint is from act 4, this pipeline has 2 acts");
}

#[test]
fn arrays_give_back_their_numbers() {
    let array = Array::new([2, 2], &[1.5f32, -0.0, f32::INFINITY, f32::MIN_POSITIVE]);
    let numbers: Vec<f32> = array.read().unwrap();
    assert_eq!(numbers.map_bits(), [1.5f32, -0.0, f32::INFINITY, f32::MIN_POSITIVE].to_vec().map_bits());
    assert_eq!(Array::new([3], &[1u8, 2, 255]).read::<u8>().unwrap(), [1, 2, 255]);
    assert_eq!(Array::new([1], &[u32::MAX]).bytes, [255; 4]);
    assert_eq!(Array::new([1], &[1.0f64]).bytes, [0, 0, 0, 0, 0, 0, 240, 63], "little end first");
    let wrong = array.read::<f64>().unwrap_err().to_string();
    assert_eq!(wrong.trim_end(), "expected an array of F64, found F32");
    let short = Array { bytes: vec![0; 7], ..array }.read::<f32>().unwrap_err().to_string();
    assert_eq!(short.trim_end(), "expected 16 bytes for the shape [2, 2], found 7");
}

trait MapBits {
    fn map_bits(self) -> Vec<u32>;
}

impl MapBits for Vec<f32> {
    fn map_bits(self) -> Vec<u32> {
        self.into_iter().map(f32::to_bits).collect()
    }
}
