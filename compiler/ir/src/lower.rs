//! How an op says what it computes: the value at one position of its result, in terms of its operands' values at
//! positions. Passes decide which values are stored and which are recomputed in place; the rule is the same.
use crate::kernel::{Affine, Core, ValId};
use crate::program::ScalarArg;
use crate::types::{AxisId, DType, Dim, Type};
use std::sync::Arc;

/// A position: an index for each axis of a tensor.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct At(Vec<(AxisId, Affine)>);

impl At {
    /// The index along an axis that the position has.
    pub fn along(&self, axis: AxisId) -> &Affine {
        &self.0.iter().find(|p| p.0 == axis).unwrap_or_else(|| panic!("a position lacks axis {axis:?}")).1
    }

    /// The number of the element among those of `dims`, the first of which is the slowest.
    pub fn position(&self, dims: &[Dim]) -> Affine {
        dims.iter().fold(Affine::default(), |n, d| n.times(d.extent as i64).plus(self.along(d.axis)))
    }

    /// With another index along `axis`, new or not.
    #[must_use]
    pub fn with(&self, axis: AxisId, index: Affine) -> At {
        let mut at = self.without(axis);
        at.0.push((axis, index));
        at
    }

    /// Without an axis.
    #[must_use]
    pub fn without(&self, axis: AxisId) -> At {
        At(self.0.iter().filter(|p| p.0 != axis).cloned().collect())
    }

    /// Only the axes of a type; the position has them all.
    #[must_use]
    pub fn only(&self, ty: &Type) -> At {
        At(ty.dims().iter().map(|d| (d.axis, self.along(d.axis).clone())).collect())
    }

    /// All axes with their indices.
    pub fn iter(&self) -> impl Iterator<Item = &(AxisId, Affine)> {
        self.0.iter()
    }
}

/// What a rule may write while it lowers one value. Indices are affine in i32 values whose ranges the emitter knows.
pub trait Emit {
    /// How many operands the op being lowered has.
    fn args(&self) -> usize;
    /// The type of an operand of the op being lowered.
    fn arg_type(&self, i: usize) -> Type;
    /// The value of operand `i` at a position (which may have more axes than the operand).
    fn arg(&mut self, i: usize, at: &At) -> ValId;
    /// A constant: bits of an f32 or i32, 0 or 1 for bool.
    fn constant(&mut self, dtype: DType, bits: u32) -> ValId;
    /// An instruction.
    fn core(&mut self, core: Core, args: &[ValId]) -> ValId;
    /// A run-time scalar.
    fn scalar(&mut self, arg: ScalarArg) -> ValId;
    /// An index as an i32 value.
    fn value(&mut self, index: &Affine) -> ValId;
    /// An i32 value as an index; it lies in `low ..= high`.
    fn index(&mut self, value: ValId, low: i64, high: i64) -> Affine;
    /// The smallest and largest value of an index.
    fn range(&self, index: &Affine) -> (i64, i64);
    /// `floor(index / by)`, `by` positive; affine where the ranges allow.
    fn divide(&mut self, index: &Affine, by: i64) -> Affine;
    /// `index - by * floor(index / by)`.
    fn remainder(&mut self, index: &Affine, by: i64) -> Affine;
    /// `core` over `body` at every index below `extents`, from `start` on, in order.
    fn fold(
        &mut self,
        extents: &[usize],
        core: Core,
        start: ValId,
        body: &mut dyn FnMut(&mut dyn Emit, &[Affine]) -> ValId,
    ) -> ValId;
    /// An element of constant data.
    fn table(&mut self, data: &Arc<[u32]>, dtype: DType, index: &Affine) -> ValId;
}

/// Shorthands for rules.
impl dyn Emit + '_ {
    /// A float constant.
    pub fn number(&mut self, x: f64) -> ValId {
        self.constant(DType::F32, (x as f32).to_bits())
    }

    /// An integer constant.
    pub fn int(&mut self, x: i64) -> ValId {
        self.constant(DType::I32, x as i32 as u32)
    }

    /// Whether `0 <= index < extent`. `None`: always.
    pub fn inside(&mut self, index: &Affine, extent: usize) -> Option<ValId> {
        let (low, high) = self.range(index);
        let value = self.value(index);
        let above = (low < 0).then(|| {
            let zero = self.int(0);
            self.core(Core::LessEqual, &[zero, value])
        });
        let below = (high >= extent as i64).then(|| {
            let end = self.int(extent as i64);
            self.core(Core::Less, &[value, end])
        });
        self.both(above, below)
    }

    /// Whether `by` divides `index`. `None`: always.
    pub fn divides(&mut self, index: &Affine, by: i64) -> Option<ValId> {
        (by > 1).then(|| {
            let rest = self.remainder(index, by);
            let (rest, zero) = (self.value(&rest), self.int(0));
            self.core(Core::Equal, &[rest, zero])
        })
    }

    /// The conjunction of two conditions that may be absent (true).
    pub fn both(&mut self, a: Option<ValId>, b: Option<ValId>) -> Option<ValId> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.core(Core::And, &[a, b])),
            (a, b) => a.or(b),
        }
    }

    /// `index` cut to `0 .. extent`.
    pub fn clamp(&mut self, index: &Affine, extent: usize) -> Affine {
        let (low, high) = self.range(index);
        let last = extent as i64 - 1;
        if low >= 0 && high <= last {
            return index.clone();
        }
        let (zero, end) = (self.int(0), self.int(last));
        let value = self.value(index);
        let value = if low < 0 { self.core(Core::Max, &[value, zero]) } else { value };
        let value = if high > last { self.core(Core::Min, &[value, end]) } else { value };
        self.index(value, low.clamp(0, last), high.clamp(0, last))
    }
}
