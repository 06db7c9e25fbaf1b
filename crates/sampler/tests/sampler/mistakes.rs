//! Settings that make no sense, and what is said about them.

use crate::labels::CLASSES;
use crate::small::{mistake, wire};

#[test]
fn times_have_to_fall_from_a_high_level_to_a_low_one() {
    assert_eq!(mistake(CLASSES, &["times.steps=1"]), "`steps` must be at least 2, not 1; ");
    let slip = mistake(CLASSES, &["times.steps=99999999999"]);
    assert_eq!(slip, "`steps` is 99999999999, expected at most 1000000; ");
    let upside_down = mistake(CLASSES, &["times.sigma_min=80.0", "times.sigma_max=0.002"]);
    assert!(upside_down.contains("not from 80 to 0.002; swap the two"), "{upside_down}");
    let rho = mistake(CLASSES, &["times.spacing=Edm(rho: 0.0)"]);
    assert!(rho.contains("above 0"), "{rho}");
}

#[test]
fn a_mistake_points_at_its_field() {
    let report = wire(CLASSES, &["times.steps=1"]).err().unwrap().to_string();
    assert!(report.contains("--set:1:13") && report.contains("`steps` of this node"), "{report}");
}

#[test]
fn lists_of_seeds_are_numbers_and_ranges_without_repeats() {
    let of = |of: &str| mistake(CLASSES, &[&format!("seeds={of:?}")]);
    assert!(
        of("0-x").starts_with("`x` is no seed; seeds are whole numbers and ranges, like `0-63`"),
        "{}",
        of("0-x")
    );
    assert!(of("").starts_with("`` is no seed"), "{}", of(""));
    assert!(of("9-2").contains("`9-2` runs backwards; write `2-9`"), "{}", of("9-2"));
    assert!(of("0-4,2").contains("seed 2 is there twice"), "{}", of("0-4,2"));
    assert!(mistake(CLASSES, &["seeds.size=0"]).contains("at least 1"));
}

#[test]
fn classes_are_counted_from_0() {
    let only = mistake(CLASSES, &["labels.only=3"]);
    assert_eq!(only, "there is no class 3: 3 classes are counted from 0; the last one is 2");
    assert!(mistake(CLASSES, &["labels.each=0"]).contains("at least 1"));
}

#[test]
fn churn_has_a_range_that_is_one() {
    let churned = CLASSES.replace("\"first\":", "\"hat\": Churn(x: \"x\", seeds: \"seeds\"), \"first\":");
    let empty = mistake(&churned, &["hat.min=2.0", "hat.max=1.0"]);
    assert_eq!(empty, "noise levels from 2 to 1 are none at all; swap `min` and `max`");
    assert!(mistake(&churned, &["hat.amount=-1.0"]).contains("finite number from 0 on, not -1"));
}

#[test]
fn images_that_are_on_no_trajectory_cannot_take_a_step() {
    let mut engine = wire(CLASSES, &["euler.x=\"start\""]).unwrap();
    let failure = engine.run().unwrap_err().to_string();
    assert!(
        failure.contains("`euler` failed on tick 0: these images are on no trajectory; wire what"),
        "{failure}"
    );
}

#[test]
fn a_grid_that_fits_into_no_memory_is_a_mistake() {
    let grid = r#""grid": Grid(x: "heun", seeds: "seeds", columns: 5, to: "out.png"), "first":"#;
    let grid = CLASSES.replace("\"first\":", grid);
    for field in ["gap", "scale"] {
        let said = mistake(&grid, &[&format!("grid.{field}=1000000000000000000")]);
        assert!(said.contains(&format!("`{field}` is 1000000000000000000, expected at most 1024")), "{said}");
    }
}

#[test]
fn as_many_seeds_as_there_are_numbers_can_be_counted() {
    let seeds = mollify_sampler::SeedList::parse("0-18446744073709551615").unwrap();
    assert_eq!(seeds.count(), u64::MAX);
    assert_eq!(seeds.count_until(9), 10);
}

#[test]
fn a_spacing_and_a_schedule_have_constants_that_make_sense() {
    let spacing = |spacing: &str| mistake(CLASSES, &[&format!("times.spacing={spacing}")]);
    let said = spacing("Vp(epsilon_s: 1.0)");
    assert!(said.starts_with("`epsilon_s` must be above 0 and far below 1"), "{said}");
    assert!(
        spacing("Iddpm(timesteps: 4000000000)")
            .starts_with("`timesteps` is 4000000000, expected 2 to 100000")
    );
    assert!(
        spacing("Iddpm(timesteps: 10)").contains("`steps` is 18, but only"),
        "{}",
        spacing("Iddpm(timesteps: 10)")
    );
    for schedule in ["Vp(epsilon_s: 1.0)", "Vp(epsilon_s: 5.0)"] {
        let schedule = mistake(CLASSES, &[&format!("times.schedule={schedule}")]);
        assert!(schedule.contains("do not fall to 0; the paper has `epsilon_s: 0.001`"), "{schedule}");
    }
}

#[test]
fn a_part_of_a_step_is_above_0_and_ends_before_it() {
    assert!(
        mistake(CLASSES, &["euler.alpha=0.0"]).starts_with("`alpha` must be a finite number above 0, not 0")
    );
    let run = |settings: &[&str]| wire(CLASSES, settings).unwrap().run().unwrap_err().to_string();
    let far = run(&["euler.alpha=3.0"]);
    assert!(far.contains("`alpha` = 3 leads from t = 12.9"), "{far}");
    let short = run(&["euler.alpha=0.5", "x.next=\"euler\""]);
    assert!(short.contains("not to the end of the step at"), "{short}");
    assert!(short.contains("`next` has to be a `Heun`"), "{short}");
}

#[test]
fn solvers_have_the_orders_that_they_have_and_noise_is_no_less_than_none() {
    let with = |node: &str| CLASSES.replace("\"times\":", &format!("\"more\": {node}, \"times\":"));
    for kind in ["Lms", "Deis", "Ipndm", "DpmPP", "UniPC"] {
        for order in [0, 5] {
            let said = mistake(&with(&format!("{kind}(x: \"x\", denoised: \"first\", order: {order})")), &[]);
            assert!(said.starts_with(&format!("`order` is {order}, expected 1 to ")), "{kind}: {said}");
        }
    }
    for kind in ["DpmPPSde", "Ancestral"] {
        let node = format!("{kind}(x: \"x\", denoised: \"first\", seeds: \"seeds\", eta: -1.0)");
        assert_eq!(mistake(&with(&node), &[]), "`eta` must be a finite number from 0 on, not -1; ");
    }
}

#[test]
fn a_restart_goes_from_a_low_level_to_a_high_one() {
    let restart = |fields: &str| format!("\"up\": Restart(times: \"times\", {fields}), \"times\":");
    let with = |fields: &str| CLASSES.replace("\"times\":", &restart(fields));
    let said = mistake(&with("min: 1.0, max: 0.5, steps: 4"), &[]);
    assert!(said.starts_with(
        "a restart goes up to a finite noise level from a lower one above 0, not from 1 to 0.5"
    ));
    assert_eq!(mistake(&with("min: 0.1, max: 1.0, steps: 0"), &[]), "`steps` is 0, expected 1 to 1000; ");
    let mut above = wire(&with("min: 50.0, max: 50.5, steps: 4"), &[]).unwrap();
    let failure = above.run().unwrap_err().to_string();
    assert!(failure.contains("nearest to `min` = 50 has the noise level 57.58"), "{failure}");
    assert!(failure.contains("not below `max` = 50.5; take more steps or a higher `max`"), "{failure}");
}
