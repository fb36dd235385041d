//! The part of a graph that is needed: nothing dead in it, its inputs numbered anew.
use stmc_ir::{Builder, Graph, NodeId, Op};

/// What `outputs` need of the graph under construction. `number` is asked for the new number of each input that is
/// needed, in the order in which they were made.
pub(crate) fn live(builder: &Builder, outputs: Vec<NodeId>, mut number: impl FnMut(usize) -> usize) -> Graph {
    let graph = builder.finish(outputs);
    let live = graph.live();
    let fresh = builder.sub();
    let mut map = vec![NodeId(0); graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        let args: Vec<NodeId> = node.args.iter().map(|a| map[a.index()]).collect();
        fresh.at(&node.spans);
        map[i] = match &node.op {
            Op::Input { index, ty } => fresh.input(number(*index as usize), ty.clone()),
            op => fresh.must(op.clone(), &args),
        };
    }
    fresh.finish(graph.outputs.iter().map(|o| map[o.index()]).collect())
}
