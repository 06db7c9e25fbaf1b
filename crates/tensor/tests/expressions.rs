//! Formulas: their values, their derivatives, how they print.

use mollify_tensor::{Binary, Expr, Unary};

const UNARY: [Unary; 11] = [
    Unary::Neg,
    Unary::Abs,
    Unary::Exp,
    Unary::Ln,
    Unary::Sqrt,
    Unary::Sin,
    Unary::Cos,
    Unary::Silu,
    Unary::Sigmoid,
    Unary::IsFinite,
    Unary::IsNan,
];
const BINARY: [Binary; 9] = [
    Binary::Add,
    Binary::Sub,
    Binary::Mul,
    Binary::Div,
    Binary::Min,
    Binary::Max,
    Binary::Less,
    Binary::LessEqual,
    Binary::Equal,
];

/// Holds the derivative for both inputs against a central difference.
#[track_caller]
fn check(expr: &Expr, at: [f64; 2]) {
    for input in 0..2 {
        let slope = expr.derivative(input).map_or(0.0, |slope| slope.evaluate(&at));
        let value = |step: f64| {
            let mut moved = at;
            moved[input] += step;
            expr.evaluate(&moved)
        };
        let measured = (value(1e-5) - value(-1e-5)) / 2e-5;
        assert!(
            (slope - measured).abs() < 1e-8 * (1.0 + slope.abs()),
            "d {expr} / d {input} at {at:?}: {slope}"
        );
    }
}

#[test]
fn derivatives_agree_with_finite_differences_for_every_function() {
    let [a, b] = [0, 1].map(Expr::Input);
    for op in UNARY {
        for at in [[0.7, 1.3], [1.9, 0.4]] {
            check(&a.clone().unary(op), at);
            check(&(a.clone() * b.clone()).unary(op), at);
        }
    }
    for op in [Unary::Neg, Unary::Abs, Unary::Exp, Unary::Sin, Unary::Cos, Unary::Silu, Unary::Sigmoid] {
        check(&a.clone().unary(op), [-1.2, 0.0]);
    }
    for op in BINARY {
        for at in [[0.7, -1.3], [-0.2, 0.4]] {
            check(&a.clone().binary(op, b.clone()), at);
            check(&a.clone().sin().binary(op, b.clone().exp() * a.clone()), at);
            check(&a.clone().binary(op, 0.3), at);
        }
    }
}

#[test]
fn a_selection_is_differentiated_in_the_branch_that_is_taken() {
    let [a, b] = [0, 1].map(Expr::Input);
    let expr = Expr::select(a.clone().binary(Binary::Less, b.clone()), a.clone() * b, a.sin());
    check(&expr, [0.2, 0.7]);
    check(&expr, [0.9, 0.7]);
}

#[test]
fn what_does_not_depend_on_an_input_has_no_derivative() {
    let a = Expr::Input(0);
    assert_eq!(a.clone().exp().derivative(1), None);
    assert_eq!(a.clone().binary(Binary::Less, 0.5).derivative(0), None);
    assert_eq!(a.unary(Unary::IsFinite).derivative(0), None);
}

#[test]
fn formulas_print_as_they_are_written() {
    let [a, b] = [0, 1].map(Expr::Input);
    let expr =
        Expr::select(a.clone().binary(Binary::LessEqual, 0.0), -a.clone(), (a.min(b.clone()) + b) * 0.5);
    assert_eq!(expr.to_string(), "select((a <= 0), -a, ((min(a, b) + b) * 0.5))");
}
