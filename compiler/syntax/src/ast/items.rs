//! Declarations at the top of a file.
use super::{Assert, AxesDecl, AxisDecl, Block, DataDecl, Expr, Let, Name, Parameter, Text, Type};
use stmc_base::Span;

/// A declaration at the top of a file. `let a = 1, b = 2` and `axis a, b` are two each, and the documentation
/// goes to the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its `///` lines, joined by newlines.
    pub doc: Option<String>,
    /// Which.
    pub kind: ItemKind,
    /// All of it, without the documentation.
    pub span: Span,
}

/// The kinds of declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `use std.nn.Conv`
    Use(Use),
    /// `axis lon periodic`
    Axis(AxisDecl),
    /// `axes space = (lat, lon)`
    Axes(AxesDecl),
    /// `hyper width: int = 32 in [16, 32]`
    Hyper(Hyper),
    /// `let months = 12`
    Let(Let),
    /// `assert params(Net) < 10_000`
    Assert(Assert),
    /// `fn relu(x) = max(x, 0)`
    Fn(FnDecl),
    /// `layer Linear(out: int) (x: [channel]) -> [channel: out] { … }`
    Layer(LayerDecl),
    /// `model Net(x: f32[lat]) -> { y: f32[lat] } { … }`
    Model(ModelDecl),
    /// `schedule cosine(from: float) (t) = …`
    Schedule(ScheduleDecl),
    /// `optimizer Sgd(lr: rate) (w, g) { … }`
    Optimizer(OptimizerDecl),
    /// `data ocean { … }`
    Data(DataDecl),
    /// `train Net on ocean { … }`
    Train(TrainDecl),
    /// `tune { … }`
    Tune(TuneDecl),
}

/// `use std.nn.{Conv, Linear as Dense}`, `use std.loss as losses`, `use "blocks.stm".Block`.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// A file beside this one. `None`: the path begins in the library.
    pub file: Option<Text>,
    /// The words with points between them, after the file if there is one (then it may be empty). Whether the last
    /// one is a module or a declaration is not known here.
    pub path: Vec<Name>,
    /// What of it.
    pub imports: Imports,
}

/// What is imported.
#[derive(Clone, Debug, PartialEq)]
pub enum Imports {
    /// What the path names, under its last word or under this one.
    Path(Option<Name>),
    /// `.{a, b as c}`; at least one.
    Names(Vec<UseName>),
}

/// `Conv as C`.
#[derive(Clone, Debug, PartialEq)]
pub struct UseName {
    /// As declared there.
    pub name: Name,
    /// As called here. `None`: the same.
    pub alias: Option<Name>,
}

/// `hyper NAME: TYPE = DEFAULT [in DOMAIN]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyper {
    /// For `--set`.
    pub name: Name,
    /// `None`: that of the default.
    pub ty: Option<Type>,
    /// Without `--set`.
    pub default: Expr,
    /// What `tune` searches. `None`: it is not searched.
    pub domain: Option<Expr>,
}

/// `fn NAME(parameters) [-> type] = expr`, or with a block.
#[derive(Clone, Debug, PartialEq)]
pub struct FnDecl {
    /// The function.
    pub name: Name,
    /// In order.
    pub parameters: Vec<Parameter>,
    /// `None`: not said.
    pub result: Option<Type>,
    /// It has a result.
    pub body: Block,
}

/// `layer NAME(settings) (inputs) [-> type] { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerDecl {
    /// The layer.
    pub name: Name,
    /// Statics.
    pub settings: Vec<Parameter>,
    /// Tensors.
    pub inputs: Vec<Parameter>,
    /// `None`: whatever the body gives.
    pub result: Option<Type>,
    /// It has a result.
    pub body: Block,
}

/// `model NAME(inputs) -> type { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelDecl {
    /// The model.
    pub name: Name,
    /// Parts of a sample.
    pub inputs: Vec<Parameter>,
    /// A record of named outputs; anything else is the checker's to refuse.
    pub outputs: Type,
    /// It has a result.
    pub body: Block,
}

/// `schedule NAME(settings) (t) = expr`, or with a block.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleDecl {
    /// The schedule.
    pub name: Name,
    /// Statics.
    pub settings: Vec<Parameter>,
    /// What has run so far.
    pub time: Name,
    /// It has a result.
    pub body: Block,
}

/// `optimizer NAME(settings) (w, g) { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerDecl {
    /// The optimizer.
    pub name: Name,
    /// Statics and rates.
    pub settings: Vec<Parameter>,
    /// What is updated.
    pub weight: Name,
    /// Its gradient.
    pub gradient: Name,
    /// It has no result: it primes the weight.
    pub body: Block,
}

/// `train MODEL on DATA { key = value … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainDecl {
    /// Which model.
    pub model: Name,
    /// On which data.
    pub data: Name,
    /// In the order written.
    pub keys: Vec<Key>,
}

/// `tune { key = value … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct TuneDecl {
    /// In the order written.
    pub keys: Vec<Key>,
}

/// `epochs = 20`.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its `///` lines.
    pub doc: Option<String>,
    /// Not checked.
    pub name: Name,
    /// After `=`.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}
