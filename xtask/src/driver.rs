//! What tests on a GPU need: a Vulkan driver, which may be software.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::chores::run;

/// Package managers with the packages of Mesa's software driver and the library that finds drivers.
const MANAGERS: [(&str, &[&str]); 4] = [
    ("apt-get", &["install", "--yes", "--no-install-recommends", "mesa-vulkan-drivers", "libvulkan1"]),
    ("dnf", &["install", "--assumeyes", "mesa-vulkan-drivers", "vulkan-loader"]),
    ("pacman", &["--sync", "--needed", "--noconfirm", "vulkan-swrast", "vulkan-icd-loader"]),
    ("apk", &["add", "mesa-vulkan-swrast", "vulkan-loader"]),
];

/// Parts of the names of drivers that need no hardware.
const SOFTWARE: [&str; 2] = ["lvp", "swiftshader"];

/// Makes sure that a command finds a driver; other systems than Linux come with their own.
pub(crate) fn ensure(command: &mut Command) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    // Mesa would look for a display to sort GPUs by, and print errors where there is none.
    command.env("NODEVICE_SELECT", "1");
    if let Some(driver) = installed() {
        println!("tests on a GPU use the Vulkan drivers of {}", driver.display());
        return Ok(());
    }
    println!("there is no Vulkan driver to use, so a software one is installed for the tests on a GPU");
    install().map_err(|what| {
        format!("{what}; install a Vulkan driver, or leave those tests out with `--no-gpu`")
    })?;
    match installed() {
        Some(_) => Ok(()),
        None => Err("a driver was installed and is nowhere to be found; `--no-gpu` goes on without".into()),
    }
}

/// Where drivers are declared, if there are any.
fn installed() -> Option<PathBuf> {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"];
    let named = named.iter().filter_map(env::var_os);
    let named: Vec<PathBuf> = named.flat_map(|files| env::split_paths(&files).collect::<Vec<_>>()).collect();
    let system = ["/usr/share", "/usr/local/share", "/etc"].map(PathBuf::from);
    let own = env::var_os("HOME").map(|home| Path::new(&home).join(".local/share"));
    let folders = system.into_iter().chain(own).map(|folder| folder.join("vulkan/icd.d"));
    named
        .into_iter()
        .find(|file| file.exists())
        .or_else(|| folders.into_iter().find(|folder| has_driver(folder)))
}

/// A driver of software, or any where there is hardware for one.
fn has_driver(folder: &Path) -> bool {
    let hardware = ["/dev/dri", "/dev/nvidia0", "/dev/dxg", "/dev/kgsl-3d0"].map(Path::new);
    let hardware = hardware.into_iter().any(Path::exists);
    let files = folder.read_dir().into_iter().flatten().flatten().map(|file| file.path());
    let mut drivers = files.filter(|file| file.extension() == Some(OsStr::new("json")));
    drivers.any(|file| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        hardware || SOFTWARE.iter().any(|software| name.contains(software))
    })
}

fn install() -> Result<(), String> {
    let Some((manager, args)) = MANAGERS.into_iter().find(|(manager, _)| is_there(manager)) else {
        let names = MANAGERS.map(|(manager, _)| manager).join(", ");
        return Err(format!("there is none of the package managers {names}"));
    };
    if manager == "apt-get" {
        // Lists of packages are often missing in containers, and an old list may still do.
        run(as_root(manager, &["update"])?).unwrap_or_else(|what| println!("{what}"));
    }
    run(as_root(manager, args)?)
}

/// The command as root, by `sudo` where that is there.
fn as_root(program: &str, args: &[&str]) -> Result<Command, String> {
    let id = Command::new("id").arg("-u").output().map_err(|error| format!("cannot run `id`: {error}"))?;
    let mut command = match (id.stdout.trim_ascii() == b"0", is_there("sudo")) {
        (true, _) => Command::new(program),
        (false, true) => {
            let mut sudo = Command::new("sudo");
            sudo.arg(program);
            sudo
        }
        (false, false) => return Err(format!("`{program}` needs root, and there is no `sudo`")),
    };
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}
