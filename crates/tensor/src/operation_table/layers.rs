//! Rows of normalisation, attention, random numbers and layers made of several operations.

use super::{Row, keys, real};
use crate::{Distribution, Dropout, GroupNorm, Op, Shape};

pub fn rows() -> Vec<Row> {
    let mut rows = norms();
    rows.extend(attention());
    rows.extend(random());
    rows.extend(blocks());
    rows
}

fn norms() -> Vec<Row> {
    let sizes: [(&[usize], usize); 6] = [
        (&[2, 3, 5, 4], 2),
        (&[1, 2, 3, 20], 5),
        (&[2, 5, 3], 1),
        (&[2, 3, 1, 5], 5),
        (&[3, 12], 3),
        (&[2, 9, 7, 32], 8),
    ];
    let mut rows = Vec::new();
    for (shape, groups) in sizes {
        let (shape, n, c) = (Shape::from(shape), shape[0], shape[shape.len() - 1]);
        for per_sample in [false, true] {
            for (silu, drop) in [(false, None), (true, None), (true, Some(0.25)), (false, Some(0.5))] {
                let parameter = || if per_sample { real([n, c]) } else { real([c]) };
                let mut inputs = vec![real(shape.clone()), parameter(), parameter()];
                inputs.extend(drop.map(|_| keys(n)));
                let of = if per_sample { "samples and channels" } else { "channels" };
                let name = format!(
                    "group norm {shape}, {groups} groups, scale of {of}, silu {silu}, dropout {drop:?}"
                );
                rows.push(Row::new(name, inputs, move |graph, v| {
                    let dropout = drop.map(|p| (Dropout { p, lane: 3 }, v[3]));
                    graph.group_norm(v[0], v[1], v[2], GroupNorm { groups, eps: 1e-5, silu, dropout })
                }));
            }
        }
    }
    rows
}

fn attention() -> Vec<Row> {
    let mut rows = Vec::new();
    for shape in [[2, 3, 5], [1, 4, 1]] {
        rows.push(Row::new(format!("softmax {shape:?}"), [real(shape)], |graph, v| {
            let wide = graph.scale(v[0], 8.0);
            graph.softmax(wide)
        }));
    }
    for (n, pixels, c, heads) in [(2, 6, 4, 1), (2, 5, 6, 2), (1, 1, 3, 3), (1, 35, 20, 5), (2, 16, 64, 1)] {
        let name = format!("attention of {n} x {pixels} x {c}, {heads} heads");
        rows.push(Row::new(name, [real([n, pixels, 3 * c])], move |graph, v| {
            let wide = graph.scale(v[0], 3.0);
            graph.attention(wide, heads)
        }));
    }
    rows
}

fn random() -> Vec<Row> {
    let mut rows = Vec::new();
    for distribution in [Distribution::Normal, Distribution::Uniform, Distribution::Bits] {
        for (shape, lane) in [(vec![2, 3, 5, 3], 0), (vec![3, 1], 7), (vec![5], 1)] {
            let shape = Shape::from(shape);
            let name = format!("{distribution:?} {shape}, lane {lane}");
            rows.push(Row::new(name, [keys(shape[0])], move |graph, v| {
                graph.random(distribution, v[0], lane, shape.clone())
            }));
        }
    }
    rows.push(Row::new("noise beside an image", [real([2, 3, 3, 1]), keys(2)], |graph, v| {
        let noise = graph.random(Distribution::Normal, v[1], 0, [2, 3, 3, 1]);
        graph.map(&[v[0], noise], |v| v(0) * 0.5 + v(1))
    }));
    rows
}

/// What networks are made of: producers and readers that a device may run as one.
fn blocks() -> Vec<Row> {
    let norm = GroupNorm { groups: 2, eps: 1e-6, silu: true, dropout: None };
    vec![
        Row::new("norm, conv, embedding, norm, dropout, conv, skip", residual_inputs(), move |graph, v| {
            let [x, scale, shift, w0, b0, embedding, w1, b1, keys] = v[..] else { return v[0] };
            let normed = graph.group_norm(x, scale, shift, norm);
            let first = graph.conv(normed, w0, Some(b0));
            let embedding = graph.reshape(embedding, [2, 1, 1, 4]);
            let sum = graph.add(first, embedding);
            let dropout = Some((Dropout { p: 0.125, lane: 1 }, keys));
            let normed = graph.group_norm(sum, scale, shift, GroupNorm { dropout, ..norm });
            let second = graph.conv(normed, w1, Some(b1));
            graph.map(&[second, x], |v| (v(0) + v(1)) * 0.5_f64.sqrt())
        }),
        Row::new(
            "attention with a skip",
            [real([1, 2, 3, 4]), real([4]), real([4]), real([1, 4, 12])],
            move |graph, v| {
                let normed = graph.group_norm(v[0], v[1], v[2], GroupNorm { silu: false, ..norm });
                let qkv = graph.conv(normed, v[3], None);
                let qkv = graph.reshape(qkv, [1, 6, 12]);
                let y = graph.attention(qkv, 2);
                let y = graph.reshape(y, [1, 2, 3, 4]);
                graph.add(y, v[0])
            },
        ),
        Row::new(
            "norm of joined images",
            [real([2, 3, 3, 1]), real([2, 3, 3, 3]), real([4]), real([4])],
            move |graph, v| {
                let joined = graph.concat(&v[..2], 3);
                graph.group_norm(joined, v[2], v[3], norm)
            },
        ),
        Row::new("embedding of noise levels", [real([3]), real([4]), real([8, 5]), real([5])], |graph, v| {
            let levels = graph.reshape(v[0], [3, 1]);
            let cos = graph.map(&[levels, v[1]], |v| (v(0) * v(1)).cos());
            let sin = graph.map(&[levels, v[1]], |v| (v(0) * v(1)).sin());
            let both = graph.concat(&[cos, sin], 1);
            let y = graph.linear(both, v[2], Some(v[3]));
            graph.silu(y)
        }),
        Row::new("batched product through op", [real([2, 3, 4]), real([2, 4, 3])], |graph, v| {
            let product = graph.matmul(v[0], v[1]);
            let weights = graph.softmax(product);
            graph.push(Op::MatMul { transpose_left: true, transpose_right: false }, &[weights, v[0]], None)
        }),
    ]
}

fn residual_inputs() -> Vec<super::Input> {
    let image = real([2, 3, 5, 4]);
    let (conv, channels) = (real([9, 4, 4]), real([4]));
    let [scale, shift, b0, b1] = [(); 4].map(|()| channels.clone());
    vec![image, scale, shift, conv.clone(), b0, real([2, 4]), conv, b1, keys(2)]
}
