//! Whether a graph takes any number of samples: whether each of its nodes does to one sample what it does to another.
use stmc_ir::ops::Op;
use stmc_ir::{Axes, AxisId, Dim, Graph, Node, Type};

/// Whether nothing in the graph depends on how many samples there are along `axis`, or brings samples together.
pub(crate) fn are_apart(graph: &Graph, axis: AxisId, axes: &Axes) -> bool {
    let live = graph.live();
    graph.nodes.iter().zip(live).all(|(node, live)| !live || is_apart(graph, node, axis, axes))
}

fn is_apart(graph: &Graph, node: &Node, axis: AxisId, axes: &Axes) -> bool {
    let operands: Vec<&Type> = node.args.iter().map(|a| graph.ty(*a)).collect();
    match &node.op {
        // These repeat what they have for as many samples as there are.
        Op::Input { .. } | Op::Fill { .. } | Op::Expand(_) => true,
        Op::Scan(scan) => scan.axis != axis && are_apart(&scan.body, axis, axes),
        Op::ScanResult(_) => true,
        _ if operands.iter().all(|ty| !ty.has(axis)) => !node.ty.has(axis),
        // With more samples the type is the same but for their number.
        op => {
            let more: Vec<Type> = operands.iter().map(|ty| with_more(ty, axis)).collect();
            let more: Vec<&Type> = more.iter().collect();
            node.ty.has(axis) && op.rule().infer(&more, axes).is_ok_and(|ty| ty == with_more(&node.ty, axis))
        }
    }
}

fn with_more(ty: &Type, axis: AxisId) -> Type {
    let dims = ty.dims().iter().map(|d| Dim { axis: d.axis, extent: d.extent + usize::from(d.axis == axis) });
    Type::new(ty.dtype, dims.collect()).expect("the axes are the same")
}
