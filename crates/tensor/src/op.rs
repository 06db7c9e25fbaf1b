//! The operations of a graph, and the shapes they make.

use std::sync::Arc;

use crate::{Expr, Shape};

/// What the elements of a tensor are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// Real numbers: f32 on devices, f64 on the reference device.
    #[default]
    Real,
    /// 32-bit integers: the keys and bits of random numbers.
    Bits,
}

/// One operation; its inputs are listed beside it in an [`Operation`](crate::Operation).
///
/// Images are `[n, h, w, c]`. The first axis of an activation is the sample: no operation but a
/// [`Reduce`](Op::Reduce) over it, a weight gradient or a transposed matrix product mixes samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A tensor bound by name at every run.
    Input {
        name: String,
    },
    /// A number given by name at every run; shape `[]`.
    Scalar {
        name: String,
    },
    /// Numbers known when the graph is built.
    Table {
        values: Arc<Vec<f64>>,
    },
    /// The elements `offset..` of a flat input: a parameter in its arena.
    Window {
        offset: usize,
    },
    /// An elementwise formula over inputs that broadcast to a common shape, and to the asked shape if there is one.
    Map {
        expr: Expr,
    },
    /// Folds axes, which stay with size 1.
    Reduce {
        by: Fold,
        axes: Vec<usize>,
    },
    /// `[…, m, k] x […, k, n] -> […, m, n]`, each side read transposed if asked.
    /// The right side may lack the leading axes.
    MatMul {
        transpose_left: bool,
        transpose_right: bool,
    },
    /// `(x [n, h, w, cin], weight [taps, cin, cout]) -> [n, h, w, cout]`: cross-correlation with "same" zero
    /// padding; 9 taps (3x3, row by row) or 1.
    Conv,
    /// `(dy [n, h, w, cout], weight [taps, cin, cout]) -> [n, h, w, cin]`.
    ConvInputGradient,
    /// `(x [n, h, w, cin], dy [n, h, w, cout]) -> [taps, cin, cout]`, summed over samples in their order.
    ConvWeightGradient {
        taps: usize,
    },
    /// `x [n, h, w, c]` to twice or half the size by a separable filter.
    Resample(Resample),
    /// `(x [n, h, w, c], places [n, 10]) -> [n, height, width, c]`: images read at other places. Has no gradient.
    Warp(Warp),
    /// `x [n, …, c] -> [n, groups, 2]`: mean and 1/√(variance + eps) of each group of channels.
    GroupStats {
        groups: usize,
        eps: f64,
    },
    /// `(x [n, …, c], stats [n, groups, 2], scale, shift, keys?)`: `x̂ · scale + shift`, then the activation, then
    /// dropout. Scale and shift are `[c]` or `[n, c]`. The keys `[n, 4]` are there where `dropout` is.
    Normalize(Normalize),
    /// `(dy, x, stats, scale, shift, keys?) -> [n, 2, c]`: for each sample and channel, the sums of dz and of
    /// dz · x̂, where z is what the activation sees.
    NormalizeSums(Normalize),
    /// `(dy, sums, x, stats, scale, shift, keys?) -> dx`, through the statistics as well.
    NormalizeGradient(Normalize),
    /// Over the last axis.
    Softmax,
    /// `(dy, y) -> dx` for `y = softmax(x)`.
    SoftmaxGradient,
    /// `qkv [n, pixels, 3 c] -> [n, pixels, c]`, channels in the order q, k, v, each head by head.
    Attention {
        heads: usize,
    },
    /// `(dy [n, pixels, c], qkv) -> [n, pixels, 3 c]`.
    AttentionGradient {
        heads: usize,
    },
    Concat {
        axis: usize,
    },
    Slice {
        axis: usize,
        start: usize,
        end: usize,
    },
    /// Zeros around the input: (before, after) for every axis.
    Pad {
        amounts: Vec<(usize, usize)>,
    },
    Transpose {
        permutation: Vec<usize>,
    },
    Reshape,
    /// `keys [n, 4] -> [n, …]`: random numbers that depend on a sample's key and the element alone.
    /// `lane`, the last word of the counter, tells draws with the same keys apart.
    Random {
        distribution: Distribution,
        lane: u32,
    },
}

/// How [`Op::Reduce`] folds elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    Sum,
    Mean,
    Max,
    LogSumExp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    Normal,
    /// In (0, 1).
    Uniform,
    Bits,
}

/// Doubles or halves an image by a separable filter, whose taps are divided by their sum.
///
/// Up: zeros between the pixels, then the filter. Down: the filter, then every second pixel. The filter is a
/// cross-correlation both ways: tap by tap from the top left. Each is the other's adjoint, up to `gain`: plain upsampling has a gain of 4, downsampling of 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Resample {
    pub up: bool,
    pub taps: Vec<f64>,
    /// Rows and columns of zeros around the image when going down; cut off the result when going up.
    pub padding: usize,
    pub gain: f64,
}

/// Reads images between their pixels, each at places of its own.
///
/// A row of `places` is `a, b, x, c, d, y, left, top, right, bottom`. From the centre of the result, the pixel at (u, v)
/// is read at (a u + b v + x, c u + d v + y) from the centre of the image, linearly between the four pixels around. Over
/// the margins from `left` to `bottom`, whole pixels, the image goes on as its reflection, as often as that takes; beyond
/// them are zeros.
#[derive(Clone, Debug, PartialEq)]
pub struct Warp {
    /// Height and width of the result.
    pub size: [usize; 2],
    /// Reads the image, margins included, doubled by this filter of an even number of taps ([`Resample::up`]) instead of
    /// the image itself. Places then count pixels of the doubled image, the margins still those of the image.
    pub doubled: Option<Vec<f64>>,
}

impl Warp {
    /// How many numbers a row of places has.
    pub const PLACES: usize = 10;

    /// Places beyond these lie in the zeros, or mean the reflection there.
    pub const FARTHEST: f64 = (1 << 20) as f64;
}

/// What [`Op::Normalize`] and its gradients do.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalize {
    pub groups: usize,
    pub silu: bool,
    pub dropout: Option<Dropout>,
}

/// Sets random elements to zero and scales the others by 1/(1 - p).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability that an element becomes zero, rounded to 1/65536.
    pub p: f64,
    /// Tells the layers of a network apart: the last word of the counter (`philox`).
    pub lane: u32,
}

impl Dropout {
    /// An element becomes zero where its sixteen random bits are below this.
    pub fn threshold(self) -> u32 {
        philox::threshold(self.p)
    }

    /// What the other elements are multiplied by, with the rounded probability: the mean stays the same.
    pub fn scale(self) -> f64 {
        1.0 / (1.0 - f64::from(self.threshold()) / 65536.0)
    }
}

impl Resample {
    /// The paper's plain upsampling: the result is twice as large.
    pub fn up(taps: &[f64]) -> Self {
        Resample { up: true, taps: taps.to_vec(), padding: (taps.len() - 1) / 2, gain: 4.0 }
    }

    /// The paper's plain downsampling: the result is half as large.
    pub fn down(taps: &[f64]) -> Self {
        Resample { up: false, taps: taps.to_vec(), padding: (taps.len() - 1) / 2, gain: 1.0 }
    }

    pub fn with_padding(self, padding: usize) -> Self {
        Resample { padding, ..self }
    }

    /// The gradient of this resampling, itself one.
    pub fn adjoint(&self) -> Self {
        let taps = self.taps.iter().rev().copied().collect();
        Resample { up: !self.up, taps, ..self.clone() }
    }

    /// The size of an axis of `size` afterwards.
    pub fn resized(&self, size: usize) -> usize {
        match self.up {
            true => (2 * (size - 1) + self.taps.len()).saturating_sub(2 * self.padding),
            false => (size + 2 * self.padding).saturating_sub(self.taps.len()) / 2 + 1,
        }
    }
}

impl Op {
    /// The shape that the operation makes of its inputs' shapes, or what is wrong with them.
    /// `asked` is for operations whose shape does not follow: inputs, windows, reshapes, random numbers, maps that repeat numbers.
    pub(crate) fn shape(&self, inputs: &[&Shape], asked: Option<Shape>) -> Result<Shape, String> {
        let given = || asked.clone().ok_or_else(|| "needs a shape".to_owned());
        match self {
            Op::Input { .. } | Op::Window { .. } | Op::Random { .. } => given(),
            Op::Scalar { .. } => Ok(Shape::default()),
            Op::Table { values } => {
                let shape = given()?;
                expect(values.len() == shape.len(), || format!("{} values for {shape}", values.len()))?;
                Ok(shape)
            }
            Op::Reshape => {
                let shape = given()?;
                expect(shape.len() == inputs[0].len(), || format!("{} cannot become {shape}", inputs[0]))?;
                Ok(shape)
            }
            Op::Map { .. } => inputs.iter().try_fold(asked.unwrap_or_default(), |shape, other| {
                shape.broadcast(other).ok_or_else(|| format!("{shape} and {other} do not broadcast"))
            }),
            Op::Reduce { axes, .. } => {
                Ok(axes.iter().fold(inputs[0].clone(), |shape, axis| shape.with(*axis, 1)))
            }
            Op::MatMul { transpose_left, transpose_right } => {
                matmul(inputs[0], inputs[1], *transpose_left, *transpose_right)
            }
            Op::Conv => conv(inputs[0], inputs[1], 1, 2),
            Op::ConvInputGradient => conv(inputs[0], inputs[1], 2, 1),
            Op::ConvWeightGradient { taps } => {
                let same = inputs[0].rank() == 4 && inputs[1].rank() == 4 && inputs[0][..3] == inputs[1][..3];
                expect(same, || format!("images {} and gradients {} differ", inputs[0], inputs[1]))?;
                Ok([*taps, inputs[0][3], inputs[1][3]].into())
            }
            Op::Resample(resample) => {
                expect(inputs[0].rank() == 4, || format!("{} is not [n, h, w, c]", inputs[0]))?;
                let [n, h, w, c] = [inputs[0][0], inputs[0][1], inputs[0][2], inputs[0][3]];
                Ok([n, resample.resized(h), resample.resized(w), c].into())
            }
            Op::Warp(warp) => {
                expect(inputs[0].rank() == 4, || format!("{} is not [n, h, w, c]", inputs[0]))?;
                Ok([inputs[0][0], warp.size[0], warp.size[1], inputs[0][3]].into())
            }
            Op::GroupStats { groups, .. } => {
                let c = inputs[0].channels();
                expect(c.is_multiple_of(*groups), || {
                    format!("{c} channels do not fall into {groups} groups")
                })?;
                Ok([inputs[0][0], *groups, 2].into())
            }
            Op::Normalize(_) | Op::Softmax => Ok(inputs[0].clone()),
            Op::NormalizeSums(_) => Ok([inputs[0][0], 2, inputs[0].channels()].into()),
            Op::NormalizeGradient(_) | Op::SoftmaxGradient => Ok(inputs[0].clone()),
            Op::Attention { heads } => {
                let c = inputs[0].channels();
                expect(inputs[0].rank() == 3 && c.is_multiple_of(3 * heads), || {
                    format!("{} is not [n, pixels, 3 x {heads} heads x channels]", inputs[0])
                })?;
                Ok(inputs[0].with(2, c / 3))
            }
            Op::AttentionGradient { .. } => Ok(inputs[1].clone()),
            Op::Concat { axis } => concat(inputs, *axis),
            Op::Slice { axis, start, end } => {
                let size = inputs[0].get(*axis).copied().unwrap_or(0);
                expect(start < end && *end <= size, || {
                    format!("{start}..{end} is outside axis {axis} of {}", inputs[0])
                })?;
                Ok(inputs[0].with(*axis, end - start))
            }
            Op::Pad { amounts } => {
                let sizes =
                    inputs[0].iter().zip(amounts).map(|(size, (before, after))| size + before + after);
                Ok(sizes.collect::<Vec<_>>().into())
            }
            Op::Transpose { permutation } => {
                Ok(permutation.iter().map(|axis| inputs[0][*axis]).collect::<Vec<_>>().into())
            }
        }
    }

    /// Whether it makes activations or their gradients, which stand 16 bits, rather than sums and statistics.
    pub(crate) fn makes_activations(&self) -> bool {
        matches!(
            self,
            Op::Map { .. }
                | Op::Conv
                | Op::ConvInputGradient
                | Op::Resample(_)
                | Op::Normalize(_)
                | Op::NormalizeGradient(_)
                | Op::Attention { .. }
                | Op::AttentionGradient { .. }
        )
    }

    pub(crate) fn dtype(&self) -> Dtype {
        match self {
            Op::Random { distribution: Distribution::Bits, .. } => Dtype::Bits,
            _ => Dtype::Real,
        }
    }
}

fn expect(condition: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what()) }
}

fn matmul(left: &Shape, right: &Shape, transpose_left: bool, transpose_right: bool) -> Result<Shape, String> {
    let wrong = || format!("{left} and {right} do not multiply");
    let turned = |shape: &Shape, turn: bool| {
        let [.., rows, columns] = shape[..] else { return Err(wrong()) };
        Ok(if turn { (columns, rows) } else { (rows, columns) })
    };
    let ((m, k), (k2, n)) = (turned(left, transpose_left)?, turned(right, transpose_right)?);
    let leading = &left[..left.rank() - 2];
    expect(k == k2 && (right.rank() == 2 || leading == &right[..right.rank() - 2]), wrong)?;
    Ok([leading, &[m, n]].concat().into())
}

fn conv(images: &Shape, weight: &Shape, from: usize, to: usize) -> Result<Shape, String> {
    let fits =
        images.rank() == 4 && weight.rank() == 3 && images[3] == weight[from] && matches!(weight[0], 1 | 9);
    expect(fits, || format!("images {images} do not fit weights {weight}"))?;
    Ok(images.with(3, weight[to]))
}

fn concat(inputs: &[&Shape], axis: usize) -> Result<Shape, String> {
    let total = inputs.iter().map(|shape| shape.get(axis).copied().unwrap_or(0)).sum();
    let joined = inputs[0].with(axis, total);
    for shape in inputs {
        expect(shape.rank() == joined.rank() && shape.with(axis, total) == joined, || {
            format!("{} and {shape} differ off axis {axis}", inputs[0])
        })?;
    }
    Ok(joined)
}
