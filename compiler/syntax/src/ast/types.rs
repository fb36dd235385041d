//! Types, and the parameters that declarations give them to.
use super::{AxisRef, Expr, Name};
use stmc_base::Span;

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
