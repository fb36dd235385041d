//! `reduce`: sum, maximum or minimum over axes.
use super::{Misfit, Op, OpRule, Scalar, Site, need};
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value, each_index};
use crate::kernel::{Core, ValId};
use crate::lower::{At, Emit};
use crate::types::{Axes, AxisId, DType, Dim, Type};

/// How elements are combined.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reduction {
    /// Added; f32 or i32.
    Sum,
    /// The largest; ties share the gradient equally.
    Max,
    /// The smallest; ties share the gradient equally.
    Min,
    /// The largest; the first of equals, row-major over `axes` as written, has the gradient. Pooling.
    FirstMax,
}

/// Removes axes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reduce {
    /// How.
    pub kind: Reduction,
    /// Which: at least one, none twice. Sorted, but for `FirstMax`, where the order says which of equals is first.
    pub axes: Vec<AxisId>,
}

impl Reduce {
    /// A reduction over these axes.
    pub fn new(kind: Reduction, axes: &[AxisId]) -> Reduce {
        let mut axes = axes.to_vec();
        if kind != Reduction::FirstMax {
            axes.sort();
        }
        Reduce { kind, axes }
    }

    /// The instruction and the value it starts from.
    fn core(&self, dtype: DType) -> (Core, u32) {
        let (least, most) = match dtype {
            DType::I32 => (i32::MIN as u32, i32::MAX as u32),
            _ => (f32::NEG_INFINITY.to_bits(), f32::INFINITY.to_bits()),
        };
        match self.kind {
            Reduction::Sum => (Core::Add, 0),
            Reduction::Max | Reduction::FirstMax => (Core::Max, least),
            Reduction::Min => (Core::Min, most),
        }
    }
}

impl OpRule for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            Reduction::Sum => "sum",
            Reduction::Max => "max_over",
            Reduction::Min => "min_over",
            Reduction::FirstMax => "first_max_over",
        }
    }
    fn settings(&self, axes: &Axes) -> String {
        self.axes.iter().map(|a| axes.name(*a)).collect::<Vec<_>>().join(",")
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        for a in &self.axes {
            need(args[0], *a, 0, axes)?;
        }
        if args[0].dtype == DType::Bool {
            return Err(Misfit::new(0, "reductions take numbers; `i32(x)` makes 0 and 1"));
        }
        Ok(args[0].without(&self.axes))
    }
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        let x = site.args[0];
        let ty = b.ty(x);
        if ty.dtype != DType::F32 {
            return vec![None];
        }
        let zero = b.number(0.0);
        let wide = b.expand_to(dy, &ty);
        let dx = match self.kind {
            Reduction::Sum => wide,
            Reduction::Max | Reduction::Min => {
                let hit = b.scalar(Scalar::Equal, &[x, site.out]);
                let one = b.scalar(Scalar::Where, &[hit, b.number(1.0), zero]);
                let count = b.sum(one, &self.axes);
                b.scalar(Scalar::Where, &[hit, b.expand_to(b.over(dy, count), &ty), zero])
            }
            Reduction::FirstMax => {
                // The place of each element in the reduced box, row-major; the first place that holds the maximum.
                let mut place = b.fill(0.0, &Type::scalar(DType::I32));
                for a in &self.axes {
                    let extent = ty.extent(*a).expect("checked by infer");
                    let scaled = b.times(place, b.fill(extent as f64, &Type::scalar(DType::I32)));
                    place = b.plus(scaled, b.must(Op::Index { axis: *a, extent }, &[]));
                }
                let hit = b.scalar(Scalar::Equal, &[x, site.out]);
                let far = b.fill(f64::from(i32::MAX), &Type::scalar(DType::I32));
                let found = b.scalar(Scalar::Where, &[hit, place, far]);
                let first = b.must(Op::Reduce(Reduce::new(Reduction::Min, &self.axes)), &[found]);
                b.scalar(Scalar::Where, &[b.scalar(Scalar::Equal, &[place, first]), wide, zero])
            }
        };
        vec![Some(dx)]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let ty = e.arg_type(0);
        let (core, start) = self.core(ty.dtype);
        let start = e.constant(ty.dtype, start);
        // In the order of the type: that is how stored operands lie, as far as anyone knows here.
        let dims: Vec<Dim> = ty.dims().iter().copied().filter(|d| self.axes.contains(&d.axis)).collect();
        let extents: Vec<usize> = dims.iter().map(|d| d.extent).collect();
        e.fold(&extents, core, start, &mut |e, index| {
            let inner = dims.iter().zip(index).fold(at.clone(), |at, (d, i)| at.with(d.axis, i.clone()));
            e.arg(0, &inner)
        })
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let start = match self.kind {
            Reduction::Sum => 0.0,
            Reduction::Max | Reduction::FirstMax => f64::NEG_INFINITY,
            Reduction::Min => f64::INFINITY,
        };
        let mut out = Value { ty: ty.clone(), data: vec![start; ty.len()] };
        let old = &args[0].ty;
        let mut n = 0;
        each_index(old, |index| {
            let position = ty.position(|axis| old.along(index, axis));
            let (cell, x) = (&mut out.data[position], args[0].data[n]);
            n += 1;
            *cell = match self.kind {
                Reduction::Sum => *cell + x,
                // As the kernels do: the one at hand if either is NaN.
                Reduction::Max | Reduction::FirstMax if *cell > x => *cell,
                Reduction::Min if *cell < x => *cell,
                Reduction::Max | Reduction::FirstMax | Reduction::Min => x,
            };
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
}
