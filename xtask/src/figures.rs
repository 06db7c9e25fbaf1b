//! The experiments of the paper: `cargo xtask figures [NAME…]`.

use std::path::Path;
use std::process::Command;

use crate::chores::{cargo, root, run, target};

/// A figure, the pipelines of `pipelines/figures` that make it, and whether they need the network of the quickstart.
struct Figure {
    name: &'static str,
    about: &'static str,
    pipelines: &'static [&'static str],
    network: bool,
}

const FIGURES: [Figure; 6] = [
    Figure {
        name: "ideal",
        about: "the ideal denoiser on real images (figure 1b)",
        pipelines: &["ideal"],
        network: false,
    },
    Figure {
        name: "curvature",
        about: "trajectories for VP, VE and σ = t (figure 3)",
        pipelines: &["curvature"],
        network: false,
    },
    Figure {
        name: "nfe",
        about: "error against evaluations for every solver (figure 2, with exact answers)",
        pipelines: &["nfe-runs", "nfe"],
        network: false,
    },
    Figure {
        name: "truncation",
        about: "truncation error by noise level and rho (figure 13)",
        pipelines: &["truncation-runs", "truncation"],
        network: true,
    },
    Figure {
        name: "loss",
        about: "loss by noise level before and after training (figure 5a)",
        pipelines: &["loss"],
        network: true,
    },
    Figure {
        name: "langevin",
        about: "Langevin iteration at fixed noise levels (figure 14)",
        pipelines: &["langevin-runs", "langevin"],
        network: true,
    },
];

const HELP: &str = "\
usage: cargo xtask figures [NAME…]

Runs the experiments and draws them into docs/figures, all of them or those named. Those that need a
trained network train that of pipelines/quickstart.ron first, unless runs/quickstart is there.
";

/// Runs the pipelines of figures, one after the other.
pub(crate) fn figures(names: &[&str]) -> Result<(), String> {
    if let ["--help" | "-h"] = names {
        print!("{HELP}\n{}", list());
        return Ok(());
    }
    if let Some(unknown) = names.iter().find(|name| FIGURES.iter().all(|figure| figure.name != **name)) {
        return Err(format!("no figure is called `{unknown}`; there are\n\n{}", list()));
    }
    run(cargo(&["build", "--release", "--package", "mollify"]))?;
    let chosen = || FIGURES.iter().filter(|figure| names.is_empty() || names.contains(&figure.name));
    if chosen().any(|figure| figure.network) && !root().join("runs/quickstart").exists() {
        pipeline("pipelines/quickstart.ron")?;
    }
    for name in chosen().flat_map(|figure| figure.pipelines) {
        pipeline(&format!("pipelines/figures/{name}.ron"))?;
    }
    println!("\nthe figures are in {}", root().join("docs/figures").display());
    Ok(())
}

fn pipeline(file: &str) -> Result<(), String> {
    // A sweep of another time may have had other points.
    let stem = Path::new(file).file_stem().unwrap_or_default();
    if stem.to_string_lossy().ends_with("-runs") {
        let old = root().join("runs").join(stem);
        if old.exists() {
            std::fs::remove_dir_all(&old)
                .map_err(|error| format!("cannot remove `{}`: {error}", old.display()))?;
        }
    }
    let mut mollify = Command::new(target().join("release/mollify"));
    mollify.current_dir(root()).args(["run", file]);
    run(mollify)
}

fn list() -> String {
    FIGURES.iter().map(|figure| format!("  {:<12}{}\n", figure.name, figure.about)).collect()
}
