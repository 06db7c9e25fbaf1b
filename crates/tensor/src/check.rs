//! What an operation asks of its inputs beyond the shape that it makes of them.

use crate::graph::Operation;
use crate::{Dtype, Normalize, Op, Resample, Shape, Warp};

/// As many inputs of one formula as every device takes.
pub const MOST_INPUTS: usize = 32;

/// What is wrong with the inputs of an operation, of which `asked` is the shape if the caller gives one.
pub fn check(op: &Op, inputs: &[&Operation], asked: Option<&Shape>) -> Result<(), String> {
    let count = arity(op).unwrap_or(inputs.len());
    ensure(inputs.len() == count, || format!("{} inputs, expected {count}", inputs.len()))?;
    for (at, input) in inputs.iter().enumerate() {
        let dtype = if keys(op) == Some(at) { Dtype::Bits } else { Dtype::Real };
        ensure(input.dtype == dtype, || format!("input {at} is {:?}, expected {dtype:?}", input.dtype))?;
    }
    let shapes: Vec<&Shape> = inputs.iter().map(|input| &input.shape).collect();
    match op {
        Op::Map { expr } => {
            let needs = expr.inputs();
            ensure(needs <= shapes.len(), || format!("{} inputs, expected {needs}", shapes.len()))?;
            ensure(shapes.len() <= MOST_INPUTS, || {
                format!(
                    "{} inputs, expected at most {MOST_INPUTS}: make several formulas of it",
                    shapes.len()
                )
            })
        }
        Op::Reduce { axes, .. } => in_rank(axes, shapes[0]),
        Op::Window { offset } => {
            let end = offset + asked.map_or(0, Shape::len);
            ensure(shapes[0].rank() == 1 && end <= shapes[0].len(), || {
                format!("elements {offset}..{end} of {}, which has to be flat", shapes[0])
            })
        }
        Op::Resample(resample) => fits(resample, shapes[0]),
        Op::Warp(warp) => places(warp, shapes[0], shapes[1]),
        Op::GroupStats { groups, .. } => {
            ensure(shapes[0].rank() >= 2 && *groups > 0, || format!("{groups} groups of {}", shapes[0]))
        }
        Op::Normalize(normalize) => norm(normalize, &shapes),
        Op::NormalizeSums(normalize) => same(shapes[0], shapes[1]).and(norm(normalize, &shapes[1..])),
        Op::NormalizeGradient(normalize) => {
            let sums = [shapes[2][0], 2, shapes[2].channels()].into();
            same(shapes[0], shapes[2]).and(same(shapes[1], &sums)).and(norm(normalize, &shapes[2..]))
        }
        Op::Softmax => ensure(shapes[0].rank() > 0, || format!("{} has no axis", shapes[0])),
        Op::SoftmaxGradient => same(shapes[0], shapes[1]),
        Op::AttentionGradient { .. } => {
            let [n, pixels, c] = shapes[0][..] else {
                return Err(format!("{} is not [n, pixels, c]", shapes[0]));
            };
            same(shapes[1], &[n, pixels, 3 * c].into())
        }
        Op::Pad { amounts } => ensure(amounts.len() == shapes[0].rank(), || {
            format!("{} amounts for the axes of {}", amounts.len(), shapes[0])
        }),
        Op::Concat { axis } => {
            shapes.first().map_or(Err("no inputs".into()), |shape| in_rank(&[*axis], shape))
        }
        Op::Transpose { permutation } => {
            let mut sorted = permutation.clone();
            sorted.sort_unstable();
            ensure(sorted.iter().copied().eq(0..shapes[0].rank()), || {
                format!("{permutation:?} is no order of the axes of {}", shapes[0])
            })
        }
        Op::Random { .. } => {
            let n = asked.and_then(|shape| shape.first()).copied().unwrap_or(0);
            same(shapes[0], &[n, 4].into())
        }
        _ => Ok(()),
    }
}

fn arity(op: &Op) -> Option<usize> {
    Some(match op {
        Op::Map { .. } | Op::Concat { .. } => return None,
        Op::Input { .. } | Op::Scalar { .. } | Op::Table { .. } => 0,
        Op::Normalize(normalize) => 4 + usize::from(normalize.dropout.is_some()),
        Op::NormalizeSums(normalize) => 5 + usize::from(normalize.dropout.is_some()),
        Op::NormalizeGradient(normalize) => 6 + usize::from(normalize.dropout.is_some()),
        Op::MatMul { .. } | Op::Conv | Op::ConvInputGradient | Op::ConvWeightGradient { .. } => 2,
        Op::SoftmaxGradient | Op::AttentionGradient { .. } | Op::Warp(_) => 2,
        _ => 1,
    })
}

/// Which input holds keys.
fn keys(op: &Op) -> Option<usize> {
    match op {
        Op::Random { .. } => Some(0),
        Op::Normalize(normalize) => normalize.dropout.map(|_| 4),
        Op::NormalizeSums(normalize) => normalize.dropout.map(|_| 5),
        Op::NormalizeGradient(normalize) => normalize.dropout.map(|_| 6),
        _ => None,
    }
}

/// Checks `x, stats, scale, shift, keys?`.
fn norm(normalize: &Normalize, shapes: &[&Shape]) -> Result<(), String> {
    let (n, c) = (shapes[0].first().copied().unwrap_or(0), shapes[0].channels());
    same(shapes[1], &[n, normalize.groups, 2].into())?;
    for shape in &shapes[2..4] {
        ensure(shape[..] == [c] || shape[..] == [n, c], || format!("{shape}, expected [{c}] or [{n}, {c}]"))?;
    }
    shapes.get(4).map_or(Ok(()), |keys| same(keys, &[n, 4].into()))
}

fn fits(resample: &Resample, shape: &Shape) -> Result<(), String> {
    let (taps, padding) = (resample.taps.len(), resample.padding);
    let size_fits = |size: &usize| match resample.up {
        true => *size > 0 && 2 * (size - 1) + taps > 2 * padding,
        false => taps > 0 && size + 2 * padding >= taps,
    };
    ensure(shape.rank() == 4 && shape[1..3].iter().all(size_fits), || {
        format!("{taps} taps and a padding of {padding} leave nothing of {shape}")
    })
}

fn places(warp: &Warp, images: &Shape, places: &Shape) -> Result<(), String> {
    let whole = images.iter().all(|size| *size > 0) && warp.size.iter().all(|size| *size > 0);
    ensure(images.rank() == 4 && whole, || format!("{images} read as {:?}", warp.size))?;
    let taps = warp.doubled.as_ref().map_or(2, Vec::len);
    ensure(taps > 0 && taps.is_multiple_of(2), || format!("{taps} taps, expected an even number"))?;
    same(places, &[images[0], Warp::PLACES].into())
}

fn in_rank(axes: &[usize], shape: &Shape) -> Result<(), String> {
    ensure(axes.iter().all(|axis| *axis < shape.rank()), || format!("axes {axes:?} of {shape}"))
}

fn same(is: &Shape, expected: &Shape) -> Result<(), String> {
    ensure(is == expected, || format!("{is}, expected {expected}"))
}

fn ensure(condition: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what()) }
}
