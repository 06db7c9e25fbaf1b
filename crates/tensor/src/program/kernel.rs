//! What a device does in one go.

use std::fmt;

use crate::op::{Dropout, Fold, Normalize, Op, Resample};
use crate::{Expr, Shape, Value};

/// One kernel call.
#[derive(Clone, Debug)]
pub struct Step {
    pub kernel: Kernel,
    /// What it makes: one value, but for a [`Map`] with several formulas, a [`NormalizeGradient`], and some of a [`Conv`]
    /// and a [`WeightGradient`].
    pub outputs: Vec<Made>,
    /// Adds the first value to what is there, sample by sample, instead of overwriting it.
    pub accumulate: bool,
}

/// A value that a step makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Made {
    pub value: Value,
    /// The input, and the element of it, where the value goes instead of a place of its own.
    pub into: Option<(Value, usize)>,
}

/// Operations as devices run them: some fused, the rest as in the graph.
#[derive(Clone, Debug)]
pub enum Kernel {
    Map(Map),
    /// Folds `axes` of a formula's values.
    Reduce {
        map: Map,
        by: Fold,
        axes: Vec<usize>,
    },
    Conv(Conv),
    ConvWeightGradient(WeightGradient),
    NormalizeGradient(NormalizeGradient),
    /// `[…, k] x [k, n] + [n]`.
    Linear {
        x: Value,
        weight: Value,
        bias: Value,
    },
    Plain {
        op: Op,
        inputs: Vec<Value>,
    },
}

/// Formulas of the same inputs, one for each output.
#[derive(Clone, Debug)]
pub struct Map {
    /// To which inputs broadcast.
    pub shape: Shape,
    pub inputs: Vec<Value>,
    pub exprs: Vec<Expr>,
}

/// A convolution, or its input gradient, from a [`Load`] to a [`Store`].
#[derive(Clone, Debug)]
pub struct Conv {
    pub load: Load,
    pub weight: Value,
    /// Input gradient: flipped taps, weights read from cout to cin.
    pub transposed: bool,
    pub store: Store,
    /// Those of what is stored are the second value that it makes.
    pub stats: Option<Stats>,
}

/// [`Op::GroupStats`] of images that a kernel makes.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    pub groups: usize,
    pub eps: f64,
}

/// [`Op::ConvWeightGradient`], and where a second value is made the sums of `dy` over pixels, `[n, 1, 1, cout]`.
#[derive(Clone, Debug)]
pub struct WeightGradient {
    pub load: Load,
    pub dy: Value,
    pub taps: usize,
}

/// [`Op::NormalizeSums`] and [`Op::NormalizeGradient`] in one: the gradient, then the sums.
#[derive(Clone, Debug)]
pub struct NormalizeGradient {
    pub normalize: Normalize,
    pub dy: Value,
    /// The inputs of [`Op::Normalize`].
    pub forward: Vec<Value>,
    /// With neither bias nor channel.
    pub store: Store,
}

/// What happens to images on their way into a convolution: normalise, activate, drop, resample.
#[derive(Clone, Debug)]
pub struct Load {
    pub source: Value,
    pub norm: Option<Norm>,
    /// By the plain filter [1, 1] only.
    pub resample: Option<Resample>,
}

/// [`Op::Normalize`] with its inputs.
#[derive(Clone, Debug)]
pub struct Norm {
    pub groups: usize,
    pub silu: bool,
    pub dropout: Option<(Dropout, Value)>,
    pub stats: Value,
    pub scale: Value,
    pub shift: Value,
}

/// What happens to a result on its way to memory: `((y + bias + channel + residual) * scale)`.
#[derive(Clone, Debug)]
pub struct Store {
    /// `[c]`.
    pub bias: Option<Value>,
    /// `[n, 1, …, c]`.
    pub channel: Option<Value>,
    /// Of the result's own shape.
    pub residual: Option<Value>,
    pub scale: f64,
}

impl Default for Store {
    fn default() -> Self {
        Store { bias: None, channel: None, residual: None, scale: 1.0 }
    }
}

impl Kernel {
    /// Every value that the kernel reads.
    pub fn inputs(&self) -> Vec<Value> {
        match self {
            Kernel::Map(map) | Kernel::Reduce { map, .. } => map.inputs.clone(),
            Kernel::Conv(conv) => {
                let mut inputs = conv.load.inputs();
                inputs.push(conv.weight);
                inputs.extend(conv.store.inputs());
                inputs
            }
            Kernel::ConvWeightGradient(gradient) => {
                let mut inputs = gradient.load.inputs();
                inputs.push(gradient.dy);
                inputs
            }
            Kernel::NormalizeGradient(gradient) => {
                let inputs = std::iter::once(gradient.dy).chain(gradient.forward.iter().copied());
                inputs.chain(gradient.store.inputs()).collect()
            }
            Kernel::Linear { x, weight, bias } => vec![*x, *weight, *bias],
            Kernel::Plain { inputs, .. } => inputs.clone(),
        }
    }
}

impl Load {
    fn inputs(&self) -> Vec<Value> {
        let mut inputs = vec![self.source];
        if let Some(norm) = &self.norm {
            inputs.extend([norm.stats, norm.scale, norm.shift]);
            inputs.extend(norm.dropout.map(|(_, keys)| keys));
        }
        inputs
    }
}

impl Store {
    fn inputs(&self) -> impl Iterator<Item = Value> + use<> {
        [self.bias, self.channel, self.residual].into_iter().flatten()
    }
}

/// `%9 = conv(norm+silu %3, weight %4, + %5)`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outputs: Vec<String> = self.outputs.iter().map(Made::to_string).collect();
        let assign = if self.accumulate { "+=" } else { "=" };
        let inputs: Vec<String> = self.kernel.inputs().iter().map(Value::to_string).collect();
        write!(f, "{} {assign} {} ({})", outputs.join(", "), self.kernel.describe(), inputs.join(", "))
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.into {
            Some((input, offset)) => write!(f, "{input}[{offset}..]"),
            None => write!(f, "{}", self.value),
        }
    }
}

impl Kernel {
    fn describe(&self) -> String {
        match self {
            Kernel::Map(map) => {
                let exprs: Vec<String> = map.exprs.iter().map(Expr::to_string).collect();
                format!("map {}", exprs.join(" | "))
            }
            Kernel::Reduce { map, by, axes } => format!("reduce {by:?} {axes:?} of {}", map.exprs[0]),
            Kernel::Conv(conv) => {
                let what = if conv.transposed { "conv input gradient" } else { "conv" };
                let stats = if conv.stats.is_some() { " with stats" } else { "" };
                format!("{what}{}{}{stats}", conv.load.describe(), conv.store.describe())
            }
            Kernel::ConvWeightGradient(gradient) => {
                format!("conv weight gradient{}", gradient.load.describe())
            }
            Kernel::NormalizeGradient(gradient) => format!("normalize gradient{}", gradient.store.describe()),
            Kernel::Linear { .. } => "linear".into(),
            Kernel::Plain { op, .. } => format!("{op:?}"),
        }
    }
}

impl Load {
    fn describe(&self) -> String {
        let mut words = String::new();
        if let Some(norm) = &self.norm {
            words += " <norm";
            words += if norm.silu { " silu" } else { "" };
            words += if norm.dropout.is_some() { " dropout" } else { "" };
            words += ">";
        }
        match &self.resample {
            Some(resample) if resample.up => words + " <up>",
            Some(_) => words + " <down>",
            None => words,
        }
    }
}

impl Store {
    fn describe(&self) -> String {
        let parts = [(self.bias, " +bias"), (self.channel, " +channel"), (self.residual, " +residual")];
        let words: String =
            parts.iter().filter(|(value, _)| value.is_some()).map(|(_, word)| *word).collect();
        if self.scale == 1.0 { words } else { format!("{words} *{}", self.scale) }
    }
}
