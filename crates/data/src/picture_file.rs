//! Pictures in files: PNG and JPEG, grey or RGB with 8 bits a channel.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::{ColorType, ImageDecoder, ImageReader};

/// Size and channels of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub height: usize,
    pub width: usize,
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
}

impl Format {
    pub fn shape(self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }

    /// What to call the channels.
    pub fn colours(self) -> &'static str {
        if self.channels == 1 { "grey" } else { "RGB" }
    }
}

/// `32x48 RGB`: width and height, as pictures are usually told.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} {}", self.width, self.height, self.colours())
    }
}

/// Reads what the start of a picture says about it.
pub fn format(path: &Path) -> Result<Format, String> {
    let file = File::open(path).map_err(cannot_read(path))?;
    if file.metadata().map_err(cannot_read(path))?.len() == 0 {
        return Err(empty(path));
    }
    format_of(path, &decoder(path, BufReader::new(file))?)
}

/// Reads the bytes of a picture, row by row, channels side by side.
pub fn bytes(path: &Path) -> Result<(Format, Vec<u8>), String> {
    let file = fs::read(path).map_err(cannot_read(path))?;
    if file.is_empty() {
        return Err(empty(path));
    }
    // The decoder fills the missing end of a JPEG with grey, so it is looked for here.
    if file.starts_with(b"\xff\xd8") && !file.windows(2).rev().any(|marker| marker == b"\xff\xd9") {
        return Err(broken(path, "it is cut off: its end is missing"));
    }
    let decoder = decoder(path, Cursor::new(&file))?;
    let format = format_of(path, &decoder)?;
    let mut bytes = vec![0; format.shape().iter().product()];
    decoder.read_image(&mut bytes).map_err(|error| broken(path, error))?;
    Ok((format, bytes))
}

fn decoder<'a, R: BufRead + Seek + 'a>(path: &Path, file: R) -> Result<impl ImageDecoder + 'a, String> {
    let mut reader = ImageReader::new(file).with_guessed_format().map_err(cannot_read(path))?;
    reader.no_limits();
    if reader.format().is_none() {
        let mut file = reader.into_inner();
        let start = file.rewind().and_then(|()| Ok(start(file.fill_buf()?))).unwrap_or_default();
        return Err(format!(
            "`{}` is no picture: it starts with `{start}`, expected PNG or JPEG",
            path.display()
        ));
    }
    reader.into_decoder().map_err(|error| broken(path, error))
}

fn format_of(path: &Path, decoder: &impl ImageDecoder) -> Result<Format, String> {
    let channels = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::Rgb8 => 3,
        other => {
            let what = "expected grey or RGB with 8 bits a channel; convert it";
            return Err(format!("`{}` has pixels of type {other:?}, {what}", path.display()));
        }
    };
    let (width, height) = decoder.dimensions();
    Ok(Format { height: height as usize, width: width as usize, channels })
}

/// The first bytes of a file, as far as they can be shown.
fn start(file: &[u8]) -> String {
    file.iter().take(12).map(|byte| byte.escape_ascii().to_string()).collect()
}

fn empty(path: &Path) -> String {
    format!("`{}` is empty: 0 bytes, expected a PNG or JPEG picture", path.display())
}

fn broken(path: &Path, why: impl fmt::Display) -> String {
    format!("`{}` cannot be decoded: {why}", path.display())
}

fn cannot_read(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("`{}` cannot be read: {error}", path.display())
}
