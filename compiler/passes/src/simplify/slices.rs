//! Slices go towards the inputs, so that nothing is computed in vain.
use super::views::renamed;
use super::{Rewriter, Rule};
use stmc_ir::interpret::from_bits;
use stmc_ir::ops::{Flatten, Pad, Slice, Windows};
use stmc_ir::{Node, NodeId, Op};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "slice(x, all) => x", apply: slice_all },
    Rule { name: "slice(slice(x)) => slice(x)", apply: slice_slice },
    Rule { name: "slice(pad(x, a), a) => pad(slice(x, a), a)", apply: slice_pad },
    Rule { name: "slice(pad(x, a: gap), a) => x", apply: slice_gaps },
    Rule { name: "slice(concat(x, y; a), a) => x", apply: slice_concat },
    Rule { name: "slice(rename(x)) => rename(slice(x))", apply: slice_rename },
    Rule { name: "slice(flip(x, a), a) => flip(slice(x, a), a)", apply: slice_flip },
    Rule { name: "slice(flatten(x)) => flatten(slice(x))", apply: slice_flatten },
    Rule { name: "slice(windows(x, a), a) => windows(slice(x, a), a)", apply: slice_windows },
    Rule { name: "slice(op(x)) => op(slice(x))", apply: slice_other },
];

fn slice_of(node: &Node) -> Option<(Slice, NodeId)> {
    if let Op::Slice(s) = node.op { Some((s, node.args[0])) } else { None }
}

/// `x` sliced, if it has the axis.
fn sliced(r: &Rewriter, s: Slice, x: NodeId) -> NodeId {
    if r.has(x, s.axis) { r.make(Op::Slice(s), &[x]) } else { x }
}

fn slice_all(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let (s, x) = slice_of(node)?;
    (s.len == r.extent(x, s.axis)).then_some(x)
}

fn slice_slice(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let (outer, y) = slice_of(node)?;
    let inner_node = r.node(y);
    let (inner, x) = slice_of(&inner_node)?;
    if outer.axis == inner.axis {
        let start = inner.start + inner.step * outer.start;
        let step = inner.step * outer.step;
        return Some(r.make(Op::Slice(Slice { start, step, ..outer }), &[x]));
    }
    // Slices of several axes stand in the order of the axes, so that equal ones are one node.
    if outer.axis < inner.axis {
        let swapped = r.make(Op::Slice(outer), &[x]);
        return Some(r.make(Op::Slice(inner), &[swapped]));
    }
    None
}

fn slice_pad(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let (s, y) = slice_of(node)?;
    let inner = r.node(y);
    let (Op::Pad(p), 1) = (inner.op, s.step) else { return None };
    if p.axis != s.axis {
        return None;
    }
    // Element i lies at low + stride * i; those from `from` to before `to` lie in the slice.
    let (x, stride) = (inner.args[0], p.gap + 1);
    let count = r.extent(x, p.axis);
    let before = |place: usize| place.saturating_sub(p.low).div_ceil(stride).min(count);
    let (from, to) = (before(s.start), before(s.start + s.len));
    if from >= to {
        return Some(r.b.fill(from_bits(p.fill, node.ty.dtype), &node.ty));
    }
    let kept = r.make(Op::Slice(Slice::range(s.axis, from, to - from)), &[x]);
    let low = p.low + stride * from - s.start;
    let high = s.start + s.len - 1 - (p.low + stride * (to - 1));
    Some(r.make(Op::Pad(Pad { low, high, ..p }), &[kept]))
}

fn slice_gaps(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let (s, y) = slice_of(node)?;
    let inner = r.node(y);
    let Op::Pad(p) = inner.op else { return None };
    let x = inner.args[0];
    let fits = p.axis == s.axis && s.step == p.gap + 1 && s.start == p.low && s.len <= r.extent(x, s.axis);
    fits.then(|| r.make(Op::Slice(Slice::range(s.axis, 0, s.len)), &[x]))
}

fn slice_concat(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let (s, y) = slice_of(node)?;
    let inner = r.node(y);
    let Op::Concat(c) = inner.op else { return None };
    if c.axis != s.axis || s.step != 1 {
        return None;
    }
    let mut parts = vec![];
    let mut begin = 0;
    for x in &inner.args {
        let end = begin + r.extent(*x, c.axis);
        let (from, to) = (s.start.max(begin), (s.start + s.len).min(end));
        if from < to {
            parts.push(r.make(Op::Slice(Slice::range(s.axis, from - begin, to - from)), &[*x]));
        }
        begin = end;
    }
    let joined = if let [one] = parts[..] { one } else { r.make(Op::Concat(c), &parts) };
    Some(r.widen(joined, &node.ty))
}

fn slice_rename(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let (s, y) = slice_of(node)?;
    let inner = r.node(y);
    let Op::Rename(rename) = &inner.op else { return None };
    let axis = rename.pairs.iter().find(|p| p.1 == s.axis).map_or(s.axis, |p| p.0);
    let slice = r.make(Op::Slice(Slice { axis, ..s }), &[inner.args[0]]);
    Some(renamed(r, slice, &rename.pairs))
}

fn slice_flip(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let (s, y) = slice_of(node)?;
    let inner = r.node(y);
    let Op::Flip(f) = inner.op else { return None };
    if f.axis != s.axis {
        return None;
    }
    let last = s.start + s.step * (s.len - 1);
    let start = r.extent(y, s.axis) - 1 - last;
    let slice = r.make(Op::Slice(Slice { start, ..s }), &[inner.args[0]]);
    Some(r.make(Op::Flip(f), &[slice]))
}

fn slice_flatten(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let (s, y) = slice_of(node)?;
    let inner = r.node(y);
    let Op::Flatten(Flatten { axes, into }) = &inner.op else { return None };
    let x = inner.args[0];
    let row: usize = axes[1..].iter().map(|a| r.extent(x, *a)).product();
    // Whole rows of the slowest axis.
    if *into != s.axis || s.step != 1 || s.start % row != 0 || s.len % row != 0 {
        return None;
    }
    let slice = r.make(Op::Slice(Slice::range(axes[0], s.start / row, s.len / row)), &[x]);
    Some(r.make(inner.op.clone(), &[slice]))
}

fn slice_windows(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let (s, y) = slice_of(node)?;
    let inner = r.node(y);
    let Op::Windows(w) = inner.op else { return None };
    let windows = if s.axis == w.axis {
        Windows { stride: w.stride * s.step, ..w }
    } else if s.axis == w.tap {
        Windows { size: s.len, dilation: w.dilation * s.step, ..w }
    } else {
        return None;
    };
    let start = s.start * if s.axis == w.axis { w.stride } else { w.dilation };
    let count = node.ty.extent(w.axis).expect("windows keep the axis");
    let len = (count - 1) * windows.stride + (windows.size - 1) * windows.dilation + 1;
    let slice = r.make(Op::Slice(Slice::range(w.axis, start, len)), &[inner.args[0]]);
    Some(r.make(Op::Windows(windows), &[slice]))
}

/// Past an op that does not touch the axis. If it computes or copies, only if nothing else wants its other
/// elements.
fn slice_other(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let (s, y) = slice_of(node)?;
    let inner = r.node(y);
    let rule = inner.op.rule();
    let view = rule.moves() && inner.args.len() == 1 && !matches!(inner.op, Op::Slice(_));
    let costly = rule.pointwise() || rule.reduces() || matches!(inner.op, Op::Concat(_));
    if rule.touches(s.axis) || !(view || costly && r.one_way(y)) {
        return None;
    }
    let args: Vec<NodeId> = inner.args.iter().map(|x| sliced(r, s, *x)).collect();
    Some(r.make(inner.op.clone(), &args))
}
