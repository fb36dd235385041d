//! Blocks and their statements.
use super::{AxisRef, Expr, FnDecl, Guard, Name, Pattern, Text, Type};
use stmc_base::Span;

/// Statements and perhaps a final expression. A body written `= e` is a block with that result alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// In the order written; never an expression.
    pub statements: Vec<Stmt>,
    /// The last expression. Bodies of layers, models, functions and schedules have one, those of
    /// optimizers, scans and `for` have none.
    pub result: Option<Expr>,
    /// With the braces.
    pub span: Span,
}

/// A statement. `let a = 1, b = 2` and `a = F(), b = G()` are two each, and the documentation goes to the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// Its `///` lines.
    pub doc: Option<String>,
    /// Which.
    pub kind: StmtKind,
    /// All of it, without the documentation.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `let a = e`
    Let(Let),
    /// `axis key`
    Axis(AxisDecl),
    /// `axes area = (row, col)`
    Axes(AxesDecl),
    /// `param weight: [unit: out, features] ~ uniform(1) if bias`
    Param(ParamDecl),
    /// `buffer mean: [channel] = 0`
    Buffer(BufferDecl),
    /// `carry h: [channel] = 0`
    Carry(CarryDecl),
    /// `yield e`
    Yield(Expr),
    /// `assert c, "why"`
    Assert(Assert),
    /// A local function.
    Fn(FnDecl),
    /// `h' = e`
    Update(Update),
    /// `conv = Conv(3)`
    SubLayer(SubLayer),
}

/// `let PATTERN: type = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    /// What it binds.
    pub pattern: Pattern,
    /// `None`: not said.
    pub ty: Option<Type>,
    /// After `=`.
    pub value: Expr,
    /// From the pattern to the value.
    pub span: Span,
}

/// One name of `axis lat, lon periodic`.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisDecl {
    /// The axis.
    pub name: Name,
    /// Its ends are neighbours.
    pub periodic: bool,
}

/// `axes space = (lat, lon)`.
#[derive(Clone, Debug, PartialEq)]
pub struct AxesDecl {
    /// The alias.
    pub name: Name,
    /// What it stands for, in this order; at least one.
    pub axes: Vec<AxisRef>,
}

/// `param NAME: type ~ initializer [if c [else v]]`: trained.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamDecl {
    /// The last word of its path.
    pub name: Name,
    /// After the colon.
    pub ty: Type,
    /// After `~`: a function's name, or a call that lacks its first argument.
    pub initializer: Expr,
    /// `None`: always there.
    pub guard: Option<Guard>,
}

/// `buffer NAME: type = value [if c [else v]]`: kept, not trained.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferDecl {
    /// The last word of its path.
    pub name: Name,
    /// After the colon.
    pub ty: Type,
    /// The first value.
    pub value: Expr,
    /// `None`: always there.
    pub guard: Option<Guard>,
}

/// `carry NAME[: type] = first [if c [else v]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct CarryDecl {
    /// A name of its own, or that of a stateful sub-layer, whose start this is.
    pub name: Name,
    /// `None`: that of the value.
    pub ty: Option<Type>,
    /// The first value.
    pub value: Expr,
    /// `None`: always there.
    pub guard: Option<Guard>,
}

/// `NAME' = value [if c [else v]]`: the next value of a carry, a buffer, or an optimizer's weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Without the prime; the span has it.
    pub name: Name,
    /// After `=`.
    pub value: Expr,
    /// `None`: always.
    pub guard: Option<Guard>,
}

/// `NAME = value { weight ~ zeros } if c else v`.
#[derive(Clone, Debug, PartialEq)]
pub struct SubLayer {
    /// The word of its path.
    pub name: Name,
    /// A layer, or a list of layers.
    pub value: Expr,
    /// The braces after it; empty without them.
    pub overrides: Vec<Override>,
    /// `None`: always there.
    pub guard: Option<Guard>,
}

/// `weight ~ zeros`: another initializer for a sub-layer's parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The parameter.
    pub name: Name,
    /// After `~`.
    pub initializer: Expr,
    /// All of it.
    pub span: Span,
}

/// `assert condition, "why"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assert {
    /// A static fact.
    pub condition: Expr,
    /// `None`: the condition speaks for itself.
    pub message: Option<Text>,
}
