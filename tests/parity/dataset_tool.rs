//! The dataset tool: what it writes for every source of the oracle, picture by picture, and its errors.
//!
//! The paper's program refuses sizes that are not square or no power of two. mollify takes them on purpose, and its note
//! says so.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use dataset::{Converted, Crop, Options, Picture, Transform, Zip, convert};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::fixtures::Oracle;
use crate::report::{Checks, Failure, Report};

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    args: Vec<String>,
    exit_code: u8,
    #[serde(default)]
    images: Vec<Image>,
    dataset_json: Option<Value>,
}

#[derive(Deserialize)]
struct Image {
    name: String,
    /// Height and width, and 3 for RGB.
    shape: Vec<usize>,
    sha256_pixels: String,
    png_bytes: u64,
}

pub fn run(oracle: &Oracle, report: &mut Report) {
    if !oracle.folder().join("dataset").exists() {
        return;
    }
    let cases: Vec<Case> = oracle.json("dataset/dataset_tool_cases.json");
    for case in &cases {
        report.case("dataset", &case.name, "-", |checks| {
            let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
            let out = folder.path().join("out.zip");
            match (&case.name[..], case.exit_code) {
                ("rezip_of_topdirs", _) => rezip(oracle, folder.path(), checks),
                (_, 0) => written(case, make(oracle, case, &out)?, &out, checks),
                ("error_not_square" | "error_not_pow2", _) => {
                    let notes = make(oracle, case, &out)?.notes.join(" ");
                    checks.hold("a note instead of an error", notes.contains("NVIDIA's program does not"));
                    Ok(())
                }
                _ => refused(make(oracle, case, &out), &out, checks),
            }
        });
    }
}

fn make(oracle: &Oracle, case: &Case, out: &Path) -> Result<Converted, String> {
    let value = |name: &str| {
        let at = case.args.iter().position(|arg| arg == name)?;
        case.args.get(at + 1).map(String::as_str)
    };
    let crop = match value("--transform") {
        None => Crop::None,
        Some("center-crop") => Crop::Centre,
        Some("center-crop-wide") => Crop::CentreWide,
        Some(other) => return Err(format!("an unknown transform {other}")),
    };
    let resolution = value("--resolution").map(str::parse).transpose()?;
    let max_images = value("--max-images").and_then(|most| most.parse().ok());
    let source = oracle.folder().join(value("--source").unwrap_or_default());
    convert(&source, out, &options(Transform { resolution, crop }, max_images), &mut |_, _| ())
}

fn options(transform: Transform, max_images: Option<usize>) -> Options {
    Options { transform, max_images, seed: None, skip_broken: false, threads: NonZero::<usize>::MIN }
}

fn written(case: &Case, made: Converted, out: &Path, checks: &mut Checks) -> Result<(), Failure> {
    checks.hold("number of images", made.images == case.images.len());
    let zip = Zip::open(out)?;
    checks.hold("members", zip.entries().len() == case.images.len() + 1);
    for (image, entry) in case.images.iter().zip(zip.entries()) {
        let png = zip.read(entry, 1 << 20)?;
        let Picture { format, bytes } = Picture::decode(&png)?;
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let shape = [format.height, format.width, format.channels];
        let alike = shape.starts_with(&image.shape) && (image.shape.len() == 3) == (format.channels == 3);
        checks.hold(&format!("name {}", image.name), entry.name == image.name);
        checks.hold(&format!("shape of {}", image.name), alike);
        checks.hold(&format!("pixels of {}", image.name), digest == image.sha256_pixels);
        checks.hold(&format!("stored {}", image.name), png.len() as u64 == image.png_bytes);
    }
    let json = zip.entries().last().ok_or("an empty archive".to_owned())?;
    let labels: Value =
        serde_json::from_slice(&zip.read(json, 1 << 20)?).map_err(|error| error.to_string())?;
    checks.hold("dataset.json", json.name == "dataset.json" && Some(labels) == case.dataset_json);
    Ok(())
}

/// A data set made of a data set is the same, byte for byte.
fn rezip(oracle: &Oracle, folder: &Path, checks: &mut Checks) -> Result<(), Failure> {
    let [first, second]: [PathBuf; 2] = ["first.zip", "second.zip"].map(|name| folder.join(name));
    let options = options(Transform::default(), None);
    convert(&oracle.folder().join("dataset/src/topdirs"), &first, &options, &mut |_, _| ())?;
    convert(&first, &second, &options, &mut |_, _| ())?;
    checks.hold("identical bytes", std::fs::read(&first).ok() == std::fs::read(&second).ok());
    Ok(())
}

/// The error names both pictures, and nothing is left behind.
fn refused(made: Result<Converted, String>, out: &Path, checks: &mut Checks) -> Result<(), Failure> {
    let error = made.err().unwrap_or_default();
    checks.hold("an error with both pictures", error.contains("a.png") && error.contains("b.png"));
    let left = out.parent().and_then(|folder| folder.read_dir().ok()).map_or(0, Iterator::count);
    checks.hold("nothing is left", left == 0);
    Ok(())
}
