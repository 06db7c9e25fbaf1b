//! A figure on its way to disk.

use std::fs;
use std::path::Path;

use bevy_ecs::prelude::*;
use image::{ExtendedColorType, ImageFormat};
use pipeline::{Closing, Mistake};
use ports::{RunFolder, Table};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use crate::csv::to_csv;
use crate::draw::{Drawing, FONT};
use crate::panel::Panel;

/// What nodes that plot make: written when their act ends, or the run is interrupted.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct Figure {
    pub panels: Vec<Panel>,
    /// The numbers that are drawn.
    pub numbers: Table,
    /// How many panels stand side by side.
    pub columns: usize,
    /// Where to, without the extension.
    pub to: String,
    /// Whether it is on disk.
    pub written: bool,
}

/// What the field `to` means.
pub(crate) const TO: (&str, &str) = (
    "to",
    "where to, without extension: `\"{run}/loss\"` writes `loss.svg`, `loss.png` and `loss.csv` to the folder of the run",
);

/// Panels side by side, unless there is a reason for another number.
pub(crate) const COLUMNS: usize = 3;

/// A pixel of the SVG is so many of the PNG.
const SHARPNESS: u32 = 2;

/// Checks where a figure is to go.
pub(crate) fn check_to(to: &str) -> Result<(), Mistake> {
    if to.replace(RunFolder::PLACE, "").contains(['{', '}']) {
        let what = format!("`{to}` has other braces than `{{run}}`");
        return Err(Mistake::new("to", what).help("names of figures know no other places"));
    }
    let extensions = [".svg", ".png", ".csv"];
    match extensions.iter().find(|extension| to.ends_with(**extension)) {
        Some(extension) => Err(Mistake::new("to", format!("`{to}` has an extension"))
            .help(format!("leave out `{extension}`: a figure is three files"))),
        None if to.is_empty() || to.ends_with('/') => {
            Err(Mistake::new("to", format!("`{to}` names no file")))
        }
        None => Ok(()),
    }
}

/// Writes what has been drawn.
pub(crate) fn write_figures(
    mut figures: Query<&mut Figure>,
    closing: Res<Closing>,
    folder: RunFolder,
) -> Result {
    if !closing.0 {
        return Ok(());
    }
    for mut figure in figures.iter_mut().filter(|figure| !figure.written) {
        let to = folder.fill(&figure.to)?;
        write(&figure, &to).map_err(|error| format!("the figure `{to}`: {error}"))?;
        figure.written = true;
    }
    Ok(())
}

fn write(figure: &Figure, to: &str) -> Result<(), String> {
    let drawing = Drawing::new(&figure.panels, figure.columns)?;
    write_file(&format!("{to}.svg"), drawing.svg().as_bytes())?;
    write_file(&format!("{to}.csv"), &to_csv(&figure.numbers)?)?;
    write_file(&format!("{to}.png"), &png(&drawing)?)
}

/// Writes a file in a folder that may not be there yet.
pub(crate) fn write_file(path: &str, content: &[u8]) -> Result<(), String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let cannot = |error| format!("cannot write `{path}`: {error}");
    fs::create_dir_all(folder).map_err(cannot)?;
    fs::write(path, content).map_err(cannot)
}

/// The drawing as it looks on white.
fn png(drawing: &Drawing) -> Result<Vec<u8>, String> {
    let mut options = Options::default();
    options.fontdb_mut().load_font_data(FONT.to_vec());
    options.fontdb_mut().set_sans_serif_family("DejaVu Sans");
    let tree = Tree::from_str(&drawing.plain(), &options).map_err(|error| error.to_string())?;
    let [width, height] = drawing.size.map(|side| side * SHARPNESS);
    let mut pixels =
        Pixmap::new(width, height).ok_or_else(|| format!("no room for {width} x {height} pixels"))?;
    let sharp = SHARPNESS as f32;
    resvg::render(&tree, Transform::from_scale(sharp, sharp), &mut pixels.as_mut());
    // Nothing shows through white, so that there is no alpha to keep.
    let colours: Vec<u8> =
        pixels.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    let mut file = std::io::Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut file,
        &colours,
        width,
        height,
        ExtendedColorType::Rgb8,
        ImageFormat::Png,
    )
    .map_err(|error| error.to_string())?;
    Ok(file.into_inner())
}
