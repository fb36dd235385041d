//! Nothing is repeated before it must be: pointwise ops and contractions broadcast by themselves.
use super::{Rewriter, Rule};
use stmc_ir::ops::{Dot, Expand, Pad, Reduce, Reduction, Rename, Scalar, Slice};
use stmc_ir::{AxisId, DType, Dim, Node, NodeId, Op, Type};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "view(1) => 1", apply: view_fill },
    Rule { name: "x[a] + expand(y, a) => x + y", apply: pointwise_expand },
    Rule { name: "x[a] + 1[a] => x + 1", apply: pointwise_fill },
    Rule { name: "f(expand(x, a), expand(y, a)) => expand(f(x, y), a)", apply: lift_expand },
    Rule { name: "op(expand(x, a)) => expand(op(x), a)", apply: swap_expand },
    Rule { name: "slice(expand(x, a), a) => expand(x, a)", apply: slice_expand },
    Rule { name: "flip(expand(x, a), a) => expand(x, a)", apply: flip_expand },
    Rule { name: "rename(expand(x, a), a -> b) => expand(rename(x), b)", apply: rename_expand },
    Rule { name: "sum(expand(x, a), a) => x * n", apply: reduce_expand },
    Rule { name: "sum(1, a) => n", apply: reduce_fill },
    Rule { name: "dot(expand(x, a), y) => dot(x, y)", apply: dot_expand },
    Rule { name: "dot(1, y) => sum(y)", apply: dot_fill },
];

/// What stands under `Expand`s, outermost first.
fn unexpanded(r: &Rewriter, x: NodeId) -> (Vec<Expand>, NodeId) {
    let (mut expands, mut base) = (vec![], x);
    loop {
        let node = r.node(base);
        let Op::Expand(e) = node.op else { return (expands, base) };
        expands.push(e);
        base = node.args[0];
    }
}

/// `x` without those of its `Expand`s that `drop` names. `None`: there is none of them.
fn stripped(r: &Rewriter, x: NodeId, drop: impl Fn(AxisId) -> bool) -> Option<NodeId> {
    let (expands, base) = unexpanded(r, x);
    if !expands.iter().any(|e| drop(e.axis)) {
        return None;
    }
    let kept = expands.iter().rev().filter(|e| !drop(e.axis));
    Some(kept.fold(base, |x, e| r.make(Op::Expand(*e), &[x])))
}

fn with_arg(node: &Node, i: usize, arg: NodeId) -> Vec<NodeId> {
    let mut args = node.args.clone();
    args[i] = arg;
    args
}

fn view_fill(r: &Rewriter, node: &Node) -> Option<NodeId> {
    if !node.op.rule().moves() {
        return None;
    }
    let x = r.constant(*node.args.first()?)?;
    let same = |a: &NodeId| r.constant(*a).is_some_and(|c| c.to_bits() == x.to_bits());
    let padding = |fill: u32| stmc_ir::interpret::from_bits(fill, node.ty.dtype).to_bits() == x.to_bits();
    let fits = match node.op {
        Op::Pad(Pad { fill, .. }) => padding(fill),
        _ => true,
    };
    (fits && node.args.iter().all(same)).then(|| r.b.fill(x, &node.ty))
}

fn pointwise_expand(r: &Rewriter, node: &Node) -> Option<NodeId> {
    if !node.op.rule().pointwise() {
        return None;
    }
    for (i, x) in node.args.iter().enumerate() {
        let elsewhere = |axis| node.args.iter().enumerate().any(|(j, y)| j != i && r.has(*y, axis));
        if let Some(x) = stripped(r, *x, elsewhere) {
            return Some(r.make(node.op.clone(), &with_arg(node, i, x)));
        }
    }
    None
}

fn pointwise_fill(r: &Rewriter, node: &Node) -> Option<NodeId> {
    if !node.op.rule().pointwise() {
        return None;
    }
    for (i, x) in node.args.iter().enumerate() {
        let Some(c) = r.constant(*x) else { continue };
        let elsewhere = |d: &&Dim| node.args.iter().enumerate().any(|(j, y)| j != i && r.has(*y, d.axis));
        let ty = r.ty(*x);
        let gone: Vec<AxisId> = ty.dims().iter().filter(elsewhere).map(|d| d.axis).collect();
        if !gone.is_empty() {
            let small = r.b.fill(c, &ty.without(&gone));
            return Some(r.make(node.op.clone(), &with_arg(node, i, small)));
        }
    }
    None
}

fn lift_expand(r: &Rewriter, node: &Node) -> Option<NodeId> {
    if !node.op.rule().pointwise() {
        return None;
    }
    // After the rules above at most one operand has an axis that it merely repeats.
    for d in node.ty.dims() {
        let without = |x: &NodeId| {
            if !r.has(*x, d.axis) {
                return Some(*x);
            }
            if let Some(c) = r.constant(*x) {
                return Some(r.b.fill(c, &r.ty(*x).without(&[d.axis])));
            }
            stripped(r, *x, |axis| axis == d.axis)
        };
        if let Some(args) = node.args.iter().map(without).collect::<Option<Vec<NodeId>>>() {
            let inner = r.make(node.op.clone(), &args);
            return Some(r.make(Op::Expand(Expand { axis: d.axis, extent: d.extent }), &[inner]));
        }
    }
    None
}

fn swap_expand(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let rule = node.op.rule();
    if !(rule.moves() || rule.folds()) || matches!(node.op, Op::Expand(_)) || node.args.len() != 1 {
        return None;
    }
    // An op that fits the operand without the axis, and gives the same but for it, does not touch the axis.
    let (expands, _) = unexpanded(r, node.args[0]);
    for e in expands {
        let inner = stripped(r, node.args[0], |axis| axis == e.axis)?;
        let Ok(small) = r.b.add(node.op.clone(), &[inner]) else { continue };
        if r.ty(small).with(e.axis, e.extent).as_ref() == Some(&node.ty) {
            let small = r.make(node.op.clone(), &[inner]);
            return Some(r.make(Op::Expand(e), &[small]));
        }
    }
    None
}

fn slice_expand(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Slice(Slice { axis, len, .. }) = node.op else { return None };
    let inner = stripped(r, node.args[0], |a| a == axis)?;
    Some(r.make(Op::Expand(Expand { axis, extent: len }), &[inner]))
}

fn flip_expand(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Flip(f) = node.op else { return None };
    stripped(r, node.args[0], |a| a == f.axis).map(|_| node.args[0])
}

fn rename_expand(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Rename(rename) = &node.op else { return None };
    let (from, to) =
        *rename.pairs.iter().find(|p| unexpanded(r, node.args[0]).0.iter().any(|e| e.axis == p.0))?;
    let extent = r.extent(node.args[0], from);
    let inner = stripped(r, node.args[0], |a| a == from)?;
    let pairs: Vec<_> = rename.pairs.iter().copied().filter(|p| p.0 != from).collect();
    let inner = if pairs.is_empty() { inner } else { r.make(Op::Rename(Rename { pairs }), &[inner]) };
    Some(r.make(Op::Expand(Expand { axis: to, extent }), &[inner]))
}

/// `x * n`.
fn times(r: &Rewriter, x: NodeId, n: f64) -> NodeId {
    let n = r.b.fill(n, &Type::scalar(r.ty(x).dtype));
    r.make(Op::Scalar(Scalar::Mul), &[x, n])
}

fn sum_over(r: &Rewriter, x: NodeId, axes: &[AxisId]) -> NodeId {
    if axes.is_empty() { x } else { r.make(Op::Reduce(Reduce::new(Reduction::Sum, axes)), &[x]) }
}

fn reduce_expand(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Reduce(reduce) = &node.op else { return None };
    if reduce.kind == Reduction::FirstMax {
        return None;
    }
    let inner = stripped(r, node.args[0], |a| reduce.axes.contains(&a))?;
    let (gone, kept): (Vec<AxisId>, Vec<AxisId>) = reduce.axes.iter().partition(|a| !r.has(inner, **a));
    let count: usize = gone.iter().map(|a| r.extent(node.args[0], *a)).product();
    let rest =
        if kept.is_empty() { inner } else { r.make(Op::Reduce(Reduce::new(reduce.kind, &kept)), &[inner]) };
    Some(if reduce.kind == Reduction::Sum { times(r, rest, count as f64) } else { rest })
}

fn reduce_fill(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Reduce(reduce) = &node.op else { return None };
    let x = r.constant(node.args[0])?;
    let count: usize = reduce.axes.iter().map(|a| r.extent(node.args[0], *a)).product();
    Some(r.b.fill(if reduce.kind == Reduction::Sum { x * count as f64 } else { x }, &node.ty))
}

fn dot_expand(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Dot(dot) = &node.op else { return None };
    for (i, x) in node.args.iter().enumerate() {
        let other = node.args[1 - i];
        if let Some(x) = stripped(r, *x, |a| dot.axes.contains(&a)) {
            // What repeats along a contracted axis meets the sum of the other operand.
            let (gone, kept): (Vec<AxisId>, Vec<AxisId>) = dot.axes.iter().partition(|a| !r.has(x, **a));
            let args = with_arg(&Node { args: vec![x; 2], ..node.clone() }, 1 - i, sum_over(r, other, &gone));
            let op = if kept.is_empty() { Op::Scalar(Scalar::Mul) } else { Op::Dot(Dot::new(&kept)) };
            return Some(r.make(op, &args));
        }
        if let Some(x) = stripped(r, *x, |_| true) {
            return Some(r.widen(r.make(node.op.clone(), &with_arg(node, i, x)), &node.ty));
        }
    }
    None
}

fn dot_fill(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Dot(dot) = &node.op else { return None };
    let i = node.args.iter().position(|a| r.constant(*a).is_some())?;
    let c = r.constant(node.args[i])?;
    // Infinite or NaN constants would meet zeros elsewhere than a sum does.
    if !c.is_finite() || node.ty.dtype != DType::F32 {
        return None;
    }
    let sum = sum_over(r, node.args[1 - i], &dot.axes);
    Some(r.widen(times(r, sum, c), &node.ty))
}
