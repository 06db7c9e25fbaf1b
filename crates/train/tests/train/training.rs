//! Training runs of a tiny network: what each tick does, and what does not change the result.

use std::sync::Arc;

use crate::world::{TRAINING, engine, mistake, named, numbers, ticks, weights};
use cpu::Cpu;
use mollify_train::Update;
use pipeline::{Engine, Outcome};
use ports::{Gradients, Images, Machine, Parameters, Sigmas};
use tensor::{Device, Reference};

#[track_caller]
fn wired(nodes: &str) -> Engine {
    engine(nodes).unwrap_or_else(|report| panic!("{report}"))
}

/// The training nodes with a few words changed.
fn changed(from: &str, to: &str) -> String {
    assert!(TRAINING.contains(from), "`{from}` is not there");
    TRAINING.replace(from, to)
}

/// The training nodes, ending after so many images.
fn until(count: usize) -> String {
    changed("count: 1000", &format!("count: {count}"))
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn the_first_step_has_no_rate_and_the_average_starts_as_the_parameters() {
    let mut engine = wired(TRAINING);
    let told = ticks(&mut engine, 1);
    let before = weights(&engine, "unet");
    assert_eq!(named(&told, "learning_rate"), [0.0]);
    assert_eq!(weights(&engine, "ema"), before);
    let told = ticks(&mut engine, 1);
    assert_eq!(named(&told, "learning_rate"), [1e-2 * 4.0 / 20.0]);
    let after = weights(&engine, "unet");
    assert_ne!(after, before);
    assert_eq!(weights(&engine, "adam"), after);
    let between = |((ema, before), after): ((&f64, &f64), &f64)| {
        (before.min(*after)..=before.max(*after)).contains(ema)
    };
    let ema = weights(&engine, "ema");
    assert!(ema.iter().zip(&before).zip(&after).all(between));
    assert_ne!(ema, before);
}

#[test]
fn moments_move_in_the_first_step_and_gradients_are_left_zero() {
    let mut engine = wired(TRAINING);
    ticks(&mut engine, 1);
    let gradients = engine.value::<Gradients>("grads").unwrap();
    assert!(numbers(&engine, gradients.arena().unwrap()).iter().all(|gradient| *gradient == 0.0));
    let saved = engine.save().unwrap();
    let moments = &saved.nodes["adam"]["Moments"];
    let moved =
        moments.arrays.iter().filter(|(_, array)| array.read::<f64>().unwrap().iter().any(|m| *m != 0.0));
    assert!(moved.count() > 20);
    assert!(saved.nodes["grads"].keys().eq(["Scaling"]), "gradients are not kept");
}

#[test]
fn the_loss_is_told_a_tick_later_and_falls() {
    let mut engine = wired(&changed("rate: 1e-2", "rate: 3e-2"));
    let losses = named(&ticks(&mut engine, 60), "loss");
    assert_eq!(losses.len(), 59);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..15]), mean(&losses[44..]));
    assert!(last < 0.8 * first, "from {first} to {last}");
}

#[test]
fn mixed_precision_trains_to_the_same_loss_on_the_cpu() {
    let losses = |net: &str| {
        let mut engine = wired(&changed("Net(classes: 3)", net));
        engine.world.insert_resource(Machine(Arc::new(Cpu::new(2))));
        let told = ticks(&mut engine, 200);
        assert!(named(&told, "nonfinite_grads").is_empty(), "the scale of the loss is none too large");
        named(&told, "loss")
    };
    let (full, mixed) = (losses("Net(classes: 3)"), losses("Net(classes: 3, precision: Mixed)"));
    assert_ne!(mixed, full, "nothing was stored in halves");
    let last = |losses: &[f64]| losses[150..].iter().sum::<f64>() / 49.0;
    let ratio = last(&mixed) / last(&full);
    assert!((0.98..1.02).contains(&ratio), "{} instead of {}", last(&mixed), last(&full));
}

#[test]
fn gradients_that_are_not_finite_are_counted_and_harm_no_weight() {
    let mut engine = wired(&changed(r#"like: "data""#, r#"like: "data", mean: 800.0"#));
    let told = named(&ticks(&mut engine, 3), "nonfinite_grads");
    assert!(told.len() == 2 && told.iter().all(|count| *count >= 1.0), "{told:?}");
    assert!(weights(&engine, "ema").iter().all(|weight| weight.is_finite()));
    assert!(named(&ticks(&mut wired(TRAINING), 3), "nonfinite_grads").is_empty());
}

/// The loss and each parameter's gradients for a batch of seven, taken in parts.
fn in_parts(of: Option<usize>, device: impl Device) -> (Vec<f64>, Vec<(String, Vec<f64>)>) {
    let gradient = format!(r#"labels: "data", micro_batch: {of:?})"#);
    let nodes = changed("batch: 4", "batch: 7").replace(r#"labels: "data")"#, &gradient);
    let (nodes, _) = nodes.split_once(r#""adam""#).expect("an optimiser");
    let mut engine = wired(nodes);
    engine.world.insert_resource(Machine(Arc::new(device)));
    let losses = named(&ticks(&mut engine, 1), "loss");
    let gradients = numbers(&engine, engine.value::<Gradients>("grads").unwrap().arena().unwrap());
    let network = &engine.value::<Parameters>("unet").unwrap().network;
    let named =
        network.layout().export(&gradients).map(|(parameter, values)| (parameter.name.clone(), values));
    (losses, named.collect())
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    let (loss, whole) = in_parts(None, Reference);
    for size in [1, 3, 7, 100] {
        let (part_loss, parts) = in_parts(Some(size), Reference);
        assert_eq!(part_loss, loss);
        for ((name, whole), (_, parts)) in whole.iter().zip(&parts) {
            let worst = whole.iter().zip(parts).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-11, "`{name}` in micro-batches of {size}: {worst}");
        }
    }
}

#[test]
fn micro_batches_do_not_show_in_the_bits_on_the_cpu() {
    let (loss, whole) = in_parts(None, Cpu::new(2));
    for size in [1, 3, 7, 100] {
        let (part_loss, parts) = in_parts(Some(size), Cpu::new(1));
        let differ: Vec<&String> = whole
            .iter()
            .zip(&parts)
            .filter(|(whole, parts)| whole != parts)
            .map(|((name, _), _)| name)
            .collect();
        assert!(differ.is_empty(), "in micro-batches of {size} these differ: {differ:?}");
        assert_eq!(part_loss, loss);
    }
}

#[test]
fn noise_belongs_to_the_image_and_not_to_the_batch() {
    let see = |batch: usize, count: usize| {
        let mut engine = wired(&changed("batch: 4", &format!("batch: {batch}")));
        let (mut sigmas, mut pixels) = (Vec::new(), Vec::new());
        for _ in 0..count {
            ticks(&mut engine, 1);
            sigmas.extend(numbers(&engine, &engine.value::<Sigmas>("sigmas").unwrap().0));
            pixels.extend(numbers(&engine, &engine.value::<Images>("noisy").unwrap().pixels));
        }
        (sigmas, pixels)
    };
    let (sigmas, pixels) = see(6, 1);
    assert_eq!((sigmas.len(), pixels.len()), (6, 96));
    assert_eq!(see(1, 6), (sigmas.clone(), pixels.clone()));
    assert_eq!(see(3, 2), (sigmas, pixels));
}

#[test]
fn a_run_ends_after_the_tick_in_which_the_images_are_enough() {
    for (count, ticks) in [(1, 1), (4, 1), (5, 2), (12, 3)] {
        let mut engine = wired(&until(count));
        assert_eq!(engine.run().unwrap(), Outcome::Finished);
        assert_eq!(engine.save().unwrap().tick, ticks, "{count} images");
        assert_eq!(engine.value::<Update>("ema").unwrap().images(), ticks * 4);
    }
    let mut thousands = wired(&until(1).replace("count: 1", "kimg: 0.008"));
    thousands.run().unwrap();
    assert_eq!(thousands.save().unwrap().tick, 2);
}

#[test]
fn numbers_that_make_no_sense_are_found_while_wiring() {
    for (from, to, says) in [
        ("rate: 1e-2", "rate: 0.0", "`rate` is 0, expected a finite number above 0"),
        ("rate: 1e-2", "rate: -1.0", "`rate` is -1"),
        (
            "rate: 1e-2",
            "rate: 1e-2, betas: (0.9, 1.0)",
            "`betas` are (0.9, 1.0), expected two numbers from 0 to below 1",
        ),
        ("rate: 1e-2", "rate: 1e-2, eps: 0.0", "`eps` is 0"),
        (
            "rampup_mimg: 20e-6",
            "rampup_mimg: -1.0",
            "`rampup_mimg` is -1, expected a finite number from 0 on",
        ),
        (r#"like: "data""#, r#"like: "data", std: 0.0"#, "`std` is 0"),
        (r#"like: "data""#, r#"like: "data", mean: inf"#, "`mean` is inf"),
        ("halflife_mimg: 8e-6", "halflife_mimg: 0.0", "`halflife_mimg` is 0"),
        ("halflife_mimg: 8e-6", "rampup: Some(0.0)", "`rampup` is 0"),
        (
            r#"labels: "data")"#,
            r#"labels: "data", micro_batch: Some(0))"#,
            "`micro_batch` is 0, expected at least 1",
        ),
        (
            r#"labels: "data")"#,
            r#"labels: "data", weight: Edm(sigma_data: 0.0))"#,
            "must be a finite number above 0",
        ),
    ] {
        let report = engine(&changed(from, to)).err().unwrap_or_else(|| panic!("`{to}` is taken"));
        assert_says(&report, &[says, "test.ron"]);
    }
}

#[test]
fn one_field_says_when_training_ends() {
    let report = mistake(&until(1).replace(", count: 1", ""));
    assert_says(&report, &["not said how many images", "add one of `mimg`, `kimg` and `count`"]);
    let report = mistake(&until(1).replace("count: 1", "kimg: -1"));
    assert_says(&report, &["`kimg` is -1, expected a finite number above 0"]);
    let report = mistake(&until(1).replace("count: 1", "count: 1, kimg: 2"));
    assert_says(&report, &["`kimg` and `count` both say"]);
    assert_says(&mistake(&until(0)), &["`count` is 0"]);
}

#[test]
fn labels_that_are_missing_or_of_another_length_are_named() {
    let report = mistake(&changed(r#", labels: "data")"#, ")"));
    assert_says(&report, &["`net` takes labels of 3 classes", "labels:"]);
    let report = mistake(&changed("batch: 4, classes: 3", "batch: 4, classes: 2"));
    assert_says(&report, &["takes labels of 3 classes", "have 2"]);
    let report = mistake(&TRAINING.replace("Net(classes: 3)", "Net(classes: 0)"));
    assert_says(&report, &["takes no labels", "leave out `labels`"]);
}

#[test]
fn averaging_what_is_not_being_trained_is_a_clear_error() {
    let report = mistake(&changed(r#"Ema(of: "adam""#, r#"Ema(of: "unet""#));
    assert_says(&report, &["`ema` failed on tick 0", "`of` is not being trained", "`Adam`"]);
}

/// The training nodes with a network that is told of augmentation of so many labels, if the gradient is.
fn augmented(takes: usize, gradient: &str) -> String {
    let nodes = changed("Net(classes: 3)", &format!("Net(classes: 3, augment: {takes})"));
    format!(r#"{}"moved": Moved(like: "data")"#, nodes.replace(r#"labels: "data")"#, gradient))
}

#[test]
fn a_network_may_be_told_what_augmentation_did() {
    let gradients = |gradient: &str| {
        let nodes = augmented(2, gradient).replace("batch: 4", "batch: 7");
        let nodes =
            nodes.replace(r#""adam": Adam(grads: "grads", of: "unet", rate: 1e-2, rampup_mimg: 20e-6),"#, "");
        let nodes = nodes.replace(r#""ema": Ema(of: "adam", halflife_mimg: 8e-6),"#, "");
        let mut engine = wired(&nodes);
        engine.world.insert_resource(Machine(Arc::new(Cpu::new(1))));
        ticks(&mut engine, 1);
        numbers(&engine, engine.value::<Gradients>("grads").unwrap().arena().unwrap())
    };
    let told = gradients(r#"labels: "data", augment: "moved")"#);
    assert_eq!(gradients(r#"labels: "data", augment: "moved", micro_batch: 3)"#), told);
    assert_ne!(gradients(r#"labels: "data")"#), told);
}

#[test]
fn augmentation_that_a_network_does_not_know_is_refused_while_wiring() {
    let wire = r#"labels: "data", augment: "moved")"#;
    for takes in [0, 9] {
        let report = engine(&augmented(takes, wire)).err().expect("a mistake");
        assert_says(
            &report,
            &[&format!("`net` takes {takes} labels of augmentation, and gets 2"), "augment: 2"],
        );
    }
    assert!(engine(&augmented(2, r#"labels: "data")"#)).is_ok(), "it may go without");
}

#[test]
fn the_gradients_of_a_large_network_go_to_the_moments_as_they_are_made_with_the_same_bits() {
    let run = |gradient: &str, adam: &str| {
        let nodes = changed("Net(classes: 3)", "Net(classes: 3, channels: 256)");
        let nodes = nodes.replace(r#"labels: "data")"#, gradient).replace(r#"grads: "grads","#, adam);
        let nodes =
            nodes.replace(r#"Ema(of: "adam", halflife_mimg: 8e-6)"#, r#"Until(images: "data", count: 1000)"#);
        let mut engine = wired(&nodes);
        engine.world.insert_resource(Machine(Arc::new(Cpu::new(2))));
        let told = ticks(&mut engine, 3);
        let gathered = engine.value::<Gradients>("grads").unwrap().arena().is_some();
        let moments = &engine.save().unwrap().nodes["adam"]["Moments"].arrays;
        let bits = |(_, array): &(String, pipeline::Array)| {
            array.read::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
        };
        let moments: Vec<Vec<u32>> = moments.iter().map(bits).collect();
        (gathered, (named(&told, "loss"), weights(&engine, "unet"), moments))
    };
    let (whole, alone) = (r#"labels: "data")"#, r#"grads: "grads","#);
    let (gathered, moved) = run(whole, alone);
    assert!(!gathered, "they are in the moments");
    let (gathered, apart) = run(r#"labels: "data", micro_batch: 3)"#, alone);
    assert!(gathered, "the parts of a batch are gathered first");
    assert!(moved == apart, "losses {:?} and {:?}", moved.0, apart.0);
    let (gathered, _) = run(whole, r#"grads: "grads", every: 2,"#);
    assert!(gathered, "they are gathered where the optimiser waits for several batches");
}
