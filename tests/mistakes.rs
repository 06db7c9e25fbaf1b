//! Every sort of mistake in a pipeline file is shown in its place, with the next step to take.

use mollify_tests::{report, wired};

#[test]
fn every_mistake_is_shown_in_its_place() {
    insta::glob!("../pipelines/broken", "*.ron", |path| insta::assert_snapshot!(report(path)));
}

#[test]
fn a_setting_with_a_mistake_is_shown_like_a_file() {
    let report = |setting| wired("pipelines/toy.ron".as_ref(), &[setting]).err().unwrap_or_default();
    insta::assert_snapshot!("setting_of_nothing", report("stpes=3"));
    insta::assert_snapshot!("setting_of_no_field", report("hat.amout=3.0"));
    insta::assert_snapshot!("setting_without_value", report("steps"));
    insta::assert_snapshot!("setting_of_wrong_type", report("hat.amount=much"));
}
