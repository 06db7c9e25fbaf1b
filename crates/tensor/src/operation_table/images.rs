//! Rows of convolutions and resampling.

use super::{Row, real};
use crate::{Resample, Warp};

pub fn rows() -> Vec<Row> {
    let mut rows = convolutions();
    rows.extend(resampling());
    rows.extend(warps());
    rows
}

fn convolutions() -> Vec<Row> {
    // [n, h, w, cin, cout, taps]
    let sizes = [
        [2, 3, 5, 1, 3, 9],
        [1, 4, 3, 3, 20, 9],
        [2, 3, 4, 5, 1, 1],
        [1, 1, 1, 20, 5, 9],
        [2, 2, 7, 20, 20, 9],
        [1, 5, 2, 20, 3, 1],
        [2, 6, 7, 64, 72, 9],
        [1, 6, 7, 72, 64, 1],
    ];
    let mut rows = Vec::new();
    for [n, h, w, cin, cout, taps] in sizes {
        let name = format!("conv {taps} taps, {n} x {h} x {w} x {cin} to {cout}");
        let inputs = [real([n, h, w, cin]), real([taps, cin, cout]), real([cout])];
        rows.push(Row::new(name, inputs, |graph, v| graph.conv(v[0], v[1], Some(v[2]))));
    }
    rows.push(Row::new("conv without bias", [real([1, 3, 4, 5]), real([9, 5, 2])], |graph, v| {
        graph.conv(v[0], v[1], None)
    }));
    rows.push(Row::new(
        "conv of a conv",
        [real([2, 3, 4, 3]), real([9, 3, 5]), real([1, 5, 3])],
        |graph, v| {
            let between = graph.conv(v[0], v[1], None);
            let activated = graph.silu(between);
            let y = graph.conv(activated, v[2], None);
            graph.add(y, v[0])
        },
    ));
    rows
}

fn resampling() -> Vec<Row> {
    let mut rows = Vec::new();
    let filters: [(&[f64], &[usize]); 4] = [
        (&[1.0, 1.0], &[0]),
        (&[1.0, 3.0, 3.0, 1.0], &[0, 1, 2]),
        (&[1.0, 2.0, 3.0], &[0, 1]),
        (&[2.0], &[0]),
    ];
    for (taps, paddings) in filters {
        for &padding in paddings {
            for (shape, up) in
                [([2, 4, 6, 3], true), ([2, 4, 6, 3], false), ([1, 5, 3, 1], true), ([1, 7, 5, 20], false)]
            {
                let kind = if up { Resample::up(taps) } else { Resample::down(taps) };
                let resample = kind.with_padding(padding);
                let name =
                    format!("{} {shape:?} by {taps:?}, padding {padding}", if up { "up" } else { "down" });
                rows.push(Row::new(name, [real(shape)], move |graph, v| {
                    graph.resample(v[0], resample.clone())
                }));
            }
        }
    }
    rows
}

fn warps() -> Vec<Row> {
    // A shift by pixels with reflection, a turn by 90 degrees, a turn and stretch with few margins, a place far outside.
    let shifted = [1.0, 0.0, 7.0, 0.0, 1.0, -3.0, 64.0, 64.0, 64.0, 64.0];
    let turned = [0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let stretched = [1.4, -0.8, 0.3, 0.55, 1.1, -0.7, 2.0, 0.0, 1.0, 3.0];
    let far = [1.0, 0.0, 1e9, 0.0, 1.0, 0.0, 5.0, 5.0, 5.0, 5.0];
    let filters: [Option<&[f64]>; 3] =
        [None, Some(&[1.0, 3.0, 2.0, 1.0]), Some(&[1.0, 2.0, 3.0, -1.0, 0.5, 0.5])];
    let mut rows = Vec::new();
    for (shape, size) in [([4, 5, 6, 3], [7, 4]), ([4, 1, 3, 1], [3, 3]), ([4, 4, 4, 6], [5, 5])] {
        for taps in filters {
            let warp = Warp { size, doubled: taps.map(<[f64]>::to_vec) };
            let name = format!("warp {shape:?} to {size:?} by {taps:?}");
            let row = Row::new(name, [real(shape)], move |graph, v| {
                let places = [shifted, turned, stretched, far].concat();
                let places = graph.table(places, [4, Warp::PLACES]);
                graph.warp(v[0], places, warp.clone())
            });
            rows.push(row.without_gradient());
        }
    }
    rows
}
