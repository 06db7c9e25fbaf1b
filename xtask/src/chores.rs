//! The chores that are a few commands each.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::driver;

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

/// Leaves the tests on a GPU out.
const NO_GPU: &str = "--no-gpu";

/// Runs every test, after what they need is there.
pub(crate) fn test(args: &[&str]) -> Result<(), String> {
    let rest: Vec<&str> = args.iter().copied().filter(|arg| *arg != NO_GPU).collect();
    tests(with(cargo(&["test", "--workspace"]), &rest), rest.len() == args.len())
}

/// Everything that has to pass before a change goes in.
pub(crate) fn ci(args: &[&str]) -> Result<(), String> {
    let gpu = match args {
        [] => true,
        [NO_GPU] => false,
        _ => return Err(format!("`ci` takes no arguments but `{NO_GPU}`, found `{}`", args.join(" "))),
    };
    run(cargo(&["fmt", "--all", "--check"]))?;
    run(cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    let mut command = cargo(&["test", "--workspace"]);
    command.env("INSTA_UPDATE", "no");
    tests(command, gpu)
}

/// Runs tests; those on a GPU with a driver that is installed first if need be, or not at all.
fn tests(mut command: Command, gpu: bool) -> Result<(), String> {
    if gpu {
        driver::ensure(&mut command)?;
        return run(command);
    }
    command.env("MOLLIFY_NO_GPU", "1");
    run(command)?;
    println!("skipped: every test on a GPU, because of `{NO_GPU}`");
    Ok(())
}

/// Accepts what the snapshot tests see now.
pub(crate) fn bless(args: &[&str]) -> Result<(), String> {
    let mut tests = with(cargo(&["test", "--workspace"]), args);
    tests.env("INSTA_UPDATE", "always");
    run(tests)
}

/// Writes every shader of the shipped pipelines for reading.
pub(crate) fn shaders(args: &[&str]) -> Result<(), String> {
    let folder = match args {
        [] => target().join("shaders"),
        [folder] if !folder.starts_with('-') => {
            std::path::absolute(folder).map_err(|error| error.to_string())?
        }
        _ => return Err(format!("`shaders` takes a folder, found `{}`", args.join(" "))),
    };
    let folder = folder.to_string_lossy();
    run(cargo(&["run", "--quiet", "--package", "mollify-tests", "--bin", "shaders", "--", &folder]))
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
