//! Every pipeline that is shipped wires, and comes to what its snapshot says.

use mollify_tests::{root, wired};
use pipeline::Pipeline;

#[test]
fn every_pipeline_resolves() {
    insta::glob!("../pipelines", "**/*.ron", |path| {
        if path.components().any(|part| part.as_os_str() == "broken") {
            return;
        }
        let engine = wired(path, &[]).unwrap_or_else(|report| panic!("{}\n{report}", path.display()));
        insta::assert_snapshot!(engine.describe());
    });
}

#[test]
fn every_point_of_every_sweep_wires() {
    let mut points = 0;
    insta::glob!("../pipelines", "**/*.ron", |path| {
        let Ok(pipeline) = Pipeline::open(path, &[]) else { return };
        for point in pipeline.points().iter().filter(|point| !point.is_empty()) {
            let settings: Vec<&str> = point.iter().map(String::as_str).collect();
            wired(path, &settings).unwrap_or_else(|report| panic!("{point:?}\n{report}"));
            points += 1;
        }
    });
    assert!(points > 1, "no pipeline sweeps over anything");
}

#[test]
fn every_pipeline_opens_with_its_command() {
    insta::glob!("../pipelines", "**/*.ron", |path| {
        let path = path.strip_prefix(root()).unwrap_or(path);
        if path.components().any(|part| part.as_os_str() == "broken") {
            return;
        }
        let text = std::fs::read_to_string(root().join(path)).expect("a pipeline");
        let opening = text.lines().take_while(|line| line.starts_with("//")).collect::<Vec<_>>().join("\n");
        let command = format!("run {}", path.display());
        assert!(
            opening.contains(&command),
            "`{}` does not open with a command that has `{command}`",
            path.display()
        );
    });
}
