//! Expressions.
use super::{AxisRef, Block, Let, Name};
use std::sync::Arc;
use stmc_base::Span;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// All of it, parentheses included.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `1_000`; never negative.
    Int(i64),
    /// `1.5`, `1e-4`; never negative, always finite.
    Float(f64),
    /// `80%` is 0.8.
    Percent(f64),
    /// `10 epochs`, `2.5 km`: the unit is any word.
    Quantity {
        /// Never negative.
        value: f64,
        /// Not checked.
        unit: Name,
    },
    /// `2001-01`, `2001-01-15T06:00`.
    Date(Date),
    /// `"…"`, its escapes resolved.
    Str(Arc<str>),
    /// `true`, `false`.
    Bool(bool),
    /// A word.
    Name(Arc<str>),
    /// `h'`: a carry's next value. The text lacks the prime.
    Primed(Arc<str>),
    /// `[a, b if c]`.
    List(Vec<Element>),
    /// `[for i, h in hidden => body]`.
    Comprehension {
        /// `i, h`.
        binder: LoopBinder,
        /// A list, an alias of axes, or a range.
        iterable: Box<Expr>,
        /// One element.
        body: Box<Expr>,
    },
    /// `{ a: x, b }`.
    Record(Record),
    /// `(lat, lon)`, `(lat: i, lon: j)`, `()`: any parentheses but those around one unlabelled expression.
    Tuple(Vec<Arg>),
    /// `{ let a = x; f(a) }`; it has a result.
    Block(Box<Block>),
    /// `if c then a else b`.
    If {
        /// Between `if` and `then`.
        condition: Box<Expr>,
        /// After `then`.
        then: Box<Expr>,
        /// After `else`; there always is one.
        otherwise: Box<Expr>,
    },
    /// `scan … { … }`.
    Scan(Box<Scan>),
    /// `for e in list { carry y = x; y' = … }`: an unrolled scan over a static list.
    For {
        /// `n, stage`.
        binder: LoopBinder,
        /// A list, an alias of axes, or a range.
        iterable: Box<Expr>,
        /// It has no result.
        body: Box<Block>,
    },
    /// `-x`, `not x`.
    Unary {
        /// Which.
        op: UnaryOp,
        /// What follows it.
        operand: Box<Expr>,
    },
    /// `a + b`.
    Binary {
        /// Which.
        op: BinaryOp,
        /// Where the operator stands.
        op_span: Span,
        /// Before it.
        left: Box<Expr>,
        /// After it.
        right: Box<Expr>,
    },
    /// `x |> stage`.
    Pipe {
        /// What goes in.
        value: Box<Expr>,
        /// What it goes through.
        stage: Box<Expr>,
    },
    /// `f(a, b: c)`. The callee of a field's source may be a string: `"name"(latitude -> lat)`.
    Call {
        /// Before the parenthesis.
        callee: Box<Expr>,
        /// In it.
        args: Vec<Arg>,
    },
    /// `x[time: 0 .. 10]`, `run[-1]`; at least one argument.
    Index {
        /// Before the bracket.
        base: Box<Expr>,
        /// In it.
        args: Vec<Arg>,
    },
    /// `x.channel`, `betas.0`.
    Member {
        /// Before the point.
        base: Box<Expr>,
        /// After it.
        member: Member,
    },
    /// `a .. b`, `.. b`, `a ..`, `..`. Only as an argument, in `for … in`, and in `sample`.
    Range {
        /// `None`: from the beginning.
        start: Option<Box<Expr>>,
        /// Exclusive. `None`: to the end.
        end: Option<Box<Expr>>,
    },
}

impl Expr {
    /// The word, if the expression is one.
    pub fn name(&self) -> Option<Name> {
        match &self.kind {
            ExprKind::Name(text) => Some(Name { text: text.clone(), span: self.span }),
            _ => None,
        }
    }
}

/// A prefix operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
}

words! {
    /// An infix operator; the pipe is no operator but `ExprKind::Pipe`.
    BinaryOp {
        /// One of two truths.
        Or = "or",
        /// Both of two truths.
        And = "and",
        /// Is it among the elements?
        In = "in",
        /// Are they the same?
        Eq = "==",
        /// Do they differ?
        Ne = "!=",
        /// Is it less?
        Lt = "<",
        /// Is it less, or the same?
        Le = "<=",
        /// Is it more?
        Gt = ">",
        /// Is it more, or the same?
        Ge = ">=",
        /// Sum.
        Add = "+",
        /// Difference.
        Sub = "-",
        /// Product.
        Mul = "*",
        /// Quotient.
        Div = "/",
        /// Power.
        Pow = "^",
    }
}

impl BinaryOp {
    /// `in == != < <= > >=`: the result is a bool, and they do not chain.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, In | Eq | Ne | Lt | Le | Gt | Ge)
    }
}

/// A moment, as far as it was written; the fields that are there lie in the calendar's widest range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    /// Four digits.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31. `None`: the month as a whole.
    pub day: Option<u8>,
    /// 0 to 23. `None`: the day as a whole.
    pub hour: Option<u8>,
    /// 0 to 59. `None`: the hour as a whole.
    pub minute: Option<u8>,
}

/// What stands after a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// `x.channel`
    Name(Name),
    /// `betas.0`
    Position(u32, Span),
}

impl Member {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Member::Name(name) => name.span,
            Member::Position(_, span) => *span,
        }
    }
}

/// One argument of a call, an index or a tuple.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// `over` in `over: space`. `None`: positional.
    pub label: Option<AxisRef>,
    /// Left of the arrow, where there is one. May be a range.
    pub value: Expr,
    /// `b` in `a -> b`.
    pub arrow: Option<Expr>,
    /// All of it.
    pub span: Span,
}

/// One element of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// The element.
    pub value: Expr,
    /// `None`: it is always there.
    pub guard: Option<Guard>,
    /// All of it.
    pub span: Span,
}

/// `if STATIC [else v]` after a declaration or an element.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// What must hold.
    pub condition: Expr,
    /// What stands instead. `None`: what is usual there (0, the identity, nothing).
    pub otherwise: Option<Expr>,
    /// From `if` on.
    pub span: Span,
}

/// What a loop binds: `for h in …`, `for i, h in …`, `for (a, b) in …`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopBinder {
    /// The position, counted from 0. `None`: not asked for.
    pub index: Option<Name>,
    /// The element.
    pub element: Pattern,
    /// All of it.
    pub span: Span,
}

/// What a value is bound to.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// `a`
    Name(Name),
    /// `(a, b)`; at least one name.
    Tuple(Vec<Name>, Span),
}

impl Pattern {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Pattern::Name(name) => name.span,
            Pattern::Tuple(_, span) => *span,
        }
    }

    /// The names that it binds.
    pub fn names(&self) -> &[Name] {
        match self {
            Pattern::Name(name) => std::slice::from_ref(name),
            Pattern::Tuple(names, _) => names,
        }
    }
}

/// `{ let …, name: value, … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Before the entries, which see them.
    pub lets: Vec<Let>,
    /// In the order written.
    pub entries: Vec<Entry>,
    /// With the braces.
    pub span: Span,
}

/// One entry of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its `///` lines.
    pub doc: Option<String>,
    /// A word, or the text of a string: `"*.bias": …`.
    pub key: Name,
    /// The key was a string.
    pub quoted: bool,
    /// `{ o }` is short for `{ o: o }`: then it is that name.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}

/// `scan frame in past along time at t { … }`, `scan along time: 19 { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Empty: the scan makes a new axis, and `extent` is there.
    pub sources: Vec<ScanSource>,
    /// The axis.
    pub along: Name,
    /// `None`: the sources have it.
    pub extent: Option<Expr>,
    /// The step number's name.
    pub at: Option<Name>,
    /// It has no result; its values are its yields.
    pub body: Block,
}

/// `frame in past`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanSource {
    /// The current slice.
    pub pattern: Pattern,
    /// The whole.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}
