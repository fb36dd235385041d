//! `x[axis: i]` with an integer tensor `i`. Indices outside are clamped.
use super::{Misfit, Op, OpRule, Rename, Scalar, Scatter, Site, need, unite};
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value};
use crate::kernel::{Core, ValId};
use crate::lower::{At, Emit};
use crate::types::{Axes, AxisId, DType, Type};

/// Operands: `x`, and an i32 `index`. The result has the axes of both, `axis` of `x` excepted; those they share are aligned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Gather {
    /// Looked up; the index may have an axis of that name itself, which is then the result's.
    pub axis: AxisId,
}

impl OpRule for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }
    fn settings(&self, axes: &Axes) -> String {
        axes.name(self.axis).to_string()
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        need(args[0], self.axis, 0, axes)?;
        if args[1].dtype != DType::I32 {
            return Err(Misfit::new(1, format!("an index is i32, this is {}", args[1].dtype.name())));
        }
        let rest = args[0].without(&[self.axis]);
        let dims = unite(&[&rest, args[1]], axes)?;
        Ok(Type::new(args[0].dtype, dims).expect("united axes are distinct"))
    }
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        // d x[p] = Σ dy where the clamped index is p. The looked-up axis gets a name of its own while both are there.
        let ty = b.ty(site.args[0]);
        if ty.dtype != DType::F32 {
            return vec![None, None];
        }
        let extent = ty.extent(self.axis).expect("checked by infer");
        let own = b.axes().borrow_mut().fresh("place");
        let rest = ty.without(&[self.axis]);
        let index = site.args[1];
        let over: Vec<AxisId> = b.ty(index).dims().iter().map(|d| d.axis).filter(|a| !rest.has(*a)).collect();
        let sum = if over.is_empty() {
            // Each element comes from a place of its own: a choice, which fuses with what is around.
            let int = |x: usize| b.fill(x as f64, &Type::scalar(DType::I32));
            let clamped = b.scalar(Scalar::Max, &[b.scalar(Scalar::Min, &[index, int(extent - 1)]), int(0)]);
            let hit = b.scalar(Scalar::Equal, &[clamped, b.must(Op::Index { axis: own, extent }, &[])]);
            let spread = b.scalar(Scalar::Where, &[hit, dy, b.number(0.0)]);
            b.expand_to(spread, &rest.with(own, extent).expect("a fresh axis"))
        } else {
            b.must(Op::Scatter(Scatter { axis: own, extent, over }), &[dy, index])
        };
        vec![Some(b.must(Op::Rename(Rename::one(own, self.axis)), &[sum])), None]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let extent = e.arg_type(0).extent(self.axis).expect("checked by infer");
        let index = e.arg(1, at);
        let (zero, last) = (e.int(0), e.int(extent as i64 - 1));
        let index = e.core(Core::Max, &[index, zero]);
        let index = e.core(Core::Min, &[index, last]);
        let index = e.index(index, 0, extent as i64 - 1);
        e.arg(0, &at.with(self.axis, index))
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let extent = args[0].ty.extent(self.axis).expect("checked by infer");
        Value::build(ty, |index| {
            let i = args[1].at(ty, index).clamp(0.0, extent as f64 - 1.0) as usize;
            args[0].at_with(ty, index, (self.axis, i))
        })
    }
    fn cost(&self) -> usize {
        8
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.axis == axis
    }
}
