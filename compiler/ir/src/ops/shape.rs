//! Ops that only name axes anew: expand, rename, flatten, unflatten.
use super::{Misfit, OpRule, Site, need};
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value};
use crate::kernel::{Affine, ValId};
use crate::lower::{At, Emit};
use crate::ops::Op;
use crate::types::{Axes, AxisId, Dim, Type};
use serde::{Deserialize, Serialize};

/// Adds an axis along which the value repeats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
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
}

/// Gives axes other names, all at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Rename {
    /// Old and new.
    pub pairs: Vec<(AxisId, AxisId)>,
}

impl Rename {
    /// One axis.
    pub fn one(from: AxisId, to: AxisId) -> Rename {
        Rename { pairs: vec![(from, to)] }
    }
    fn back(&self, axis: AxisId) -> AxisId {
        self.pairs.iter().find(|p| p.1 == axis).map_or(axis, |p| p.0)
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
        let new = |a: AxisId| self.pairs.iter().find(|p| p.0 == a).map_or(a, |p| p.1);
        let dims = args[0].dims().iter().map(|d| Dim { axis: new(d.axis), extent: d.extent }).collect();
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
        let inner = at.iter().fold(At::default(), |inner, (a, i)| inner.with(self.back(*a), i.clone()));
        e.arg(0, &inner)
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        // The order of axes may change with the names: look the element up by its old index.
        let old = &args[0].ty;
        let place: Vec<usize> = old
            .dims()
            .iter()
            .map(|d| {
                ty.dims().iter().position(|n| self.back(n.axis) == d.axis).expect("every axis has a name")
            })
            .collect();
        Value::build(ty, |index| args[0].at(old, &place.iter().map(|p| index[*p]).collect::<Vec<_>>()))
    }
    fn moves(&self) -> bool {
        true
    }
}

/// Makes one axis of several; the first is the slowest.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
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
        let old = &args[0].ty;
        let at = ty.dims().iter().position(|d| d.axis == self.into).expect("checked by infer");
        Value::build(ty, |index| {
            let mut rest = index[at];
            let mut inner = vec![0; old.dims().len()];
            for a in self.axes.iter().rev() {
                let i = old.dims().iter().position(|d| d.axis == *a).expect("checked by infer");
                inner[i] = rest % old.dims()[i].extent;
                rest /= old.dims()[i].extent;
            }
            for (i, d) in old.dims().iter().enumerate().filter(|(_, d)| !self.axes.contains(&d.axis)) {
                inner[i] = index[ty.dims().iter().position(|n| n.axis == d.axis).expect("passes through")];
            }
            args[0].at(old, &inner)
        })
    }
    fn moves(&self) -> bool {
        true
    }
}

/// Makes several axes of one; the first is the slowest.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
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
        let index = self
            .into
            .iter()
            .fold(Affine::default(), |sum, d| sum.times(d.extent as i64).plus(at.along(d.axis)));
        let inner = self.into.iter().fold(at.clone(), |inner, d| inner.without(d.axis));
        e.arg(0, &inner.with(self.axis, index))
    }
    fn eval(&self, args: &[&Value], ty: &Type, _: &Context) -> Value {
        let old = &args[0].ty;
        let of = |index: &[usize], axis| {
            index[ty.dims().iter().position(|d| d.axis == axis).expect("checked by infer")]
        };
        Value::build(ty, |index| {
            let inner: Vec<usize> = old
                .dims()
                .iter()
                .map(|d| {
                    if d.axis == self.axis {
                        self.into.iter().fold(0, |sum, part| sum * part.extent + of(index, part.axis))
                    } else {
                        of(index, d.axis)
                    }
                })
                .collect();
            args[0].at(old, &inner)
        })
    }
    fn moves(&self) -> bool {
        true
    }
}
