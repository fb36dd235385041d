//! The tree of one `.stm` file, as its author wrote it: nothing is resolved, no name has a meaning yet.
//!
//! Every node carries the span of its whole text. Parentheses around one expression leave no node, but the
//! expression's span then includes them. Comments are gone; doc comments stay on what they document.
//! The parser bounds the depth of the tree, so a recursive walk over it never runs out of stack.
use std::sync::Arc;
use stmc_base::Span;

/// A whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The `//!` lines, joined by newlines. `None`: there are none.
    pub doc: Option<String>,
    /// In the order written.
    pub items: Vec<Item>,
    /// The whole text.
    pub span: Span,
}

// ---------------------------------------------------------------- names

/// A word and where it stands. As an argument label it may be any word, reserved ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Without the prime, where it had one.
    pub text: Arc<str>,
    /// The word, and the prime where it had one.
    pub span: Span,
}

/// A string literal, its escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What stands between the quotes.
    pub value: Arc<str>,
    /// With the quotes.
    pub span: Span,
}

/// An axis where the grammar expects one: a label in brackets or arguments, a dimension of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisRef {
    /// Which form.
    pub kind: AxisRefKind,
    /// All of it.
    pub span: Span,
}

/// The forms of an axis reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AxisRefKind {
    /// `lat`, an axis or an alias; as an argument label also any parameter's name.
    Word(Name),
    /// `tap(row)`, `taps(over)`, `taps(row, col)`: the word `tap` or `taps`, and what stands in the parentheses.
    Taps(Name, Vec<Name>),
    /// `over.0`: one axis of an alias.
    Position(Name, u32),
}

impl AxisRef {
    /// The plain word. `None`: it is another form.
    pub fn word(&self) -> Option<&Name> {
        match &self.kind {
            AxisRefKind::Word(name) => Some(name),
            _ => None,
        }
    }
}

// ---------------------------------------------------------------- expressions

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

/// An infix operator; the pipe is no operator but `ExprKind::Pipe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `in`
    In,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `^`
    Pow,
}

impl BinaryOp {
    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::In => "in",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Pow => "^",
        }
    }

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

// ---------------------------------------------------------------- types

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// Which.
    pub kind: TypeKind,
    /// All of it.
    pub span: Span,
}

/// The kinds of type.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `f32?[batch, channel: 16]`, `[lat, lon]`, `i32`. A bare `bool` is this too: as a setting it is a static bool.
    Tensor {
        /// `None`: not said, a shape alone.
        dtype: Option<DType>,
        /// `?`: values may be missing.
        missing: bool,
        /// `None`: not said; `[]` is there and empty.
        shape: Option<Vec<Dim>>,
    },
    /// `[int]`
    List(Box<Type>),
    /// `{ h: [channel], c: [channel] }`
    Record(Vec<RecordField>),
    /// `each(int)`: one value, or a record of them by axis.
    Each(Box<Type>),
    /// `int`, `axis`, …
    Static(StaticType),
}

/// One field of a record type.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordField {
    /// Its `///` lines.
    pub doc: Option<String>,
    /// Before the colon.
    pub name: Name,
    /// After it.
    pub ty: Type,
    /// All of it.
    pub span: Span,
}

/// One dimension of a shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Dim {
    /// An axis, an alias, or taps.
    pub axis: AxisRef,
    /// After the colon.
    pub extent: Extent,
    /// All of it.
    pub span: Span,
}

/// The extent of a dimension.
#[derive(Clone, Debug, PartialEq)]
pub enum Extent {
    /// `lat`: one extent for this name over the whole signature.
    Bare,
    /// `lat: _`: any, whatever it is elsewhere.
    Any,
    /// `lat: 180`
    Expr(Expr),
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// As it is written.
            pub fn text(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }

            /// The one that is written so. `None`: there is none.
            pub fn find(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|w| w.text() == text)
            }
        }
    };
}

words! {
    /// What a tensor's elements are.
    DType {
        /// 32-bit float.
        F32 = "f32",
        /// 16-bit float, IEEE.
        F16 = "f16",
        /// 16-bit float with f32's exponent.
        Bf16 = "bf16",
        /// 32-bit signed integer.
        I32 = "i32",
        /// Byte.
        U8 = "u8",
        /// Truth value.
        Bool = "bool",
        /// A name out of a table that belongs to the data.
        Category = "category",
    }
}

words! {
    /// What a static is.
    StaticType {
        /// A whole number.
        Int = "int",
        /// A real number.
        Float = "float",
        /// Text.
        String = "string",
        /// One axis.
        Axis = "axis",
        /// A set of axes: one, a tuple, an alias.
        Axes = "axes",
        /// `10 epochs`, `20%`.
        Duration = "duration",
        /// `2001-01-15`.
        Date = "date",
        /// A layer, applied or to be applied.
        Layer = "layer",
        /// A function.
        Fn = "fn",
        /// A record.
        Record = "record",
        /// A number or a schedule.
        Rate = "rate",
        /// A value that is logged during training: `valid.loss`.
        Series = "series",
    }
}

/// A parameter of a declaration: `over: axes = space`, `mask: string = "none" in ["none", "causal"]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its `///` lines.
    pub doc: Option<String>,
    /// Before the colon.
    pub name: Name,
    /// `None`: not said.
    pub ty: Option<Type>,
    /// `None`: it must be given.
    pub default: Option<Expr>,
    /// What it may be. `None`: anything of its type.
    pub domain: Option<Expr>,
    /// All of it.
    pub span: Span,
}

// ---------------------------------------------------------------- statements

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

// ---------------------------------------------------------------- items

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

// ---------------------------------------------------------------- data

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
