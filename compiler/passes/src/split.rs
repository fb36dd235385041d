//! Splits long reductions to few results into two: partial sums that can run side by side, then their sum. How many parts there are
//! follows from shapes alone, so that results do not depend on the number of threads.
use crate::rebuild::{SharedAxes, rebuild};
use std::sync::Arc;
use stmc_ir::ops::{Reduce, Scan, Unflatten};
use stmc_ir::{AxisId, Builder, Dim, Graph, Node, NodeId, Op};

/// Reductions of at least this many elements per result are split …
const LONG: usize = 4096;
/// … if there are fewer results than this.
const FEW: usize = 512;
/// Partial sums aimed at, per reduction.
const PARTS: usize = 64;

/// Before: any graph. After: the same values; sums are taken in another order.
pub(crate) fn split_reductions(axes: &SharedAxes, graph: &Graph) -> Graph {
    rebuild(axes, graph, |b, _, node| match &node.op {
        Op::Reduce(reduce) => split(b, node, reduce).unwrap_or_else(|| b.must(node.op.clone(), &node.args)),
        Op::Scan(scan) => {
            let body = split_reductions(axes, &scan.body);
            b.must(Op::Scan(Arc::new(Scan { body, ..(**scan).clone() })), &node.args)
        }
        op => b.must(op.clone(), &node.args),
    })
}

fn split(b: &Builder, node: &Node, reduce: &Reduce) -> Option<NodeId> {
    let x = node.args[0];
    let ty = b.ty(x);
    let results = node.ty.len();
    if results >= FEW || ty.len() / results < LONG {
        return None;
    }
    let extent = |a: &AxisId| ty.extent(*a).expect("reduced axes are there");
    let mut kept: Vec<AxisId> = vec![];
    // `batch` and `time` come first in the table of axes, so they are kept first.
    for a in &reduce.axes {
        let parts: usize = kept.iter().map(extent).product();
        if kept.len() + 1 < reduce.axes.len() && parts < PARTS {
            kept.push(*a);
        }
    }
    if !kept.is_empty() {
        let inner: Vec<AxisId> = reduce.axes.iter().copied().filter(|a| !kept.contains(a)).collect();
        let partial = b.must(Op::Reduce(Reduce::new(reduce.kind, &inner)), &[x]);
        return Some(b.must(Op::Reduce(Reduce::new(reduce.kind, &kept)), &[partial]));
    }
    // A single axis is cut into pieces first.
    let axis = reduce.axes[0];
    let whole = extent(&axis);
    let inner = (LONG / 8..=LONG).rev().find(|n| whole.is_multiple_of(*n))?;
    let outer = b.axes().borrow_mut().axis("part", &format!("{}", axis.0));
    let into = vec![Dim { axis: outer, extent: whole / inner }, Dim { axis, extent: inner }];
    let apart = b.must(Op::Unflatten(Unflatten { axis, into }), &[x]);
    let partial = b.must(Op::Reduce(Reduce::new(reduce.kind, &[axis])), &[apart]);
    Some(b.must(Op::Reduce(Reduce::new(reduce.kind, &[outer])), &[partial]))
}
