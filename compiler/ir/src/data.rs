//! What the data readers are to do: bind fields, enumerate samples, read hyperslabs. Made by `model` from the `data`
//! block, carried out by `runtime/data`. Only hyperslabs are read here; every expression over them is part of a graph.
use crate::host::HostExpr;
use crate::types::DType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stmc_base::Span;

/// A `from` line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum SourceSpec {
    /// A path or pattern; relative ones are taken from the folder of the `.stm` file.
    File { path: String, span: Span },
    /// A generator of `std.data` with its arguments (all numbers): `storms(size: 32, …)`.
    Generator { name: String, args: BTreeMap<String, f64>, span: Span },
}

/// One `data` block, bound.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct DataPlan {
    /// The block's name.
    pub name: String,
    /// In the order of the `from` lines.
    pub sources: Vec<SourceSpec>,
    /// Read from the sources, or made by `fit`.
    pub fields: Vec<Field>,
    /// Sample variables; a sample is one position of each.
    pub binders: Vec<Binder>,
    /// What is read for a sample, each once.
    pub slabs: Vec<Slab>,
    /// Parts in order. A position belongs to the first part whose predicate holds there, a sample to a part if every
    /// position of its footprint does: so parts share no position, whatever their order.
    pub split: Vec<Part>,
    /// Steps (of the split axis) that must lie between two parts.
    pub gap: usize,
    /// Axes along which training samples are flipped at random, each with probability 1/2.
    pub flips: Vec<String>,
    /// What each `fit` reads; `FieldOrigin::Fit` and the entries `fit0`, `fit1` … number them.
    pub fits: Vec<FitPlan>,
}

/// What a `fit` reads: one position of an axis after the other, each that lies in the train part once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FitPlan {
    /// The axis whose positions are streamed as the batch of the entry: the axis of the split.
    pub axis: String,
    /// What is read at a position; a range with `binder: Some(0)` is moved by it. `InputRole::Slab` of the fit's
    /// entry numbers these, not those of the samples.
    pub slabs: Vec<Slab>,
}

/// An array.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Field {
    /// As declared.
    pub name: String,
    /// Where its values come from.
    pub origin: FieldOrigin,
    /// Its type.
    pub dtype: DType,
    /// Names and extents, slowest first (the order on disk).
    pub axes: Vec<(String, usize)>,
    /// For labels of reports. `None`: not said.
    pub unit: Option<String>,
    /// The declaration.
    pub span: Span,
}

/// Where a field's values come from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum FieldOrigin {
    /// A variable of `sources[source]`.
    Source { source: usize, variable: String },
    /// The result of `fit` number `fit` over the train part; kept in the checkpoint.
    Fit { fit: usize },
}

/// `t in time`, `i in row step 32`: positions `start, start + step, … < stop` along an axis.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Binder {
    /// The sample variable.
    pub name: String,
    /// Its axis.
    pub axis: String,
    /// First position.
    pub start: usize,
    /// One past the last. Positions whose slabs would leave the data are not enumerated.
    pub stop: usize,
    /// Distance of positions.
    pub step: usize,
}

/// A hyperslab of a field, read for every sample (or once, if no binder moves it).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Slab {
    /// Which field.
    pub field: usize,
    /// One per axis of the field, in its order.
    pub range: Vec<SlabRange>,
}

/// The positions read along one axis of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlabRange {
    /// The sample variable that moves it. `None`: fixed.
    pub binder: Option<usize>,
    /// First position, relative to the binder's.
    pub offset: isize,
    /// How many.
    pub len: usize,
    /// Whether the axis stays; if not, `len` is 1.
    pub keep: bool,
}

impl Slab {
    /// Whether a sample variable moves it. If not, one reading serves all samples, and it has no batch axis.
    pub fn is_moved(&self) -> bool {
        self.range.iter().any(|r| r.binder.is_some())
    }

    /// Extents of the axes that stay.
    pub fn shape(&self) -> Vec<usize> {
        self.range.iter().filter(|r| r.keep).map(|r| r.len).collect()
    }
}

/// A part of the split.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// `train`, `valid`, `test`.
    pub name: String,
    /// Over variables named by axis (`time`: the position, or the coordinate where there is one) and `shuffled(axis)`:
    /// the position's rank, divided by the extent, in a random order of the axis drawn from the seed.
    pub predicate: HostExpr,
    /// The entry.
    pub span: Span,
}
