//! Makes every scan yield what its derivative will want back: the carries as each step begins (and, where a
//! contraction reads them, as it ends), and the results of contractions, reductions and inner scans. All else
//! is cheap enough to compute again, step by step.
//!
//! After it `autodiff` finds a stack for each of these; `prune` removes the stacks that nothing reads in the
//! end.
use super::parts::{Loop, rewrite_loops};
use crate::rebuild::SharedAxes;
use stmc_ir::{Graph, Node, NodeId, Op};

/// Adds the yields.
pub fn tape(axes: &SharedAxes, graph: &Graph) -> Graph {
    rewrite_loops(axes, graph, &|parts, _| record(parts))
}

/// Which nodes a contraction reads, be it through views or rounded.
fn contracted(graph: &Graph) -> Vec<bool> {
    let live = graph.live();
    let mut contracted = vec![false; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().rev().filter(|(i, _)| live[*i]) {
        let passes = match node.op {
            Op::Scalar(op) => op.rounds_products(),
            _ => node.op.rule().moves(),
        };
        if matches!(node.op, Op::Dot(_)) || passes && contracted[i] {
            for a in &node.args {
                contracted[a.index()] = true;
            }
        }
    }
    contracted
}

/// Whether the value of such a node is kept rather than computed again.
pub(crate) fn is_kept(node: &Node) -> bool {
    node.op.rule().reduces() || matches!(node.op, Op::ScanResult(_))
}

fn record(mut parts: Loop) -> Vec<Option<NodeId>> {
    let graph = parts.graph();
    let live = graph.live();
    let before = graph.outputs.len();
    for carry in parts.carries.clone() {
        parts.stack(carry.value);
    }
    let contracted = contracted(&graph);
    for carry in parts.carries.clone() {
        // The gradient of what it is contracted with wants it for all steps; it lies where the next step
        // finds it.
        if contracted[carry.next.index()] {
            parts.stack(carry.next);
        }
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        // Results of an inner scan that only its derivative will read are not live yet.
        let wanted = live[i] || matches!(node.op, Op::ScanResult(_)) && live[node.args[0].index()];
        if wanted && is_kept(node) && !node.ty.has(parts.axis) {
            parts.stack(NodeId::from_index(i));
        }
    }
    let results = parts.close();
    results.into_iter().take(before).map(Some).collect()
}
