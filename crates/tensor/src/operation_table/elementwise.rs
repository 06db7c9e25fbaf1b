//! Rows of formulas, reductions, matrix products and moves.

use super::{Row, positive, real, scalar};
use crate::{Binary, Expr, Fold, Graph, Op, Shape, Unary, Value};

pub fn rows() -> Vec<Row> {
    let mut rows = maps();
    rows.extend(reductions());
    rows.extend(products());
    rows.extend(moves());
    rows
}

fn formula(name: &str, inputs: Vec<super::Input>, expr: Expr) -> Row {
    Row::new(name, inputs, move |graph: &mut Graph, v: &[Value]| {
        graph.push(Op::Map { expr: expr.clone() }, v, None)
    })
}

fn maps() -> Vec<Row> {
    let [a, b, c] = [0, 1, 2].map(Expr::Input);
    let image = || real([2, 3, 5, 3]);
    let smooth =
        a.clone().sin() * b.clone().cos() + (a.clone() * b.clone()).exp() - (b.clone() / c.clone()).silu();
    let kinks = a.clone().abs() + a.clone().min(b.clone()) * 2.0 + b.clone().max(c.clone());
    let choice = Expr::select(a.clone().binary(Binary::Less, b.clone()), a.clone() * c.clone(), b.clone());
    let scrub = Expr::select(a.clone().unary(Unary::IsFinite), a.clone(), 0.0)
        + Expr::select(b.clone().unary(Unary::IsNan), 0.0, b.clone());
    vec![
        formula("image + per sample and channel", vec![image(), real([2, 1, 1, 3])], a.clone() + b.clone()),
        formula("image * channels", vec![image(), real([3])], a.clone() * b.clone()),
        formula(
            "image * scalar - number",
            vec![image(), real([]), scalar()],
            a.clone() * b.clone() - c.clone(),
        ),
        formula("one channel, one sample", vec![real([1, 4, 3, 1]), real([1])], a.clone() * b.clone() + 0.5),
        formula(
            "20 channels",
            vec![real([2, 3, 1, 20]), real([20]), real([2, 1, 1, 20])],
            a.clone() * b.clone() + c.clone(),
        ),
        formula("outer sum", vec![real([5, 1]), real([1, 3])], a.clone() + b.clone()),
        formula("row by column", vec![real([3]), real([5, 1])], a.clone().square() * b.clone()),
        formula("smooth functions", vec![real([7]), real([7]), positive([7])], smooth),
        formula(
            "roots and logarithms",
            vec![positive([5]), positive([5])],
            a.clone().sqrt() * b.clone().ln() / a.clone(),
        ),
        formula("sigmoid and minus", vec![real([5])], -a.clone().unary(Unary::Sigmoid) * 3.0),
        formula("abs, min, max", vec![real([2, 5]), real([2, 5]), real([5])], kinks),
        formula("select", vec![real([2, 5]), real([2, 5]), real([5])], choice),
        formula("finite and NaN tests", vec![real([5]), real([5])], scrub),
        formula("a Heun step", vec![image(), image(), scalar()], a.clone() + (b - a) * c),
        Row::new("a value read twice", [real([2, 3])], |graph, v| graph.mul(v[0], v[0])),
        Row::new("times a constant", [real([2, 3])], |graph, v| graph.scale(v[0], -0.5)),
        Row::new("repeated numbers", [real([3, 1, 2])], |graph, v| graph.broadcast(v[0], [2, 3, 4, 2])),
        Row::new("two uses", [real([2, 3]), real([3])], |graph, v| {
            let sum = graph.add(v[0], v[1]);
            let activated = graph.silu(sum);
            graph.mul(activated, sum)
        }),
        Row::new("a table", [real([2, 3])], |graph, v| {
            let table = graph.table(vec![1.0, -2.0, 0.5], [3]);
            graph.mul(v[0], table)
        }),
    ]
}

fn reductions() -> Vec<Row> {
    let mut rows = Vec::new();
    for by in [Fold::Sum, Fold::Mean, Fold::Max, Fold::LogSumExp] {
        for set in 1..8_usize {
            let axes: Vec<usize> = (0..3).filter(|axis| set >> axis & 1 == 1).collect();
            let name = format!("{by:?} over {axes:?}");
            rows.push(Row::new(name, [real([2, 3, 5])], move |graph, v| graph.reduce(by, v[0], &axes)));
        }
        let name = format!("{by:?} over an image");
        rows.push(Row::new(name, [real([1, 7, 3, 20])], move |graph, v| graph.reduce(by, v[0], &[1, 2])));
    }
    rows.push(Row::new("standardised rows", [real([3, 5])], |graph, v| {
        let mean = graph.reduce(Fold::Mean, v[0], &[1]);
        let centred = graph.sub(v[0], mean);
        let squares = graph.map(&[centred], |v| v(0).square());
        let variance = graph.reduce(Fold::Mean, squares, &[1]);
        graph.map(&[centred, variance], |v| v(0) / (v(1) + 1e-5).sqrt())
    }));
    rows
}

fn products() -> Vec<Row> {
    let mut rows = Vec::new();
    let sizes: [(&[usize], bool, [usize; 3]); 6] = [
        (&[], false, [3, 5, 2]),
        (&[], false, [1, 1, 1]),
        (&[], false, [33, 70, 65]),
        (&[2], false, [3, 5, 4]),
        (&[2], true, [3, 5, 4]),
        (&[2, 3], true, [1, 20, 3]),
    ];
    for (leading, shared, [m, k, n]) in sizes {
        for (transpose_left, transpose_right) in [(false, false), (false, true), (true, false), (true, true)]
        {
            let with = |turned, rows, columns, leading: &[usize]| {
                let matrix = if turned { [columns, rows] } else { [rows, columns] };
                real(Shape::from([leading, &matrix].concat()))
            };
            let left = with(transpose_left, m, k, leading);
            let right = with(transpose_right, k, n, if shared { &[] } else { leading });
            let turn = |turned| if turned { "ᵀ" } else { "" };
            let (t, u) = (turn(transpose_left), turn(transpose_right));
            let name = format!("matmul {}{t} x {}{u}", left.shape, right.shape);
            let op = Op::MatMul { transpose_left, transpose_right };
            rows.push(Row::new(name, [left, right], move |graph, v| graph.push(op.clone(), v, None)));
        }
    }
    rows.push(Row::new("linear", [real([3, 5]), real([5, 7]), real([7])], |graph, v| {
        graph.linear(v[0], v[1], Some(v[2]))
    }));
    rows
}

fn moves() -> Vec<Row> {
    let mut rows = Vec::new();
    for axis in 0..3 {
        let part = |size| real(Shape::from([2, 3, 5]).with(axis, size));
        let inputs = [part(1), part(4), part(2)];
        rows.push(Row::new(format!("concat along {axis}"), inputs, move |graph, v| graph.concat(v, axis)));
        rows.push(Row::new(format!("slice of axis {axis}"), [real([4, 3, 5])], move |graph, v| {
            graph.slice(v[0], axis, 1..3)
        }));
    }
    rows.push(Row::new("a value beside itself", [real([2, 3])], |graph, v| graph.concat(&[v[0], v[0]], 1)));
    rows.push(Row::new("pad", [real([2, 3, 1])], |graph, v| graph.pad(v[0], &[(0, 0), (1, 2), (3, 0)])));
    for permutation in [[0, 2, 1], [1, 2, 0], [2, 1, 0], [1, 0, 2]] {
        let name = format!("transpose {permutation:?}");
        rows.push(Row::new(name, [real([2, 3, 5])], move |graph, v| graph.transpose(v[0], &permutation)));
    }
    rows.push(Row::new("NHWC to NCHW", [real([2, 3, 4, 5])], |graph, v| {
        graph.transpose(v[0], &[0, 3, 1, 2])
    }));
    rows.push(Row::new("reshape", [real([2, 3, 5])], |graph, v| graph.reshape(v[0], [6, 5])));
    rows.push(Row::new("windows", [real([17])], |graph, v| {
        let weight = graph.window(v[0], 1, [3, 4]);
        let bias = graph.window(v[0], 12, [4]);
        graph.add(weight, bias)
    }));
    rows
}
