//! `dot`: the contraction of two tensors over named axes. Shared axes that are not contracted are aligned, others are outer.
use super::{Misfit, Op, OpRule, Site, need, unite};
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value, each_index};
use crate::kernel::{Core, ValId};
use crate::lower::{At, Emit};
use crate::types::{Axes, AxisId, DType, Dim, Type};

/// Σ over `axes` of `x * y`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dot {
    /// Contracted; both operands have them. Sorted, at least one.
    pub axes: Vec<AxisId>,
}

impl Dot {
    /// A contraction over these axes.
    pub fn new(axes: &[AxisId]) -> Dot {
        let mut axes = axes.to_vec();
        axes.sort();
        Dot { axes }
    }
}

impl OpRule for Dot {
    fn name(&self) -> &'static str {
        "dot"
    }
    fn settings(&self, axes: &Axes) -> String {
        self.axes.iter().map(|a| axes.name(*a)).collect::<Vec<_>>().join(",")
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        for (i, ty) in args.iter().enumerate() {
            for a in &self.axes {
                need(ty, *a, i, axes)?;
            }
            if ty.dtype != DType::F32 {
                return Err(Misfit::new(i, format!("`dot` takes f32, this is {}", ty.dtype.name())));
            }
        }
        let dims = unite(args, axes)?;
        Ok(Type::new(DType::F32, dims).expect("united axes are distinct").without(&self.axes))
    }
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        // d x = Σ over the axes that only y brought to the result; a plain product if it brought none.
        let cotangent = |x: NodeId, y: NodeId| {
            let (tx, ty) = (b.ty(x), b.ty(y));
            let outer: Vec<AxisId> = ty.dims().iter().map(|d| d.axis).filter(|a| !tx.has(*a)).collect();
            if outer.is_empty() { b.times(dy, y) } else { b.must(Op::Dot(Dot::new(&outer)), &[dy, y]) }
        };
        let (x, y) = (site.args[0], site.args[1]);
        vec![Some(cotangent(x, y)), Some(cotangent(y, x))]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let ty = e.arg_type(0);
        let dims: Vec<Dim> = ty.dims().iter().copied().filter(|d| self.axes.contains(&d.axis)).collect();
        let extents: Vec<usize> = dims.iter().map(|d| d.extent).collect();
        let zero = e.number(0.0);
        e.fold(&extents, Core::Add, zero, &mut |e, index| {
            let inner = dims.iter().zip(index).fold(at.clone(), |at, (d, i)| at.with(d.axis, i.clone()));
            let (x, y) = (e.arg(0, &inner), e.arg(1, &inner));
            e.core(Core::Mul, &[x, y])
        })
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let mut dims: Vec<Dim> = ty.dims().to_vec();
        dims.extend(args[0].ty.dims().iter().filter(|d| self.axes.contains(&d.axis)));
        let all = Type::new(DType::F32, dims).expect("result and contracted axes are distinct");
        let mut out = Value { ty: ty.clone(), data: vec![0.0; ty.len()] };
        each_index(&all, |index| {
            let position = ty.position(|axis| all.along(index, axis));
            out.data[position] += args[0].at(&all, index) * args[1].at(&all, index);
        });
        out
    }
    fn cost(&self) -> usize {
        1000
    }
    fn folds(&self) -> bool {
        true
    }
    fn reduces(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.axes.contains(&axis)
    }
    fn contracts(&self) -> bool {
        true
    }
}
