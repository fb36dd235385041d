//! Loops through the whole pipeline: values and gradients stay, and what need not stand inside does not.
mod common;
use common::loops::*;
use common::*;
use std::collections::BTreeSet;
use stmc_base::{SourceId, Span};
use stmc_ir::module::{EntryGraph, InputRole, OutputRole};
use stmc_ir::ops::Scalar;
use stmc_ir::{Graph, NodeId, Op};
use stmc_passes::pipeline::{PIPELINE, optimize, optimize_until};
use stmc_passes::prune::prune;
use stmc_passes::scan::hoist::hoist;
use stmc_passes::scan::sink::sink;
use stmc_passes::simplify::simplify;

/// The case as an entry with one loss.
fn entry(case: &Case) -> EntryGraph {
    let graph = case.lab.finish(&[case.loss]);
    let inputs = graph.inputs().len();
    let named = |i: usize| InputRole::Named { name: format!("x{i}"), axes: vec![] };
    EntryGraph {
        name: "train".into(),
        inputs: (0..inputs).map(named).collect(),
        outputs: vec![OutputRole::Loss { name: "loss".into(), span: Span::new(SourceId(0), 0, 0) }],
        batch: 1,
        graph,
    }
}

#[test]
fn every_pass_keeps_values_and_gradients() {
    for case in all() {
        let before = entry(&case);
        let run = |last: &str| optimize_until(&case.lab.axes, &before, &case.wanted, None, Some(last)).graph;
        let differentiated = run("autodiff");
        assert_gradients(&before.graph, &differentiated, &case.wanted, ANY, case.name);
        let names: BTreeSet<&str> = PIPELINE.iter().map(|p| p.name).collect();
        for name in names {
            let after = run(name);
            let same = if after.outputs.len() > 1 { &differentiated } else { &before.graph };
            assert_same_values(same, &after, &format!("{} after {name}", case.name));
        }
        let evaluated = optimize(&case.lab.axes, &before, &[], None);
        assert_same_values(&before.graph, &evaluated.graph, case.name);
    }
}

#[test]
fn the_number_of_nodes_does_not_depend_on_the_number_of_steps() {
    let nodes = |steps| {
        let case = conv_lstm(steps);
        count(&optimize(&case.lab.axes, &entry(&case), &case.wanted, None).graph, &|_| true)
    };
    assert_eq!(nodes(3), nodes(40));
}

/// Contractions inside the loops, and in all.
fn dots(case: &Case, wanted: &[usize]) -> (usize, usize) {
    let graph = optimize(&case.lab.axes, &entry(case), wanted, None).graph;
    (count_inside(&graph, &is_dot), count(&graph, &is_dot))
}

#[test]
fn only_recurrent_contractions_stand_inside() {
    // Forward: h by its weights. Backward: the gates' cotangents by the same weights. Outside: x by its
    // weights, both weights' gradients, x's gradient.
    assert_eq!(dots(&gru(4, false), &[]), (1, 2));
    assert_eq!(dots(&gru(4, false), &[0, 1, 2, 3, 4]), (2, 6));
    assert_eq!(dots(&conv_lstm(3), &[]), (1, 2));
    assert_eq!(dots(&conv_lstm(3), &[1, 2, 3]), (2, 5));
    assert_eq!(dots(&conv_lstm(3), &[0, 1, 2, 3]), (2, 6));
    // Two layers, the second one's input recurrent as well; the head and all gradients of weights outside.
    assert_eq!(dots(&deep(3), &[]), (2, 4));
    assert_eq!(dots(&deep(3), &[1, 2, 3]), (4, 11));
}

#[test]
fn nothing_is_folded_or_padded_apart() {
    let case = conv_lstm(3);
    let graph = optimize(&case.lab.axes, &entry(&case), &case.wanted, None).graph;
    assert_eq!(count(&graph, &|op| matches!(op, Op::Fold(_))), 0, "{}", graph.dump(&case.lab.axes.borrow()));
}

#[test]
fn nothing_is_computed_twice_or_in_vain() {
    let case = deep(3);
    let graph = optimize(&case.lab.axes, &entry(&case), &case.wanted, None).graph;
    let dump = graph.dump(&case.lab.axes.borrow());
    // Forward and backward body have the two layers' three sigmoids and two tanhs each; nothing stands
    // outside.
    let is = |op: &Op, s: Scalar| *op == Op::Scalar(s);
    assert_eq!(count(&graph, &|op| is(op, Scalar::Sigmoid)), 12, "{dump}");
    assert_eq!(count(&graph, &|op| is(op, Scalar::Tanh)), 8, "{dump}");
    assert_eq!(count_inside(&graph, &|op| is(op, Scalar::Tanh)), 8, "{dump}");
    let halo = |node: &stmc_ir::Node| {
        matches!(node.op, Op::Dot(_)) && node.ty.dims().iter().any(|d| d.extent == 5 || d.extent == 6)
    };
    let halos = |graph: &Graph| graph.nodes.iter().filter(|n| halo(n)).count();
    let bodies =
        graph.nodes.iter().filter_map(|n| if let Op::Scan(s) = &n.op { Some(&s.body) } else { None });
    assert_eq!(bodies.map(halos).sum::<usize>() + halos(&graph), 0, "{dump}");
}

/// What is counted in loops after a pass.
fn inside_after(
    lab: &Lab,
    out: &[NodeId],
    pass: fn(&stmc_passes::rebuild::SharedAxes, &Graph) -> Graph,
) -> usize {
    let before = lab.finish(out);
    let after = pass(&lab.axes, &before);
    check(&after, lab, "pass");
    assert_same_values(&before, &after, "pass");
    count_inside(&prune(&lab.axes, &simplify(&lab.axes, &after)), &is_dot)
}

#[test]
fn a_contraction_is_hoisted_unless_a_capture_has_the_axis() {
    let body = |whole: bool| {
        let lab = Lab::new();
        let x = lab.input(0, "time 3 channel 2");
        let w = lab.input(1, if whole { "time 3 channel 2" } else { "unit 3 channel 2" });
        let start = lab.input(2, if whole { "time 3" } else { "unit 3" });
        let start = if whole { rename(&lab, start, "time", "unit") } else { start };
        let out = lab.scan(("time", 3, false), &[start], &[x], &[w], |l, _, c, s, k| {
            let y = dot(l, s[0], k[0], &["channel"]);
            let y = if whole { rename(l, y, "time", "unit") } else { y };
            (vec![tanh(l, l.b.plus(c[0], y))], vec![])
        });
        inside_after(&lab, &out, hoist)
    };
    assert_eq!(body(false), 0);
    assert_eq!(body(true), 1);
}

#[test]
fn a_loop_without_carries_is_none() {
    let lab = Lab::new();
    let x = lab.input(0, "time 3 channel 2");
    let w = lab.input(1, "unit 3 channel 2");
    let out = lab.scan(("time", 3, true), &[], &[x], &[w], |l, step, _, s, k| {
        let n = l.op(Op::Cast(stmc_ir::ops::Cast { to: stmc_ir::DType::F32 }), &[step]);
        let y = tanh(l, l.b.times(dot(l, s[0], k[0], &["channel"]), n));
        (vec![], vec![y, k[0], sum(l, k[0], &["channel"])])
    });
    let before = lab.finish(&out);
    let after = hoist(&lab.axes, &before);
    assert_same_values(&before, &after, "hoist");
    assert_eq!(count(&after, &|op| matches!(op, Op::Scan(_))), 0);
}

#[test]
fn random_numbers_of_a_step_stay_in_it() {
    let lab = Lab::new();
    let x = lab.input(0, "time 3 channel 2");
    let w = lab.input(1, "unit 3 channel 2");
    let out = lab.scan(("time", 3, false), &[lab.input(2, "unit 3")], &[x], &[w], |l, step, c, s, k| {
        let draw = l.op(Op::Random(stmc_ir::ops::Random { site: 1, ty: l.ty("channel 2") }), &[step]);
        let y = dot(l, l.b.times(s[0], draw), k[0], &["channel"]);
        (vec![tanh(l, l.b.plus(c[0], y))], vec![y])
    });
    assert_eq!(inside_after(&lab, &out, hoist), 1);
}

#[test]
fn a_sum_of_contractions_is_sunk_unless_a_step_reads_it() {
    let body = |read: bool| {
        let lab = Lab::new();
        let x = lab.input(0, "time 3 batch 2 channel 2");
        let start = lab.input(1, "channel 2 unit 2");
        let h = lab.input(2, "batch 2 unit 2");
        let out = lab.scan(("time", 3, false), &[start, h], &[x], &[], |l, _, c, s, _| {
            let outer = dot(l, s[0], c[1], &["batch"]);
            let total = l.b.plus(l.b.plus(outer, c[0]), l.b.negated(outer));
            let next = tanh(l, l.b.times(c[1], sum(l, s[0], &["channel"])));
            let next = if read { l.b.plus(next, sum(l, c[0], &["channel"])) } else { next };
            (vec![total, next], vec![])
        });
        inside_after(&lab, &out, sink)
    };
    assert_eq!(body(false), 0);
    assert_eq!(body(true), 1);
}

#[test]
fn a_yielded_contraction_is_sunk_unless_a_carry_needs_it() {
    let body = |needed: bool| {
        let lab = Lab::new();
        let x = lab.input(0, "time 3 channel 2");
        let w = lab.input(1, "unit 3 channel 2");
        let h = lab.input(2, "channel 2");
        let out = lab.scan(("time", 3, true), &[h], &[x], &[w], |l, _, c, s, k| {
            let head = l.b.scalar(Scalar::Exp, &[dot(l, c[0], k[0], &["channel"])]);
            let next = tanh(l, l.b.plus(c[0], s[0]));
            let next = if needed { l.b.plus(next, sum(l, head, &["unit"])) } else { next };
            (vec![next], vec![head])
        });
        inside_after(&lab, &out, sink)
    };
    assert_eq!(body(false), 0);
    assert_eq!(body(true), 1);
}

#[test]
fn a_lookup_by_the_step_is_a_slice_unless_it_may_leave_the_tensor() {
    let body = |len: usize, shift: f64| {
        let lab = Lab::new();
        let x = lab.input(0, &format!("place {len} channel 2"));
        let out =
            lab.scan(("time", 3, false), &[lab.input(1, "channel 2")], &[], &[x], |l, step, c, _, k| {
                let i = l.b.plus(step, l.b.fill(shift, &stmc_ir::Type::scalar(stmc_ir::DType::I32)));
                let read = l.op(Op::Gather(stmc_ir::ops::Gather { axis: l.axis("place") }), &[k[0], i]);
                (vec![tanh(l, l.b.plus(c[0], read))], vec![])
            });
        let before = lab.finish(&out);
        let after = hoist(&lab.axes, &simplify(&lab.axes, &before));
        assert_same_values(&before, &after, "hoist");
        count(&after, &|op| matches!(op, Op::Gather(_)))
    };
    assert_eq!([body(3, 0.0), body(5, 0.0), body(5, 2.0)], [0, 0, 0]);
    assert_eq!([body(2, 0.0), body(5, 3.0), body(5, -1.0)], [1, 1, 1]);
}

#[test]
fn what_nothing_reads_is_neither_carried_nor_stacked() {
    let lab = Lab::new();
    let (x, h) = (lab.input(0, "time 3 channel 2"), lab.input(1, "channel 2"));
    // Carries: read by the next, constant, only reading itself, last. Yields: unread, the slice itself, a
    // result.
    let out = lab.scan(("time", 3, false), &[h, h, h, h], &[x], &[h], |l, _, c, s, k| {
        let last = tanh(l, l.b.plus(l.b.times(c[0], c[1]), c[3]));
        let next = vec![l.b.times(c[0], k[0]), c[1], l.b.plus(c[2], s[0]), last];
        (next, vec![l.b.negated(c[2]), s[0], l.b.times(last, s[0])])
    });
    let before = lab.finish(&[out[1], out[3], out[5], out[6]]);
    let after = prune(&lab.axes, &before);
    check(&after, &lab, "prune");
    assert_same_values(&before, &after, "prune");
    let scans = after
        .nodes
        .iter()
        .filter_map(|n| if let Op::Scan(scan) = &n.op { Some((scan, &n.args)) } else { None });
    let shapes: Vec<_> =
        scans.map(|(scan, args)| (scan.carries, scan.slices, scan.yields(), args.len())).collect();
    assert_eq!(shapes, [(2, 1, 1, 4)], "{}", after.dump(&lab.axes.borrow()));
    let none = prune(&lab.axes, &lab.finish(&[out[1], out[5]]));
    assert_eq!(count(&none, &|op| matches!(op, Op::Scan(_))), 0);
}

#[test]
fn no_stop_is_left() {
    let case = partial();
    let graph = optimize(&case.lab.axes, &entry(&case), &case.wanted, None).graph;
    assert_eq!(count(&graph, &|op| *op == Op::Scalar(Scalar::Stop)), 0);
}

#[test]
fn what_many_paths_lead_to_is_looked_at_once() {
    let lab = Lab::new();
    let x = lab.input(0, "time 3 batch 2 channel 2");
    let w = lab.input(1, "unit 2 channel 2");
    let h = lab.input(2, "batch 2 channel 2");
    // Each step doubles the number of paths from the last value to the first.
    let ladder = |l: &Lab, x| (0..60).fold(x, |y, _| l.b.plus(y, l.b.scalar(Scalar::Sin, &[y])));
    let results = lab.scan(("time", 3, false), &[h], &[x], &[w], |l, _, c, s, k| {
        let mixed = rename(l, dot(l, ladder(l, c[0]), k[0], &["channel"]), "unit", "channel");
        let next = tanh(l, l.b.plus(mixed, s[0]));
        (vec![next], vec![ladder(l, dot(l, next, k[0], &["channel"]))])
    });
    let loss = sum(&lab, results[1], &["time", "batch", "unit"]);
    let case = Case { name: "ladder", lab, loss, wanted: vec![1] };
    // Forward: the carry by its weights, and what is stacked. Backward: both again, and the weights' two gradients.
    assert_eq!(dots(&case, &case.wanted), (2, 6));
}
