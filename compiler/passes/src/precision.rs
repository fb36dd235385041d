//! Rounds what products read, as `precision` in `train` says: the operands of every contraction of the model, and the
//! cotangent that its gradient's contractions read. Sums, weights and all else stay f32.
//!
//! Before: the graph as the file has it. After: the same with ops that round, which every later pass must keep. So what is
//! rounded does not depend on what products are simplified to, and forecasts are computed as the model was trained. What
//! becomes a contraction only later, a gradient by a factor for instance, is not rounded.
//!
//! With f16, whose smallest number is 2^-24, the loss is scaled as far as gradients see it, and gradients of weights are
//! scaled back: what the rest of the program reads has the size that it has in f32.
use crate::autodiff::release;
use crate::rebuild::{SharedAxes, rebuild};
use std::sync::Arc;
use stmc_ir::module::{EntryGraph, LossScale, OutputRole, Train};
use stmc_ir::ops::{Pad, Scalar, Scan};
use stmc_ir::{Builder, DType, Graph, NodeId, Op, Precision, Type};

/// The entry as `train` wants its products; `wanted` are the inputs whose gradients will be taken.
pub fn precision(axes: &SharedAxes, entry: &EntryGraph, wanted: &[usize], train: &Train) -> EntryGraph {
    let mut graph = round(axes, &entry.graph, train.precision);
    if wanted.is_empty() {
        // What is there for gradients alone stands in nobody's way.
        graph = release(axes, &graph);
    } else if let Some(scale) = train.loss_scale {
        graph = scaled(axes, &graph, entry, wanted, scale);
    }
    EntryGraph { graph, ..entry.clone() }
}

/// The graph with rounded contractions, in the bodies of scans as well.
pub fn round(axes: &SharedAxes, graph: &Graph, precision: Precision) -> Graph {
    let Some((value, cotangent)) = precision.rounding() else { return graph.clone() };
    rebuild(axes, graph, |b, _, node| match &node.op {
        op if op.rule().contracts() => {
            let args: Vec<NodeId> = node.args.iter().map(|a| rounded(b, *a, precision, value)).collect();
            b.scalar(cotangent, &[b.must(op.clone(), &args)])
        }
        Op::Scan(scan) => {
            let body = round(axes, &scan.body, precision);
            b.must(Op::Scan(Arc::new(Scan { body, ..(**scan).clone() })), &node.args)
        }
        op => b.must(op.clone(), &node.args),
    })
}

/// An operand, rounded before it is moved: once, however many windows see an element, and where a contraction still finds its
/// views.
fn rounded(b: &Builder, x: NodeId, precision: Precision, value: Scalar) -> NodeId {
    let node = b.node(x);
    let float = |a: &&NodeId| b.ty(**a).dtype == DType::F32;
    let read: usize = node.args.iter().filter(float).map(|a| b.ty(*a).len()).sum();
    // A look at a small part of a large tensor is rounded as the part.
    let sooner = node.op.rule().moves() && !node.args.is_empty() && read <= node.ty.len();
    let padding = match node.op {
        Op::Pad(Pad { fill, .. }) => f64::from(f32::from_bits(fill)),
        _ => 0.0,
    };
    // Padding that the format lacks, and NaN, which is not equal to itself, is rounded with all the rest.
    if !sooner || precision.round(padding) != padding {
        return b.scalar(value, &[x]);
    }
    let moved = |a: &NodeId| if float(&a) { rounded(b, *a, precision, value) } else { *a };
    let args: Vec<NodeId> = node.args.iter().map(moved).collect();
    b.must(node.op, &args)
}

/// Gradients flow from `scale` times the losses, and are scaled back where they arrive.
fn scaled(
    axes: &SharedAxes,
    graph: &Graph,
    entry: &EntryGraph,
    wanted: &[usize],
    LossScale { scale, inverse }: LossScale,
) -> Graph {
    let b = Builder::new(axes.clone());
    let [scale, inverse] = [scale, inverse].map(|id| b.must(Op::Host(id), &[]));
    let by = |x: NodeId, factor: NodeId| b.scalar(Scalar::ScaleGradient, &[x, factor]);
    let types = graph.inputs();
    let input = |index: usize| match types.iter().find(|t| t.0 == index) {
        Some((_, ty)) => {
            let x = b.input(index, ty.clone());
            if wanted.contains(&index) { by(x, inverse) } else { x }
        }
        // Nothing reads it.
        None => b.fill(0.0, &Type::scalar(DType::F32)),
    };
    let inputs: Vec<NodeId> = (0..entry.inputs.len()).map(input).collect();
    let map = b.inline(graph, &inputs);
    let outputs = entry.outputs.iter().zip(&graph.outputs).map(|(role, node)| {
        let value = map[node.index()];
        if matches!(role, OutputRole::Loss { .. }) { by(value, scale) } else { value }
    });
    b.finish(outputs.collect())
}
