//! Parity: holds every part of the product against numbers that the paper's reference implementation made.
//!
//! `cargo test -p mollify-tests --test parity [-- WORD]` prints a line for each case and device: its group, its name
//! and its worst error as a part of the tolerance. The cases are those of the `cases.json` files under
//! `tests/fixtures/oracle`, or under the folder in `MOLLIFY_ORACLE` (relative to the workspace). Words keep the cases
//! whose group or name has them.

#[path = "parity/algorithm.rs"]
mod algorithm;
#[path = "parity/augment.rs"]
mod augment;
#[path = "parity/compare.rs"]
mod compare;
#[path = "parity/dataset_tool.rs"]
mod dataset_tool;
#[path = "parity/fid.rs"]
mod fid;
#[path = "parity/fixtures.rs"]
mod fixtures;
#[path = "parity/given_draws.rs"]
mod given_draws;
#[path = "parity/given_nodes.rs"]
mod given_nodes;
#[path = "parity/inventory.rs"]
mod inventory;
#[path = "parity/layers.rs"]
mod layers;
#[path = "parity/losses.rs"]
mod losses;
#[path = "parity/nets.rs"]
mod nets;
#[path = "parity/objectives.rs"]
mod objectives;
#[path = "parity/pickles.rs"]
mod pickles;
#[path = "parity/procedural.rs"]
mod procedural;
#[path = "parity/report.rs"]
mod report;
#[path = "parity/samplers.rs"]
mod samplers;
#[path = "parity/schemes.rs"]
mod schemes;
#[path = "parity/training.rs"]
mod training;
#[path = "parity/trial.rs"]
mod trial;

use std::process::ExitCode;
use std::sync::Arc;

use fixtures::Oracle;
use gpu::Mode;
use mollify_tests::gpus;
use report::Report;
use tensor::Device;

fn main() -> ExitCode {
    let (options, words): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    if options.iter().any(|option| option == "--list") {
        return ExitCode::SUCCESS;
    }
    let oracle = Oracle::find();
    println!("cases from {}", oracle.folder().display());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut devices: Vec<Arc<dyn Device>> =
        vec![Arc::new(tensor::Reference), Arc::new(cpu::Cpu::new(threads))];
    for mode in [Mode::Trusted, Mode::Checked] {
        devices.extend(gpus::gpu(mode).map(|gpu| gpu as Arc<dyn Device>));
    }
    let mut report = Report::new(words);
    layers::run(&oracle, &devices, &mut report);
    nets::run(&oracle, &devices, &mut report);
    inventory::run(&oracle, &mut report);
    procedural::run(&oracle, &devices, &mut report);
    losses::run(&oracle, &devices, &mut report);
    augment::run(&oracle, &devices, &mut report);
    training::run(&oracle, &devices, &mut report);
    samplers::run(&oracle, &devices, &mut report);
    dataset_tool::run(&oracle, &mut report);
    pickles::run(&oracle, &devices, &mut report);
    fid::run(&oracle, &devices, &mut report);
    report.finish()
}
