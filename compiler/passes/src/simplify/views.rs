//! Views of views.
use super::{Rewriter, Rule};
use stmc_ir::ops::{Expand, Flatten, Pad, Rename, Slice, Unflatten};
use stmc_ir::{AxisId, Dim, Node, NodeId, Op};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "rename(rename(x)) => rename(x)", apply: rename_rename },
    Rule { name: "rename(x, a -> a) => x", apply: rename_same },
    Rule { name: "flatten(x, a -> b) => rename(x)", apply: flatten_one },
    Rule { name: "unflatten(x, a -> b) => rename(x)", apply: unflatten_one },
    Rule { name: "unflatten(flatten(x)) => x", apply: unflatten_flatten },
    Rule { name: "flatten(unflatten(x)) => x", apply: flatten_unflatten },
    Rule { name: "flip(flip(x)) => x", apply: flip_flip },
    Rule { name: "concat(x, concat(y, z)) => concat(x, y, z)", apply: concat_concat },
    Rule { name: "sum(x, a: 1) => flatten(x)", apply: reduce_one },
    Rule { name: "windows(x, size: 1) => expand(slice(x))", apply: windows_one },
    Rule { name: "windows(x, size: n, stride: n) => unflatten(x)", apply: windows_apart },
    Rule { name: "fold(x, size: n, stride: n) => flatten(x)", apply: fold_apart },
];

/// `x` with other names; `x` itself if they are the same.
pub(super) fn renamed(r: &Rewriter, x: NodeId, pairs: &[(AxisId, AxisId)]) -> NodeId {
    let pairs: Vec<_> = pairs.iter().copied().filter(|(from, to)| from != to).collect();
    if pairs.is_empty() { x } else { r.make(Op::Rename(Rename { pairs }), &[x]) }
}

fn rename_rename(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Rename(outer) = &node.op else { return None };
    let inner_node = r.node(node.args[0]);
    let Op::Rename(inner) = &inner_node.op else { return None };
    let then = |a: AxisId| outer.pairs.iter().find(|p| p.0 == a).map_or(a, |p| p.1);
    let mut pairs: Vec<_> = inner.pairs.iter().map(|(from, to)| (*from, then(*to))).collect();
    // What only the outer one renames had that name all along.
    let fresh = outer.pairs.iter().filter(|p| !inner.pairs.iter().any(|i| i.1 == p.0));
    pairs.extend(fresh.copied());
    Some(renamed(r, inner_node.args[0], &pairs))
}

fn rename_same(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Rename(rename) = &node.op else { return None };
    let same = rename.pairs.iter().any(|(from, to)| from == to);
    same.then(|| renamed(r, node.args[0], &rename.pairs))
}

fn flatten_one(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Flatten(f) = &node.op else { return None };
    let [axis] = f.axes[..] else { return None };
    Some(renamed(r, node.args[0], &[(axis, f.into)]))
}

fn unflatten_one(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Unflatten(u) = &node.op else { return None };
    let [Dim { axis, .. }] = u.into[..] else { return None };
    Some(renamed(r, node.args[0], &[(u.axis, axis)]))
}

fn unflatten_flatten(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Unflatten(u) = &node.op else { return None };
    let inner = r.node(node.args[0]);
    let Op::Flatten(f) = &inner.op else { return None };
    let x = inner.args[0];
    let matches = u.axis == f.into
        && u.into.len() == f.axes.len()
        && u.into.iter().zip(&f.axes).all(|(d, a)| d.extent == r.extent(x, *a));
    let pairs: Vec<_> = f.axes.iter().copied().zip(u.into.iter().map(|d| d.axis)).collect();
    matches.then(|| renamed(r, x, &pairs))
}

fn flatten_unflatten(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Flatten(f) = &node.op else { return None };
    let inner = r.node(node.args[0]);
    let Op::Unflatten(u) = &inner.op else { return None };
    let matches = u.into.iter().map(|d| d.axis).eq(f.axes.iter().copied());
    matches.then(|| renamed(r, inner.args[0], &[(u.axis, f.into)]))
}

fn flip_flip(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Flip(_) = node.op else { return None };
    let inner = r.node(node.args[0]);
    (inner.op == node.op).then(|| inner.args[0])
}

fn concat_concat(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Concat(_) = node.op else { return None };
    // Inner parts may lack axes that only other outer parts bring: those unite all the same.
    let inner = |x: &NodeId| {
        let part = r.node(*x);
        if part.op == node.op { part.args } else { vec![*x] }
    };
    let parts: Vec<NodeId> = node.args.iter().flat_map(inner).collect();
    (parts != node.args).then(|| r.make(node.op.clone(), &parts))
}

fn reduce_one(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Reduce(reduce) = &node.op else { return None };
    let x = node.args[0];
    if reduce.axes.iter().any(|a| r.extent(x, *a) != 1) {
        return None;
    }
    // A view needs another axis to lay the step along.
    let host = node.ty.dims().first()?.axis;
    let axes = [host].into_iter().chain(reduce.axes.iter().copied()).collect();
    Some(r.make(Op::Flatten(Flatten { axes, into: host }), &[x]))
}

fn windows_one(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Windows(w) = node.op else { return None };
    if w.size != 1 {
        return None;
    }
    let len = node.ty.extent(w.axis).expect("windows keep the axis");
    let slice = r.make(Op::Slice(Slice { axis: w.axis, start: 0, step: w.stride, len }), &[node.args[0]]);
    Some(r.make(Op::Expand(Expand { axis: w.tap, extent: 1 }), &[slice]))
}

fn windows_apart(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Windows(w) = node.op else { return None };
    if w.size != w.stride || w.dilation != 1 {
        return None;
    }
    let count = node.ty.extent(w.axis).expect("windows keep the axis");
    let covered = r.make(Op::Slice(Slice::range(w.axis, 0, count * w.size)), &[node.args[0]]);
    let into = vec![Dim { axis: w.axis, extent: count }, Dim { axis: w.tap, extent: w.size }];
    Some(r.make(Op::Unflatten(Unflatten { axis: w.axis, into }), &[covered]))
}

/// Windows that do not overlap are laid side by side.
fn fold_apart(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Fold(f) = node.op else { return None };
    let taps = r.extent(node.args[0], f.tap);
    if taps > f.stride || f.dilation != 1 {
        return None;
    }
    let whole = r.make(Op::Pad(Pad::around(f.tap, 0, f.stride - taps, 0)), &[node.args[0]]);
    Some(laid_out(r, whole, f.axis, f.tap, f.extent))
}

/// Steps of `axis` with the pieces of each along `inner`, one after the other, cut or filled up to an extent.
pub(super) fn laid_out(r: &Rewriter, x: NodeId, axis: AxisId, inner: AxisId, extent: usize) -> NodeId {
    let flat = r.make(Op::Flatten(Flatten { axes: vec![axis, inner], into: axis }), &[x]);
    let have = r.extent(flat, axis);
    if have > extent {
        return r.make(Op::Slice(Slice::range(axis, 0, extent)), &[flat]);
    }
    r.make(Op::Pad(Pad::around(axis, 0, extent - have, 0)), &[flat])
}
