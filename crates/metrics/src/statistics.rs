//! Mean and covariance of the features of a set of images, in the files that other programs share: `.npz`.

use std::path::Path;

use checkpoint::{Array, Dtype, npy_bytes, parse_npy, write_whole};
use dataset::{Zip, ZipWriter};
use nalgebra::{DMatrix, DVector};

/// Arrays in files of statistics: those that everybody writes, and what mollify adds.
const MU: &str = "mu.npy";
const SIGMA: &str = "sigma.npy";
const COUNT: &str = "n.npy";
const NETWORK: &str = "network.npy";
/// A covariance of 2048 features has 32 MiB.
const MOST_BYTES: u64 = 1 << 31;

/// Mean and covariance of the features of a set of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    pub mu: DVector<f64>,
    pub sigma: DMatrix<f64>,
    /// Of how many images, where that is known.
    pub count: Option<u64>,
    /// The digest of the network, where that is known.
    pub network: Option<String>,
}

impl Statistics {
    /// # Errors
    /// If the sizes do not fit each other, numbers are not finite, or the covariance is not symmetric.
    pub fn new(mu: DVector<f64>, sigma: DMatrix<f64>, count: Option<u64>) -> Result<Self, String> {
        let width = mu.len();
        if width == 0 || sigma.shape() != (width, width) {
            let (rows, columns) = sigma.shape();
            return Err(format!("a mean of {width} features does not fit a covariance of {rows}x{columns}"));
        }
        if !mu.iter().chain(sigma.iter()).all(|number| number.is_finite()) {
            return Err("the mean or covariance of the features is not finite".into());
        }
        if (&sigma - sigma.transpose()).amax() > 1e-6 * sigma.amax() {
            return Err("the covariance is not symmetric".into());
        }
        Ok(Self { mu, sigma, count, network: None })
    }

    /// Says which network they are of.
    pub fn of_network(self, digest: &str) -> Self {
        Self { network: Some(digest.to_owned()), ..self }
    }

    /// Reads `mu` and `sigma` of an `.npz` file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let zip = Zip::open(path)?;
        let array = |name: &str| -> Result<Option<Array>, String> {
            let Some(entry) = zip.entries().iter().find(|entry| entry.name == name) else { return Ok(None) };
            let named = path.join(name);
            parse_npy(&named, zip.read(entry, MOST_BYTES)?).map(Some).map_err(|error| error.to_string())
        };
        let wrong = |what: String| format!("`{}` {what}", path.display());
        let needed = |name: &str| {
            let missing = || wrong(format!("has no `{name}`, expected statistics with `mu` and `sigma`"));
            let array = array(name)?.ok_or_else(missing)?;
            let numbers = array.f64s().map_err(|error| error.to_string())?;
            Ok::<_, String>((array.shape, numbers))
        };
        let ((mu_shape, mu), (shape, sigma)) = (needed(MU)?, needed(SIGMA)?);
        let (&[_], &[rows, columns]) = (&mu_shape[..], &shape[..]) else {
            return Err(wrong(format!("has a mean {mu_shape:?} and a covariance {shape:?}")));
        };
        let count = array(COUNT)?.and_then(|array| array.f64s().ok()?.first().map(|n| *n as u64));
        let sigma = DMatrix::from_row_slice(rows, columns, &sigma);
        let statistics = Self::new(DVector::from_vec(mu), sigma, count)
            .map_err(|what| wrong(format!("cannot be used: {what}")))?;
        let network = array(NETWORK)?.and_then(|array| String::from_utf8(array.bytes).ok());
        Ok(Self { network, ..statistics })
    }

    /// Writes an `.npz` file: `mu` and `sigma` as every program reads them, with `n` and `network` beside them.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let width = self.mu.len();
        // Columns of a symmetric matrix are its rows.
        let count = self.count.map(|count| Array::from_i64s(&[], &[count as i64]));
        let network = self
            .network
            .as_ref()
            .map(|network| Array::new(Dtype::U8, &[network.len()], network.clone().into_bytes()));
        let arrays = [
            (MU, Some(Array::from_f64s(&[width], self.mu.as_slice()))),
            (SIGMA, Some(Array::from_f64s(&[width, width], self.sigma.as_slice()))),
            (COUNT, count),
            (NETWORK, network),
        ];
        let mut zip = ZipWriter::new(Vec::new());
        for (name, array) in arrays.into_iter().filter_map(|(name, array)| Some((name, array?))) {
            let bytes =
                array.and_then(|array| npy_bytes(array.view()?)).map_err(|error| error.to_string())?;
            zip.add(name, &bytes).map_err(|error| error.to_string())?;
        }
        let bytes = zip.finish().map_err(|error| error.to_string())?;
        write_whole(path, |file| file.write_all(&bytes)).map_err(|error| error.to_string())
    }
}
