//! The experiments of the paper: `cargo xtask figures [NAME…]`.

use std::path::Path;
use std::process::Command;

use crate::chores::{cargo, root, run, target};
use crate::data::data;

/// A figure, the pipelines of `pipelines/figures` that make it, and what they need.
struct Figure {
    name: &'static str,
    about: &'static str,
    pipelines: &'static [&'static str],
    needs: Needs,
}

/// What has to be there before.
#[derive(PartialEq)]
enum Needs {
    Nothing,
    /// The network of `pipelines/quickstart.ron`.
    Quickstart,
    /// `datasets/mnist10k.zip`.
    Mnist10k,
}

const FIGURES: [Figure; 10] = [
    Figure {
        name: "ideal",
        about: "the ideal denoiser on real images (figure 1b)",
        pipelines: &["ideal"],
        needs: Needs::Nothing,
    },
    Figure {
        name: "curvature",
        about: "trajectories for VP, VE and σ = t (figure 3)",
        pipelines: &["curvature"],
        needs: Needs::Nothing,
    },
    Figure {
        name: "nfe",
        about: "error against evaluations for every solver (figure 2, with exact answers)",
        pipelines: &["nfe-runs", "nfe"],
        needs: Needs::Nothing,
    },
    Figure {
        name: "truncation",
        about: "truncation error by noise level and rho (figure 13)",
        pipelines: &["truncation-runs", "truncation"],
        needs: Needs::Quickstart,
    },
    Figure {
        name: "loss",
        about: "loss by noise level before and after training (figure 5a)",
        pipelines: &["loss"],
        needs: Needs::Quickstart,
    },
    Figure {
        name: "langevin",
        about: "Langevin iteration at fixed noise levels (figure 14)",
        pipelines: &["langevin-runs", "langevin"],
        needs: Needs::Quickstart,
    },
    Figure {
        name: "quality",
        about: "quality against evaluations (figure 12)",
        pipelines: &["quality-runs", "quality-euler-runs", "quality", "quality-error-runs", "quality-error"],
        needs: Needs::Quickstart,
    },
    Figure {
        name: "churn",
        about: "quality against S_churn, S_tmin, S_tmax and S_noise (figures 5b and 15)",
        pipelines: &["churn-runs", "tmin-runs", "tmax-runs", "noise-runs", "churn"],
        needs: Needs::Quickstart,
    },
    Figure {
        name: "leak",
        about: "augmentation that does not leak",
        pipelines: &["../leak", "../leak-untold", "leak"],
        needs: Needs::Nothing,
    },
    Figure {
        name: "ladder",
        about: "from VP to the paper's configuration, step by step, on MNIST-10k (table 2)",
        pipelines: &["ladder-a", "ladder-b", "ladder-c", "ladder-d", "ladder-e", "ladder-f", "ladder"],
        needs: Needs::Mnist10k,
    },
];

const HELP: &str = "\
usage: cargo xtask figures [NAME…]

Runs the experiments and draws them into docs/figures, all of them or those named. Those that need a
trained network train that of pipelines/quickstart.ron first, unless runs/quickstart is there;
those of MNIST-10k make `datasets/mnist10k.zip` first.
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
    let needs = |what, path| chosen().any(|figure| figure.needs == what) && !root().join(path).exists();
    if needs(Needs::Quickstart, "runs/quickstart") {
        pipeline("pipelines/quickstart.ron")?;
    }
    if needs(Needs::Mnist10k, "datasets/mnist10k.zip") {
        data(&["mnist10k"])?;
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
    mollify.current_dir(root()).args(["run", file, "--fresh"]);
    run(mollify)
}

fn list() -> String {
    FIGURES.iter().map(|figure| format!("  {:<12}{}\n", figure.name, figure.about)).collect()
}
