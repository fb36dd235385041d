//! What the data readers are to do: bind fields, enumerate samples, read hyperslabs. Made by `model` from the `data`
//! block, carried out by `runtime/data`. Only hyperslabs are read here; every expression over them is part of a graph.
use crate::host::HostExpr;
use crate::types::DType;
use std::collections::BTreeMap;
use stmc_base::Span;

/// A `from` line.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum SourceSpec {
    /// A path; relative ones are taken from the folder of the `.stm` file.
    File { path: String, span: Span },
    /// The files that fit a pattern. `axes` are the names of the fields' axes: a list of such a name tells where its steps are.
    Files { pattern: String, axes: Vec<String>, span: Span },
    /// A path whose reader and its settings are said: `csv("ecg.csv", header: false)`.
    Reader { format: String, path: String, options: BTreeMap<String, Setting>, span: Span },
    /// A generator of `std.data` with its arguments (all numbers): `storms(size: 32, …)`.
    Generator { name: String, args: BTreeMap<String, f64>, span: Span },
}

impl SourceSpec {
    /// The `from` line's expression.
    pub fn span(&self) -> Span {
        match self {
            SourceSpec::File { span, .. }
            | SourceSpec::Files { span, .. }
            | SourceSpec::Reader { span, .. }
            | SourceSpec::Generator { span, .. } => *span,
        }
    }
}

/// Whether a path is a pattern: `*` stands for any part of a name, `{name}` for one that becomes an axis or a column.
pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '{'])
}

/// A setting of a reader.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum Setting {
    /// `0.5`
    Number(f64),
    /// `false`
    Bool(bool),
    /// `";"`
    Text(String),
}

/// One `data` block, bound.
#[derive(Clone, PartialEq, Debug, Default)]
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
    /// A gap in time: per position of the split axis the first one that is too near before it. Empty: `gap` counts steps.
    pub near: Vec<usize>,
    /// Variables of the predicates, besides positions.
    pub quantities: Vec<Quantity>,
    /// Which samples there are, over the same variables, and sample variables by name. `None`: all.
    pub condition: Option<HostExpr>,
    /// Axes along which training samples are flipped at random, each with probability 1/2.
    pub flips: Vec<String>,
    /// Pairs of axes in whose plane training samples are turned at random by a multiple of 90 degrees.
    pub turns: Vec<(String, String)>,
    /// How classes become equally frequent in training. `None`: they are as they are.
    pub balance: Option<Balance>,
    /// What each `fit` reads; `FieldOrigin::Fit` and the entries `fit0`, `fit1` … number them.
    pub fits: Vec<FitPlan>,
}

/// What a `fit` reads: one position of some axes after the other, each that lies in the train part once.
#[derive(Clone, PartialEq, Debug)]
pub struct FitPlan {
    /// The axes whose joint positions are streamed as the batch of the entry: those of the split that the fields have.
    pub axes: Vec<String>,
    /// What is read at a position; a range with `binder: Some(i)` is moved by it along `axes[i]`. `InputRole::Slab` of the fit's
    /// entry numbers these, not those of the samples.
    pub slabs: Vec<Slab>,
}

/// An array.
#[derive(Clone, PartialEq, Debug)]
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
    /// What is done to the values in the source.
    pub reading: Reading,
    /// The declaration.
    pub span: Span,
}

/// What becomes of a source's values on the way into a field.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// The field is `scale * value + offset`.
    pub scale: f64,
    /// See `scale`.
    pub offset: f64,
    /// A value in the source that stands for a missing one, besides NaN.
    pub missing: Option<f64>,
    /// `f32?`: where nothing is, the field is NaN. Otherwise a missing value is an error.
    pub optional: bool,
    /// The values are names out of this table, and become their numbers.
    pub categories: Option<Vec<String>>,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading { scale: 1.0, offset: 0.0, missing: None, optional: false, categories: None }
    }
}

/// Where a field's values come from.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum FieldOrigin {
    /// A variable of `sources[source]`.
    Source { source: usize, variable: String },
    /// Variables of `sources[source]`, side by side along the field's last axis.
    Columns { source: usize, variables: Vec<String> },
    /// A variable of `sources[source]` with these extents, read at other places: `at` has per axis of the field where it lies, in
    /// steps of the variable. Numbers are linear from step to step; what is no number lies at whole steps.
    Between { source: usize, variable: String, extents: Vec<usize>, at: Vec<Vec<f64>> },
    /// The result of `fit` number `fit` over the train part; kept in the checkpoint.
    Fit { fit: usize },
    /// Known from the coordinates of its axis: `coord(lat)`, `month(time)`.
    Values(Vec<f64>),
    /// Patches of `field`, whose first axis is that of the fields `at`: there, along each of `cuts` (an axis of `field` and
    /// its coordinates), the patch lies around the step nearest to the value of the field of the same number in `at`. It is
    /// missing outside of `field`.
    Around { field: usize, at: Vec<usize>, cuts: Vec<(String, Vec<f64>)> },
}

impl FieldOrigin {
    /// Whether it is what a source holds, and not made of other fields.
    pub fn is_read(&self) -> bool {
        matches!(self, FieldOrigin::Source { .. } | FieldOrigin::Columns { .. } | FieldOrigin::Between { .. })
    }
}

/// `t in time`, `i in row step 32`: positions `start, start + step, … < stop` along an axis.
#[derive(Clone, PartialEq, Debug)]
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
#[derive(Clone, PartialEq, Debug)]
pub struct Slab {
    /// Which field.
    pub field: usize,
    /// One per axis of the field, in its order.
    pub range: Vec<SlabRange>,
}

impl DataPlan {
    /// What a slab is called where a person gives its values: `month(time)`, or `sst[time: t - 1]` beside the sample's own position.
    pub fn slab_name(&self, number: usize) -> String {
        let slab = &self.slabs[number];
        let field = &self.fields[slab.field];
        let beside = |offset: isize| match offset {
            0 => String::new(),
            _ => format!(" {} {}", if offset < 0 { '-' } else { '+' }, offset.unsigned_abs()),
        };
        let place = |((axis, _), range): (&(String, usize), &SlabRange)| {
            let at = &self.binders[range.binder?].name;
            let first = format!("{at}{}", beside(range.offset));
            let last = format!("{at}{}", beside(range.offset + range.len as isize));
            match range.keep {
                true => Some(format!("{axis}: {first} .. {last}")),
                false if range.offset == 0 => None,
                false => Some(format!("{axis}: {first}")),
            }
        };
        let places: Vec<String> = field.axes.iter().zip(&slab.range).filter_map(place).collect();
        if places.is_empty() { field.name.clone() } else { format!("{}[{}]", field.name, places.join(", ")) }
    }
}

/// The positions read along one axis of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// A variable of split predicates and sample conditions.
#[derive(Clone, PartialEq, Debug)]
pub struct Quantity {
    /// By which expressions know it.
    pub name: String,
    /// What it is at a position.
    pub kind: QuantityKind,
}

/// What a quantity is at a position.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum QuantityKind {
    /// A number per position of an axis: its coordinate, its month.
    Along { axis: String, values: Vec<f64> },
    /// The value of a field.
    Field(usize),
    /// `shuffled(axis, within: …, together: …)`: the rank in a random order of the axis, divided by the extent. `within` a
    /// field: in an order of its own for each value, so that every value has the same share. `together`: positions with the
    /// same value of that field have the same rank.
    Shuffled { axis: String, within: Option<usize>, together: Option<usize> },
    /// Whether the point lies in one of `count` squares around points, `size` km wide, whose centres are `apart` km apart.
    Squares { latitude: usize, longitude: usize, count: usize, size: f64, apart: f64, seed: u64 },
}

/// How classes become equally frequent in training. An epoch has as many samples of each class as the largest has.
#[derive(Clone, PartialEq, Debug)]
pub struct Balance {
    /// The slab that holds a sample's class: one number.
    pub label: usize,
    /// Between nearest neighbours of a class, new samples are made. `None`: samples are repeated.
    pub smote: Option<Smote>,
    /// The line.
    pub span: Span,
}

/// Chawla et al. 2002: `x + u (x' - x)`, where x' is one of the `neighbours` nearest samples of the class and u ~ U(0, 1).
#[derive(Clone, PartialEq, Debug)]
pub struct Smote {
    /// The slabs that are mixed, and that tell which samples are near.
    pub slabs: Vec<usize>,
    /// How many neighbours.
    pub neighbours: usize,
}

/// A part of the split.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// `train`, `valid`, `test`.
    pub name: String,
    /// Over the quantities of the plan, and else over variables named by axis (the position) and `shuffled(axis)`: the
    /// position's rank, divided by the extent, in a random order of the axis drawn from the seed.
    pub predicate: HostExpr,
    /// The entry.
    pub span: Span,
}
