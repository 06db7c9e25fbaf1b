//! What becomes of a picture on its way into a data set: cropped, scaled, letterboxed.

use std::str::FromStr;

use crate::picture::{Format, LONGEST_SIDE, Picture};
use crate::resize::Lanczos;

/// A size to scale to, written `WxH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub width: usize,
    pub height: usize,
}

impl FromStr for Resolution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        match sizes {
            Some((width @ 1..=LONGEST_SIDE, height @ 1..=LONGEST_SIDE)) => Ok(Self { width, height }),
            _ => Err(format!("expected WxH with sizes from 1 to {LONGEST_SIDE}, as in `64x48`")),
        }
    }
}

/// What to do with a picture before it is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crop {
    /// Nothing; scaling may change the proportions.
    #[default]
    None,
    /// Keep the square in the middle. Grey pictures become RGB.
    Centre,
    /// Keep a strip across the middle, `width * old_height / old_width` rows high, scale it and put it on a black square.
    /// Pictures that are smaller than the resolution are left out.
    CentreWide,
}

/// A whole transformation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transform {
    pub resolution: Option<Resolution>,
    pub crop: Crop,
}

impl Transform {
    /// Refuses what makes no sense together.
    pub fn check(&self) -> Result<(), String> {
        match (self.crop, self.resolution) {
            (Crop::None, _) | (Crop::Centre, Some(_)) => Ok(()),
            (_, None) => Err("a transform needs a resolution to scale to; give `--resolution WxH`".into()),
            (Crop::CentreWide, Some(Resolution { width, height })) if height <= width => Ok(()),
            (Crop::CentreWide, Some(Resolution { width, height })) => Err(format!(
                "`center-crop-wide` makes wide pictures, but {width}x{height} is high; expected a width of at least the height"
            )),
        }
    }

    /// The picture as it goes into the data set, or nothing if it is too small for that.
    pub fn apply(&self, picture: Picture, lanczos: &mut Lanczos) -> Option<Picture> {
        let Some(Resolution { width, height }) = self.resolution else { return Some(picture) };
        let Format { width: old_width, height: old_height, .. } = picture.format;
        match self.crop {
            Crop::None => Some(lanczos.resize(picture, width, height)),
            Crop::Centre => {
                let side = old_width.min(old_height);
                Some(lanczos.resize(rgb(crop(&picture, side, side)), width, height))
            }
            Crop::CentreWide => {
                // Not in the proportions of the resolution, but what the paper's program keeps: data sets have to agree.
                let rows = ((width * old_height) as f64 / old_width as f64).round_ties_even() as usize;
                if old_width < width || rows < height {
                    return None;
                }
                let middle = crop(&picture, old_width, rows);
                Some(letterbox(lanczos.resize(rgb(middle), width, height)))
            }
        }
    }
}

/// The middle of a picture; an odd pixel too many goes at the left or top.
fn crop(picture: &Picture, width: usize, height: usize) -> Picture {
    let Format { width: old_width, height: old_height, channels } = picture.format;
    let (left, top) = ((old_width - width) / 2, (old_height - height) / 2);
    let rows = picture.bytes.chunks(old_width * channels).skip(top).take(height);
    let bytes = rows.flat_map(|row| &row[left * channels..][..width * channels]).copied().collect();
    Picture { format: Format { width, height, channels }, bytes }
}

fn rgb(picture: Picture) -> Picture {
    if picture.format.channels == 3 {
        return picture;
    }
    let bytes = picture.bytes.iter().flat_map(|grey| [*grey; 3]).collect();
    Picture { format: Format { channels: 3, ..picture.format }, bytes }
}

/// Puts a wide picture into the middle of a black square.
fn letterbox(picture: Picture) -> Picture {
    let Format { width, height, channels } = picture.format;
    let mut bytes = vec![0; width * width * channels];
    bytes[(width - height) / 2 * width * channels..][..picture.bytes.len()].copy_from_slice(&picture.bytes);
    Picture { format: Format { height: width, ..picture.format }, bytes }
}
