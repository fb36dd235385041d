//! Periodic axes: whose ends are neighbours, and what the neighbours of an end are.
//!
//! It is a property of the values of this crate alone: the graph knows no periodic axes. An axis stays periodic as long as
//! all of it is there, so an op keeps it where it keeps its extent.
use crate::elab::{Elab, Eval};
use crate::value::Tensor;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::ops::{Concat, Pad, Scalar, Slice};
use stmc_ir::{AxisId, Op, Type};

/// A set of periodic axes: its number in `RingSets`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Rings(u32);

/// All sets of periodic axes that some tensor has, each once. The first is empty.
#[derive(Default)]
pub(crate) struct RingSets(Vec<Vec<AxisId>>);

impl RingSets {
    fn axes(&self, rings: Rings) -> &[AxisId] {
        match rings {
            Rings(0) => &[],
            Rings(n) => &self.0[n as usize - 1],
        }
    }

    fn set(&mut self, mut axes: Vec<AxisId>) -> Rings {
        axes.sort();
        axes.dedup();
        if axes.is_empty() {
            return Rings::default();
        }
        let known = self.0.iter().position(|s| *s == axes).unwrap_or_else(|| {
            self.0.push(axes);
            self.0.len() - 1
        });
        Rings(known as u32 + 1)
    }
}

impl<'a> Elab<'a> {
    /// The periodic axes of a tensor.
    pub(crate) fn rings(&self, x: Tensor) -> &[AxisId] {
        self.ring_sets.axes(x.rings)
    }

    /// Whether an axis of a tensor is periodic.
    pub(crate) fn is_ring(&self, x: Tensor, axis: AxisId) -> bool {
        self.rings(x).contains(&axis)
    }

    /// The tensor with these axes periodic, as far as it has them.
    pub(crate) fn with_rings(&mut self, x: Tensor, axes: impl IntoIterator<Item = AxisId>) -> Tensor {
        let ty = self.ty(x);
        let axes = axes.into_iter().filter(|a| ty.has(*a)).collect();
        Tensor { rings: self.ring_sets.set(axes), ..x }
    }

    /// The tensor with one more periodic axis.
    pub(crate) fn with_ring(&mut self, x: Tensor, axis: AxisId) -> Tensor {
        let axes: Vec<AxisId> = self.rings(x).iter().copied().chain([axis]).collect();
        self.with_rings(x, axes)
    }

    /// The axes of a type that the file declares periodic.
    pub(crate) fn declared_rings(&mut self, ty: &Type) -> Rings {
        let axes = ty.dims().iter().map(|d| d.axis).filter(|a| self.is_declared_periodic(*a)).collect();
        self.ring_sets.set(axes)
    }

    /// `axis lon periodic`
    pub(crate) fn is_declared_periodic(&self, axis: AxisId) -> bool {
        let axes = self.axes.borrow();
        let axis = axes.get(axis);
        axis.owner.is_empty() && self.resolved.axes.get(&*axis.name).is_some_and(|a| a.periodic.is_some())
    }

    /// The result of an op: an axis stays periodic where it keeps its extent, under its new name if it has one.
    pub(crate) fn keep_rings(&mut self, result: Tensor, op: &Op, args: &[Tensor]) -> Tensor {
        let ty = self.ty(result);
        let mut kept = vec![];
        for (n, arg) in args.iter().enumerate() {
            let before = self.ty(*arg);
            for &axis in self.rings(*arg) {
                let now = match op {
                    Op::Rename(r) => {
                        r.pairs.iter().find(|(old, _)| *old == axis).map_or(axis, |(_, new)| *new)
                    }
                    // The axis that is looked up goes, though the index may have another of that name.
                    Op::Gather(g) if n == 0 && g.axis == axis => continue,
                    _ => axis,
                };
                if ty.extent(now).is_some() && ty.extent(now) == before.extent(axis) {
                    kept.push(now);
                }
            }
        }
        self.with_rings(result, kept)
    }

    /// `low` cells before the first and `high` after the last, taken from the other end.
    pub(crate) fn wrapped(
        &mut self,
        x: Tensor,
        axis: AxisId,
        (low, high): (usize, usize),
        span: Span,
    ) -> Eval<Tensor> {
        let extent = self.extent(x, axis, span)?;
        if low.max(high) > extent {
            let name = self.axis_name(axis);
            let message = format!("once around `{name}` is {extent} steps, {} are asked for", low.max(high));
            return Err(self.fail(Code::E0208, span, message));
        }
        let mut parts = vec![];
        for (start, len) in [(extent - low, low), (0, extent), (0, high)] {
            match len {
                0 => {}
                len if len == extent => parts.push(x),
                len => parts.push(self.emit(Op::Slice(Slice::range(axis, start, len)), &[x], span)?),
            }
        }
        match parts.as_slice() {
            [one] => Ok(*one),
            _ => self.emit(Op::Concat(Concat { axis }), &parts, span),
        }
    }

    /// The adjoint of `wrapped`: of `len` steps after the first `low` ones, to which what lies before and after is added at the
    /// other end.
    pub(crate) fn wound(
        &mut self,
        x: Tensor,
        axis: AxisId,
        (low, len): (usize, usize),
        span: Span,
    ) -> Eval<Tensor> {
        let high = self.extent(x, axis, span)? - low - len;
        if low.max(high) > len {
            let name = self.axis_name(axis);
            let message = format!("a window goes around `{name}` more than once, it has {len} steps");
            return Err(self.fail(Code::E0206, span, message));
        }
        let part =
            |elab: &mut Self, start, len| elab.emit(Op::Slice(Slice::range(axis, start, len)), &[x], span);
        let mut sum = part(self, low, len)?;
        for (start, margin, before) in [(0, low, len - low), (low + len, high, 0)] {
            if margin > 0 {
                let beyond = part(self, start, margin)?;
                let pad = Pad { axis, low: before, high: len - margin - before, gap: 0, fill: 0 };
                let moved = self.emit(Op::Pad(pad), &[beyond], span)?;
                sum = self.scalar(Scalar::Add, &[sum, moved], span)?;
            }
        }
        Ok(self.with_ring(sum, axis))
    }

    /// Neighbours across the ends are wanted of a part of a periodic axis.
    pub(crate) fn must_be_whole(&mut self, x: Tensor, axis: AxisId, span: Span) -> Eval<()> {
        if self.is_ring(x, axis) || !self.is_declared_periodic(axis) {
            return Ok(());
        }
        let (name, here) = (self.axis_name(axis), self.extent(x, axis, span)?);
        let fields = self.data.iter().flat_map(|d| &d.plan.fields).flat_map(|f| &f.axes);
        let whole = fields.filter(|(n, _)| *n == name).map(|(_, extent)| *extent).max();
        let part = match whole.filter(|n| *n > here) {
            Some(whole) => format!("{here} of {whole} steps"),
            None => "a part of the axis".into(),
        };
        let message = format!("`{name}` here is {part}: its ends are no neighbours");
        let diagnostic = Diagnostic::new(Code::E0703, span, message);
        Err(self.error(
            diagnostic.help("`mode: \"zero\"`, `\"reflect\"` or `\"replicate\"`; or take the whole axis"),
        ))
    }
}
