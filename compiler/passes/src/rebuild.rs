//! Copies a graph node by node through a function. Dead nodes stay behind, spans come along.
use std::cell::RefCell;
use std::rc::Rc;
use stmc_ir::{Axes, Builder, Graph, Node, NodeId, Op};

/// The table of axes that all graphs of a compilation share.
pub type SharedAxes = Rc<RefCell<Axes>>;

/// The same graph with every live node replaced by what `f` makes of it. `f` gets the node with its operands
/// already replaced, and its id in the old graph.
pub fn rebuild(
    axes: &SharedAxes,
    graph: &Graph,
    mut f: impl FnMut(&Builder, NodeId, &Node) -> NodeId,
) -> Graph {
    let b = Builder::new(axes.clone());
    let live = graph.live();
    let mut map: Vec<Option<NodeId>> = vec![None; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        let args =
            node.args.iter().map(|a| map[a.index()].expect("operands of live nodes are live")).collect();
        b.at(&node.spans);
        let node = Node { args, ..node.clone() };
        map[i] = Some(f(&b, NodeId::from_index(i), &node));
    }
    let outputs = graph.outputs.iter().map(|o| map[o.index()].expect("outputs are live")).collect();
    b.finish(outputs)
}

/// Only what the outputs need.
pub fn drop_dead(axes: &SharedAxes, graph: &Graph) -> Graph {
    rebuild(axes, graph, |b, _, node| b.must(node.op.clone(), &node.args))
}

/// Which nodes depend on one of these (they do themselves).
pub(crate) fn dependents(graph: &Graph, on: &[NodeId]) -> Vec<bool> {
    let mut depends = vec![false; graph.nodes.len()];
    for id in on {
        depends[id.index()] = true;
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        depends[i] |= node.args.iter().any(|a| depends[a.index()]);
    }
    depends
}

/// Which nodes one of these depends on (they do themselves).
pub(crate) fn ancestors(graph: &Graph, of: &[NodeId]) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes.len()];
    for id in of {
        needed[id.index()] = true;
    }
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if needed[i] {
            for a in &node.args {
                needed[a.index()] = true;
            }
        }
    }
    needed
}

/// How often each node is used by live nodes and outputs.
pub(crate) fn uses(graph: &Graph) -> Vec<usize> {
    let live = graph.live();
    let mut uses = vec![0; graph.nodes.len()];
    for (_, node) in graph.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        for a in &node.args {
            uses[a.index()] += 1;
        }
    }
    for o in &graph.outputs {
        uses[o.index()] += 1;
    }
    uses
}

/// The number of an input. `None`: the node is none.
pub(crate) fn input_index(node: &Node) -> Option<usize> {
    if let Op::Input { index, .. } = node.op { Some(index as usize) } else { None }
}
