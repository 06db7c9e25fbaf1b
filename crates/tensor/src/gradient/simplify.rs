//! Takes out of formulas what derivatives bring in: products with one, sums with zero, constants of constants.

use crate::{Binary, Expr, Unary};

/// An equal formula without needless parts. A product with zero is zero, whatever the other factor is.
pub fn simplify(expr: &Expr) -> Expr {
    match expr {
        Expr::Input(_) | Expr::Constant(_) => expr.clone(),
        Expr::Unary(op, x) => unary(*op, simplify(x)),
        Expr::Binary(op, a, b) => binary(*op, simplify(a), simplify(b)),
        Expr::Select(branches) => {
            let [condition, then, otherwise] = branches.as_ref();
            match (simplify(condition), simplify(then), simplify(otherwise)) {
                (Expr::Constant(condition), then, otherwise) => {
                    if condition != 0.0 {
                        then
                    } else {
                        otherwise
                    }
                }
                (_, then, otherwise) if then == otherwise => then,
                (condition, then, otherwise) => Expr::select(condition, then, otherwise),
            }
        }
    }
}

fn unary(op: Unary, x: Expr) -> Expr {
    match (op, x) {
        (op, Expr::Constant(x)) => Expr::Constant(op.apply(x)),
        (Unary::Neg, Expr::Unary(Unary::Neg, x)) => *x,
        (op, x) => x.unary(op),
    }
}

fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
    use Binary::{Add, Div, Mul, Sub};
    use Expr::Constant;
    match (op, a, b) {
        (op, Constant(a), Constant(b)) => Constant(op.apply(a, b)),
        (Add, Constant(0.0), x) | (Add | Sub, x, Constant(0.0)) => x,
        (Mul, Constant(1.0), x) | (Mul | Div, x, Constant(1.0)) => x,
        (Mul, Constant(0.0), _) | (Mul, _, Constant(0.0)) | (Div, Constant(0.0), _) => Constant(0.0),
        (Sub, Constant(0.0), x) | (Mul, Constant(-1.0), x) | (Mul, x, Constant(-1.0)) => unary(Unary::Neg, x),
        (Add, a, b) if a == b => binary(Mul, a, Constant(2.0)),
        // Constants go last, where two of them meet and become one.
        (Mul, Constant(a), x) => binary(Mul, x, Constant(a)),
        (Mul, Expr::Binary(Mul, x, c), Constant(b)) if matches!(*c, Constant(_)) => {
            binary(Mul, *x, binary(Mul, *c, Constant(b)))
        }
        (Mul, x, Expr::Binary(Mul, y, c)) if matches!(*c, Constant(_)) => binary(Mul, binary(Mul, x, *y), *c),
        (op, a, b) => a.binary(op, b),
    }
}
