//! Expressions on the host: schedules, learning rates, bias corrections, split predicates. Evaluated in f64, once before
//! every update; the results are the program's run-time scalars.
use serde::Serialize;

/// The variable of schedules: updates done, 0 at the first.
pub const STEP: &str = "step";
/// The variable of update rules: updates made with their state, 0 at the first. It begins anew when a phase resets the state.
pub const UPDATES: &str = "updates";
/// The variable of `precision = "f16"`: by what the loss is multiplied while gradients are taken.
pub const LOSS_SCALE: &str = "loss_scale";

/// A scalar expression.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum HostExpr {
    /// A number; truth is 0 or 1.
    Const(f64),
    /// A variable by name: `STEP`, `UPDATES`, or a coordinate in a split predicate.
    Var(String),
    /// One operand.
    Unary(HostUnary, Box<HostExpr>),
    /// Two operands.
    Binary(HostBinary, Box<HostExpr>, Box<HostExpr>),
    /// `if c then a else b`; only the branch taken is evaluated.
    If(Box<HostExpr>, Box<HostExpr>, Box<HostExpr>),
}

/// Functions of one number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[allow(missing_docs)] // each is the function of that name
pub enum HostUnary {
    Neg,
    Not,
    Exp,
    Log,
    Sqrt,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    Erf,
    Abs,
    Floor,
    Round,
    Sign,
}

/// Functions of two.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[allow(missing_docs)] // each is the function of that name
pub enum HostBinary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    Mod,
    IntDiv,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    And,
    Or,
}

impl HostExpr {
    /// A variable.
    pub fn var(name: &str) -> HostExpr {
        HostExpr::Var(name.into())
    }

    /// `op a`, folded if `a` is a constant.
    pub fn unary(op: HostUnary, a: HostExpr) -> HostExpr {
        match a {
            HostExpr::Const(x) => HostExpr::Const(op.eval(x)),
            a => HostExpr::Unary(op, Box::new(a)),
        }
    }

    /// `a op b`, folded if both are constants.
    pub fn binary(op: HostBinary, a: HostExpr, b: HostExpr) -> HostExpr {
        match (a, b) {
            (HostExpr::Const(x), HostExpr::Const(y)) => HostExpr::Const(op.eval(x, y)),
            (a, b) => HostExpr::Binary(op, Box::new(a), Box::new(b)),
        }
    }

    /// The value; `lookup` gives the variables. An unknown one is a bug of ours.
    pub fn eval(&self, lookup: &dyn Fn(&str) -> Option<f64>) -> f64 {
        match self {
            HostExpr::Const(x) => *x,
            HostExpr::Var(name) => lookup(name).unwrap_or_else(|| panic!("host variable `{name}` is bound")),
            HostExpr::Unary(op, a) => op.eval(a.eval(lookup)),
            HostExpr::Binary(op, a, b) => op.eval(a.eval(lookup), b.eval(lookup)),
            HostExpr::If(c, a, b) => {
                if c.eval(lookup) != 0.0 {
                    a.eval(lookup)
                } else {
                    b.eval(lookup)
                }
            }
        }
    }

    /// The same with other names of variables.
    pub fn renamed(&self, name: &dyn Fn(&str) -> String) -> HostExpr {
        let inner = |e: &HostExpr| Box::new(e.renamed(name));
        match self {
            HostExpr::Const(x) => HostExpr::Const(*x),
            HostExpr::Var(v) => HostExpr::Var(name(v)),
            HostExpr::Unary(op, a) => HostExpr::Unary(*op, inner(a)),
            HostExpr::Binary(op, a, b) => HostExpr::Binary(*op, inner(a), inner(b)),
            HostExpr::If(c, a, b) => HostExpr::If(inner(c), inner(a), inner(b)),
        }
    }

    /// The names of its variables, in order of appearance.
    pub fn variables(&self) -> Vec<&str> {
        match self {
            HostExpr::Const(_) => vec![],
            HostExpr::Var(name) => vec![name],
            HostExpr::Unary(_, a) => a.variables(),
            HostExpr::Binary(_, a, b) => [a.variables(), b.variables()].concat(),
            HostExpr::If(c, a, b) => [c.variables(), a.variables(), b.variables()].concat(),
        }
    }
}

impl HostUnary {
    /// The function.
    pub fn eval(self, x: f64) -> f64 {
        match self {
            HostUnary::Neg => -x,
            HostUnary::Not => f64::from(x == 0.0),
            HostUnary::Exp => x.exp(),
            HostUnary::Log => x.ln(),
            HostUnary::Sqrt => x.sqrt(),
            HostUnary::Sin => x.sin(),
            HostUnary::Cos => x.cos(),
            HostUnary::Tanh => x.tanh(),
            HostUnary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            HostUnary::Erf => erf(x),
            HostUnary::Abs => x.abs(),
            HostUnary::Floor => x.floor(),
            HostUnary::Round => x.round_ties_even(),
            HostUnary::Sign => {
                if x == 0.0 || x.is_nan() {
                    x
                } else {
                    x.signum()
                }
            }
        }
    }
}

impl HostBinary {
    /// The function; comparisons give 0 or 1, `Mod` and `IntDiv` floor.
    pub fn eval(self, x: f64, y: f64) -> f64 {
        match self {
            HostBinary::Add => x + y,
            HostBinary::Sub => x - y,
            HostBinary::Mul => x * y,
            HostBinary::Div => x / y,
            HostBinary::Pow => x.powf(y),
            HostBinary::Min => x.min(y),
            HostBinary::Max => x.max(y),
            HostBinary::Mod => x - (x / y).floor() * y,
            HostBinary::IntDiv => (x / y).floor(),
            HostBinary::Lt => f64::from(x < y),
            HostBinary::Le => f64::from(x <= y),
            HostBinary::Gt => f64::from(x > y),
            HostBinary::Ge => f64::from(x >= y),
            HostBinary::Eq => f64::from(x == y),
            HostBinary::Ne => f64::from(x != y),
            HostBinary::And => f64::from(x != 0.0 && y != 0.0),
            HostBinary::Or => f64::from(x != 0.0 || y != 0.0),
        }
    }
}

/// The error function to f64 accuracy: its Taylor series near 0, a continued fraction of erfc far out.
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    if a < 2.5 {
        // erf x = 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!  (Abramowitz & Stegun 7.1.6): no cancellation.
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        return (2.0 / std::f64::consts::PI.sqrt() * (-a * a).exp() * sum).copysign(x);
    }
    if a > 6.0 {
        return 1f64.copysign(x);
    }
    // erfc x = exp(-x^2)/sqrt(pi) * 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + ...)))), evaluated from the far end (7.1.14).
    let tail = (1..=60).rev().fold(a, |t, n| a + f64::from(n) / 2.0 / t);
    (1.0 - (-a * a).exp() / (std::f64::consts::PI.sqrt() * tail)).copysign(x)
}
