//! Gradients against finite differences: every op by its being in the table, loops as models have them.
mod common;
use common::*;
use stmc_ir::ops::*;
use stmc_ir::{Dim, NodeId, Op};
use stmc_passes::autodiff::differentiate;
use stmc_passes::prune::prune;
use stmc_passes::scan::tape::tape;

/// Gradients of the sum of the (only) output by these inputs.
fn check_gradients(lab: &Lab, out: NodeId, wanted: &[usize], domain: (f64, f64), what: &str) {
    let loss = uneven(lab, out);
    let forward = lab.finish(&[loss]);
    let taped = tape(&lab.axes, &forward);
    check(&taped, lab, what);
    let (graph, found) = differentiate(&lab.axes, &taped, &[taped.outputs[0]], wanted);
    check(&graph, lab, what);
    assert_gradients(&forward, &graph, &found, domain, what);
    let pruned = prune(&lab.axes, &graph);
    check(&pruned, lab, what);
    assert_same_values(&graph, &pruned, what);
}

#[test]
fn every_elementwise_op() {
    for &op in Scalar::ALL {
        let rule = Scalar::rule(op);
        let lab = Lab::new();
        // Different axes, so that cotangents are summed over what an operand lacks.
        let floats: Vec<NodeId> =
            (0..rule.arity).map(|i| lab.input(i, ["row 3 col 2", "col 2", "row 3"][i])).collect();
        let mut args = floats.clone();
        if op == Scalar::Where {
            args[0] = lab.b.scalar(Scalar::Less, &[floats[0], lab.b.number(0.1)]);
        }
        let Ok(out) = lab.b.add(Op::Scalar(op), &args) else { continue };
        // A staircase has no slope that says where it leads, and some ops are there to change a gradient.
        let decreed = op.rounds_products() || op.only_for_gradients();
        if lab.b.ty(out).dtype != stmc_ir::DType::F32 || decreed {
            continue;
        }
        let wanted: Vec<usize> = (0..rule.arity).collect();
        check_gradients(&lab, out, &wanted, rule.domain, rule.name);
    }
}

/// A name, types of the operands, and the op of them.
type Structural = (&'static str, &'static [&'static str], fn(&Lab) -> Op);

const STRUCTURAL: &[Structural] = &[
    ("expand", &["row 3"], |l| Op::Expand(Expand { axis: l.axis("col"), extent: 2 })),
    ("rename", &["row 3 col 2"], |l| {
        Op::Rename(Rename { pairs: vec![(l.axis("row"), l.axis("col")), (l.axis("col"), l.axis("row"))] })
    }),
    ("flatten", &["row 3 col 2 batch 2"], |l| {
        Op::Flatten(Flatten { axes: vec![l.axis("col"), l.axis("row")], into: l.axis("row") })
    }),
    ("unflatten", &["row 6 batch 2"], |l| {
        let into = vec![Dim { axis: l.axis("col"), extent: 2 }, Dim { axis: l.axis("row"), extent: 3 }];
        Op::Unflatten(Unflatten { axis: l.axis("row"), into })
    }),
    ("slice", &["row 7 col 2"], |l| Op::Slice(Slice { axis: l.axis("row"), start: 1, step: 2, len: 3 })),
    ("pad", &["row 3 col 2"], |l| Op::Pad(Pad { axis: l.axis("row"), low: 1, high: 2, gap: 1, fill: 0 })),
    ("flip", &["row 3 col 2"], |l| Op::Flip(Flip { axis: l.axis("row") })),
    ("concat", &["row 3 col 2", "row 2", "row 1 col 2"], |l| Op::Concat(Concat { axis: l.axis("row") })),
    ("windows", &["row 8 col 2"], |l| {
        Op::Windows(Windows { axis: l.axis("row"), tap: l.axis("tap"), size: 3, stride: 2, dilation: 2 })
    }),
    ("fold", &["row 3 tap 2 col 2"], |l| {
        Op::Fold(Fold { axis: l.axis("row"), tap: l.axis("tap"), stride: 2, dilation: 2, extent: 8 })
    }),
    ("sum", &["row 3 col 2 batch 2"], |l| {
        Op::Reduce(Reduce::new(Reduction::Sum, &[l.axis("row"), l.axis("batch")]))
    }),
    ("max", &["row 3 col 2"], |l| Op::Reduce(Reduce::new(Reduction::Max, &[l.axis("row")]))),
    ("min", &["row 3 col 2"], |l| Op::Reduce(Reduce::new(Reduction::Min, &[l.axis("row")]))),
    ("first max", &["row 3 col 2 batch 2"], |l| {
        Op::Reduce(Reduce::new(Reduction::FirstMax, &[l.axis("row"), l.axis("batch")]))
    }),
    ("dot", &["row 3 col 2 batch 2", "col 2 batch 2 unit 2 tap 2"], |l| Op::Dot(Dot::new(&[l.axis("col")]))),
    ("dot, all shared", &["row 3 col 2", "row 3 col 2"], |l| Op::Dot(Dot::new(&[l.axis("col")]))),
];

#[test]
fn every_structural_op() {
    for (name, types, op) in STRUCTURAL {
        let lab = Lab::new();
        let args: Vec<NodeId> = types.iter().enumerate().map(|(i, t)| lab.input(i, t)).collect();
        let out = lab.op(op(&lab), &args);
        let wanted: Vec<usize> = (0..args.len()).collect();
        check_gradients(&lab, out, &wanted, ANY, name);
    }
}

#[test]
fn a_gather() {
    for shared in ["row 4 col 2", "row 4"] {
        let lab = Lab::new();
        let x = lab.input(0, shared);
        let index = lab.b.input(1, lab.ty("col 2 batch 3").with_dtype(stmc_ir::DType::I32));
        let out = lab.op(Op::Gather(Gather { axis: lab.axis("row") }), &[x, index]);
        check_gradients(&lab, out, &[0], ANY, "gather");
    }
}

#[test]
fn loops() {
    for case in loops::all() {
        check_gradients(&case.lab, case.loss, &case.wanted, ANY, case.name);
    }
}

#[test]
fn an_input_that_nothing_depends_on_has_no_gradient() {
    let lab = Lab::new();
    let (x, y) = (lab.input(0, "row 2"), lab.input(1, "row 2"));
    let out = lab.b.plus(x, lab.b.scalar(Scalar::Stop, &[y]));
    let graph = lab.finish(&[out]);
    let (_, found) = differentiate(&lab.axes, &graph, &[graph.outputs[0]], &[0, 1, 2]);
    assert_eq!(found, [0]);
}

#[test]
fn the_number_of_nodes_does_not_depend_on_the_number_of_steps() {
    let nodes = |steps| {
        let case = loops::gru(steps, false);
        let taped = tape(&case.lab.axes, &case.lab.finish(&[case.loss]));
        let (graph, _) = differentiate(&case.lab.axes, &taped, &[taped.outputs[0]], &case.wanted);
        count(&prune(&case.lab.axes, &graph), &|_| true)
    };
    assert_eq!(nodes(2), nodes(50));
}
