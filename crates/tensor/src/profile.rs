//! How long the kernels of a device take, and how much work they do.

use std::collections::BTreeMap;

use crate::op::Op;
use crate::{Graph, Kernel, Step, Value};

/// What one kernel took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    pub calls: u64,
    pub seconds: f64,
    /// What it did, where the device knows.
    pub work: Option<Work>,
}

/// What a kernel has to do at least.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Additions and multiplications of products of matrices and of convolutions, done directly.
    pub flops: f64,
    /// Read and written when every operand is moved once, halves as such.
    pub bytes: f64,
}

/// Times of kernels, by label.
#[derive(Clone, Debug, Default)]
pub struct Profile(BTreeMap<String, Times>);

impl Profile {
    pub fn add(&mut self, label: String, seconds: f64, work: Option<Work>) {
        let times = self.0.entry(label).or_default();
        times.calls += 1;
        times.seconds += seconds;
        times.work = match (times.work, work) {
            (Some(a), Some(b)) => Some(Work { flops: a.flops + b.flops, bytes: a.bytes + b.bytes }),
            (before, now) => before.or(now),
        };
    }

    /// Every kernel with its times, the longest first.
    pub fn times(&self) -> Vec<(String, Times)> {
        let mut times: Vec<_> = self.0.iter().map(|(label, times)| (label.clone(), *times)).collect();
        times.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
        times
    }
}

impl Step {
    /// What to call the step in a profile: the kernel, and the shapes that tell its uses apart.
    pub fn label(&self, graph: &Graph) -> String {
        let shape = |value: Value| graph.shape(value);
        let made = shape(self.outputs[0].value);
        match &self.kernel {
            Kernel::Map(map) => format!("map {}", map.shape),
            Kernel::Reduce { map, .. } => format!("reduce {} to {made}", map.shape),
            Kernel::Conv(conv) => {
                let what = if conv.transposed { "conv input gradient" } else { "conv" };
                format!("{what} {} {} to {made}", side(shape(conv.weight)[0]), shape(conv.load.source))
            }
            Kernel::ConvWeightGradient(gradient) => {
                let [x, dy] = [gradient.load.source, gradient.dy].map(shape);
                format!("conv weight gradient {} {x}, {dy}", side(gradient.taps))
            }
            Kernel::NormalizeGradient(gradient) => format!("normalize gradient {}", shape(gradient.dy)),
            Kernel::Linear { x, .. } => format!("linear {} to {made}", shape(*x)),
            Kernel::Plain { op, inputs } => {
                let text = format!("{op:?}");
                let name = text.split([' ', '(', '{']).next().unwrap_or_default().to_lowercase();
                match inputs.first() {
                    Some(input) => format!("{name} {} to {made}", shape(*input)),
                    None => format!("{name} {made}"),
                }
            }
        }
    }

    /// What the step has to do at least.
    pub fn work(&self, graph: &Graph) -> Work {
        let bytes = |value: &Value| {
            let each = if graph.operation(*value).half { 2.0 } else { 4.0 };
            graph.shape(*value).len() as f64 * each
        };
        let read: f64 = self.kernel.inputs().iter().map(bytes).sum();
        let written: f64 = self.outputs.iter().map(|made| bytes(&made.value)).sum();
        let moved = read + written * if self.accumulate { 2.0 } else { 1.0 };
        Work { flops: self.flops(graph), bytes: moved }
    }

    fn flops(&self, graph: &Graph) -> f64 {
        let shape = |value: Value| graph.shape(value);
        let len = |value: Value| shape(value).len() as f64;
        let made = self.outputs[0].value;
        match &self.kernel {
            Kernel::Conv(conv) => 2.0 * len(made) * len(conv.weight) / shape(made).channels() as f64,
            Kernel::ConvWeightGradient(gradient) => {
                let dy = shape(gradient.dy);
                2.0 * len(made) * dy.len() as f64 / dy.channels() as f64
            }
            Kernel::Linear { x, .. } => 2.0 * len(made) * shape(*x).channels() as f64,
            Kernel::Plain { op: Op::MatMul { transpose_left, .. }, inputs } => {
                let left = shape(inputs[0]);
                let depth = left[left.rank() - if *transpose_left { 2 } else { 1 }];
                2.0 * len(made) * depth as f64
            }
            Kernel::Plain { op: Op::Attention { .. }, .. } => 4.0 * len(made) * shape(made)[1] as f64,
            Kernel::Plain { op: Op::AttentionGradient { .. }, inputs } => {
                10.0 * len(inputs[0]) * shape(inputs[0])[1] as f64
            }
            _ => 0.0,
        }
    }
}

fn side(taps: usize) -> &'static str {
    if taps == 9 { "3x3" } else { "1x1" }
}
