//! Graphs: what they share, print and refuse, and what their gradients look like.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mollify_tensor::{
    Dtype, Expr, Fold, Graph, GroupNorm, Kernel, Normalize, Op, Resample, Value, compile, gradients,
};

#[test]
fn equal_operations_on_equal_inputs_are_one_value() {
    let mut graph = Graph::new();
    let (x, y) = (graph.input("x", [2, 3]), graph.input("y", [2, 3]));
    let sum = graph.add(x, y);
    assert_eq!(graph.add(x, y), sum);
    assert_eq!(graph.input("x", [2, 3]), x);
    assert_ne!(graph.add(y, x), sum);
    assert_ne!(graph.sum(x, &[0]), graph.sum(x, &[1]));
    assert_ne!(graph.reshape(x, [6]), graph.reshape(x, [3, 2]));
    assert_ne!(graph.table(vec![1.0], []), graph.table(vec![1.0], [1]));
}

#[test]
fn what_changes_nothing_adds_no_operation() {
    let mut graph = Graph::new();
    let x = graph.input("x", [2, 3]);
    assert_eq!(graph.scale(x, 1.0), x);
    assert_eq!(graph.reshape(x, [2, 3]), x);
    assert_eq!(graph.broadcast(x, [2, 3]), x);
    assert_eq!(graph.slice(x, 1, 0..3), x);
    assert_eq!(graph.pad(x, &[(0, 0), (0, 0)]), x);
    assert_eq!(graph.sum(x, &[]), x);
    assert_eq!(graph.values().count(), 1);
}

/// The gradients of a convolution with bias, embedding and a squared loss.
fn layer() -> (Graph, [Value; 4]) {
    let mut graph = Graph::new();
    let arena = graph.input("weights", [56]);
    let x = graph.input("x", [2, 4, 4, 1]);
    let weight = graph.window(arena, 0, [9, 1, 5]);
    let bias = graph.window(arena, 45, [5]);
    let embedding = graph.input("embedding", [2, 1, 1, 5]);
    let y = graph.conv(x, weight, Some(bias));
    let y = graph.add(y, embedding);
    let square = graph.map(&[y], |v| v(0) * v(0) * 0.5);
    let loss = graph.sum(square, &[0, 1, 2, 3]);
    graph.output("loss", loss);
    (graph, [loss, weight, bias, embedding])
}

#[test]
fn a_graph_and_its_gradients_print_as_text() {
    let (mut graph, [loss, weight, bias, embedding]) = layer();
    let found = gradients(&mut graph, loss, &[weight, bias, embedding]);
    let arena = graph.input("gradients", [56]);
    for (gradient, offset) in found.into_iter().zip([0, 45]) {
        graph.accumulate(arena, offset, gradient.unwrap());
    }
    insta::assert_snapshot!(graph, @r#"
    %0 = input "weights" [56]
    %1 = input "x" [2, 4, 4, 1]
    %2 = %0[0..] [9, 1, 5]
    %3 = %0[45..] [5]
    %4 = input "embedding" [2, 1, 1, 5]
    %5 = Conv (%1, %2) [2, 4, 4, 5]
    %6 = map (a + b) (%5, %3) [2, 4, 4, 5]
    %7 = map (a + b) (%6, %4) [2, 4, 4, 5]
    %8 = map ((a * a) * 0.5) (%7) [2, 4, 4, 5]
    %9 = Reduce { by: Sum, axes: [0, 1, 2, 3] } (%8) [1, 1, 1, 1]
    %10 = table of 1 []
    %11 = Reduce { by: Sum, axes: [1, 2] } (%7) [2, 1, 1, 5]
    %12 = Reduce { by: Sum, axes: [0] } (%11) [1, 1, 1, 5]
    %13 = Reshape (%12) [5]
    %14 = ConvWeightGradient { taps: 9 } (%1, %7) [9, 1, 5]
    %15 = input "gradients" [56]
    loss <- %9
    %15[0..] += %14
    %15[45..] += %13
    "#);
}

#[test]
fn only_what_leads_to_the_loss_is_differentiated() {
    let (mut graph, [loss, _, bias, _]) = layer();
    let unused = graph.input("unused", [3]);
    let found = gradients(&mut graph, loss, &[bias, unused]);
    assert!(found[0].is_some() && found[1].is_none());
    let convolutions = |value: &Value| {
        matches!(graph.operation(*value).op, Op::ConvInputGradient | Op::ConvWeightGradient { .. })
    };
    assert_eq!(graph.values().filter(convolutions).count(), 0);
}

#[test]
fn the_gradient_of_a_sum_is_one_everywhere() {
    let mut graph = Graph::new();
    let x = graph.input("x", [2, 3]);
    let loss = graph.sum(x, &[0, 1]);
    let dx = gradients(&mut graph, loss, &[x])[0].unwrap();
    assert_eq!(graph.shape(dx), graph.shape(x));
    assert!(
        graph.operation(dx).inputs.iter().all(|input| matches!(graph.operation(*input).op, Op::Table { .. }))
    );
}

#[test]
fn statistics_have_no_gradient_but_through_a_normalisation() {
    let message = refusal(|graph| {
        let x = graph.input("x", [2, 3, 3, 4]);
        let stats = graph.push(Op::GroupStats { groups: 2, eps: 1e-6 }, &[x], None);
        let loss = graph.sum(stats, &[0, 1, 2]);
        gradients(graph, loss, &[x]);
    });
    assert_eq!(
        message,
        "GroupStats { groups: 2, eps: 1e-6 } has no gradient of its own: a normalisation's goes through its statistics"
    );
}

#[test]
fn a_loss_of_several_elements_is_refused() {
    let message = refusal(|graph| {
        let x = graph.input("x", [2, 3]);
        gradients(graph, x, &[x]);
    });
    assert!(message.contains("the elements of a loss of shape [2, 3]"), "{message}");
}

#[test]
fn shapes_that_do_not_fit_are_refused_with_the_operation_and_the_shapes() {
    let cases: [(&str, &dyn Fn(&mut Graph, Value)); 15] = [
        (
            "Map { expr: Binary(Add, Input(0), Input(1)) }: [2, 4, 5, 6] and [5] do not broadcast",
            &|graph, x| {
                let other = graph.input("other", [5]);
                graph.add(x, other);
            },
        ),
        ("Reduce { by: Sum, axes: [4] }: axes [4] of [2, 4, 5, 6]", &|graph, x| {
            graph.reduce(Fold::Sum, x, &[4]);
        }),
        ("MatMul", &|graph, x| {
            let other = graph.input("other", [5, 6]);
            graph.matmul(x, other);
        }),
        ("Conv: images [2, 4, 5, 6] do not fit weights [9, 5, 3]", &|graph, x| {
            let weight = graph.input("weight", [9, 5, 3]);
            graph.conv(x, weight, None);
        }),
        ("leave nothing of [2, 4, 5, 6]", &|graph, x| {
            graph.resample(x, Resample::down(&[1.0; 9]).with_padding(0));
        }),
        ("GroupStats { groups: 4, eps: 0.0 }: 6 channels do not fall into 4 groups", &|graph, x| {
            graph.group_norm(x, x, x, GroupNorm { groups: 4, eps: 0.0, silu: true, dropout: None });
        }),
        ("[2, 4, 5, 6], expected [6] or [2, 6]", &|graph, x| {
            graph.group_norm(x, x, x, GroupNorm { groups: 2, eps: 0.0, silu: true, dropout: None });
        }),
        ("Attention { heads: 1 }: [2, 4, 5, 6] is not [n, pixels, 3 x 1 heads x channels]", &|graph, x| {
            graph.attention(x, 1);
        }),
        ("Concat { axis: 0 }: [2, 4, 5, 6] and [2] differ off axis 0", &|graph, x| {
            let other = graph.input("other", [2]);
            graph.concat(&[x, other], 0);
        }),
        ("Slice { axis: 1, start: 3, end: 5 }: 3..5 is outside axis 1", &|graph, x| {
            graph.slice(x, 1, 3..5);
        }),
        ("Pad { amounts: [(1, 1)] }: 1 amounts", &|graph, x| {
            graph.pad(x, &[(1, 1)]);
        }),
        ("Transpose { permutation: [0, 1, 1, 2] }: [0, 1, 1, 2] is no order of the axes", &|graph, x| {
            graph.transpose(x, &[0, 1, 1, 2]);
        }),
        ("Reshape: [2, 4, 5, 6] cannot become [7]", &|graph, x| {
            graph.reshape(x, [7]);
        }),
        ("Window { offset: 8 }: elements 8..11 of [10]", &|graph, _| {
            let arena = graph.input("arena", [10]);
            graph.window(arena, 8, [3]);
        }),
        ("Conv: 1 inputs, expected 2", &|graph, x| {
            graph.push(Op::Conv, &[x], None);
        }),
    ];
    for (expected, build) in cases {
        let message = refusal(|graph| {
            let x = graph.input("x", [2, 4, 5, 6]);
            build(graph, x);
        });
        assert!(message.contains(expected), "{message:?}, expected {expected:?}");
    }
}

#[test]
fn keys_and_real_numbers_do_not_stand_in_for_each_other() {
    let message = refusal(|graph| {
        let keys = graph.keys("keys", 2);
        assert_eq!(graph.operation(keys).dtype, Dtype::Bits);
        graph.silu(keys);
    });
    assert!(message.contains("input 0 is Bits, expected Real"), "{message}");
    let message = refusal(|graph| {
        let [x, stats, c] =
            [vec![2, 4], vec![2, 1, 2], vec![4]].map(|sizes| graph.input(&format!("{sizes:?}"), sizes));
        let dropout = Some(mollify_tensor::Dropout { p: 0.5, lane: 0 });
        let normalize = Normalize { groups: 1, silu: false, dropout };
        graph.push(Op::Normalize(normalize), &[x, stats, c, c, x], None);
    });
    assert!(message.contains("input 4 is Real, expected Bits"), "{message}");
}

/// What a builder says when it panics.
#[track_caller]
#[test]
fn a_value_with_many_readers_gets_its_gradient_a_few_parts_at_a_time() {
    let mut graph = Graph::new();
    let x = graph.input("x", [2, 3]);
    let powers: Vec<Value> = (1..=40).map(|k| graph.map(&[x], |v| v(0).exp() * f64::from(k))).collect();
    let sum = powers.into_iter().reduce(|sum, power| graph.add(sum, power)).unwrap();
    let loss = graph.sum(sum, &[0, 1]);
    let gradient = gradients(&mut graph, loss, &[x])[0].unwrap();
    graph.output("gradient", gradient);
    let program = compile(graph);
    let most = program.steps.iter().map(|step| step.kernel.inputs().len()).max();
    assert!(most <= Some(8), "{program}");
}

fn refusal(build: impl FnOnce(&mut Graph)) -> String {
    let panic =
        catch_unwind(AssertUnwindSafe(|| build(&mut Graph::new()))).expect_err("a graph was accepted");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn formulas_of_more_inputs_than_devices_take_are_refused_and_never_made_of_smaller_ones() {
    let inputs = |graph: &mut Graph, count: usize| -> Vec<Value> {
        (0..count).map(|at| graph.input(&format!("x{at}"), [5])).collect()
    };
    let sum = |count: usize| move |v: fn(usize) -> Expr| (1..count).fold(v(0), |sum, at| sum + v(at));
    let refused = refusal(|graph| {
        let all = inputs(graph, 33);
        graph.map(&all, sum(33));
    });
    assert!(refused.contains("33 inputs, expected at most 32: make several formulas of it"), "{refused}");
    let mut graph = Graph::new();
    let all = inputs(&mut graph, 62);
    let halves = [&all[..31], &all[31..]].map(|half| graph.map(half, sum(31)));
    for (at, (value, into)) in halves.into_iter().zip([all[0], all[31]]).enumerate() {
        let value = graph.map(&[value], |v| v(0) * (at + 2) as f64);
        graph.store(into, 0, value);
    }
    let most = compile(graph).steps.iter().map(|step| step.kernel.inputs().len()).max();
    assert_eq!(most, Some(31));
}

#[test]
fn activations_and_their_gradients_are_halves_where_that_is_asked_for_and_sums_are_not() {
    let mut graph = Graph::new();
    let x = graph.input("x", [2, 4, 4, 4]);
    let weight = graph.input("weight", [9, 4, 4]);
    let (scale, shift) = (graph.input("scale", [4]), graph.input("shift", [4]));
    let norm = mollify_tensor::GroupNorm { groups: 2, eps: 1e-6, silu: true, dropout: None };
    let y = graph.halves(|graph| {
        let y = graph.group_norm(x, scale, shift, norm);
        graph.conv(y, weight, None)
    });
    let squares = graph.map(&[y], |v| v(0).square());
    let loss = graph.sum(squares, &[0, 1, 2, 3]);
    for gradient in mollify_tensor::gradients(&mut graph, loss, &[weight, scale, x]).into_iter().flatten() {
        graph.output("gradient", gradient);
    }
    graph.output("y", y);
    let halves = |graph: &Graph, half: bool| {
        let of = |value: &mollify_tensor::Value| graph.operation(*value).half == half;
        graph
            .values()
            .filter(of)
            .map(|value| graph.operation(value).to_string())
            .collect::<Vec<_>>()
            .join("\n")
    };
    for op in ["Normalize(", "Conv (", "ConvInputGradient", "NormalizeGradient"] {
        assert!(halves(&graph, true).contains(op), "{op} in\n{graph}");
    }
    for op in ["input", "GroupStats", "NormalizeSums", "ConvWeightGradient", "Reduce"] {
        assert!(!halves(&graph, true).contains(op), "{op} in\n{graph}");
    }
    assert!(!graph.operation(graph.outputs()[3].value).half, "what is handed out is no half\n{graph}");
}

#[test]
fn the_sums_for_a_bias_are_made_where_the_gradient_of_the_weights_reads_the_same_numbers() {
    let mut graph = Graph::new();
    let x = graph.input("x", [2, 4, 4, 3]);
    let (weight, bias) = (graph.input("weight", [9, 3, 5]), graph.input("bias", [5]));
    let y = graph.conv(x, weight, Some(bias));
    let loss = graph.map(&[y], |v| v(0).square());
    let loss = graph.sum(loss, &[0, 1, 2, 3]);
    for gradient in gradients(&mut graph, loss, &[weight, bias]).into_iter().flatten() {
        graph.output("gradient", gradient);
    }
    let program = compile(graph);
    let makes = |kernel: fn(&Kernel) -> bool| {
        program
            .steps
            .iter()
            .filter(|step| kernel(&step.kernel))
            .map(|step| step.outputs.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(makes(|kernel| matches!(kernel, Kernel::ConvWeightGradient(_))), [2], "{program}");
    let over_pixels = |kernel: &Kernel| matches!(kernel, Kernel::Reduce { axes, .. } if axes == &[1, 2]);
    assert_eq!(makes(over_pixels), [0; 0], "{program}");
}

#[test]
fn the_statistics_of_a_result_are_made_with_it() {
    let mut graph = Graph::new();
    let x = graph.input("x", [2, 4, 4, 3]);
    let (weight, bias) = (graph.input("weight", [9, 3, 4]), graph.input("bias", [4]));
    let y = graph.conv(x, weight, Some(bias));
    let norm = GroupNorm { groups: 2, eps: 1e-6, silu: true, dropout: None };
    let y = graph.group_norm(y, bias, bias, norm);
    graph.output("y", y);
    let program = compile(graph);
    let outputs: Vec<usize> = program.steps.iter().map(|step| step.outputs.len()).collect();
    assert!(matches!(program.steps[0].kernel, Kernel::Conv(_)), "{program}");
    assert_eq!(outputs, [2, 1], "{program}");
}

/// Gradients of three layers of 64 weights, each stored over its window of `m` as a mean.
fn means_of_gradients(read_too: bool) -> Graph {
    let mut graph = Graph::new();
    let (x, weights, m) = (graph.input("x", [1, 8]), graph.input("weights", [192]), graph.input("m", [192]));
    let windows = [0, 64, 128].map(|offset| graph.window(weights, offset, [8, 8]));
    let y = windows.iter().fold(x, |x, weight| {
        let y = graph.matmul(x, *weight);
        graph.silu(y)
    });
    let loss = graph.sum(y, &[0, 1]);
    for (at, gradient) in gradients(&mut graph, loss, &windows).into_iter().flatten().enumerate() {
        let own = graph.window(m, at * 64, [8, 8]);
        let mean = graph.map(&[own, gradient], |v| v(0) + (v(1) - v(0)) * 0.1);
        graph.store(m, at * 64, mean);
        let most = graph.reduce(Fold::Max, gradient, &[0, 1]);
        graph.output(&format!("most {at}"), most);
    }
    if read_too {
        let all = graph.sum(m, &[0]);
        graph.output("all", all);
    }
    graph
}

#[test]
fn formulas_over_places_of_their_own_are_stored_as_soon_as_what_they_read_is_made() {
    let stores = |program: &mollify_tensor::Program| -> Vec<usize> {
        let into = |step: &mollify_tensor::Step| step.outputs[0].into.is_some();
        (0..program.steps.len()).filter(|at| into(&program.steps[*at])).collect()
    };
    let at_once = compile(means_of_gradients(false));
    for at in stores(&at_once) {
        let reads = at_once.steps[at].kernel.inputs();
        let makes = |step: &mollify_tensor::Step| reads.contains(&step.outputs[0].value);
        let made = at_once.steps.iter().position(makes).expect("somebody makes the gradient");
        assert!(at - made <= 2, "step {at} stores what step {made} makes");
    }
    // Who reads the whole of it reads it as it was: nothing is stored before.
    let last = compile(means_of_gradients(true));
    let count = last.steps.len();
    assert_eq!(stores(&last), [count - 3, count - 2, count - 1]);
    assert!(at_once.scratch + 64 < last.scratch, "{} and {}", at_once.scratch, last.scratch);
}
