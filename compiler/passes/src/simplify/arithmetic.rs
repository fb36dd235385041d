//! Identities of numbers.
use super::{Rewriter, Rule};
use stmc_ir::interpret::{Context, Value};
use stmc_ir::ops::Scalar;
use stmc_ir::{Node, NodeId, Op, Type};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "f(1, 2) => 3", apply: known },
    Rule { name: "1 + x => x + 1", apply: constant_right },
    Rule { name: "x * 1 => x", apply: times_one },
    Rule { name: "x * -1 => -x", apply: times_minus_one },
    Rule { name: "x / 1 => x", apply: over_one },
    Rule { name: "x + 0 => x", apply: plus_zero },
    Rule { name: "x - 0 => x", apply: minus_zero },
    Rule { name: "0 - x => -x", apply: zero_minus },
    Rule { name: "-(-x) => x", apply: minus_minus },
    Rule { name: "x + -y => x - y", apply: plus_minus },
    Rule { name: "x - -y => x + y", apply: minus_minus_right },
    Rule { name: "where(true, x, y) => x", apply: where_known },
    Rule { name: "where(c, x, x) => x", apply: where_same },
];

/// The operands of a binary op of that kind.
pub(super) fn operands(node: &Node, op: Scalar) -> Option<[NodeId; 2]> {
    if node.op == Op::Scalar(op) { node.args[..].try_into().ok() } else { None }
}

fn known(r: &Rewriter, node: &Node) -> Option<NodeId> {
    if !node.op.rule().pointwise() || node.args.iter().any(|a| r.constant(*a).is_none()) {
        return None;
    }
    // One element tells all: every operand is the same everywhere.
    let small = |x: &NodeId| Value {
        ty: Type::scalar(r.ty(*x).dtype),
        data: vec![r.constant(*x).expect("checked above")],
    };
    let args: Vec<Value> = node.args.iter().map(small).collect();
    let ty = Type::scalar(node.ty.dtype);
    let value = node.op.rule().eval(&args.iter().collect::<Vec<_>>(), &ty, &Context::default());
    Some(r.b.fill(value.data[0], &node.ty))
}

fn constant_right(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let commutes = matches!(node.op, Op::Scalar(Scalar::Add | Scalar::Mul));
    if commutes && r.constant(node.args[0]).is_some() && r.constant(node.args[1]).is_none() {
        return Some(r.make(node.op.clone(), &[node.args[1], node.args[0]]));
    }
    None
}

fn times_one(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let [x, one] = operands(node, Scalar::Mul)?;
    (r.constant(one)? == 1.0).then(|| r.widen(x, &node.ty))
}

fn times_minus_one(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let [x, minus] = operands(node, Scalar::Mul)?;
    (r.constant(minus)? == -1.0).then(|| r.widen(r.make(Op::Scalar(Scalar::Neg), &[x]), &node.ty))
}

fn over_one(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let [x, one] = operands(node, Scalar::Div)?;
    (r.constant(one)? == 1.0).then(|| r.widen(x, &node.ty))
}

// -0 + 0 is +0; the two compare equal and no rule tells them apart.
fn plus_zero(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let [x, zero] = operands(node, Scalar::Add)?;
    (r.constant(zero)? == 0.0).then(|| r.widen(x, &node.ty))
}

fn minus_zero(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let [x, zero] = operands(node, Scalar::Sub)?;
    (r.constant(zero)? == 0.0).then(|| r.widen(x, &node.ty))
}

fn zero_minus(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let [zero, x] = operands(node, Scalar::Sub)?;
    (r.constant(zero)? == 0.0).then(|| r.widen(r.make(Op::Scalar(Scalar::Neg), &[x]), &node.ty))
}

fn negated(r: &Rewriter, x: NodeId) -> Option<NodeId> {
    let node = r.node(x);
    (node.op == Op::Scalar(Scalar::Neg)).then(|| node.args[0])
}

fn minus_minus(r: &Rewriter, node: &Node) -> Option<NodeId> {
    if node.op == Op::Scalar(Scalar::Neg) { negated(r, node.args[0]) } else { None }
}

fn plus_minus(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let [x, y] = operands(node, Scalar::Add)?;
    if let Some(y) = negated(r, y) {
        return Some(r.make(Op::Scalar(Scalar::Sub), &[x, y]));
    }
    negated(r, x).map(|x| r.make(Op::Scalar(Scalar::Sub), &[y, x]))
}

fn minus_minus_right(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let [x, y] = operands(node, Scalar::Sub)?;
    negated(r, y).map(|y| r.make(Op::Scalar(Scalar::Add), &[x, y]))
}

fn where_known(r: &Rewriter, node: &Node) -> Option<NodeId> {
    if node.op != Op::Scalar(Scalar::Where) {
        return None;
    }
    let chosen = if r.constant(node.args[0])? != 0.0 { node.args[1] } else { node.args[2] };
    Some(r.widen(chosen, &node.ty))
}

fn where_same(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let same = node.op == Op::Scalar(Scalar::Where) && node.args[1] == node.args[2];
    same.then(|| r.widen(node.args[1], &node.ty))
}
