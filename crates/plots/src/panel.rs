//! What a figure shows, before anything is drawn.

use crate::axis::Axis;

/// A pair of axes with what lies between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub layers: Vec<Layer>,
}

/// Something drawn between axes; what comes first lies below.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    Line(Line),
    /// Grey, from the bottom up to these points; `name` stands in the legend.
    Area {
        name: String,
        points: Vec<[f64; 2]>,
    },
    Cells(Cells),
    /// A line across, at a height.
    Level {
        name: String,
        at: f64,
    },
}

/// Points that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// What stands in the legend; nothing if it is empty.
    pub name: String,
    /// Its colour, dashes and marker, by number.
    pub style: usize,
    pub points: Vec<[f64; 2]>,
    /// x, and the lower and upper end of what is shaded there.
    pub band: Vec<[f64; 3]>,
    pub markers: bool,
    /// Half as wide, for many lines.
    pub thin: bool,
}

/// Values over a grid of two columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    /// For each `y` those of every `x`; `None` where nothing was measured.
    pub values: Vec<Vec<Option<f64>>>,
    pub label: String,
    /// The values of the darkest and the lightest colour.
    pub range: (f64, f64),
}

impl Panel {
    /// The numbers along both axes.
    pub(crate) fn extent(&self) -> [Vec<f64>; 2] {
        let [mut x, mut y] = [Vec::new(), Vec::new()];
        for layer in &self.layers {
            match layer {
                Layer::Line(line) => {
                    x.extend(line.points.iter().map(|[x, _]| *x));
                    y.extend(line.points.iter().map(|[_, y]| *y));
                    y.extend(line.band.iter().flat_map(|[_, low, high]| [*low, *high]));
                }
                Layer::Area { .. } => {}
                Layer::Level { at, .. } => y.push(*at),
                Layer::Cells(cells) => {
                    x.extend(&cells.x);
                    y.extend(&cells.y);
                }
            }
        }
        [x, y]
    }
}
