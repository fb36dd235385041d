//! What depends on no input is computed while compiling, unless it is large or cheap to compute again.
use super::{Rewriter, Rule};
use std::sync::Arc;
use stmc_ir::interpret::{Context, Value};
use stmc_ir::ops::leaf::to_bits;
use stmc_ir::{Node, NodeId, Op};

pub(super) const RULES: &[Rule] = &[Rule { name: "f(index, ...) => table", apply: table }];

/// The largest table that replaces a computation: 256 KiB.
const ELEMENTS: usize = 1 << 16;
/// The least cost per element (in additions) of a computation that a table replaces.
const COST: usize = 16;

fn table(r: &Rewriter, node: &Node) -> Option<NodeId> {
    let leaf = node.args.is_empty();
    if leaf || node.ty.len() > ELEMENTS || matches!(node.op, Op::Expand(_)) {
        return None;
    }
    // Draws depend on the seed and the update as well; loops have rewrites of their own.
    if !node.op.rule().lifts() {
        return None;
    }
    let mut cost = node.op.rule().cost();
    let mut read = 0;
    for a in &node.args {
        let below = known(r, *a)?;
        cost += below.cost;
        read += below.read;
    }
    // Reading a table costs about as much as computing something; a larger table is no gain.
    if read == 0 && cost < COST || read > 0 && node.ty.len() > read {
        return None;
    }
    let args: Vec<Value> = node.args.iter().map(|a| value(r, *a)).collect();
    let result = node.op.rule().eval(&args.iter().collect::<Vec<_>>(), &node.ty, &Context::default());
    let first = result.data[0];
    if result.data.iter().all(|x| x.to_bits() == first.to_bits()) {
        return Some(r.b.fill(first, &node.ty));
    }
    let data: Arc<[u32]> = result.data.iter().map(|x| to_bits(*x, node.ty.dtype)).collect();
    Some(r.b.must(Op::Constant { data, ty: node.ty.clone() }, &[]))
}

/// What it takes to compute a node from nothing.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// Additions per element.
    cost: usize,
    /// Elements of tables.
    read: usize,
}

/// `None`: the node depends on an input or is too large.
fn known(r: &Rewriter, id: NodeId) -> Option<Known> {
    if let Some(known) = r.known.borrow().get(&id) {
        return *known;
    }
    let known = known_below(r, &r.node(id));
    r.known.borrow_mut().insert(id, known);
    known
}

fn known_below(r: &Rewriter, node: &Node) -> Option<Known> {
    if node.ty.len() > ELEMENTS {
        return None;
    }
    match node.op {
        Op::Fill { .. } | Op::Index { .. } => return Some(Known { cost: 0, read: 0 }),
        Op::Constant { .. } => return Some(Known { cost: 0, read: node.ty.len() }),
        Op::Input { .. } | Op::Host(_) => return None,
        _ if !node.op.rule().lifts() => return None,
        _ => {}
    }
    let start = Known { cost: node.op.rule().cost(), read: 0 };
    node.args.iter().try_fold(start, |sum, a| {
        let below = known(r, *a)?;
        Some(Known { cost: sum.cost.saturating_add(below.cost), read: sum.read.saturating_add(below.read) })
    })
}

fn value(r: &Rewriter, id: NodeId) -> Value {
    if let Some(value) = r.values.borrow().get(&id) {
        return value.clone();
    }
    let node = r.node(id);
    let args: Vec<Value> = node.args.iter().map(|a| value(r, *a)).collect();
    let result = node.op.rule().eval(&args.iter().collect::<Vec<_>>(), &node.ty, &Context::default());
    r.values.borrow_mut().insert(id, result.clone());
    result
}
