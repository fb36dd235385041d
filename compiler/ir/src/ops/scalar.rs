//! Elementwise ops: one variant and one table row each. Operands broadcast by axis name.
use super::rounding::{drop_bits, half, marks, rounds};
use super::{Misfit, OpRule, Site, unite};
use crate::graph::{Builder, NodeId};
use crate::host::erf;
use crate::interpret::{Context, Value};
use crate::kernel::{Core, ValId};
use crate::lower::{At, Emit};
use crate::precision::Precision;
use crate::types::{Axes, AxisId, DType, Type};

macro_rules! scalars {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// An elementwise op.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Scalar { $($(#[$doc])* $name),* }
        impl Scalar {
            /// All of them, for tests that go by the table.
            pub const ALL: &'static [Scalar] = &[$(Scalar::$name),*];
        }
    };
}
scalars! {
    /// x + y
    Add,
    /// x - y
    Sub,
    /// x * y
    Mul,
    /// x / y
    Div,
    /// The smaller; y if either is NaN or both are equal.
    Min,
    /// The larger; y if either is NaN or both are equal.
    Max,
    /// -x
    Neg,
    /// |x|
    Abs,
    /// e^x
    Exp,
    /// ln x
    Log,
    /// √x
    Sqrt,
    /// sin x
    Sin,
    /// cos x
    Cos,
    /// tanh x
    Tanh,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// 2/√π ∫ e^-t² dt from 0 to x
    Erf,
    /// Towards -∞
    Floor,
    /// To the nearest integer, ties to even
    Round,
    /// -1, 0 or 1
    Sign,
    /// ⌊x / y⌋ of integers; y > 0
    FloorDiv,
    /// x - y ⌊x / y⌋ of integers; y > 0
    FloorMod,
    /// x < y
    Less,
    /// x <= y
    LessEqual,
    /// x == y
    Equal,
    /// Both
    And,
    /// Either
    Or,
    /// Neither
    Not,
    /// y where x, else z
    Where,
    /// x itself, but no gradient flows
    Stop,
    /// The angle of the point (x, y), given y and x; in (-π, π]
    Atan2,
    /// x^y for x ≥ 0; NaN for negative x
    Power,
    /// An i32 that orders as the number does; NaN is the largest
    Order,
    /// The nearest number of 11 binary digits, as tensor cores take them
    RoundTf32,
    /// The nearest bf16
    RoundBf16,
    /// The nearest f16
    RoundF16,
    /// x itself; its cotangent is rounded as by `RoundTf32`
    GradientTf32,
    /// x itself; its cotangent is rounded to bf16
    GradientBf16,
    /// x itself; its cotangent is rounded to f16
    GradientF16,
    /// x itself; its cotangent is multiplied by y
    ScaleGradient,
}

/// Cotangents of the operands `x` of a result `y`, given its own, `dy`.
pub type Vjp = fn(b: &Builder, x: &[NodeId], y: NodeId, dy: NodeId) -> Vec<Option<NodeId>>;

/// What an elementwise op is. Plain data and function pointers: tests and docs iterate over it.
pub struct ScalarRule {
    /// As in dumps.
    pub name: &'static str,
    /// Number of operands.
    pub arity: usize,
    /// The result's dtype, or what is wrong.
    pub dtypes: fn(&[DType]) -> Result<DType, &'static str>,
    /// Cotangents of the operands (before summing over broadcast axes). `None`: no gradient flows.
    pub vjp: Vjp,
    /// In kernel instructions.
    pub lower: fn(e: &mut dyn Emit, x: &[ValId]) -> ValId,
    /// The defining value.
    pub eval: fn(&[f64]) -> f64,
    /// Inputs on which tests sample the op.
    pub domain: (f64, f64),
    /// In additions.
    pub cost: usize,
}

const ANY: (f64, f64) = (-3.0, 3.0);
const POSITIVE: (f64, f64) = (0.5, 3.0);

fn numbers(t: &[DType]) -> Result<DType, &'static str> {
    if t[0] == DType::Bool {
        Err("takes numbers, not bool; `f32(x)` makes 0 and 1")
    } else if t.iter().any(|d| *d != t[0]) {
        Err("takes operands of one type; cast with `f32(x)`")
    } else {
        Ok(t[0])
    }
}
pub(super) fn floats(t: &[DType]) -> Result<DType, &'static str> {
    if t.iter().all(|d| *d == DType::F32) { Ok(DType::F32) } else { Err("takes f32; cast with `f32(x)`") }
}
fn ints(t: &[DType]) -> Result<DType, &'static str> {
    if t.iter().all(|d| *d == DType::I32) { Ok(DType::I32) } else { Err("takes integers") }
}
fn compare(t: &[DType]) -> Result<DType, &'static str> {
    numbers(t).map(|_| DType::Bool)
}
fn truths(t: &[DType]) -> Result<DType, &'static str> {
    if t.iter().all(|d| *d == DType::Bool) { Ok(DType::Bool) } else { Err("takes bool") }
}
fn choice(t: &[DType]) -> Result<DType, &'static str> {
    match t {
        [DType::Bool, a, b] if a == b => Ok(*a),
        [DType::Bool, ..] => Err("takes two values of one type"),
        _ => Err("takes a bool condition first"),
    }
}
fn none(_: &Builder, x: &[NodeId], _: NodeId, _: NodeId) -> Vec<Option<NodeId>> {
    vec![None; x.len()]
}
fn truth(x: bool) -> f64 {
    f64::from(x)
}
/// `dy` where `c`, else 0.
fn gated(b: &Builder, c: NodeId, dy: NodeId) -> NodeId {
    b.scalar(Scalar::Where, &[c, dy, b.number(0.0)])
}

impl Scalar {
    /// The table.
    pub const fn rule(self) -> ScalarRule {
        match self {
            Scalar::Add => ScalarRule {
                name: "add",
                arity: 2,
                dtypes: numbers,
                vjp: |_, _, _, dy| vec![Some(dy), Some(dy)],
                lower: |e, x| e.core(Core::Add, x),
                eval: |x| x[0] + x[1],
                domain: ANY,
                cost: 1,
            },
            Scalar::Sub => ScalarRule {
                name: "sub",
                arity: 2,
                dtypes: numbers,
                vjp: |b, _, _, dy| vec![Some(dy), Some(b.negated(dy))],
                lower: |e, x| e.core(Core::Sub, x),
                eval: |x| x[0] - x[1],
                domain: ANY,
                cost: 1,
            },
            Scalar::Mul => ScalarRule {
                name: "mul",
                arity: 2,
                dtypes: numbers,
                vjp: |b, x, _, dy| vec![Some(b.times(dy, x[1])), Some(b.times(dy, x[0]))],
                lower: |e, x| e.core(Core::Mul, x),
                eval: |x| x[0] * x[1],
                domain: ANY,
                cost: 1,
            },
            Scalar::Div => ScalarRule {
                name: "div",
                arity: 2,
                dtypes: floats,
                // d(x/y) = dx/y - (x/y) dy/y
                vjp: |b, x, y, dy| {
                    let dx = b.over(dy, x[1]);
                    vec![Some(dx), Some(b.negated(b.times(dx, y)))]
                },
                lower: |e, x| e.core(Core::Div, x),
                eval: |x| x[0] / x[1],
                domain: POSITIVE,
                cost: 4,
            },
            Scalar::Min => ScalarRule {
                name: "min",
                arity: 2,
                dtypes: numbers,
                vjp: |b, x, _, dy| {
                    let first = b.scalar(Scalar::Less, &[x[0], x[1]]);
                    let zero = b.number(0.0);
                    vec![Some(gated(b, first, dy)), Some(b.scalar(Scalar::Where, &[first, zero, dy]))]
                },
                lower: |e, x| e.core(Core::Min, x),
                eval: |x| if x[0] < x[1] { x[0] } else { x[1] },
                domain: ANY,
                cost: 1,
            },
            Scalar::Max => ScalarRule {
                name: "max",
                arity: 2,
                dtypes: numbers,
                // relu'(0) = 0: max(x, 0) gives the gradient to the 0 where both are equal.
                vjp: |b, x, _, dy| {
                    let first = b.scalar(Scalar::Less, &[x[1], x[0]]);
                    let zero = b.number(0.0);
                    vec![Some(gated(b, first, dy)), Some(b.scalar(Scalar::Where, &[first, zero, dy]))]
                },
                lower: |e, x| e.core(Core::Max, x),
                eval: |x| if x[0] > x[1] { x[0] } else { x[1] },
                domain: ANY,
                cost: 1,
            },
            Scalar::Neg => ScalarRule {
                name: "neg",
                arity: 1,
                dtypes: numbers,
                vjp: |b, _, _, dy| vec![Some(b.negated(dy))],
                lower: |e, x| e.core(Core::Neg, x),
                eval: |x| -x[0],
                domain: ANY,
                cost: 1,
            },
            Scalar::Abs => ScalarRule {
                name: "abs",
                arity: 1,
                dtypes: numbers,
                vjp: |b, x, _, dy| vec![Some(b.times(dy, b.scalar(Scalar::Sign, &[x[0]])))],
                lower: |e, x| e.core(Core::Abs, x),
                eval: |x| x[0].abs(),
                domain: ANY,
                cost: 1,
            },
            Scalar::Exp => ScalarRule {
                name: "exp",
                arity: 1,
                dtypes: floats,
                vjp: |b, _, y, dy| vec![Some(b.times(dy, y))],
                lower: |e, x| e.core(Core::Exp, x),
                eval: |x| x[0].exp(),
                domain: ANY,
                cost: 16,
            },
            Scalar::Log => ScalarRule {
                name: "log",
                arity: 1,
                dtypes: floats,
                vjp: |b, x, _, dy| vec![Some(b.over(dy, x[0]))],
                lower: |e, x| e.core(Core::Log, x),
                eval: |x| x[0].ln(),
                domain: POSITIVE,
                cost: 16,
            },
            Scalar::Sqrt => ScalarRule {
                name: "sqrt",
                arity: 1,
                dtypes: floats,
                vjp: |b, _, y, dy| vec![Some(b.over(b.times(dy, b.number(0.5)), y))],
                lower: |e, x| e.core(Core::Sqrt, x),
                eval: |x| x[0].sqrt(),
                domain: POSITIVE,
                cost: 6,
            },
            Scalar::Sin => ScalarRule {
                name: "sin",
                arity: 1,
                dtypes: floats,
                vjp: |b, x, _, dy| vec![Some(b.times(dy, b.scalar(Scalar::Cos, &[x[0]])))],
                lower: |e, x| e.core(Core::Sin, x),
                eval: |x| x[0].sin(),
                domain: ANY,
                cost: 16,
            },
            Scalar::Cos => ScalarRule {
                name: "cos",
                arity: 1,
                dtypes: floats,
                vjp: |b, x, _, dy| vec![Some(b.negated(b.times(dy, b.scalar(Scalar::Sin, &[x[0]]))))],
                lower: |e, x| e.core(Core::Cos, x),
                eval: |x| x[0].cos(),
                domain: ANY,
                cost: 16,
            },
            Scalar::Tanh => ScalarRule {
                name: "tanh",
                arity: 1,
                dtypes: floats,
                // (1 - y)(1 + y) keeps its digits where y is nearly 1; 1 - y² does not.
                vjp: |b, _, y, dy| {
                    let one = b.number(1.0);
                    vec![Some(b.times(dy, b.times(b.minus(one, y), b.plus(one, y))))]
                },
                lower: |e, x| e.core(Core::Tanh, x),
                eval: |x| x[0].tanh(),
                domain: ANY,
                cost: 16,
            },
            Scalar::Sigmoid => ScalarRule {
                name: "sigmoid",
                arity: 1,
                dtypes: floats,
                vjp: |b, _, y, dy| vec![Some(b.times(dy, b.times(y, b.minus(b.number(1.0), y))))],
                // exp(-x) overflows to infinity for very negative x, and 1 / (1 + ∞) is the 0 it should be.
                lower: |e, x| {
                    let one = e.number(1.0);
                    let minus = e.core(Core::Neg, x);
                    let exp = e.core(Core::Exp, &[minus]);
                    let below = e.core(Core::Add, &[one, exp]);
                    e.core(Core::Div, &[one, below])
                },
                eval: |x| 1.0 / (1.0 + (-x[0]).exp()),
                domain: ANY,
                cost: 20,
            },
            Scalar::Erf => ScalarRule {
                name: "erf",
                arity: 1,
                dtypes: floats,
                vjp: |b, x, _, dy| {
                    let bell = b.scalar(Scalar::Exp, &[b.negated(b.times(x[0], x[0]))]);
                    vec![Some(b.times(dy, b.times(b.number(std::f64::consts::FRAC_2_SQRT_PI), bell)))]
                },
                lower: |e, x| e.core(Core::Erf, x),
                eval: |x| erf(x[0]),
                domain: ANY,
                cost: 16,
            },
            Scalar::Floor => ScalarRule {
                name: "floor",
                arity: 1,
                dtypes: floats,
                vjp: none,
                lower: |e, x| e.core(Core::Floor, x),
                eval: |x| x[0].floor(),
                domain: ANY,
                cost: 1,
            },
            Scalar::Round => ScalarRule {
                name: "round",
                arity: 1,
                dtypes: floats,
                vjp: none,
                lower: |e, x| e.core(Core::Round, x),
                eval: |x| x[0].round_ties_even(),
                domain: ANY,
                cost: 1,
            },
            Scalar::Sign => ScalarRule {
                name: "sign",
                arity: 1,
                dtypes: floats,
                vjp: none,
                // NaN compares false both ways and gives 0.
                lower: |e, x| {
                    let (zero, one, minus) = (e.number(0.0), e.number(1.0), e.number(-1.0));
                    let above = e.core(Core::Less, &[zero, x[0]]);
                    let below = e.core(Core::Less, &[x[0], zero]);
                    let rest = e.core(Core::Select, &[below, minus, zero]);
                    e.core(Core::Select, &[above, one, rest])
                },
                eval: |x| truth(x[0] > 0.0) - truth(x[0] < 0.0),
                domain: ANY,
                cost: 4,
            },
            Scalar::FloorDiv => ScalarRule {
                name: "floor_div",
                arity: 2,
                dtypes: ints,
                vjp: none,
                lower: |e, x| e.core(Core::FloorDiv, x),
                eval: |x| (x[0] / x[1]).floor(),
                domain: (1.0, 9.0),
                cost: 8,
            },
            Scalar::FloorMod => ScalarRule {
                name: "floor_mod",
                arity: 2,
                dtypes: ints,
                vjp: none,
                lower: |e, x| e.core(Core::FloorMod, x),
                eval: |x| x[0] - x[1] * (x[0] / x[1]).floor(),
                domain: (1.0, 9.0),
                cost: 8,
            },
            Scalar::Less => ScalarRule {
                name: "less",
                arity: 2,
                dtypes: compare,
                vjp: none,
                lower: |e, x| e.core(Core::Less, x),
                eval: |x| truth(x[0] < x[1]),
                domain: ANY,
                cost: 1,
            },
            Scalar::LessEqual => ScalarRule {
                name: "less_equal",
                arity: 2,
                dtypes: compare,
                vjp: none,
                lower: |e, x| e.core(Core::LessEqual, x),
                eval: |x| truth(x[0] <= x[1]),
                domain: ANY,
                cost: 1,
            },
            Scalar::Equal => ScalarRule {
                name: "equal",
                arity: 2,
                dtypes: compare,
                vjp: none,
                lower: |e, x| e.core(Core::Equal, x),
                eval: |x| truth(x[0] == x[1]),
                domain: ANY,
                cost: 1,
            },
            Scalar::And => ScalarRule {
                name: "and",
                arity: 2,
                dtypes: truths,
                vjp: none,
                lower: |e, x| e.core(Core::And, x),
                eval: |x| truth(x[0] != 0.0 && x[1] != 0.0),
                domain: ANY,
                cost: 1,
            },
            Scalar::Or => ScalarRule {
                name: "or",
                arity: 2,
                dtypes: truths,
                vjp: none,
                lower: |e, x| e.core(Core::Or, x),
                eval: |x| truth(x[0] != 0.0 || x[1] != 0.0),
                domain: ANY,
                cost: 1,
            },
            Scalar::Not => ScalarRule {
                name: "not",
                arity: 1,
                dtypes: truths,
                vjp: none,
                lower: |e, x| e.core(Core::Not, x),
                eval: |x| truth(x[0] == 0.0),
                domain: ANY,
                cost: 1,
            },
            Scalar::Where => ScalarRule {
                name: "where",
                arity: 3,
                dtypes: choice,
                vjp: |b, x, _, dy| {
                    let zero = b.number(0.0);
                    vec![None, Some(gated(b, x[0], dy)), Some(b.scalar(Scalar::Where, &[x[0], zero, dy]))]
                },
                lower: |e, x| e.core(Core::Select, x),
                eval: |x| if x[0] != 0.0 { x[1] } else { x[2] },
                domain: ANY,
                cost: 1,
            },
            Scalar::Stop => ScalarRule {
                name: "stop",
                arity: 1,
                dtypes: |t| Ok(t[0]),
                vjp: none,
                lower: |_, x| x[0],
                eval: |x| x[0],
                domain: ANY,
                cost: 0,
            },
            Scalar::Atan2 => ScalarRule {
                name: "atan2",
                arity: 2,
                dtypes: floats,
                // d = (x dy - y dx) / (x² + y²), and 0 at the origin.
                vjp: |b, x, _, dy| {
                    let square = b.plus(b.times(x[0], x[0]), b.times(x[1], x[1]));
                    let origin = b.scalar(Scalar::Equal, &[square, b.number(0.0)]);
                    let safe = b.scalar(Scalar::Where, &[origin, b.number(1.0), square]);
                    let part = |z: NodeId| b.times(dy, b.over(z, safe));
                    vec![Some(part(x[1])), Some(b.negated(part(x[0])))]
                },
                lower: |e, x| lower_atan2(e, x[0], x[1]),
                eval: |x| x[0].atan2(x[1]),
                domain: ANY,
                cost: 30,
            },
            Scalar::Power => ScalarRule {
                name: "power",
                arity: 2,
                dtypes: floats,
                // d(x^y) = y x^(y-1) dx + x^y ln x dy; at x = 0 the second is 0 where x^y is.
                vjp: |b, x, y, dy| {
                    let (zero, one) = (b.number(0.0), b.number(1.0));
                    let slope = b.times(x[1], b.scalar(Scalar::Power, &[x[0], b.minus(x[1], one)]));
                    let at_zero = b.scalar(Scalar::Equal, &[y, zero]);
                    let log = b.scalar(Scalar::Where, &[at_zero, zero, b.scalar(Scalar::Log, &[x[0]])]);
                    vec![Some(b.times(dy, slope)), Some(b.times(dy, b.times(y, log)))]
                },
                // exp(y ln x), but x^0 is 1 for every x.
                lower: |e, x| {
                    let (zero, one) = (e.number(0.0), e.number(1.0));
                    let log = e.core(Core::Log, &[x[0]]);
                    let exponent = e.core(Core::Mul, &[x[1], log]);
                    let power = e.core(Core::Exp, &[exponent]);
                    let none = e.core(Core::Equal, &[x[1], zero]);
                    e.core(Core::Select, &[none, one, power])
                },
                eval: |x| if x[1] == 0.0 { 1.0 } else { (x[1] * x[0].ln()).exp() },
                domain: POSITIVE,
                cost: 32,
            },
            Scalar::Order => ScalarRule {
                name: "order",
                arity: 1,
                dtypes: |t| floats(t).map(|_| DType::I32),
                vjp: none,
                // Below zero more bits mean less: all but the sign are turned around.
                lower: |e, x| {
                    let bits = e.core(Core::Bits, x);
                    let (zero, most) = (e.int(0), e.int(i64::from(i32::MAX)));
                    let negative = e.core(Core::Less, &[bits, zero]);
                    let turned = e.core(Core::Xor, &[bits, most]);
                    let key = e.core(Core::Select, &[negative, turned, bits]);
                    // NaN is told by its bits, which lie beyond those of the infinities: a graphics card may take it that
                    // no number is one, and that each is equal to itself.
                    let infinity = f32::INFINITY.to_bits() as i32;
                    let (least, largest) = (e.int(i64::from(!infinity)), e.int(i64::from(infinity)));
                    let below = e.core(Core::Less, &[key, least]);
                    let above = e.core(Core::Less, &[largest, key]);
                    let key = e.core(Core::Select, &[above, most, key]);
                    e.core(Core::Select, &[below, most, key])
                },
                eval: |x| {
                    let bits = (x[0] as f32).to_bits() as i32;
                    f64::from(match bits {
                        _ if x[0].is_nan() => i32::MAX,
                        bits if bits < 0 => bits ^ i32::MAX,
                        bits => bits,
                    })
                },
                domain: ANY,
                cost: 5,
            },
            Scalar::RoundTf32 => {
                rounds("round_tf32", |e, x| drop_bits(e, x[0], 13), |x| Precision::Tf32.round(x[0]))
            }
            Scalar::RoundBf16 => {
                rounds("round_bf16", |e, x| drop_bits(e, x[0], 16), |x| Precision::Bf16.round(x[0]))
            }
            Scalar::RoundF16 => rounds("round_f16", |e, x| half(e, x[0]), |x| Precision::F16.round(x[0])),
            Scalar::GradientTf32 => {
                marks("gradient_tf32", 1, |b, _, _, dy| vec![Some(b.scalar(Scalar::RoundTf32, &[dy]))])
            }
            Scalar::GradientBf16 => {
                marks("gradient_bf16", 1, |b, _, _, dy| vec![Some(b.scalar(Scalar::RoundBf16, &[dy]))])
            }
            Scalar::GradientF16 => {
                marks("gradient_f16", 1, |b, _, _, dy| vec![Some(b.scalar(Scalar::RoundF16, &[dy]))])
            }
            Scalar::ScaleGradient => {
                marks("scale_gradient", 2, |b, x, _, dy| vec![Some(b.times(dy, x[1])), None])
            }
        }
    }
}

/// The angle of (x, y): an odd polynomial of the smaller over the larger side, after one halving of the angle
/// (tan π/8 = √2 - 1), then turned into the right octant.
fn lower_atan2(e: &mut dyn Emit, y: ValId, x: ValId) -> ValId {
    let (zero, one) = (e.number(0.0), e.number(1.0));
    let sides = [x, y].map(|side| e.core(Core::Abs, &[side]));
    let steep = e.core(Core::Less, &sides);
    let low = e.core(Core::Select, &[steep, sides[0], sides[1]]);
    let high = e.core(Core::Select, &[steep, sides[1], sides[0]]);
    let origin = e.core(Core::Equal, &[high, zero]);
    let safe = e.core(Core::Select, &[origin, one, high]);
    let tangent = e.core(Core::Div, &[low, safe]);
    // Two infinite sides are as long as each other.
    let (largest, equal) = (e.number(f64::from(f32::MAX)), e.core(Core::Equal, &sides));
    let infinite = e.core(Core::Less, &[largest, high]);
    let diagonal = e.core(Core::And, &[infinite, equal]);
    let tangent = e.core(Core::Select, &[diagonal, one, tangent]);
    // atan t = π/4 + atan((t - 1) / (t + 1))
    let limit = e.number(std::f64::consts::SQRT_2 - 1.0);
    let far = e.core(Core::Less, &[limit, tangent]);
    let (above, below) = (e.core(Core::Add, &[tangent, one]), e.core(Core::Sub, &[tangent, one]));
    let moved = e.core(Core::Div, &[below, above]);
    let t = e.core(Core::Select, &[far, moved, tangent]);
    let square = e.core(Core::Mul, &[t, t]);
    // Cephes' atanf: the error is below 2^-24 where |t| <= tan π/8.
    let factors = [8.053_744_495_38e-2, -1.387_768_560_32e-1, 1.997_771_064_78e-1, -3.333_294_915_39e-1];
    let mut series = e.number(factors[0]);
    for factor in &factors[1..] {
        let factor = e.number(*factor);
        series = e.core(Core::Fma, &[series, square, factor]);
    }
    let cubic = e.core(Core::Mul, &[square, t]);
    let small = e.core(Core::Fma, &[series, cubic, t]);
    let quarter = e.number(std::f64::consts::FRAC_PI_4);
    let turned = e.core(Core::Add, &[quarter, small]);
    let angle = e.core(Core::Select, &[far, turned, small]);
    let half = e.number(std::f64::consts::FRAC_PI_2);
    let complement = e.core(Core::Sub, &[half, angle]);
    let angle = e.core(Core::Select, &[steep, complement, angle]);
    // The sign of a zero counts: it is the side from which zero was reached.
    let negative = |e: &mut dyn Emit, side: ValId| {
        let (bits, zero) = (e.core(Core::Bits, &[side]), e.int(0));
        e.core(Core::Less, &[bits, zero])
    };
    let left = negative(e, x);
    let pi = e.number(std::f64::consts::PI);
    let supplement = e.core(Core::Sub, &[pi, angle]);
    let angle = e.core(Core::Select, &[left, supplement, angle]);
    let under = negative(e, y);
    let minus = e.core(Core::Neg, &[angle]);
    let angle = e.core(Core::Select, &[under, minus, angle]);
    let (known_x, known_y) = (e.core(Core::Equal, &[x, x]), e.core(Core::Equal, &[y, y]));
    let known = e.core(Core::And, &[known_x, known_y]);
    let nan = e.number(f64::NAN);
    e.core(Core::Select, &[known, angle, nan])
}

/// Shared by every elementwise op: axes unite, cotangents are summed over the axes an operand lacks.
impl OpRule for Scalar {
    fn name(&self) -> &'static str {
        Scalar::rule(*self).name
    }

    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        let rule = Scalar::rule(*self);
        if args.len() != rule.arity {
            let reason = format!("`{}` takes {} operands, found {}", rule.name, rule.arity, args.len());
            return Err(Misfit::new(args.len().saturating_sub(1), reason));
        }
        let dtypes: Vec<DType> = args.iter().map(|t| t.dtype).collect();
        let dtype = (rule.dtypes)(&dtypes).map_err(|why| Misfit::new(0, format!("`{}` {why}", rule.name)))?;
        let dims = unite(args, axes)?;
        Ok(Type::new(dtype, dims).expect("united axes are distinct"))
    }

    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        let cotangents = (Scalar::rule(*self).vjp)(b, site.args, site.out, dy);
        let sum = |(x, dx): (&NodeId, Option<NodeId>)| {
            let ty = b.ty(*x);
            // A cotangent that broadcasts (a constant, say) is made whole before it is summed.
            (ty.dtype == DType::F32)
                .then_some(dx)
                .flatten()
                .map(|dx| b.sum_to(b.expand_to(dx, &b.ty(site.out)), &ty))
        };
        site.args.iter().zip(cotangents).map(sum).collect()
    }

    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let rule = Scalar::rule(*self);
        let values: Vec<ValId> = (0..rule.arity).map(|i| e.arg(i, at)).collect();
        (rule.lower)(e, &values)
    }

    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let f = Scalar::rule(*self).eval;
        Value::build(ty, |index| f(&args.iter().map(|a| a.at(ty, index)).collect::<Vec<_>>()))
    }

    fn cost(&self) -> usize {
        Scalar::rule(*self).cost
    }

    fn pointwise(&self) -> bool {
        true
    }

    fn touches(&self, _: AxisId) -> bool {
        false
    }
}

/// Changes the dtype: to f32 from i32 or bool, to i32 from f32 (towards zero) or bool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cast {
    /// The result's; not bool (`x != 0` says that).
    pub to: DType,
}

impl OpRule for Cast {
    fn name(&self) -> &'static str {
        match self.to {
            DType::F32 => "to_f32",
            DType::I32 => "to_i32",
            DType::Bool => "to_bool",
        }
    }

    fn infer(&self, args: &[&Type], _: &Axes) -> Result<Type, Misfit> {
        if self.to == DType::Bool {
            return Err(Misfit::new(0, "nothing is cast to bool; write a comparison"));
        }
        Ok(args[0].with_dtype(self.to))
    }

    fn vjp(&self, _: &Builder, _: &Site<'_>, _: NodeId) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let value = e.arg(0, at);
        if e.arg_type(0).dtype == self.to {
            return value;
        }
        e.core(if self.to == DType::F32 { Core::ToF32 } else { Core::ToI32 }, &[value])
    }

    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let cast = |x: &f64| if self.to == DType::I32 { f64::from(*x as i32) } else { *x };
        Value { ty: ty.clone(), data: args[0].data.iter().map(cast).collect() }
    }

    fn cost(&self) -> usize {
        1
    }

    fn pointwise(&self) -> bool {
        true
    }

    fn touches(&self, _: AxisId) -> bool {
        false
    }
}
