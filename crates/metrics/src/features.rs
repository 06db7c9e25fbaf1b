//! What a network says about images: a row of numbers an image.

use nalgebra::DMatrix;

/// Rows of features, one an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    width: usize,
    numbers: Vec<f32>,
}

impl Rows {
    /// Rows of `width` numbers, one after the other.
    ///
    /// # Panics
    /// If the last one is not whole.
    pub fn new(width: usize, numbers: Vec<f32>) -> Self {
        assert!(width > 0 && numbers.len().is_multiple_of(width), "rows of {width} numbers");
        Self { width, numbers }
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        self.numbers.len() / self.width.max(1)
    }

    /// How many numbers an image has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All numbers, row by row.
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// The rows of these numbers, in their order.
    pub fn pick(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        let row = |at: usize| &self.numbers[at * self.width..][..self.width];
        Self { width: self.width, numbers: rows.into_iter().flat_map(row).copied().collect() }
    }

    /// Adds rows as wide.
    pub fn append(&mut self, rows: &Self) {
        debug_assert_eq!(self.width, rows.width);
        self.numbers.extend_from_slice(&rows.numbers);
    }

    /// In f64, an image a column.
    pub(crate) fn columns(&self) -> DMatrix<f64> {
        DMatrix::from_iterator(self.width, self.count(), self.numbers.iter().copied().map(f64::from))
    }

    /// Refuses rows of two networks.
    pub(crate) fn expect_as_wide_as(&self, other: &Self) -> Result<(), String> {
        if self.width == other.width {
            return Ok(());
        }
        Err(format!(
            "one set has {} features an image, the other {}: they come from two networks",
            self.width, other.width
        ))
    }
}
