//! Chores that cargo cannot do alone: `cargo xtask COMMAND`.

mod bench;
mod chores;
mod data;
mod driver;
mod figures;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask COMMAND

  demo            build for speed, run pipelines/quickstart.ron and say where the picture is
  test [ARGS]     set up what the tests need and run them all; ARGS go to `cargo test`, but for
                  `--no-gpu`, which leaves out what needs a GPU or software that stands in for one
  ci [--no-gpu]   formatting, clippy and tests, as continuous integration runs them
  bless [ARGS]    accept what the snapshot tests see now; ARGS go to `cargo test`
  shaders [OUT]   write every shader of the shipped pipelines as WGSL, SPIR-V, MSL and HLSL, to
                  `target/shaders` unless OUT says otherwise
  data SET        make a real data set from its package: mnist10k, emoji or clipart;
                  `cargo xtask data --help` says more
  figures [NAME…] run the experiments of the paper in pipelines/figures and draw them into
                  docs/figures: all, or those named; `cargo xtask figures --help` lists them
  bench [ARGS]    measure speed and memory; `cargo xtask bench --help` says more
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["demo"] => chores::demo(),
        ["test", rest @ ..] => chores::test(rest),
        ["ci", rest @ ..] => chores::ci(rest),
        ["bless", rest @ ..] => chores::bless(rest),
        ["shaders", rest @ ..] => chores::shaders(rest),
        ["data", rest @ ..] => data::data(rest),
        ["figures", rest @ ..] => figures::figures(rest),
        ["bench", rest @ ..] => bench::bench(rest),
        ["--help" | "-h" | "help"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("error: {what}");
            ExitCode::FAILURE
        }
    }
}
