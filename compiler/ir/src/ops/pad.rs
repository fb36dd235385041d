//! Ops that move elements along one axis: slice, pad, flip, concat.
use super::{Misfit, Op, OpRule, Site, need, unite};
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value, from_bits};
use crate::kernel::{Affine, Core, ValId};
use crate::lower::{At, Emit};
use crate::types::{Axes, AxisId, Type};

/// `y[i] = x[start + step * i]`, `i < len`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slice {
    /// Along which axis.
    pub axis: AxisId,
    /// First element.
    pub start: usize,
    /// At least 1.
    pub step: usize,
    /// At least 1.
    pub len: usize,
}

/// `y[low + (gap + 1) * i] = x[i]`, and `fill` elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pad {
    /// Along which axis.
    pub axis: AxisId,
    /// Cells before.
    pub low: usize,
    /// Cells after.
    pub high: usize,
    /// Cells between neighbours.
    pub gap: usize,
    /// Bits of what they hold.
    pub fill: u32,
}

/// `y[i] = x[extent - 1 - i]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flip {
    /// Along which axis.
    pub axis: AxisId,
}

/// Operands one after the other along an axis that all have; other axes unite.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Concat {
    /// Along which axis.
    pub axis: AxisId,
}

impl Slice {
    /// Elements `start .. start + len`.
    pub fn range(axis: AxisId, start: usize, len: usize) -> Slice {
        Slice { axis, start, step: 1, len }
    }
}

impl OpRule for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }
    fn settings(&self, axes: &Axes) -> String {
        let step = if self.step == 1 { String::new() } else { format!(" step {}", self.step) };
        format!("{}={}+{}{step}", axes.name(self.axis), self.start, self.len)
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        let extent = need(args[0], self.axis, 0, axes)?;
        let (name, end) = (axes.name(self.axis), self.start + (self.len.max(1) - 1) * self.step + 1);
        if self.len == 0 || end > extent {
            let reason = format!("`{name}` is {extent}; {} .. {end} does not lie within it", self.start);
            return Err(Misfit::new(0, reason));
        }
        Ok(args[0].resized(self.axis, self.len))
    }
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        let extent = b.ty(site.args[0]).extent(self.axis).expect("checked by infer");
        let covered = self.start + (self.len - 1) * self.step + 1;
        let pad =
            Pad { axis: self.axis, low: self.start, high: extent - covered, gap: self.step - 1, fill: 0 };
        vec![Some(b.must(Op::Pad(pad), &[dy]))]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let index = at.along(self.axis).times(self.step as i64).plus(&Affine::constant(self.start as i64));
        e.arg(0, &at.with(self.axis, index))
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        Value::build(ty, |index| {
            let i = self.start + self.step * ty.along(index, self.axis);
            args[0].at_with(ty, index, (self.axis, i))
        })
    }
    fn moves(&self) -> bool {
        true
    }
    fn strided(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.axis == axis
    }
}

impl Pad {
    /// Cells before and after, none between.
    pub fn around(axis: AxisId, low: usize, high: usize, fill: u32) -> Pad {
        Pad { axis, low, high, gap: 0, fill }
    }
}

impl OpRule for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }
    fn settings(&self, axes: &Axes) -> String {
        let gap = if self.gap == 0 { String::new() } else { format!(" gap {}", self.gap) };
        let fill =
            if self.fill == 0 { String::new() } else { format!(" fill {:?}", f32::from_bits(self.fill)) };
        format!("{}={}+{}{gap}{fill}", axes.name(self.axis), self.low, self.high)
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        let extent = need(args[0], self.axis, 0, axes)?;
        Ok(args[0].resized(self.axis, self.low + (extent - 1) * (self.gap + 1) + 1 + self.high))
    }
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        let len = b.ty(site.args[0]).extent(self.axis).expect("checked by infer");
        let slice = Slice { axis: self.axis, start: self.low, step: self.gap + 1, len };
        vec![Some(b.must(Op::Slice(slice), &[dy]))]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let ty = e.arg_type(0);
        let extent = ty.extent(self.axis).expect("checked by infer");
        let shifted = at.along(self.axis).plus(&Affine::constant(-(self.low as i64)));
        let step = self.gap as i64 + 1;
        let on = (step > 1).then(|| {
            let off = e.remainder(&shifted, step);
            let (off, zero) = (e.value(&off), e.int(0));
            e.core(Core::Equal, &[off, zero])
        });
        let index = e.divide(&shifted, step);
        let inside = e.inside(&index, extent);
        let inside = e.both(inside, on);
        let index = e.clamp(&index, extent);
        let value = e.arg(0, &at.with(self.axis, index));
        let Some(inside) = inside else { return value };
        let fill = e.constant(ty.dtype, self.fill);
        e.core(Core::Select, &[inside, value, fill])
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let extent = args[0].ty.extent(self.axis).expect("checked by infer");
        let step = self.gap + 1;
        Value::build(ty, |index| match ty.along(index, self.axis).checked_sub(self.low) {
            Some(i) if i % step == 0 && i / step < extent => {
                args[0].at_with(ty, index, (self.axis, i / step))
            }
            _ => from_bits(self.fill, ty.dtype),
        })
    }
    fn moves(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.axis == axis
    }
}

impl OpRule for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }
    fn settings(&self, axes: &Axes) -> String {
        axes.name(self.axis).to_string()
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        need(args[0], self.axis, 0, axes)?;
        Ok(args[0].clone())
    }
    fn vjp(&self, b: &Builder, _: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        vec![Some(b.must(Op::Flip(*self), &[dy]))]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let last = e.arg_type(0).extent(self.axis).expect("checked by infer") as i64 - 1;
        let index = at.along(self.axis).times(-1).plus(&Affine::constant(last));
        e.arg(0, &at.with(self.axis, index))
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let last = ty.extent(self.axis).expect("checked by infer") - 1;
        Value::build(ty, |index| {
            let i = last - ty.along(index, self.axis);
            args[0].at_with(ty, index, (self.axis, i))
        })
    }
    fn moves(&self) -> bool {
        true
    }
    fn strided(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.axis == axis
    }
}

impl OpRule for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }
    fn settings(&self, axes: &Axes) -> String {
        axes.name(self.axis).to_string()
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        let mut extent = 0;
        for (i, ty) in args.iter().enumerate() {
            extent += need(ty, self.axis, i, axes)?;
            if ty.dtype != args[0].dtype {
                return Err(Misfit::new(
                    i,
                    format!("is {}, the first is {}", ty.dtype.name(), args[0].dtype.name()),
                ));
            }
        }
        let rest: Vec<Type> = args.iter().map(|t| t.without(&[self.axis])).collect();
        let dims = unite(&rest.iter().collect::<Vec<_>>(), axes)?;
        let ty = Type::new(args[0].dtype, dims).expect("united axes are distinct");
        Ok(ty.resized(self.axis, extent))
    }
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        let mut start = 0;
        let part = |x: &NodeId| {
            let ty = b.ty(*x);
            let len = ty.extent(self.axis).expect("checked by infer");
            let slice = b.must(Op::Slice(Slice::range(self.axis, start, len)), &[dy]);
            start += len;
            Some(b.sum_to(slice, &ty))
        };
        site.args.iter().map(part).collect()
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let index = at.along(self.axis).clone();
        let (low, high) = e.range(&index);
        let (mut start, mut result, mut n) = (0i64, None, 0);
        // The last operand that begins at or before the index; parts out of the index's range are not looked at.
        while let Some(extent) =
            (n < e.args()).then(|| e.arg_type(n).extent(self.axis).expect("checked by infer"))
        {
            let end = start + extent as i64;
            if start <= high && end > low {
                let local = index.plus(&Affine::constant(-start));
                let local = e.clamp(&local, extent);
                let value = e.arg(n, &at.with(self.axis, local));
                result = Some(match result {
                    None => value,
                    Some(before) => {
                        let (i, begin) = (e.value(&index), e.int(start));
                        let earlier = e.core(Core::Less, &[i, begin]);
                        e.core(Core::Select, &[earlier, before, value])
                    }
                });
            }
            start = end;
            n += 1;
        }
        result.expect("the index lies in one of the parts")
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        Value::build(ty, |index| {
            let mut i = ty.along(index, self.axis);
            for a in args {
                let extent = a.ty.extent(self.axis).expect("checked by infer");
                if i < extent {
                    return a.at_with(ty, index, (self.axis, i));
                }
                i -= extent;
            }
            unreachable!("the index lies in one of the parts")
        })
    }
    fn moves(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.axis == axis
    }
}
