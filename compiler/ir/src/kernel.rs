//! Kernel IR: the only thing a backend implements. A kernel is a nest of loops over scalar SSA code, or a contraction
//! that a device may run on its best engine; `Contraction::loops` gives the nest that defines it.
//!
//! Invariants (checked by `verify`): a value is defined once, before its uses, in a scope that encloses them; indices are
//! affine in i32 values; an iteration of a `Parallel` or `Lanes` loop writes no element that another one of the same loop
//! reads or writes. A kernel knows neither ops nor axes.
mod loops;
mod work;

pub use loops::Summed;
pub use work::Work;

use crate::types::DType;
use serde::Serialize;
use stmc_base::define_id;

define_id! {
    /// An SSA value or a loop variable.
    pub struct ValId
}
define_id! {
    /// A mutable scalar: an accumulator. Private to an iteration of the parallel and lanes loops around its `Set`s.
    pub struct LocalId
}

/// A compiled unit.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Kernel {
    /// For people: `conv_gates`, `add_mul_3`.
    pub name: String,
    /// Buffers in binding order. Each binding adds a run-time element offset to every index.
    pub params: Vec<Param>,
    /// Run-time scalars (f32 or i32), by position.
    pub scalars: Vec<DType>,
    /// What it does.
    pub body: Body,
}

/// A buffer of a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Param {
    /// What an element is; four bytes each.
    pub dtype: DType,
    /// What the kernel does with it.
    pub access: Access,
}

/// How a kernel uses a buffer. Two params of one launch may be bound to overlapping memory only if both are `Read`, or if every
/// element is read and written by the same iteration (in-place pointwise update).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub enum Access {
    /// Only loads.
    Read,
    /// Only stores.
    Write,
    /// Both.
    ReadWrite,
}

/// Loops or a contraction.
#[allow(clippy::large_enum_variant)] // there are few kernels, and each is one of the two
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub enum Body {
    /// Statements in order.
    Loops(Block),
    /// `out[g, m, n] (+)= Σ_k a[g, m, k] * b[g, n, k]`.
    Contraction(Contraction),
}

/// Scalar code with its values' types.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct Block {
    /// The type of each `ValId`.
    pub values: Vec<DType>,
    /// The type of each `LocalId`.
    pub locals: Vec<DType>,
    /// In order.
    pub stmts: Vec<Stmt>,
}

/// A statement.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum Stmt {
    /// Defines a value.
    Let { out: ValId, inst: Inst },
    /// `for var in 0 .. extent`.
    For { var: ValId, extent: usize, kind: LoopKind, body: Vec<Stmt> },
    /// `buffer[index] = value`.
    Store { param: usize, index: Affine, value: ValId },
    /// `local = value`.
    Set { local: LocalId, value: ValId },
}

/// What may run at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub enum LoopKind {
    /// Iterations are independent: threads on a CPU, the grid on a GPU. Only outermost, perfectly nested ones.
    Parallel,
    /// In order.
    Serial,
    /// Iterations are independent (but for sums into locals declared outside, whose order is then free but fixed per
    /// device): vector lanes on a CPU. May contain serial loops.
    Lanes,
}

/// `constant + Σ factor * value`, in elements. The values are i32.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct Affine {
    /// No value twice, no factor 0, sorted by value.
    pub terms: Vec<(ValId, i64)>,
    /// May be negative, the sum may not.
    pub constant: i64,
}

/// The right side of a `Let`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum Inst {
    /// The bits of an f32 or i32; 0 or 1 for bool.
    Const(DType, u32),
    /// `buffer[index]`.
    Load { param: usize, index: Affine },
    /// A run-time scalar.
    Scalar(usize),
    /// The current value of a local. Locals hold 0 before the first `Set`.
    Get(LocalId),
    /// An affine combination as an i32 value.
    Index(Affine),
    /// An instruction of the table below.
    Core(Core, Vec<ValId>),
}

/// `out (+)= a · b` over named groups of loops. Every access is affine; `g`, `m`, `n`, `k` are multi-indices whose extents stand in
/// `Contraction::{g, m, n, k}`, slowest first. Sums run in at least f32.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Contraction {
    /// Loops that both operands and the result have.
    pub g: Vec<usize>,
    /// Loops of `a` and the result.
    pub m: Vec<usize>,
    /// Loops of `b` and the result.
    pub n: Vec<usize>,
    /// Summed loops of `a` and `b`.
    pub k: Vec<usize>,
    /// Strides over (g, m, k).
    pub a: Operand,
    /// Strides over (g, n, k).
    pub b: Operand,
    /// Strides over (g, m, n).
    pub out: Operand,
    /// Whether the result is added to what is there.
    pub accumulate: bool,
}

/// An affine access: `param[offset + first·g + second·(m or n) + third·(k, or n for the result)]`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Operand {
    /// Index into `Kernel::params`.
    pub param: usize,
    /// Constant part.
    pub offset: i64,
    /// One stride per loop of `g`.
    pub first: Vec<i64>,
    /// One stride per loop of the second group.
    pub second: Vec<i64>,
    /// One stride per loop of the third group.
    pub third: Vec<i64>,
}

macro_rules! cores {
    ($($name:ident($arity:literal): $text:literal, $types:expr, $doc:literal;)*) => {
        /// Scalar instructions: a closed set that every backend matches exhaustively.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
        pub enum Core { $(#[doc = $doc] $name),* }
        impl Core {
            /// All of them, for tests that go by the table.
            pub const ALL: &'static [Core] = &[$(Core::$name),*];
            /// In the text form.
            pub fn name(self) -> &'static str { match self { $(Core::$name => $text),* } }
            /// Number of operands.
            pub fn arity(self) -> usize { match self { $(Core::$name => $arity),* } }
            /// Operand types it takes.
            pub fn class(self) -> Class { match self { $(Core::$name => $types),* } }
        }
    };
}

/// Which types an instruction takes and gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// All f32 or all i32; gives the same.
    Number,
    /// f32 to f32.
    Float,
    /// i32 to i32 (as unsigned bits where the doc says so).
    Int,
    /// Two f32 or two i32, gives bool.
    Compare,
    /// bool to bool.
    Truth,
    /// (bool, T, T) to T.
    Choose,
    /// Anything to the type in the name.
    Cast,
    /// f32 to i32.
    Bits,
    /// i32 to f32.
    OfBits,
}

cores! {
    Add(2): "add", Class::Number, "Sum; integers wrap.";
    Sub(2): "sub", Class::Number, "Difference; integers wrap.";
    Mul(2): "mul", Class::Number, "Product; integers wrap (the low 32 bits).";
    Min(2): "min", Class::Number, "`if a < b { a } else { b }`: b if either is NaN.";
    Max(2): "max", Class::Number, "`if a > b { a } else { b }`: b if either is NaN.";
    Neg(1): "neg", Class::Number, "Negation; flips the sign of zero.";
    Abs(1): "abs", Class::Number, "Absolute value.";
    Div(2): "div", Class::Float, "IEEE quotient.";
    Fma(3): "fma", Class::Float, "a * b + c; a backend may round once or twice.";
    Sqrt(1): "sqrt", Class::Float, "Square root.";
    Floor(1): "floor", Class::Float, "Towards minus infinity.";
    Round(1): "round", Class::Float, "To the nearest integer, ties to even.";
    Exp(1): "exp", Class::Float, "e^x.";
    Log(1): "log", Class::Float, "Natural logarithm.";
    Sin(1): "sin", Class::Float, "Sine.";
    Cos(1): "cos", Class::Float, "Cosine.";
    Tanh(1): "tanh", Class::Float, "Hyperbolic tangent.";
    Erf(1): "erf", Class::Float, "Error function.";
    FloorDiv(2): "floor_div", Class::Int, "Quotient rounded down; the divisor is positive.";
    FloorMod(2): "floor_mod", Class::Int, "a - floor_div(a, b) * b; the divisor is positive.";
    MulHigh(2): "mul_high", Class::Int, "High 32 bits of the unsigned product.";
    Xor(2): "xor", Class::Int, "Exclusive or of the bits.";
    ShiftRight(2): "shift_right", Class::Int, "Logical shift; the count is 0 to 31.";
    Less(2): "less", Class::Compare, "a < b; false on NaN.";
    LessEqual(2): "less_equal", Class::Compare, "a <= b; false on NaN.";
    Equal(2): "equal", Class::Compare, "a == b; false on NaN.";
    And(2): "and", Class::Truth, "Both.";
    Or(2): "or", Class::Truth, "Either.";
    Not(1): "not", Class::Truth, "Neither.";
    Select(3): "select", Class::Choose, "`if a { b } else { c }`.";
    ToF32(1): "to_f32", Class::Cast, "From i32 (rounded) or bool (0 or 1).";
    ToI32(1): "to_i32", Class::Cast, "From f32 (towards zero, saturating, NaN to 0) or bool.";
    Bits(1): "bits", Class::Bits, "The bits of an f32 as an i32.";
    FromBits(1): "from_bits", Class::OfBits, "The f32 of these bits.";
}

impl Core {
    /// The result's type, or `None` if the operands do not fit.
    pub fn result(self, args: &[DType]) -> Option<DType> {
        if args.len() != self.arity() {
            return None;
        }
        let same = args.windows(2).all(|w| w[0] == w[1]);
        match self.class() {
            Class::Number => (same && args[0] != DType::Bool).then_some(args[0]),
            Class::Float => (same && args[0] == DType::F32).then_some(DType::F32),
            Class::Int => (same && args[0] == DType::I32).then_some(DType::I32),
            Class::Compare => (same && args[0] != DType::Bool).then_some(DType::Bool),
            Class::Truth => (same && args[0] == DType::Bool).then_some(DType::Bool),
            Class::Choose => (args[0] == DType::Bool && args[1] == args[2]).then_some(args[1]),
            Class::Bits => (args[0] == DType::F32).then_some(DType::I32),
            Class::OfBits => (args[0] == DType::I32).then_some(DType::F32),
            Class::Cast if self == Core::ToF32 => (args[0] != DType::F32).then_some(DType::F32),
            Class::Cast => (args[0] != DType::I32).then_some(DType::I32),
        }
    }
}

impl Affine {
    /// A constant.
    pub fn constant(c: i64) -> Affine {
        Affine { terms: vec![], constant: c }
    }

    /// `factor * value`.
    pub fn term(value: ValId, factor: i64) -> Affine {
        Affine { terms: if factor == 0 { vec![] } else { vec![(value, factor)] }, constant: 0 }
    }

    /// The sum.
    #[must_use]
    pub fn plus(&self, other: &Affine) -> Affine {
        let mut terms = self.terms.clone();
        for &(v, f) in &other.terms {
            match terms.iter_mut().find(|t| t.0 == v) {
                Some(t) => t.1 += f,
                None => terms.push((v, f)),
            }
        }
        terms.retain(|t| t.1 != 0);
        terms.sort();
        Affine { terms, constant: self.constant + other.constant }
    }

    /// The product with a constant.
    #[must_use]
    pub fn times(&self, factor: i64) -> Affine {
        if factor == 0 {
            return Affine::default();
        }
        Affine {
            terms: self.terms.iter().map(|t| (t.0, t.1 * factor)).collect(),
            constant: self.constant * factor,
        }
    }

    /// The factor of a value, 0 if it does not occur.
    pub fn factor(&self, value: ValId) -> i64 {
        self.terms.iter().find(|t| t.0 == value).map_or(0, |t| t.1)
    }
}

impl Block {
    /// A new value.
    pub fn value(&mut self, dtype: DType) -> ValId {
        self.values.push(dtype);
        ValId::from_index(self.values.len() - 1)
    }

    /// A new local.
    pub fn local(&mut self, dtype: DType) -> LocalId {
        self.locals.push(dtype);
        LocalId::from_index(self.locals.len() - 1)
    }
}

impl Inst {
    /// The values that it is computed from.
    pub fn operands(&self) -> impl Iterator<Item = ValId> {
        let (args, terms): (&[ValId], &[(ValId, i64)]) = match self {
            Inst::Core(_, args) => (args, &[]),
            Inst::Load { index, .. } | Inst::Index(index) => (&[], &index.terms),
            Inst::Const(..) | Inst::Scalar(_) | Inst::Get(_) => (&[], &[]),
        };
        args.iter().copied().chain(terms.iter().map(|(value, _)| *value))
    }
}

impl Stmt {
    /// The index that a statement computes with, not those of the statements inside it.
    pub fn index(&self) -> Option<&Affine> {
        match self {
            Stmt::Let { inst: Inst::Load { index, .. } | Inst::Index(index), .. }
            | Stmt::Store { index, .. } => Some(index),
            Stmt::Let { .. } | Stmt::For { .. } | Stmt::Set { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn index_mut(&mut self) -> Option<&mut Affine> {
        match self {
            Stmt::Let { inst: Inst::Load { index, .. } | Inst::Index(index), .. }
            | Stmt::Store { index, .. } => Some(index),
            Stmt::Let { .. } | Stmt::For { .. } | Stmt::Set { .. } => None,
        }
    }
}

impl Contraction {
    /// Multiplications (an addition goes with each).
    pub fn multiplications(&self) -> usize {
        [&self.g, &self.m, &self.n, &self.k].iter().map(|e| e.iter().product::<usize>()).product()
    }
}

impl Kernel {
    /// The loops of any kernel.
    pub fn loops(&self) -> std::borrow::Cow<'_, Block> {
        match &self.body {
            Body::Loops(block) => std::borrow::Cow::Borrowed(block),
            Body::Contraction(c) => std::borrow::Cow::Owned(c.loops()),
        }
    }

    /// Text for people and golden files.
    pub fn dump(&self) -> String {
        let params: Vec<String> = self
            .params
            .iter()
            .enumerate()
            .map(|(i, p)| format!("b{i}: {:?} {}", p.access, p.dtype.name()).to_lowercase())
            .collect();
        let scalars: Vec<String> =
            self.scalars.iter().enumerate().map(|(i, s)| format!("s{i}: {}", s.name())).collect();
        let mut out = format!("kernel {}({}", self.name, params.join(", "));
        if !scalars.is_empty() {
            out += &format!("; {}", scalars.join(", "));
        }
        out += ")\n";
        match &self.body {
            Body::Loops(block) => dump_stmts(&block.stmts, 1, &mut out),
            Body::Contraction(c) => {
                let operand = |o: &Operand| {
                    format!("b{}[{}; {:?} {:?} {:?}]", o.param, o.offset, o.first, o.second, o.third)
                };
                out += &format!("    contract g{:?} m{:?} n{:?} k{:?}\n", c.g, c.m, c.n, c.k);
                let sign = if c.accumulate { "+=" } else { "=" };
                out += &format!("    {} {sign} {} * {}\n", operand(&c.out), operand(&c.a), operand(&c.b));
            }
        }
        out
    }
}

fn dump_stmts(stmts: &[Stmt], depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    for stmt in stmts {
        match stmt {
            Stmt::Let { out: v, inst } => *out += &format!("{indent}v{} = {}\n", v.0, dump_inst(inst)),
            Stmt::Store { param, index, value } => {
                *out += &format!("{indent}b{param}[{index}] = v{}\n", value.0);
            }
            Stmt::Set { local, value } => *out += &format!("{indent}l{} = v{}\n", local.0, value.0),
            Stmt::For { var, extent, kind, body } => {
                let kind = format!("{kind:?}").to_lowercase();
                *out += &format!("{indent}{kind} v{} < {extent}\n", var.0);
                dump_stmts(body, depth + 1, out);
            }
        }
    }
}

fn dump_inst(inst: &Inst) -> String {
    match inst {
        Inst::Const(DType::F32, bits) => format!("{:?}", f32::from_bits(*bits)),
        Inst::Const(_, bits) => format!("{}", *bits as i32),
        Inst::Load { param, index } => format!("b{param}[{index}]"),
        Inst::Scalar(i) => format!("s{i}"),
        Inst::Get(l) => format!("l{}", l.0),
        Inst::Index(a) => format!("[{a}]"),
        Inst::Core(core, args) => {
            let args: Vec<String> = args.iter().map(|a| format!("v{}", a.0)).collect();
            format!("{} {}", core.name(), args.join(" "))
        }
    }
}

impl std::fmt::Display for Affine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = self.terms.iter().map(|(v, k)| format!("{k}*v{}", v.0)).collect();
        if self.constant != 0 || parts.is_empty() {
            parts.push(self.constant.to_string());
        }
        f.write_str(&parts.join(" + "))
    }
}
