//! CIFAR-10 as it is published: a tar of pickles by Python 2, of which the five training batches are read.

use std::fs::File;
use std::io;
use std::path::Path;

use super::pickle::{self, Batch};
use super::{Pictures, Source, packed, tar};
use crate::labels::{Label, Labels};
use crate::picture::{Format, Picture};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const BATCHES: usize = 5;
/// A batch of 10,000 pictures has half of this.
const MOST_BYTES: u64 = 64 << 20;

struct Cifar {
    name: String,
    /// All pictures; of each the red plane, the green one and the blue one.
    planes: Vec<u8>,
}

pub fn open(path: &Path) -> Result<Source, String> {
    let wrong = |error: io::Error| format!("`{}` cannot be read: {error}", path.display());
    let mut archive = packed::unpacked(File::open(path).map_err(wrong)?).map_err(wrong)?;
    let mut batches: [Option<Batch>; BATCHES] = Default::default();
    tar::each_file(&mut archive, MOST_BYTES, |name, bytes| {
        if let Some(batch) = number(name).and_then(|number| batches.get_mut(number)) {
            let read = pickle::read(&bytes).and_then(check);
            *batch = Some(read.map_err(|what| io::Error::other(format!("`{name}` in it {what}")))?);
        }
        Ok(())
    })
    .map_err(wrong)?;
    let (mut planes, mut each) = (Vec::new(), Vec::new());
    for (number, batch) in batches.into_iter().enumerate() {
        let missing =
            || format!("`{}` is not CIFAR-10: it has no `data_batch_{}`", path.display(), number + 1);
        let batch = batch.ok_or_else(missing)?;
        planes.extend(batch.data);
        each.extend(batch.labels.into_iter().map(Label::Class));
    }
    let pictures = Box::new(Cifar { name: path.display().to_string(), planes });
    Ok(Source { pictures, labels: Labels { each, ..Labels::default() } })
}

/// Which training batch a file is, from 0.
fn number(name: &str) -> Option<usize> {
    let number = name.rsplit('/').next()?.strip_prefix("data_batch_")?;
    number.parse::<usize>().ok()?.checked_sub(1)
}

fn check(batch: Batch) -> Result<Batch, String> {
    if batch.data.len() != batch.labels.len() * 3 * PLANE {
        return Err(format!("has {} bytes of pictures for {} labels", batch.data.len(), batch.labels.len()));
    }
    Ok(batch)
}

impl Pictures for Cifar {
    fn count(&self) -> usize {
        self.planes.len() / (3 * PLANE)
    }

    fn name(&self, picture: usize) -> String {
        format!("image {picture} of {}", self.name)
    }

    fn read(&self, picture: usize) -> Result<Picture, String> {
        let planes = &self.planes[picture * 3 * PLANE..][..3 * PLANE];
        let bytes =
            (0..PLANE).flat_map(|pixel| [0, 1, 2].map(|channel| planes[channel * PLANE + pixel])).collect();
        Ok(Picture { format: Format { width: SIDE, height: SIDE, channels: 3 }, bytes })
    }
}
