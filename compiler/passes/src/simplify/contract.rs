//! Sums of products are contractions, and the adjoint of a convolution is one itself.
use super::arithmetic::operands;
use super::views::laid_out;
use super::{Rewriter, Rule};
use stmc_ir::ops::{Dot, Flip, Fold, Pad, Reduce, Reduction, Scalar, Unflatten, Windows};
use stmc_ir::{AxisId, DType, Dim, Node, NodeId, Op};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "sum(sum(x)) => sum(x)", apply: reduce_reduce },
    Rule { name: "sum(x * y) => dot(x, y)", apply: sum_of_products },
    Rule { name: "fold(dot(x, w)) => dot(windows(pad(x)), flip(w))", apply: fold_dot },
    Rule { name: "fold(x * w) => dot(windows(pad(x)), flip(w))", apply: fold_product },
    Rule { name: "fold(view(dot(x, w)), a) => view(fold(dot(x, w), a))", apply: fold_view },
    Rule { name: "fold(expand(x, tap)) => sum(windows(pad(x)), tap)", apply: fold_expand },
];

fn reduce_reduce(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Reduce(outer) = &node.op else { return None };
    let inner_node = r.node(node.args[0]);
    let Op::Reduce(inner) = &inner_node.op else { return None };
    if outer.kind != inner.kind || outer.kind == Reduction::FirstMax {
        return None;
    }
    let axes: Vec<AxisId> = inner.axes.iter().chain(&outer.axes).copied().collect();
    Some(r.make(Op::Reduce(Reduce::new(outer.kind, &axes)), &[inner_node.args[0]]))
}

/// Only where the product would be larger than either factor: each brings an axis to the result that the
/// other lacks. Else the product is summed as it is made.
fn sum_of_products(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Reduce(reduce) = &node.op else { return None };
    if reduce.kind != Reduction::Sum || node.ty.dtype != DType::F32 {
        return None;
    }
    let [x, y] = operands(&r.node(node.args[0]), Scalar::Mul)?;
    let own = |x: NodeId, y: NodeId| node.ty.dims().iter().any(|d| r.has(x, d.axis) && !r.has(y, d.axis));
    if !own(x, y) || !own(y, x) {
        return None;
    }
    let alone = |x: NodeId, y: NodeId| {
        let axes: Vec<AxisId> =
            reduce.axes.iter().copied().filter(|a| r.has(x, *a) && !r.has(y, *a)).collect();
        if axes.is_empty() { x } else { r.make(Op::Reduce(Reduce::new(Reduction::Sum, &axes)), &[x]) }
    };
    let shared: Vec<AxisId> = reduce.axes.iter().copied().filter(|a| r.has(x, *a) && r.has(y, *a)).collect();
    let args = [alone(x, y), alone(y, x)];
    let op = if shared.is_empty() { Op::Scalar(Scalar::Mul) } else { Op::Dot(Dot::new(&shared)) };
    Some(r.make(op, &args))
}

/// `win[a, t] = x̂[a + d t]` where x̂ has `x[i]` at `d (k - 1) + s i` and 0 elsewhere. With `t = k - 1 - j`
/// that is `x[i]` where `s i + d j = a`, so `Σ_t win[a, t] w[k - 1 - t]` is `Σ_{s i + d j = a} x[i] w[j]`:
/// the fold.
fn spread(r: &Rewriter, fold: Fold, taps: usize, x: NodeId) -> NodeId {
    let Fold { axis, tap, stride, dilation, extent } = fold;
    let reach = dilation * (taps - 1);
    let high = extent - 1 - (r.extent(x, axis) - 1) * stride;
    let pad = Pad { axis, low: reach, high, gap: stride - 1, fill: 0 };
    let padded = r.make(Op::Pad(pad), &[x]);
    r.make(Op::Windows(Windows { axis, tap, size: taps, stride: 1, dilation }), &[padded])
}

/// Of two factors, the one along which the windows lie and the one with the taps.
fn factors(r: &Rewriter, fold: Fold, args: &[NodeId]) -> Option<(NodeId, NodeId)> {
    let fits = |x: NodeId, w: NodeId| {
        r.has(x, fold.axis) && !r.has(x, fold.tap) && r.has(w, fold.tap) && !r.has(w, fold.axis)
    };
    let [x, w] = args[..] else { return None };
    if fits(x, w) {
        return Some((x, w));
    }
    fits(w, x).then_some((w, x))
}

fn product(r: &Rewriter, contracted: &[AxisId], args: &[NodeId]) -> NodeId {
    let op = if contracted.is_empty() { Op::Scalar(Scalar::Mul) } else { Op::Dot(Dot::new(contracted)) };
    r.make(op, args)
}

fn folded(r: &Rewriter, fold: Fold, contracted: &[AxisId], args: &[NodeId]) -> Option<NodeId> {
    let (x, w) = factors(r, fold, args)?;
    if fold.stride > 1 && fold.dilation == 1 {
        return phases(r, fold, contracted, x, w);
    }
    let windows = spread(r, fold, r.extent(w, fold.tap), x);
    let flipped = r.make(Op::Flip(Flip { axis: fold.tap }), &[w]);
    let axes: Vec<AxisId> = contracted.iter().copied().chain([fold.tap]).collect();
    Some(product(r, &axes, &[windows, flipped]))
}

/// With a stride `s`, tap `j = s u + p` of window `i` adds to place `s (i + u) + p`: for each phase `p` a
/// fold with stride 1 over the taps `u`. So nothing is multiplied by the zeros that a spread with gaps would
/// have.
fn phases(r: &Rewriter, fold: Fold, contracted: &[AxisId], x: NodeId, w: NodeId) -> Option<NodeId> {
    let Fold { axis, tap, stride, extent, .. } = fold;
    let phase = r.b.axes().borrow_mut().axis("phase", &format!("#{}", tap.0));
    if r.has(x, phase) || r.has(w, phase) {
        return None;
    }
    let taps = r.extent(w, tap);
    let each = taps.div_ceil(stride);
    let whole = r.make(Op::Pad(Pad::around(tap, 0, each * stride - taps, 0)), &[w]);
    let into = vec![Dim { axis: tap, extent: each }, Dim { axis: phase, extent: stride }];
    let split = r.make(Op::Unflatten(Unflatten { axis: tap, into }), &[whole]);
    let inner = product(r, contracted, &[x, split]);
    let steps = r.extent(x, axis) + each - 1;
    let fold = Fold { axis, tap, stride: 1, dilation: 1, extent: steps };
    let sum = r.make(Op::Fold(fold), &[inner]);
    Some(laid_out(r, sum, axis, phase, extent))
}

/// Folds along several axes meet their product one after the other.
fn fold_view(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Fold(fold) = node.op else { return None };
    let view = r.node(node.args[0]);
    let past = |op: &Op| {
        let moves = matches!(op, Op::Slice(_) | Op::Flatten(_) | Op::Pad(Pad { fill: 0, .. }));
        moves && !op.rule().touches(fold.axis) && !op.rule().touches(fold.tap)
    };
    if !past(&view.op) {
        return None;
    }
    let mut base = view.clone();
    while past(&base.op) {
        base = r.node(base.args[0]);
    }
    let fits =
        matches!(base.op, Op::Dot(_) | Op::Scalar(Scalar::Mul)) && factors(r, fold, &base.args).is_some();
    fits.then(|| r.make(view.op.clone(), &[r.make(node.op.clone(), &[view.args[0]])]))
}

fn fold_dot(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Fold(fold) = node.op else { return None };
    let inner = r.node(node.args[0]);
    let Op::Dot(dot) = &inner.op else { return None };
    folded(r, fold, &dot.axes, &inner.args)
}

fn fold_product(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Fold(fold) = node.op else { return None };
    let args = operands(&r.node(node.args[0]), Scalar::Mul)?;
    folded(r, fold, &[], &args)
}

fn fold_expand(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let Op::Fold(fold) = node.op else { return None };
    let inner = r.node(node.args[0]);
    let Op::Expand(e) = inner.op else { return None };
    if e.axis != fold.tap || !r.has(inner.args[0], fold.axis) {
        return None;
    }
    let windows = spread(r, fold, e.extent, inner.args[0]);
    Some(r.make(Op::Reduce(Reduce::new(Reduction::Sum, &[fold.tap])), &[windows]))
}
