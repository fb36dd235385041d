//! The lines of a `data` block.
use super::{Assert, AxisDecl, Expr, Let, Name, Record, Text, Type};
use stmc_base::Span;

/// `data NAME { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataDecl {
    /// The data.
    pub name: Name,
    /// In the order written: a field belongs to the `from` before it.
    pub statements: Vec<DataStmt>,
}

/// A line of a `data` block.
#[derive(Clone, Debug, PartialEq)]
pub struct DataStmt {
    /// Its `///` lines.
    pub doc: Option<String>,
    /// Which.
    pub kind: DataKind,
    /// All of it, without the documentation.
    pub span: Span,
}

/// The kinds of line of a `data` block.
#[derive(Clone, Debug, PartialEq)]
pub enum DataKind {
    /// `from "ersst/*.nc"`, or a call of a reader or a generator.
    From(Expr),
    /// `field sst: f32?[time, lat, lon] unit "degC"`
    Field(Field),
    /// `let change = anomaly(sst)`
    Let(Let),
    /// `axis calendar`
    Axis(AxisDecl),
    /// `assert sst.lat == 89`
    Assert(Assert),
    /// `sample at t in time { … }`
    Sample(Sample),
    /// `split { train: time < 2001-01, test: rest }`: the parts are entries, and so are `gap` and the like.
    Split(Record),
    /// `balance oversample by label`
    Balance {
        /// A word or a call.
        method: Expr,
        /// What is balanced.
        by: Expr,
    },
    /// `augment flip(row), rotate90(row, col)`; at least one.
    Augment(Vec<Expr>),
}

/// `field NAME [= source]: type [unit "…"] [missing v]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name here.
    pub name: Name,
    /// A string, a product with one, `"name"(latitude -> lat)`, `columns(…)`. `None`: the name itself.
    pub source: Option<Expr>,
    /// After the colon.
    pub ty: Type,
    /// `None`: that of the source.
    pub unit: Option<Text>,
    /// A number that stands for a missing value. `None`: what the source says.
    pub missing: Option<Expr>,
}

/// `sample at t in time, i in lat step 32 [if c] { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// At least one.
    pub binders: Vec<SampleBinder>,
    /// Which of the samples. `None`: all.
    pub condition: Option<Expr>,
    /// What a sample is made of.
    pub parts: Record,
}

/// `i in lat step 32`.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleBinder {
    /// The position.
    pub name: Name,
    /// An axis, or a range.
    pub over: Expr,
    /// `None`: 1.
    pub step: Option<Expr>,
    /// All of it.
    pub span: Span,
}
