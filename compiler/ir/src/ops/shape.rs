//! Ops that only name axes anew: expand, rename, flatten, unflatten.
use super::{Misfit, Op, OpRule, Site, need};
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value};
use crate::kernel::ValId;
use crate::lower::{At, Emit};
use crate::types::{Axes, AxisId, Dim, Type};

/// Adds an axis along which the value repeats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Expand {
    /// New.
    pub axis: AxisId,
    /// Its extent.
    pub extent: usize,
}

impl OpRule for Expand {
    fn name(&self) -> &'static str {
        "expand"
    }
    fn settings(&self, axes: &Axes) -> String {
        format!("{}={}", axes.name(self.axis), self.extent)
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        let there = || Misfit::new(0, format!("`{}` is there already", axes.name(self.axis)));
        args[0].with(self.axis, self.extent).ok_or_else(there)
    }
    fn vjp(&self, b: &Builder, _: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        vec![Some(b.sum(dy, &[self.axis]))]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        e.arg(0, &at.without(self.axis))
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        Value::build(ty, |index| args[0].at(ty, index))
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

/// Gives axes other names, all at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rename {
    /// Old and new.
    pub pairs: Vec<(AxisId, AxisId)>,
}

impl Rename {
    /// One axis.
    pub fn one(from: AxisId, to: AxisId) -> Rename {
        Rename { pairs: vec![(from, to)] }
    }
    fn renamed(&self, old: AxisId) -> AxisId {
        self.pairs.iter().find(|p| p.0 == old).map_or(old, |p| p.1)
    }
    fn original(&self, new: AxisId) -> AxisId {
        self.pairs.iter().find(|p| p.1 == new).map_or(new, |p| p.0)
    }
}

impl OpRule for Rename {
    fn name(&self) -> &'static str {
        "rename"
    }
    fn settings(&self, axes: &Axes) -> String {
        let pairs: Vec<String> =
            self.pairs.iter().map(|(a, b)| format!("{}->{}", axes.name(*a), axes.name(*b))).collect();
        pairs.join(",")
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        for (from, _) in &self.pairs {
            need(args[0], *from, 0, axes)?;
        }
        let dims =
            args[0].dims().iter().map(|d| Dim { axis: self.renamed(d.axis), extent: d.extent }).collect();
        Type::new(args[0].dtype, dims).ok_or_else(|| {
            let name = axes.name(self.pairs[0].1);
            Misfit::new(0, format!("`{name}` is there already in {}", axes.show(args[0])))
        })
    }
    fn vjp(&self, b: &Builder, _: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        let pairs = self.pairs.iter().map(|(a, b)| (*b, *a)).collect();
        vec![Some(b.must(Op::Rename(Rename { pairs }), &[dy]))]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let inner = at.iter().fold(At::default(), |inner, (a, i)| inner.with(self.original(*a), i.clone()));
        e.arg(0, &inner)
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        // The order of axes may change with the names.
        Value::build(ty, |index| args[0].element(|axis| ty.along(index, self.renamed(axis))))
    }
    fn moves(&self) -> bool {
        true
    }
    fn strided(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.pairs.iter().any(|p| p.0 == axis || p.1 == axis)
    }
}

/// Makes one axis of several; the first is the slowest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flatten {
    /// Slowest first.
    pub axes: Vec<AxisId>,
    /// May be one of them.
    pub into: AxisId,
}

impl OpRule for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }
    fn settings(&self, axes: &Axes) -> String {
        let from: Vec<&str> = self.axes.iter().map(|a| axes.name(*a)).collect();
        format!("({})->{}", from.join(","), axes.name(self.into))
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        let mut extent = 1;
        for (n, a) in self.axes.iter().enumerate() {
            if self.axes[..n].contains(a) {
                return Err(Misfit::new(0, format!("`{}` is named twice", axes.name(*a))));
            }
            extent *= need(args[0], *a, 0, axes)?;
        }
        let there = || Misfit::new(0, format!("`{}` is there already", axes.name(self.into)));
        args[0].without(&self.axes).with(self.into, extent).ok_or_else(there)
    }
    fn vjp(&self, b: &Builder, site: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        let ty = b.ty(site.args[0]);
        let into = self
            .axes
            .iter()
            .map(|a| Dim { axis: *a, extent: ty.extent(*a).expect("checked by infer") })
            .collect();
        vec![Some(b.must(Op::Unflatten(Unflatten { axis: self.into, into }), &[dy]))]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let ty = e.arg_type(0);
        let mut rest = at.along(self.into).clone();
        let mut inner = at.without(self.into);
        for (n, a) in self.axes.iter().enumerate().rev() {
            let extent = ty.extent(*a).expect("checked by infer") as i64;
            let index = if n == 0 { rest.clone() } else { e.remainder(&rest, extent) };
            rest = e.divide(&rest, extent);
            inner = inner.with(*a, index);
        }
        e.arg(0, &inner)
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let extent = |axis: &AxisId| args[0].ty.extent(*axis).expect("checked by infer");
        let part = |whole: usize, axis| {
            let n = self.axes.iter().position(|a| *a == axis)?;
            let faster: usize = self.axes[n + 1..].iter().map(extent).product();
            Some(whole / faster % extent(&axis))
        };
        Value::build(ty, |index| {
            let whole = ty.along(index, self.into);
            args[0].element(|axis| part(whole, axis).unwrap_or_else(|| ty.along(index, axis)))
        })
    }
    fn moves(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.into == axis || self.axes.contains(&axis)
    }
}

/// Makes several axes of one; the first is the slowest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Unflatten {
    /// Taken apart.
    pub axis: AxisId,
    /// Slowest first; may contain `axis`.
    pub into: Vec<Dim>,
}

impl OpRule for Unflatten {
    fn name(&self) -> &'static str {
        "unflatten"
    }
    fn settings(&self, axes: &Axes) -> String {
        let to: Vec<String> =
            self.into.iter().map(|d| format!("{}:{}", axes.name(d.axis), d.extent)).collect();
        format!("{}->({})", axes.name(self.axis), to.join(","))
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        let extent = need(args[0], self.axis, 0, axes)?;
        let product: usize = self.into.iter().map(|d| d.extent).product();
        if extent != product {
            let name = axes.name(self.axis);
            return Err(Misfit::new(0, format!("`{name}` is {extent}, but its parts multiply to {product}")));
        }
        let mut ty = args[0].without(&[self.axis]);
        for d in &self.into {
            let there = || Misfit::new(0, format!("`{}` is there already", axes.name(d.axis)));
            ty = ty.with(d.axis, d.extent).ok_or_else(there)?;
        }
        Ok(ty)
    }
    fn vjp(&self, b: &Builder, _: &Site<'_>, dy: NodeId) -> Vec<Option<NodeId>> {
        let axes = self.into.iter().map(|d| d.axis).collect();
        vec![Some(b.must(Op::Flatten(Flatten { axes, into: self.axis }), &[dy]))]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let index = at.position(&self.into);
        let inner = self.into.iter().fold(at.clone(), |inner, d| inner.without(d.axis));
        e.arg(0, &inner.with(self.axis, index))
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        Value::build(ty, |index| {
            let whole = self.into.iter().fold(0, |sum, d| sum * d.extent + ty.along(index, d.axis));
            args[0].at_with(ty, index, (self.axis, whole))
        })
    }
    fn moves(&self) -> bool {
        true
    }
    fn strided(&self) -> bool {
        true
    }
    fn touches(&self, axis: AxisId) -> bool {
        self.axis == axis || self.into.iter().any(|d| d.axis == axis)
    }
}
