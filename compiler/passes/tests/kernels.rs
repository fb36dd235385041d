//! The loops of kernels: as few and as long as memory allows.
mod common;
use common::*;
use stmc_ir::kernel::{Body, LoopKind, Stmt};
use stmc_ir::module::{EntryGraph, InputRole, OutputRole};
use stmc_ir::ops::Scalar;
use stmc_ir::{Module, NodeId, Type};
use stmc_passes::compile::{Gradients, compile};

/// The extents of the nest of independent loops in the only kernel of a graph, outermost first.
fn nest(inputs: &[&str], build: impl Fn(&Lab, &[NodeId]) -> NodeId) -> Vec<usize> {
    let lab = Lab::new();
    let given: Vec<NodeId> = inputs.iter().enumerate().map(|(i, ty)| lab.input(i, ty)).collect();
    let graph = lab.finish(&[build(&lab, &given)]);
    let axes = |ty: &Type| ty.dims().iter().map(|d| d.axis).collect::<Vec<_>>();
    let named = |(i, ty): (usize, &&str)| InputRole::Named { name: format!("x{i}"), axes: axes(&lab.ty(ty)) };
    let entry = EntryGraph {
        name: "predict".into(),
        inputs: inputs.iter().enumerate().map(named).collect(),
        outputs: vec![OutputRole::Named { name: "y".into(), axes: axes(graph.ty(graph.outputs[0])) }],
        batch: 1,
        graph,
    };
    let module = Module { axes: lab.axes.borrow().clone(), entries: vec![entry], ..Module::default() };
    let program = compile(&module, Gradients::Weights);
    let [kernel] = &program.kernels[..] else { panic!("one kernel is enough") };
    let Body::Loops(block) = &kernel.body else { panic!("it has loops") };
    let (mut extents, mut stmts) = (vec![], &block.stmts);
    while let Some(Stmt::For { extent, kind: LoopKind::Parallel | LoopKind::Lanes, body, .. }) = stmts.last()
    {
        extents.push(*extent);
        stmts = body;
    }
    extents
}

#[test]
fn loops_that_walk_memory_as_one_are_one() {
    let twice = |lab: &Lab, x: &[NodeId]| lab.b.plus(x[0], x[0]);
    assert_eq!(nest(&["row 30 col 40"], twice), [1200]);
    assert_eq!(nest(&["batch 3 row 30 col 40"], twice), [3600]);
    // A long one stays one: each device shares it out in its own way.
    assert_eq!(nest(&["row 1000 col 1000"], twice), [1_000_000]);
    // What is read once per row, or along columns only, keeps the loops apart.
    let product = |lab: &Lab, x: &[NodeId]| lab.b.times(x[0], x[1]);
    assert_eq!(nest(&["row 30 col 40", "row 30"], product), [30, 40]);
    assert_eq!(nest(&["row 30 col 40", "col 40"], product), [30, 40]);
    // Only the loops that both walk as one.
    assert_eq!(nest(&["batch 3 row 30 col 40", "batch 3"], product), [3, 1200]);
}

#[test]
fn what_many_paths_lead_to_is_looked_at_once() {
    // Each step doubles the number of paths from the last value to the first.
    let ladder =
        |lab: &Lab, x: &[NodeId]| (0..60).fold(x[0], |y, _| lab.b.plus(y, lab.b.scalar(Scalar::Sin, &[y])));
    assert_eq!(nest(&["row 30 col 40"], ladder), [1200]);
}
