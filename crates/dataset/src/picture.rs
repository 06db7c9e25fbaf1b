//! Pictures: PNG, JPEG, WebP and BMP in, PNG out; grey or RGB with 8 bits a channel.

use std::fmt;
use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits};

/// The names of files of pictures end so.
pub const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];
/// No resolution has longer sides.
pub const LONGEST_SIDE: usize = 8192;
/// Larger pictures are not decoded, whatever their files say: a square of the longest side.
const MOST_PIXELS: usize = LONGEST_SIDE * LONGEST_SIDE;
/// Larger files are not read: three bytes for each of the most pixels, and a third of that for what is beside them.
pub const MOST_BYTES: u64 = 4 * MOST_PIXELS as u64;
/// So much of a file tells its format, unless it begins with something long.
pub const START: u64 = 1 << 16;

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
    /// Refuses pictures without a pixel and such as are too large; fails with what follows the name in a sentence.
    pub fn new(width: usize, height: usize, channels: usize) -> Result<Self, String> {
        match width.checked_mul(height) {
            Some(1..=MOST_PIXELS) => Ok(Self { width, height, channels }),
            _ => Err(format!("is {width}x{height} pixels large, expected 1 to {MOST_PIXELS} in all")),
        }
    }

    /// What the start of a file says; fails as [`new`](Self::new) does.
    pub fn of(start: &[u8]) -> Result<Self, String> {
        format_of(&decoder(start)?)
    }

    /// What a file says of which `read` gives no more bytes than asked for: its start, or all of it if need be.
    pub(crate) fn read(read: impl Fn(u64) -> Result<Vec<u8>, String>) -> Result<Self, String> {
        let start = read(START)?;
        match Self::of(&start) {
            Err(_) if start.len() as u64 == START => Self::of(&read(MOST_BYTES)?),
            found => found,
        }
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
        if file.starts_with(b"\xff\xd8") && jpeg_is_cut_off(file) {
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

/// Whether no end follows the last scan, which the decoder would fill with grey. A preview in the file has its own end.
fn jpeg_is_cut_off(file: &[u8]) -> bool {
    let last = |marker| file.windows(2).rposition(|bytes| bytes == [0xff, marker]);
    let (scan, end) = (last(0xda), last(0xd9));
    end < scan
}

fn decoder(file: &[u8]) -> Result<impl ImageDecoder + '_, String> {
    use ImageFormat::{Bmp, Jpeg, Png, WebP};

    if file.is_empty() {
        return Err("is empty: 0 bytes, expected a picture".into());
    }
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(broken)?;
    // What it may allocate beside the picture, as for profiles that are packed: as much as the largest file has.
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    if !matches!(reader.format(), Some(Png | Jpeg | WebP | Bmp)) {
        let start: String = file.iter().take(12).map(|byte| byte.escape_ascii().to_string()).collect();
        return Err(format!("is no picture: it starts with `{start}`, expected PNG, JPEG, WebP or BMP"));
    }
    reader.into_decoder().map_err(broken)
}

fn format_of(decoder: &impl ImageDecoder) -> Result<Format, String> {
    let (width, height) = decoder.dimensions();
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
    Format::new(width as usize, height as usize, channels)
}

fn broken(why: impl fmt::Display) -> String {
    format!("cannot be decoded: {why}")
}
