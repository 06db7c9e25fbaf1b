//! Normal numbers from uniform ones, in order: what stratified draws need (Wichura, 1988, algorithm AS 241,
//! PPND7).

use tensor::{Binary, Expr, Graph, Value};

use crate::uniforms::Uniforms;

/// The number below which a unit normal is with the given probabilities, to 7 digits.
pub(crate) fn inverse_normal(graph: &mut Graph, uniforms: Uniforms) -> Value {
    let Uniforms { from_0, to_1 } = uniforms;
    graph.map(&[from_0, to_1], |v| {
        let (from_0, to_1) = (v(0), v(1));
        let centred = (from_0.clone() - to_1.clone()) * 0.5;
        let tail = tail((-from_0.clone().min(to_1.clone()).ln()).sqrt());
        let tail = Expr::select(from_0.binary(Binary::Less, to_1), -tail.clone(), tail);
        let in_the_middle = centred.clone().abs().binary(Binary::LessEqual, 0.425);
        Expr::select(in_the_middle, middle(centred), tail)
    })
}

/// For probabilities that differ from one half by no more than 0.425.
fn middle(centred: Expr) -> Expr {
    let r = Expr::from(0.180625) - centred.clone().square();
    let above = polynomial(&r, &[3.3871327179, 50.434271938, 159.29113202, 59.109374720]);
    let below = polynomial(&r, &[1.0, 17.895169469, 78.757757664, 67.187563600]);
    centred * above / below
}

/// For a probability whose root of the negative logarithm is `root`: the nearer to 0, the larger.
fn tail(root: Expr) -> Expr {
    let near = root.clone() - 1.6;
    let above = polynomial(&near, &[1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103]);
    let near = above / polynomial(&near, &[1.0, 0.73700164250, 0.12021132975]);
    let far = root.clone() - 5.0;
    let above = polynomial(&far, &[6.6579051150, 3.0812263860, 0.42868294337, 0.017337203997]);
    let far = above / polynomial(&far, &[1.0, 0.24197894225, 0.012258202635]);
    Expr::select(root.binary(Binary::LessEqual, 5.0), near, far)
}

/// Coefficients from the constant one upwards.
fn polynomial(x: &Expr, coefficients: &[f64]) -> Expr {
    let fold = |sum: Expr, coefficient: &f64| sum * x.clone() + *coefficient;
    coefficients.iter().rev().skip(1).fold(coefficients[coefficients.len() - 1].into(), fold)
}
