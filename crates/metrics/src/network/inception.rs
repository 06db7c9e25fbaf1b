//! Inception-v3 (Szegedy et al. 2015) as FID uses it: the graph of 2015-12-05 up to the mean over pixels, whose pools leave
//! padding out and whose last block takes the largest number instead of the mean.

use tensor::Value;

use super::layers::{Kernel, Layers, Window};
use super::resize::{Pixels, bilinear};
use super::weights::Weights;

/// Height and width that images are scaled to.
pub const SIZE: usize = 299;
/// What is added to a variance.
const EPS: f64 = 1e-3;
/// The convolutions before the blocks, with the height and width of their kernels.
const STEM: [(&str, usize); 5] = [
    ("Conv2d_1a_3x3", 3),
    ("Conv2d_2a_3x3", 3),
    ("Conv2d_2b_3x3", 3),
    ("Conv2d_3b_1x1", 1),
    ("Conv2d_4a_3x3", 3),
];
/// Networks end here.
const LAST: &str = "Mixed_7c";

/// `[n, h, w, c]` to `[n, 2048]`.
pub fn build(layers: &mut Layers, images: Value, size: usize) -> Value {
    let graph = &mut *layers.graph;
    let scaled = bilinear(graph, images, size, Pixels::FirstAligned, [0, 1]);
    let mut x = graph.map(&[scaled], |v| (v(0) - 128.0) / 128.0);
    let pool = Window::square(3, 2, 0);
    for (at, (name, kernel)) in STEM.into_iter().enumerate() {
        let (stride, padding) = (if at == 0 { 2 } else { 1 }, usize::from(at == 2));
        x = conv(layers, x, name, Window::square(kernel, stride, padding));
        if matches!(at, 2 | 4) {
            x = layers.max_pool(x, pool);
        }
    }
    for block in BLOCKS {
        x = block.build(layers, x);
    }
    layers.mean(x)
}

/// One of the blocks that the network is made of: branches side by side.
struct Block {
    name: &'static str,
    /// Chains of convolutions; `&` says that two follow the same one and stand side by side.
    branches: &'static [&'static [&'static str]],
    pool: Pool,
}

/// The last branch of a block.
#[derive(Clone, Copy, PartialEq)]
enum Pool {
    /// The mean of 3x3, then a convolution.
    Mean,
    /// The largest of 3x3, then a convolution.
    Largest,
    /// The largest of every second 3x3, in a block that halves the size.
    Halves,
}

const A: &[&[&str]] = &[
    &["branch1x1"],
    &["branch5x5_1", "branch5x5_2"],
    &["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"],
];
const B: &[&[&str]] = &[&["branch3x3"], &["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"]];
const C: &[&[&str]] = &[
    &["branch1x1"],
    &["branch7x7_1", "branch7x7_2", "branch7x7_3"],
    &["branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"],
];
const D: &[&[&str]] =
    &[&["branch3x3_1", "branch3x3_2"], &["branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"]];
const E: &[&[&str]] = &[
    &["branch1x1"],
    &["branch3x3_1", "branch3x3_2a&branch3x3_2b"],
    &["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a&branch3x3dbl_3b"],
];

const BLOCKS: [Block; 11] = [
    Block { name: "Mixed_5b", branches: A, pool: Pool::Mean },
    Block { name: "Mixed_5c", branches: A, pool: Pool::Mean },
    Block { name: "Mixed_5d", branches: A, pool: Pool::Mean },
    Block { name: "Mixed_6a", branches: B, pool: Pool::Halves },
    Block { name: "Mixed_6b", branches: C, pool: Pool::Mean },
    Block { name: "Mixed_6c", branches: C, pool: Pool::Mean },
    Block { name: "Mixed_6d", branches: C, pool: Pool::Mean },
    Block { name: "Mixed_6e", branches: C, pool: Pool::Mean },
    Block { name: "Mixed_7a", branches: D, pool: Pool::Halves },
    Block { name: "Mixed_7b", branches: E, pool: Pool::Mean },
    Block { name: LAST, branches: E, pool: Pool::Largest },
];

impl Block {
    fn build(&self, layers: &mut Layers, x: Value) -> Value {
        let mut made = Vec::new();
        for branch in self.branches {
            let (last, first) = branch.split_last().expect("a branch has a convolution");
            let x = first.iter().fold(x, |x, part| self.conv(layers, x, part, false));
            let halves = self.pool == Pool::Halves;
            made.extend(last.split('&').map(|part| self.conv(layers, x, part, halves)));
        }
        let around = Window::square(3, 1, 1);
        let pooled = match self.pool {
            Pool::Mean => layers.mean_pool(x, around),
            Pool::Largest => layers.max_pool(x, around),
            Pool::Halves => layers.max_pool(x, Window::square(3, 2, 0)),
        };
        made.push(match self.pool {
            Pool::Halves => pooled,
            _ => self.conv(layers, pooled, "branch_pool", false),
        });
        layers.graph.concat(&made, 3)
    }

    fn conv(&self, layers: &mut Layers, x: Value, part: &str, halves: bool) -> Value {
        let name = format!("{}.{part}", self.name);
        let shape = shape(layers.weights, &name);
        let window = if halves { Window::square(3, 2, 0) } else { Window::same([shape[2], shape[3]]) };
        conv(layers, x, &name, window)
    }

    /// The channels that it makes of so many, or what does not fit.
    fn channels(&self, weights: &Weights, from: usize) -> Result<usize, String> {
        let pooled = match self.pool {
            Pool::Halves => from,
            _ => expect(weights, &format!("{}.branch_pool", self.name), from, None)?,
        };
        let mut all = pooled;
        for branch in self.branches {
            let (last, first) = branch.split_last().expect("a branch has a convolution");
            let mut from = from;
            for part in first {
                from = expect(weights, &format!("{}.{part}", self.name), from, None)?;
            }
            for part in last.split('&') {
                let kernel = (self.pool == Pool::Halves).then_some(3);
                all += expect(weights, &format!("{}.{part}", self.name), from, kernel)?;
            }
        }
        Ok(all)
    }

    /// The names of its convolutions.
    fn names(&self) -> impl Iterator<Item = String> {
        let parts = self.branches.iter().flat_map(|branch| branch.iter()).flat_map(|part| part.split('&'));
        let pool = (self.pool != Pool::Halves).then_some("branch_pool");
        parts.chain(pool).map(|part| format!("{}.{part}", self.name))
    }
}

/// A convolution, what normalises its result, and ReLU.
fn conv(layers: &mut Layers, x: Value, name: &str, window: Window) -> Value {
    let weights = layers.weights;
    let shape = shape(weights, name);
    let of = |what: &str| weights.get(&format!("{name}.bn.{what}"));
    let scales: Vec<f64> = of("weight")
        .iter()
        .zip(of("running_var"))
        .map(|(weight, variance)| f64::from(*weight) / (f64::from(*variance) + EPS).sqrt())
        .collect();
    let shifts = of("bias").iter().zip(of("running_mean")).zip(&scales);
    let bias = shifts.map(|((bias, mean), scale)| (f64::from(*bias) - f64::from(*mean) * scale) as f32);
    let rows = weights.get(&format!("{name}.conv.weight")).chunks_exact(shape[1..].iter().product());
    let weight =
        rows.zip(&scales).flat_map(|(row, scale)| row.iter().map(move |w| (f64::from(*w) * scale) as f32));
    let kernel = Kernel { shape, weight: weight.collect(), bias: bias.collect() };
    layers.conv(x, name, kernel, window)
}

fn shape(weights: &Weights, name: &str) -> [usize; 4] {
    let shape = weights.shape(&format!("{name}.conv.weight"));
    shape.and_then(|shape| shape.try_into().ok()).expect("the weights have been checked")
}

/// Features of an image: what the last block puts side by side.
pub fn width(weights: &Weights) -> usize {
    let ends =
        ["branch1x1", "branch3x3_2a", "branch3x3_2b", "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool"];
    ends.iter().map(|part| shape(weights, &format!("{LAST}.{part}"))[0]).sum()
}

/// Refuses weights of another network. Fails with what follows the name of the file in a sentence.
pub fn check(weights: &Weights) -> Result<(), String> {
    let stem = STEM.iter().map(|(name, _)| (*name).to_owned());
    for name in stem.chain(BLOCKS.iter().flat_map(Block::names)) {
        let conv = format!("{name}.conv.weight");
        let Some(&[out, _, height, width]) = weights.shape(&conv) else {
            let first = weights.names().next().unwrap_or("nothing");
            return Err(format!(
                "has no convolution `{conv}`, but `{first}`; expected Inception-v3 of 2015-12-05 with torchvision's names"
            ));
        };
        if ![1, 3, 5, 7].contains(&height) || ![1, 3, 5, 7].contains(&width) {
            return Err(format!("has a convolution `{conv}` of {height}x{width}"));
        }
        for what in ["weight", "bias", "running_mean", "running_var"] {
            let of = format!("{name}.bn.{what}");
            if weights.shape(&of) != Some(&[out]) {
                return Err(format!("has `{of}` of {:?}, expected [{out}]", weights.shape(&of)));
            }
        }
    }
    let stem = STEM.iter().try_fold(3, |from, (name, kernel)| expect(weights, name, from, Some(*kernel)))?;
    BLOCKS.iter().try_fold(stem, |from, block| block.channels(weights, from)).map(drop)
}

/// The channels that a convolution makes, if it takes so many and has a square kernel of that size where one is named.
fn expect(weights: &Weights, name: &str, from: usize, kernel: Option<usize>) -> Result<usize, String> {
    let [out, takes, height, width] = shape(weights, name);
    if takes != from || kernel.is_some_and(|size| [height, width] != [size; 2]) {
        let kernel = kernel.map(|size| format!(" and {size}x{size}")).unwrap_or_default();
        return Err(format!(
            "has a convolution `{name}` of {takes} channels and {height}x{width}, expected {from}{kernel}"
        ));
    }
    Ok(out)
}
