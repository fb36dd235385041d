//! A node of which only a part is read computes only that part: a halo that is cut off again is never made.
use super::Rewriter;
use std::collections::BTreeMap;
use stmc_ir::ops::{Pad, Slice};
use stmc_ir::{AxisId, Graph, Node, NodeId, Op};

/// For each axis the first step that is read and the one after the last; an axis that is read whole is
/// absent. `None`: nothing is read.
pub(super) type Demand = Option<BTreeMap<AxisId, (usize, usize)>>;

/// What is read of each node, by all its readers together.
pub(super) fn demands(graph: &Graph) -> Vec<Demand> {
    let mut demands: Vec<Demand> = vec![None; graph.nodes.len()];
    for o in &graph.outputs {
        demands[o.index()] = Some(BTreeMap::new());
    }
    for i in (0..graph.nodes.len()).rev() {
        let Some(read) = demands[i].clone() else { continue };
        let node = &graph.nodes[i];
        for a in &node.args {
            let more = below(node, &read);
            let merged = merge(demands[a.index()].take(), more, |axis| graph.ty(*a).has(axis));
            demands[a.index()] = Some(merged);
        }
    }
    demands
}

/// Whether such nodes are cut to what is read of them.
fn is_cut(op: &Op) -> bool {
    op.rule().pointwise() || op.rule().reduces()
}

/// What a node of which `read` is read reads of its operands.
fn below(node: &Node, read: &BTreeMap<AxisId, (usize, usize)>) -> BTreeMap<AxisId, (usize, usize)> {
    let mut more: BTreeMap<AxisId, (usize, usize)> = BTreeMap::new();
    match &node.op {
        Op::Slice(s) => {
            more.extend(read.iter().filter(|(axis, _)| **axis != s.axis));
            let (from, to) = read.get(&s.axis).copied().unwrap_or((0, s.len));
            more.insert(s.axis, (s.start + s.step * from, s.start + s.step * (to - 1) + 1));
        }
        Op::Rename(r) => {
            let old = |axis: AxisId| r.pairs.iter().find(|p| p.1 == axis).map_or(axis, |p| p.0);
            more.extend(read.iter().map(|(axis, range)| (old(*axis), *range)));
        }
        op if is_cut(op) => more.extend(read.iter().filter(|(axis, _)| !op.rule().touches(**axis))),
        _ => {}
    }
    more
}

/// The hull of both; an axis that one of them reads whole is read whole.
fn merge(
    one: Demand,
    other: BTreeMap<AxisId, (usize, usize)>,
    has: impl Fn(AxisId) -> bool,
) -> BTreeMap<AxisId, (usize, usize)> {
    let other = other.into_iter().filter(|(axis, _)| has(*axis));
    let Some(one) = one else { return other.collect() };
    other.filter_map(|(axis, (a, b))| one.get(&axis).map(|(c, d)| (axis, (a.min(*c), b.max(*d))))).collect()
}

impl Rewriter {
    /// A node of which only the demanded part is right: zeros stand for the rest.
    pub(super) fn make_part(&self, node: &Node, demand: &Demand) -> NodeId {
        let whole = |(axis, (from, to)): (&AxisId, &(usize, usize))| {
            let extent = node.ty.extent(*axis).expect("demands name axes that are there");
            (*from > 0 || *to < extent).then_some((*axis, *from, *to, extent))
        };
        let cuts: Vec<_> = demand.iter().flatten().filter_map(whole).collect();
        if cuts.is_empty() || !is_cut(&node.op) {
            return self.make(node.op.clone(), &node.args);
        }
        let cut = |x: &NodeId| {
            let there = cuts.iter().filter(|(axis, ..)| self.has(*x, *axis));
            there.fold(*x, |x, (axis, from, to, _)| {
                self.make(Op::Slice(Slice::range(*axis, *from, to - from)), &[x])
            })
        };
        let args: Vec<NodeId> = node.args.iter().map(cut).collect();
        let part = self.make(node.op.clone(), &args);
        cuts.iter().fold(part, |x, (axis, from, to, extent)| {
            self.make(Op::Pad(Pad::around(*axis, *from, extent - to, 0)), &[x])
        })
    }
}
