//! Pictures: PNG, JPEG, WebP and BMP in, PNG out; grey or RGB with 8 bits a channel.

use std::fmt;
use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits};

/// The names of files of pictures end so.
pub const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];
/// Larger files are not read.
pub const MOST_BYTES: u64 = 1 << 28;
/// Larger pictures are not decoded, whatever their files say.
pub const MOST_PIXELS: u64 = 1 << 26;

/// Size and channels of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    pub width: usize,
    pub height: usize,
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
}

/// A decoded picture: rows of pixels from the top, channels side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub format: Format,
    pub bytes: Vec<u8>,
}

impl Format {
    /// What the start of a file says; fails with what follows the name in a sentence.
    pub fn of(start: &[u8]) -> Result<Self, String> {
        format_of(&decoder(start)?)
    }

    /// Height, width and channels.
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

impl Picture {
    /// Decodes a file; fails with what follows its name in a sentence.
    pub fn decode(file: &[u8]) -> Result<Self, String> {
        // The decoder fills the missing end of a JPEG with grey, so it is looked for here.
        if file.starts_with(b"\xff\xd8") && !file.windows(2).rev().any(|marker| marker == b"\xff\xd9") {
            return Err(broken("it is cut off: its end is missing"));
        }
        let decoder = decoder(file)?;
        let format = format_of(&decoder)?;
        let mut bytes = vec![0; format.shape().iter().product()];
        decoder.read_image(&mut bytes).map_err(broken)?;
        Ok(Self { format, bytes })
    }

    /// The file of a PNG, its pixels stored and not packed.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let Format { width, height, channels } = self.format;
        let colours = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let mut file = Vec::with_capacity(self.bytes.len() + height + 128);
        PngEncoder::new_with_quality(&mut file, CompressionType::Uncompressed, FilterType::NoFilter)
            .write_image(&self.bytes, width as u32, height as u32, colours)
            .map_err(|error| format!("cannot be written as PNG: {error}"))?;
        Ok(file)
    }
}

fn decoder(file: &[u8]) -> Result<impl ImageDecoder + '_, String> {
    use ImageFormat::{Bmp, Jpeg, Png, WebP};

    if file.is_empty() {
        return Err("is empty: 0 bytes, expected a picture".into());
    }
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(broken)?;
    reader.limits(limits());
    if !matches!(reader.format(), Some(Png | Jpeg | WebP | Bmp)) {
        let start: String = file.iter().take(12).map(|byte| byte.escape_ascii().to_string()).collect();
        return Err(format!("is no picture: it starts with `{start}`, expected PNG, JPEG, WebP or BMP"));
    }
    reader.into_decoder().map_err(broken)
}

/// What a decoder may allocate beside the picture, as for profiles and texts that are packed.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(4 * MOST_PIXELS);
    limits
}

fn format_of(decoder: &impl ImageDecoder) -> Result<Format, String> {
    let (width, height) = decoder.dimensions();
    if !(1..=MOST_PIXELS).contains(&(u64::from(width) * u64::from(height))) {
        return Err(format!("is {width}x{height} pixels large, expected 1 to {MOST_PIXELS} in all"));
    }
    let channels = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::Rgb8 => 3,
        ColorType::La8 | ColorType::Rgba8 => {
            return Err("is transparent, expected grey or RGB; draw it on a background first".into());
        }
        other => {
            let what = "expected grey or RGB with 8 bits a channel; convert it";
            return Err(format!("has pixels of type {other:?}, {what}"));
        }
    };
    Ok(Format { width: width as usize, height: height as usize, channels })
}

fn broken(why: impl fmt::Display) -> String {
    format!("cannot be decoded: {why}")
}
