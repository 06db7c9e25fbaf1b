//! One channel of an image, and what the augmentations do to it.

/// One channel of one image.
pub struct Plane {
    pub width: usize,
    pub values: Vec<f64>,
}

impl Plane {
    pub fn height(&self) -> usize {
        self.values.len() / self.width
    }

    fn make(width: usize, height: usize, value: impl Fn(usize, usize) -> f64) -> Plane {
        let values = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
        Plane { width, values: values.map(|(row, column)| value(row, column)).collect() }
    }

    /// The value, zero outside.
    fn at(&self, row: isize, column: isize) -> f64 {
        let inside = (0..self.height() as isize).contains(&row) && (0..self.width as isize).contains(&column);
        if inside { self.values[row as usize * self.width + column as usize] } else { 0.0 }
    }

    pub fn flipped(&self, [x, y]: [bool; 2]) -> Plane {
        let (w, h) = (self.width, self.height());
        Plane::make(w, h, |row, column| {
            let row = if y { h - 1 - row } else { row };
            let column = if x { w - 1 - column } else { column };
            self.values[row * w + column]
        })
    }

    /// With that much of its own reflection around it.
    pub fn reflected(&self, [left, top, right, bottom]: [usize; 4]) -> Plane {
        let (w, h) = (self.width, self.height());
        let mirror = |place: usize, before: usize, size: usize| {
            let place = (place as isize - before as isize).unsigned_abs();
            if place < size { place } else { 2 * (size - 1) - place }
        };
        Plane::make(w + left + right, h + top + bottom, |row, column| {
            self.values[mirror(row, top, h) * w + mirror(column, left, w)]
        })
    }

    fn transposed(&self) -> Plane {
        Plane::make(self.height(), self.width, |row, column| self.values[column * self.width + row])
    }

    /// Twice as large: zeros between the pixels, then the filter backwards.
    pub fn doubled(&self, taps: &[f64]) -> Plane {
        let reach = taps.len() as isize / 2;
        let wide = |plane: &Plane| {
            Plane::make(2 * plane.width, plane.height(), |row, column| {
                let term = |tap: usize| {
                    let place = column as isize + tap as isize - reach;
                    let pixel =
                        if place % 2 == 0 { plane.at(row as isize, place.div_euclid(2)) } else { 0.0 };
                    taps[taps.len() - 1 - tap] * pixel
                };
                (0..taps.len()).map(term).sum()
            })
        };
        wide(&wide(self).transposed()).transposed()
    }

    /// Half as large: the filter, then every second pixel.
    pub fn halved(&self, taps: &[f64]) -> Plane {
        let reach = (taps.len() as isize - 1) / 2;
        let narrow = |plane: &Plane| {
            Plane::make(plane.width / 2, plane.height(), |row, column| {
                let term = |tap: usize| {
                    taps[tap] * plane.at(row as isize, 2 * column as isize + tap as isize - reach)
                };
                (0..taps.len()).map(term).sum()
            })
        };
        narrow(&narrow(self).transposed()).transposed()
    }

    /// Between pixels, zero outside.
    pub fn sample(&self, x: f64, y: f64) -> f64 {
        let (column, row) = (x.floor(), y.floor());
        let (right, down) = (x - column, y - row);
        let (column, row) = (column as isize, row as isize);
        let upper = self.at(row, column) * (1.0 - right) + self.at(row, column + 1) * right;
        let lower = self.at(row + 1, column) * (1.0 - right) + self.at(row + 1, column + 1) * right;
        upper * (1.0 - down) + lower * down
    }

    pub fn cropped(&self, border: usize) -> Plane {
        let (w, h) = (self.width - 2 * border, self.height() - 2 * border);
        Plane::make(w, h, |row, column| self.values[(row + border) * self.width + column + border])
    }
}
