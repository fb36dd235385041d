//! Pads with zeros: what a slice's derivative leaves behind.
use super::{Rewriter, Rule};
use std::collections::BTreeSet;
use stmc_ir::ops::{Concat, Pad, Reduction, Scalar, Slice};
use stmc_ir::{AxisId, DType, Dim, Node, NodeId, Op, Type};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "pad(x, 0) => x", apply: pad_none },
    Rule { name: "pad(pad(x, a), a) => pad(x, a)", apply: pad_pad },
    Rule { name: "pad(windows(x, a), b) => windows(pad(x, b), a)", apply: pad_windows },
    Rule { name: "concat(windows(x), windows(y)) => windows(concat(x, y))", apply: concat_views },
    Rule { name: "pad(x, a) + pad(y, a) => concat(x, y; a)", apply: sum_of_pads },
    Rule { name: "sum(pad(x, a), a) => sum(x, a)", apply: sum_pad },
    Rule { name: "dot(pad(x, a), y; a) => dot(x, slice(y, a); a)", apply: dot_pad },
    Rule { name: "sum(concat(x, y; a), a) => sum(x, a) + sum(y, a)", apply: sum_concat },
];

fn pad_of(r: &Rewriter, id: NodeId) -> Option<(Pad, NodeId)> {
    let node = r.node(id);
    if let Op::Pad(p) = node.op { Some((p, node.args[0])) } else { None }
}

fn pad_none(_: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Pad(p) = node.op else { return None };
    (p.low + p.high + p.gap == 0).then(|| node.args[0])
}

fn pad_pad(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Pad(outer) = node.op else { return None };
    let (inner, x) = pad_of(r, node.args[0])?;
    if inner.axis != outer.axis || inner.fill != outer.fill || outer.gap != 0 {
        return None;
    }
    let pad = Pad { low: outer.low + inner.low, high: outer.high + inner.high, ..inner };
    Some(r.make(Op::Pad(pad), &[x]))
}

/// All padding first, so that windows along several axes are views of one padded tensor.
fn pad_windows(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Pad(p) = node.op else { return None };
    let inner = r.node(node.args[0]);
    let Op::Windows(w) = inner.op else { return None };
    if p.axis == w.axis || p.axis == w.tap {
        return None;
    }
    let padded = r.make(node.op.clone(), &[inner.args[0]]);
    Some(r.make(inner.op, &[padded]))
}

/// The same for a periodic axis, whose padding is a concatenation.
fn concat_views(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Concat(c) = node.op else { return None };
    let first = r.node(*node.args.first()?);
    let same = |x: &NodeId| r.b.graph().node(*x).op == first.op;
    let apart = matches!(first.op, Op::Windows(_) | Op::Pad(_)) && !first.op.rule().touches(c.axis);
    if !apart || !node.args.iter().all(same) {
        return None;
    }
    let parts: Vec<NodeId> = node.args.iter().map(|x| r.node(*x).args[0]).collect();
    let joined = r.make(node.op.clone(), &parts);
    Some(r.make(first.op, &[joined]))
}

/// The terms of a sum whose inner sums nothing else reads.
fn terms(r: &Rewriter, id: NodeId, out: &mut Vec<NodeId>) {
    let node = r.node(id);
    let [x, y] = node.args[..] else { return out.push(id) };
    // A partial sum that broadcasts is a term of its own.
    let whole = |t: NodeId| r.ty(t) == node.ty;
    if node.op != Op::Scalar(Scalar::Add) || !whole(x) || !whole(y) {
        return out.push(id);
    }
    for part in [x, y] {
        if r.single(part) { terms(r, part, out) } else { out.push(part) }
    }
}

fn sum_of_pads(r: &Rewriter, node: &Node) -> Option<NodeId> {
    if node.op != Op::Scalar(Scalar::Add) {
        return None;
    }
    let mut all = vec![];
    for part in &node.args {
        if r.ty(*part) != node.ty {
            return None;
        }
        if r.single(*part) { terms(r, *part, &mut all) } else { all.push(*part) }
    }
    let axes = all.iter().filter_map(|t| sparse_axis(r, *t));
    let candidates: BTreeSet<AxisId> = axes.collect();
    candidates.into_iter().find_map(|axis| {
        let (mut pieces, mut others, mut merged) = (vec![], vec![], 0);
        for term in &all {
            match placed(r, axis, *term).filter(|more| disjoint(r, axis, &pieces, more)) {
                Some(more) => {
                    pieces.extend(more);
                    merged += 1;
                }
                None => others.push(*term),
            }
        }
        if merged < 2 {
            return None;
        }
        pieces.sort();
        let joined = joined(r, axis, &pieces, &node.ty);
        Some(others.into_iter().fold(joined, |sum, t| r.make(Op::Scalar(Scalar::Add), &[sum, t])))
    })
}

/// A part and where it begins along an axis.
type Piece = (usize, NodeId);

/// The axis along which a term is mostly zeros: a pad's, or that of a concatenation with zeros in it.
fn sparse_axis(r: &Rewriter, id: NodeId) -> Option<AxisId> {
    let node = r.node(id);
    match node.op {
        Op::Pad(p) if p.fill == 0 && p.gap == 0 => Some(p.axis),
        Op::Concat(c) if node.args.iter().any(|x| r.constant(*x) == Some(0.0)) => Some(c.axis),
        _ => None,
    }
}

/// The parts of a term that are not zeros. `None`: the term is not sparse along the axis.
fn placed(r: &Rewriter, axis: AxisId, id: NodeId) -> Option<Vec<Piece>> {
    if sparse_axis(r, id) != Some(axis) {
        return None;
    }
    let node = r.node(id);
    let mut start = 0;
    let parts = match node.op {
        Op::Pad(p) => {
            let inner = node.args[0];
            start = p.low;
            let joined = r.node(inner);
            if joined.op == Op::Concat(Concat { axis }) { joined.args } else { vec![inner] }
        }
        _ => node.args,
    };
    let mut pieces = vec![];
    for x in parts {
        if r.constant(x) != Some(0.0) {
            pieces.push((start, x));
        }
        start += r.extent(x, axis);
    }
    Some(pieces)
}

fn disjoint(r: &Rewriter, axis: AxisId, some: &[Piece], more: &[Piece]) -> bool {
    let end = |(start, x): &Piece| start + r.extent(*x, axis);
    more.iter().all(|p| some.iter().all(|q| end(p) <= q.0 || end(q) <= p.0))
}

/// Disjoint parts in their places, zeros elsewhere.
fn joined(r: &Rewriter, axis: AxisId, pieces: &[Piece], ty: &Type) -> NodeId {
    let mut parts = vec![];
    let first = pieces[0].0;
    let mut place = first;
    for (start, x) in pieces {
        if *start > place {
            let dims = vec![Dim { axis, extent: start - place }];
            parts.push(r.b.fill(0.0, &Type::new(ty.dtype, dims).expect("one axis")));
        }
        parts.push(*x);
        place = start + r.extent(*x, axis);
    }
    let whole = ty.extent(axis).expect("the parts have the axis");
    let concat = r.make(Op::Concat(Concat { axis }), &parts);
    // Parts may have had all of the other axes only together.
    let wide = ty.resized(axis, place - first);
    r.make(Op::Pad(Pad::around(axis, first, whole - place, 0)), &[r.widen(concat, &wide)])
}

fn sum_pad(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Reduce(reduce) = &node.op else { return None };
    let (p, x) = pad_of(r, node.args[0])?;
    if reduce.kind != Reduction::Sum || p.fill != 0 {
        return None;
    }
    let sum = r.make(node.op.clone(), &[x]);
    Some(if reduce.axes.contains(&p.axis) { sum } else { r.make(Op::Pad(p), &[sum]) })
}

fn dot_pad(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Dot(dot) = &node.op else { return None };
    for (i, x) in node.args.iter().enumerate() {
        let Some((p, x)) = pad_of(r, *x) else { continue };
        if p.fill != 0 {
            continue;
        }
        // Zeros of one operand make the other's elements there irrelevant (as long as they are finite: a
        // padded step of a model is not meant to turn infinity into NaN).
        let len = r.extent(x, p.axis);
        let slice = Slice { axis: p.axis, start: p.low, step: p.gap + 1, len };
        let other = node.args[1 - i];
        let other = if r.has(other, p.axis) { r.make(Op::Slice(slice), &[other]) } else { other };
        let args = if i == 0 { [x, other] } else { [other, x] };
        let inner = r.make(Op::Dot(dot.clone()), &args);
        let contracted = dot.axes.contains(&p.axis);
        return Some(if contracted { inner } else { r.make(Op::Pad(p), &[inner]) });
    }
    None
}

fn sum_concat(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Reduce(reduce) = &node.op else { return None };
    let inner = r.node(node.args[0]);
    let Op::Concat(c) = inner.op else { return None };
    let fits = reduce.kind == Reduction::Sum && reduce.axes.contains(&c.axis) && r.single(node.args[0]);
    if !fits || node.ty.dtype != DType::F32 {
        return None;
    }
    // A part may lack some of the axes: it counts once for each step along them.
    let whole = r.ty(node.args[0]);
    let part = |x: &NodeId| {
        let ty = whole.resized(c.axis, r.extent(*x, c.axis));
        r.make(node.op.clone(), &[r.widen(*x, &ty)])
    };
    let sums: Vec<NodeId> = inner.args.iter().map(part).collect();
    Some(sums[1..].iter().fold(sums[0], |sum, x| r.make(Op::Scalar(Scalar::Add), &[sum, *x])))
}
