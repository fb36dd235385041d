//! Sliding windows along one axis and their exact adjoint. Convolutions are `dot` of `windows`; pooling reduces them.
use super::{Misfit, Op, OpRule, Site, Slice, need};
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value, each_index};
use crate::kernel::{Affine, Core, ValId};
use crate::lower::{At, Emit};
use crate::types::{Axes, AxisId, Type};

/// `y[axis: i, tap: j] = x[axis: stride * i + dilation * j]`. Padding is a `Pad` before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Windows {
    /// Along which axis.
    pub axis: AxisId,
    /// The new axis of positions in a window.
    pub tap: AxisId,
    /// Taps.
    pub size: usize,
    /// From window to window.
    pub stride: usize,
    /// From tap to tap.
    pub dilation: usize,
}

/// The adjoint: `y[axis: a] = Σ x[axis: i, tap: j]` over `stride * i + dilation * j = a`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fold {
    /// Along which axis.
    pub axis: AxisId,
    /// Removed.
    pub tap: AxisId,
    /// From window to window.
    pub stride: usize,
    /// From tap to tap.
    pub dilation: usize,
    /// The extent of the result: at least what the windows cover.
    pub extent: usize,
}

fn covered(count: usize, taps: usize, stride: usize, dilation: usize) -> usize {
    (count - 1) * stride + (taps - 1) * dilation + 1
}

impl OpRule for Windows {
    fn name(&self) -> &'static str {
        "windows"
    }
    fn settings(&self, axes: &Axes) -> String {
        format!("{}={} stride {} dilation {}", axes.name(self.axis), self.size, self.stride, self.dilation)
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        let extent = need(args[0], self.axis, 0, axes)?;
        let (name, reach) = (axes.name(self.axis), covered(1, self.size, self.stride, self.dilation));
        if reach > extent {
            return Err(Misfit::new(
                0,
                format!("a window of {reach} is wider than `{name}`, which is {extent}"),
            ));
        }
        let count = (extent - reach) / self.stride + 1;
        let there = || Misfit::new(0, format!("`{}` is there already", axes.name(self.tap)));
        args[0].resized(self.axis, count).with(self.tap, self.size).ok_or_else(there)
    }
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        let extent = b.ty(site.args[0]).extent(self.axis).expect("checked by infer");
        let Windows { axis, tap, stride, dilation, .. } = *self;
        vec![Some(b.must(Op::Fold(Fold { axis, tap, stride, dilation, extent }), &[dy]))]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let start = at.along(self.axis).times(self.stride as i64);
        let index = start.plus(&at.along(self.tap).times(self.dilation as i64));
        e.arg(0, &at.without(self.tap).with(self.axis, index))
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        Value::build(ty, |index| {
            let of = |axis| ty.along(index, axis);
            let a = self.stride * of(self.axis) + self.dilation * of(self.tap);
            args[0].at_with(ty, index, (self.axis, a))
        })
    }
    fn moves(&self) -> bool {
        true
    }
    fn strided(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.axis == axis || self.tap == axis
    }
}

impl OpRule for Fold {
    fn name(&self) -> &'static str {
        "fold"
    }
    fn settings(&self, axes: &Axes) -> String {
        let name = axes.name(self.axis);
        format!("{name}={} stride {} dilation {}", self.extent, self.stride, self.dilation)
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        let count = need(args[0], self.axis, 0, axes)?;
        let taps = need(args[0], self.tap, 0, axes)?;
        if self.axis == self.tap {
            return Err(Misfit::new(0, format!("`{}` is named twice", axes.name(self.axis))));
        }
        let least = covered(count, taps, self.stride, self.dilation);
        if least > self.extent {
            let name = axes.name(self.axis);
            return Err(Misfit::new(
                0,
                format!("the windows cover {least} steps of `{name}`, more than {}", self.extent),
            ));
        }
        Ok(args[0].without(&[self.tap]).resized(self.axis, self.extent))
    }
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        let ty = b.ty(site.args[0]);
        let size = ty.extent(self.tap).expect("checked by infer");
        let count = ty.extent(self.axis).expect("checked by infer");
        let Fold { axis, tap, stride, dilation, .. } = *self;
        let windows = b.must(Op::Windows(Windows { axis, tap, size, stride, dilation }), &[dy]);
        // What lies beyond the last window has no part in it.
        let slice = Slice::range(axis, 0, count);
        vec![Some(b.must(Op::Slice(slice), &[windows]))]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let ty = e.arg_type(0);
        let count = ty.extent(self.axis).expect("checked by infer");
        let taps = ty.extent(self.tap).expect("checked by infer");
        let zero = e.number(0.0);
        let (axis, stride, dilation) = (self.axis, self.stride as i64, self.dilation as i64);
        // Of the taps only every `every`-th falls on a place, the `first` one at the earliest, each one window before the last.
        let (every, first, last) = if dilation == 1 {
            (stride, e.remainder(at.along(axis), stride), e.divide(at.along(axis), stride))
        } else {
            (1, Affine::default(), at.along(axis).clone())
        };
        e.fold(&[taps.div_ceil(every as usize)], Core::Add, zero, &mut |e, j| {
            let tap = first.plus(&j[0].times(every));
            let (index, on) = if dilation == 1 {
                (last.plus(&j[0].times(-1)), e.inside(&tap, taps))
            } else {
                let offset = last.plus(&j[0].times(-dilation));
                (e.divide(&offset, stride), e.divides(&offset, stride))
            };
            let inside = e.inside(&index, count);
            let inside = e.both(inside, on);
            let (index, tap) = (e.clamp(&index, count), e.clamp(&tap, taps));
            let value = e.arg(0, &at.with(axis, index).with(self.tap, tap));
            match inside {
                Some(inside) => e.core(Core::Select, &[inside, value, zero]),
                None => value,
            }
        })
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let mut out = Value { ty: ty.clone(), data: vec![0.0; ty.len()] };
        let old = &args[0].ty;
        each_index(old, |index| {
            let of = |axis| old.along(index, axis);
            let a = self.stride * of(self.axis) + self.dilation * of(self.tap);
            let position = ty.position(|axis| if axis == self.axis { a } else { of(axis) });
            out.data[position] += args[0].at(old, index);
        });
        out
    }
    fn cost(&self) -> usize {
        4
    }
    fn folds(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.axis == axis || self.tap == axis
    }
}
