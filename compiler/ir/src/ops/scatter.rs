//! The adjoint of `gather`: elements are added up where an integer tensor says. Indices outside are clamped.
use super::{Gather, Misfit, Op, OpRule, Site, need};
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value, each_index};
use crate::kernel::ValId;
use crate::lower::{At, Emit};
use crate::types::{Axes, AxisId, DType, Type};

/// `y[axis: p, …] = Σ x[…]` over the positions along `over` whose index is `p`. Operands: `x`, and an i32 `index` with no
/// axes but x's. A kernel of its own computes it: one walk over x, in order, so that its work does not grow with `extent`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scatter {
    /// Made; neither operand has it.
    pub axis: AxisId,
    /// Of it.
    pub extent: usize,
    /// Removed: axes of the index. Sorted.
    pub over: Vec<AxisId>,
}

impl OpRule for Scatter {
    fn name(&self) -> &'static str {
        "scatter"
    }
    fn settings(&self, axes: &Axes) -> String {
        let over: Vec<&str> = self.over.iter().map(|a| axes.name(*a)).collect();
        format!("{}->{}={}", over.join(","), axes.name(self.axis), self.extent)
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        if args[1].dtype != DType::I32 {
            return Err(Misfit::new(1, format!("an index is i32, this is {}", args[1].dtype.name())));
        }
        for d in args[1].dims() {
            if need(args[0], d.axis, 0, axes)? != d.extent {
                return Err(Misfit::new(1, format!("`{}` differs in extent", axes.name(d.axis))));
            }
        }
        for a in &self.over {
            need(args[1], *a, 1, axes)?;
        }
        let there = || Misfit::new(0, format!("`{}` is there already", axes.name(self.axis)));
        args[0].without(&self.over).with(self.axis, self.extent).ok_or_else(there)
    }
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        vec![Some(b.must(Op::Gather(Gather { axis: self.axis }), &[dy, site.args[1]])), None]
    }
    fn lower(&self, _: &mut dyn Emit, _: &At) -> ValId {
        unreachable!("scatters have kernels of their own")
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let mut out = Value { ty: ty.clone(), data: vec![0.0; ty.len()] };
        let (old, strides) = (&args[0].ty, ty.strides());
        each_index(old, |index| {
            let of = |axis| old.dims().iter().position(|d| d.axis == axis).expect("axes pass through");
            let place = ty.dims().iter().zip(&strides).map(|(d, s)| {
                let i = if d.axis == self.axis {
                    args[1].at(old, index).clamp(0.0, self.extent as f64 - 1.0) as usize
                } else {
                    index[of(d.axis)]
                };
                i * s
            });
            out.data[place.sum::<usize>()] += args[0].at(old, index);
        });
        out
    }
    fn cost(&self) -> usize {
        1_000_000
    }
    fn folds(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.axis == axis || self.over.contains(&axis)
    }
}
