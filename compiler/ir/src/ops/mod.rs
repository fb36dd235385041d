//! The op table: identity is the closed `enum Op`, meaning is one `OpRule` per op (type, derivative, lowering,
//! reference value). To add one, take the lowest rung that works: a function in `stdlib/`, a row of `scalar.rs`, a file here.
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value};
use crate::kernel::ValId;
use crate::lower::{At, Emit};
use crate::module::ScalarId;
use crate::types::{Axes, AxisId, DType, Dim, Type};
use std::sync::Arc;

pub mod dot;
pub mod gather;
pub mod leaf;
pub mod pad;
pub mod random;
pub mod reduce;
mod rounding;
pub mod scalar;
pub mod scan;
pub mod scatter;
pub mod shape;
pub mod windows;

pub use dot::Dot;
pub use gather::Gather;
pub use pad::{Concat, Flip, Pad, Slice};
pub use random::Random;
pub use reduce::{Reduce, Reduction};
pub use scalar::{Cast, Scalar};
pub use scan::{Scan, ScanResult};
pub use scatter::Scatter;
pub use shape::{Expand, Flatten, Rename, Unflatten};
pub use windows::{Fold, Windows};

/// Identity of an op: closed, hashable, printable, matchable.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // each is documented where its rule stands
pub enum Op {
    /// Given from outside; numbered per graph.
    Input {
        index: u32,
        ty: Type,
    },
    /// The same number everywhere (bits of an f64).
    Fill {
        bits: u64,
        ty: Type,
    },
    /// Known numbers: four bytes each, row-major over the type's sorted axes.
    Constant {
        data: Arc<[u32]>,
        ty: Type,
    },
    /// `0, 1, …` along an axis, i32.
    Index {
        axis: AxisId,
        extent: usize,
    },
    /// A run-time scalar, f32.
    Host(ScalarId),
    Random(Random),
    Scalar(Scalar),
    Cast(Cast),
    Expand(Expand),
    Rename(Rename),
    Flatten(Flatten),
    Unflatten(Unflatten),
    Slice(Slice),
    Pad(Pad),
    Flip(Flip),
    Concat(Concat),
    Windows(Windows),
    Fold(Fold),
    Gather(Gather),
    Scatter(Scatter),
    Reduce(Reduce),
    Dot(Dot),
    Scan(Arc<Scan>),
    ScanResult(ScanResult),
}

/// Where a rule is applied.
pub struct Site<'a> {
    /// The operands.
    pub args: &'a [NodeId],
    /// The node itself.
    pub out: NodeId,
}

/// Why operands do not fit an op. The caller knows the span; the rule knows the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Which operand is to blame.
    pub operand: usize,
    /// One sentence, naming axes.
    pub reason: String,
    /// What to write instead. `None`: no sure remedy.
    pub hint: Option<String>,
}

impl Misfit {
    /// A misfit of an operand, without a hint.
    pub fn new(operand: usize, reason: impl Into<String>) -> Misfit {
        Misfit { operand, reason: reason.into(), hint: None }
    }
}

/// Meaning of an op: everything any pass may ask of it.
pub trait OpRule {
    /// For dumps and kernel names.
    fn name(&self) -> &'static str;
    /// Its settings, for dumps: `axis=row low=1`.
    fn settings(&self, _axes: &Axes) -> String {
        String::new()
    }
    /// The result's type, or why the operands do not fit.
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit>;
    /// The cotangent of each operand, given that of the result. `None`: no gradient flows.
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>>;
    /// The value at one position of the result.
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId;
    /// The defining, slow, obviously right evaluation in f64; the oracle for all backends.
    fn eval(&self, args: &[&Value], ty: &Type, context: &Context) -> Value;
    /// Arithmetic per element of the result, in additions: what it costs to compute it again.
    fn cost(&self) -> usize {
        0
    }
    /// Whether it sums products of its operands: what `precision` rounds.
    fn contracts(&self) -> bool {
        false
    }
    /// Whether it only moves elements: every element of the result is an element of an operand or a constant.
    fn moves(&self) -> bool {
        false
    }
    /// Whether an index of the operand is affine in those of the result: then the result lies in the operand's memory,
    /// whatever the order of its axes.
    fn strided(&self) -> bool {
        false
    }
    /// Whether it computes each element from the operands' elements at the same position.
    fn pointwise(&self) -> bool {
        false
    }
    /// Whether it adds elements up, or picks among them, in loops of its own.
    fn folds(&self) -> bool {
        false
    }
    /// Whether it folds all elements along axes that the result lacks: its work grows with the operands.
    fn reduces(&self) -> bool {
        false
    }
    /// Whether it does the same at each step of a further axis that its operands have: then it can be done for all steps
    /// of a loop at once.
    fn lifts(&self) -> bool {
        true
    }
    /// Whether it tells apart the steps of an axis that an operand or the result has.
    fn touches(&self, _axis: AxisId) -> bool {
        true
    }
}

impl Op {
    /// The one dispatch in the compiler.
    pub fn rule(&self) -> &dyn OpRule {
        match self {
            Op::Input { .. } | Op::Fill { .. } | Op::Constant { .. } | Op::Index { .. } | Op::Host(_) => self,
            Op::Random(r) => r,
            Op::Scalar(r) => r,
            Op::Cast(r) => r,
            Op::Expand(r) => r,
            Op::Rename(r) => r,
            Op::Flatten(r) => r,
            Op::Unflatten(r) => r,
            Op::Slice(r) => r,
            Op::Pad(r) => r,
            Op::Flip(r) => r,
            Op::Concat(r) => r,
            Op::Windows(r) => r,
            Op::Fold(r) => r,
            Op::Gather(r) => r,
            Op::Scatter(r) => r,
            Op::Reduce(r) => r,
            Op::Dot(r) => r,
            Op::Scan(r) => &**r,
            Op::ScanResult(r) => r,
        }
    }

    /// `pad axis=row low=1 high=1`.
    pub fn show(&self, axes: &Axes) -> String {
        let (name, settings) = (self.rule().name(), self.rule().settings(axes));
        if settings.is_empty() { name.to_string() } else { format!("{name} {settings}") }
    }
}

/// The axes of operands united by identity: the type of a pointwise result.
pub(crate) fn unite(args: &[&Type], axes: &Axes) -> Result<Vec<Dim>, Misfit> {
    let mut dims: Vec<Dim> = vec![];
    for (i, ty) in args.iter().enumerate() {
        for d in ty.dims() {
            match dims.iter().find(|o| o.axis == d.axis) {
                None => dims.push(*d),
                Some(o) if o.extent == d.extent => {}
                Some(o) => {
                    let name = axes.name(d.axis);
                    let mut misfit =
                        Misfit::new(i, format!("`{name}` is {} here and {} there", o.extent, d.extent));
                    if o.extent == 1 || d.extent == 1 {
                        misfit.reason += "; an extent of 1 does not broadcast";
                        misfit.hint = Some(format!("`squeeze({name})` the one that has a single step"));
                    }
                    return Err(misfit);
                }
            }
        }
    }
    dims.sort();
    Ok(dims)
}

/// An axis that an operand must have; its extent.
pub(crate) fn need(ty: &Type, axis: AxisId, operand: usize, axes: &Axes) -> Result<usize, Misfit> {
    ty.extent(axis).ok_or_else(|| {
        Misfit::new(operand, format!("there is no axis `{}` in {}", axes.name(axis), axes.show(ty)))
    })
}

/// Shorthands to make nodes whose operands are known to fit.
impl Builder {
    /// An input of the graph.
    pub fn input(&self, index: usize, ty: Type) -> NodeId {
        self.must(Op::Input { index: index as u32, ty }, &[])
    }
    /// A number without axes, f32: it broadcasts.
    pub fn number(&self, x: f64) -> NodeId {
        self.fill(x, &Type::scalar(DType::F32))
    }
    /// A number everywhere.
    pub fn fill(&self, x: f64, ty: &Type) -> NodeId {
        self.must(Op::Fill { bits: x.to_bits(), ty: ty.clone() }, &[])
    }
    /// An elementwise op.
    pub fn scalar(&self, op: Scalar, args: &[NodeId]) -> NodeId {
        self.must(Op::Scalar(op), args)
    }
    /// x + y
    pub fn plus(&self, x: NodeId, y: NodeId) -> NodeId {
        self.scalar(Scalar::Add, &[x, y])
    }
    /// x - y
    pub fn minus(&self, x: NodeId, y: NodeId) -> NodeId {
        self.scalar(Scalar::Sub, &[x, y])
    }
    /// x * y
    pub fn times(&self, x: NodeId, y: NodeId) -> NodeId {
        self.scalar(Scalar::Mul, &[x, y])
    }
    /// x / y
    pub fn over(&self, x: NodeId, y: NodeId) -> NodeId {
        self.scalar(Scalar::Div, &[x, y])
    }
    /// -x
    pub fn negated(&self, x: NodeId) -> NodeId {
        self.scalar(Scalar::Neg, &[x])
    }
    /// The sum over these axes, which `x` has; `x` itself if there are none.
    pub fn sum(&self, x: NodeId, axes: &[AxisId]) -> NodeId {
        if axes.is_empty() {
            return x;
        }
        self.must(Op::Reduce(Reduce::new(Reduction::Sum, axes)), &[x])
    }
    /// `x` summed to the axes of `ty`: the adjoint of broadcasting.
    pub(crate) fn sum_to(&self, x: NodeId, ty: &Type) -> NodeId {
        let gone: Vec<AxisId> = self.ty(x).dims().iter().map(|d| d.axis).filter(|a| !ty.has(*a)).collect();
        self.sum(x, &gone)
    }
    /// `x` with every axis of `ty`, repeated along those that it lacks.
    pub fn expand_to(&self, x: NodeId, ty: &Type) -> NodeId {
        let have = self.ty(x);
        ty.dims()
            .iter()
            .filter(|d| !have.has(d.axis))
            .fold(x, |x, d| self.must(Op::Expand(Expand { axis: d.axis, extent: d.extent }), &[x]))
    }
    /// The number that a node is everywhere. `None`: it is not a `Fill`.
    pub fn constant(&self, x: NodeId) -> Option<f64> {
        match self.graph().node(x).op {
            Op::Fill { bits, .. } => Some(f64::from_bits(bits)),
            _ => None,
        }
    }
}
