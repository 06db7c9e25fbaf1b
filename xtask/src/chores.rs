//! The chores that are a few commands each.

use std::path::{Path, PathBuf};
use std::process::Command;

const PICTURE: &str = "runs/quickstart/grid.png";

/// Trains on digits and draws new ones.
pub(crate) fn demo() -> Result<(), String> {
    run(cargo(&["build", "--release", "--package", "mollify"]))?;
    let mut demo = Command::new(target().join("release/mollify"));
    demo.current_dir(root()).args(["run", "pipelines/quickstart.ron", "--fresh"]);
    run(demo)?;
    println!(
        "\nthe picture is {}: ten new digits of each class, a row a class",
        root().join(PICTURE).display()
    );
    Ok(())
}

/// Runs every test, after what they need is there.
pub(crate) fn test(args: &[&str]) -> Result<(), String> {
    println!("tests need nothing but Rust");
    run(with(cargo(&["test", "--workspace"]), args))
}

/// Everything that has to pass before a change goes in.
pub(crate) fn ci() -> Result<(), String> {
    run(cargo(&["fmt", "--all", "--check"]))?;
    run(cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    let mut tests = cargo(&["test", "--workspace"]);
    tests.env("INSTA_UPDATE", "no");
    println!("tests need nothing but Rust");
    run(tests)
}

/// Accepts what the snapshot tests see now.
pub(crate) fn bless(args: &[&str]) -> Result<(), String> {
    let mut tests = with(cargo(&["test", "--workspace"]), args);
    tests.env("INSTA_UPDATE", "always");
    run(tests)
}

/// Runs a command, shown first, and insists on its success.
pub(crate) fn run(mut command: Command) -> Result<(), String> {
    let shown = shown(&command);
    println!("$ {shown}");
    let status = command.status().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed: {status}")) }
}

/// `program argument argument`, without the folder of the program.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
}

/// The cargo that runs this, in the workspace.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(args);
    cargo
}

pub(crate) fn with(mut command: Command, args: &[&str]) -> Command {
    command.args(args);
    command
}

/// The workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}
