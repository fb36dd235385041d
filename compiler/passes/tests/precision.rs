//! What products read is rounded, in the model and in its gradients, wherever the later passes move it.
mod common;
use common::loops::{self, conv, dot, sum};
use common::*;
use stmc_base::{SourceId, Span};
use stmc_ir::interpret::{Context, Value, run};
use stmc_ir::module::{EntryGraph, InputRole, LossScale, OutputRole, ScalarId, Train};
use stmc_ir::ops::{Pad, Scalar};
use stmc_ir::{Graph, NodeId, Op, Precision};
use stmc_passes::pipeline::{optimize, optimize_until};

fn entry(graph: Graph) -> EntryGraph {
    let named = |i: usize| InputRole::Named { name: format!("x{i}"), axes: vec![] };
    EntryGraph {
        name: "train".into(),
        inputs: (0..graph.inputs().len()).map(named).collect(),
        outputs: vec![OutputRole::Loss { name: "loss".into(), span: Span::new(SourceId(0), 0, 0) }],
        batch: 1,
        graph,
    }
}

fn train(precision: Precision) -> Train {
    Train { precision, ..Train::default() }
}

const ROUNDED: &[Precision] = &[Precision::Tf32, Precision::Bf16, Precision::F16];

#[test]
fn every_pass_keeps_what_is_rounded() {
    for precision in ROUNDED {
        for case in loops::all() {
            let (before, train) = (entry(case.lab.finish(&[case.loss])), train(*precision));
            let what = format!("{} in {}", case.name, precision.name());
            let early =
                |last| optimize_until(&case.lab.axes, &before, &case.wanted, Some(&train), Some(last));
            let late = optimize(&case.lab.axes, &before, &case.wanted, Some(&train));
            assert_same_values(&early("autodiff").graph, &late.graph, &what);
            let evaluated = optimize(&case.lab.axes, &before, &[], Some(&train));
            let rounded = early("precision").graph;
            assert_same_values(&rounded, &evaluated.graph, &what);
            // It makes a difference, where there is anything to round.
            let [exact, less] = [&before.graph, &rounded].map(|g| outputs(g, &values(g, 11, ANY))[0].data[0]);
            assert_eq!(exact != less, count(&before.graph, &is_dot) > 0, "{what}: {exact}, {less}");
        }
    }
}

fn is_rounding(op: &Op) -> bool {
    matches!(op, Op::Scalar(s) if s.rounds_products())
}

fn only_for_gradients(op: &Op) -> bool {
    matches!(op, Op::Scalar(s) if s.only_for_gradients())
}

#[test]
fn a_product_and_its_gradients_read_rounded_factors() {
    let lab = Lab::new();
    let (x, w) = (lab.input(0, "batch 3 channel 4"), lab.input(1, "channel 4 unit 2"));
    let y = dot(&lab, x, w, &["channel"]);
    let loss = sum(&lab, lab.b.times(y, lab.input(2, "batch 3 unit 2")), &["batch", "unit"]);
    let before = entry(lab.finish(&[loss]));
    for precision in ROUNDED {
        let graph = optimize(&lab.axes, &before, &[0, 1], Some(&train(*precision))).graph;
        // Both factors, and the cotangent of the product.
        assert_eq!(count(&graph, &is_rounding), 3);
        assert_eq!(count(&graph, &only_for_gradients), 0);
        let inputs = values(&before.graph, 3, ANY);
        // Axes lie in the order in which they were named.
        let rounded = |i: usize, width: usize, row: usize, col: usize| {
            precision.round(inputs[i].data[row * width + col])
        };
        let dx = |b: usize, c: usize| (0..2).map(|u| rounded(2, 2, b, u) * rounded(1, 2, c, u)).sum::<f64>();
        let dw = |c: usize, u: usize| (0..3).map(|b| rounded(0, 4, b, c) * rounded(2, 2, b, u)).sum::<f64>();
        let want: Vec<f64> =
            (0..12).map(|i| dx(i / 4, i % 4)).chain((0..8).map(|i| dw(i / 2, i % 2))).collect();
        let found = outputs(&graph, &inputs);
        let got = found[1].data.iter().chain(&found[2].data);
        assert!(
            got.zip(&want).all(|(g, w)| (g - w).abs() < 1e-12),
            "{}: {found:?}, {want:?}",
            precision.name()
        );
    }
}

#[test]
fn an_element_is_rounded_once_however_many_windows_see_it() {
    let lab = Lab::new();
    let x = lab.input(0, "batch 1 channel 2 row 5 col 4");
    let w = lab.input(1, "unit 2 channel 2 tap(row) 3 tap(col) 3");
    let before = entry(lab.finish(&[sum(&lab, conv(&lab, x, w, 1), &["batch", "channel", "row", "col"])]));
    let graph = optimize(&lab.axes, &before, &[], Some(&train(Precision::Bf16))).graph;
    let rounded: Vec<NodeId> = graph.nodes.iter().filter(|n| is_rounding(&n.op)).map(|n| n.args[0]).collect();
    assert_eq!(rounded.len(), 2, "{}", graph.dump(&lab.axes.borrow()));
    assert!(rounded.iter().all(|x| matches!(graph.node(*x).op, Op::Input { .. })));
}

#[test]
fn padding_that_the_format_lacks_is_rounded_too() {
    for (fill, halo) in [(0.25f32, 0.25), (0.1, 0.10009765625), (f32::INFINITY, f64::INFINITY)] {
        let lab = Lab::new();
        let (x, w) = (lab.input(0, "row 2 channel 3"), lab.input(1, "channel 3 unit 2"));
        let pad = Pad { axis: lab.axis("row"), low: 1, high: 0, gap: 0, fill: fill.to_bits() };
        let y = dot(&lab, lab.op(Op::Pad(pad), &[x]), w, &["channel"]);
        let before = entry(lab.finish(&[lab.b.times(y, lab.b.number(1.0))]));
        let graph = optimize(&lab.axes, &before, &[], Some(&train(Precision::Bf16))).graph;
        let mut inputs = values(&graph, 3, (0.5, 0.5));
        inputs[1].data.fill(1.0);
        let got = &outputs(&graph, &inputs)[0].data;
        assert!(got.contains(&(3.0 * halo)), "{got:?}");
    }
}

#[test]
fn a_scaled_loss_saves_small_gradients() {
    let lab = Lab::new();
    let (x, w) = (lab.input(0, "batch 3 channel 4"), lab.input(1, "channel 4"));
    let y = dot(&lab, x, w, &["channel"]);
    let loss = lab.b.times(sum(&lab, y, &["batch"]), lab.b.number(2f64.powi(-30)));
    let before = entry(lab.finish(&[loss]));
    let gradient = |loss_scale: Option<LossScale>, scale: f64| {
        let train = Train { loss_scale, ..train(Precision::F16) };
        let graph = optimize(&lab.axes, &before, &[1], Some(&train)).graph;
        assert_eq!(count(&graph, &only_for_gradients), 0);
        let inputs: Vec<Value> = graph.inputs().iter().map(|i| Value::build(&i.1, |_| 1.0)).collect();
        let context = Context { host: vec![scale, 1.0 / scale], ..Context::default() };
        let found = run(&graph, &inputs, &context);
        assert_eq!(found[0].data[0], 12.0 * 2f64.powi(-30), "the loss is the same");
        found[1].data[0]
    };
    let scale = Some(LossScale { scale: ScalarId(0), inverse: ScalarId(1) });
    assert_eq!(gradient(None, 1.0), 0.0);
    assert_eq!(gradient(scale, 65536.0), 3.0 * 2f64.powi(-30));
    // Beyond 65504 it is infinite, and stays so for whoever looks.
    assert_eq!(gradient(scale, 2f64.powi(47)), f64::INFINITY);
}

#[test]
fn a_mark_gives_way_with_the_axes_that_it_brought() {
    let lab = Lab::new();
    let (x, factor) = (lab.input(0, "row 3"), lab.input(1, "col 2"));
    let before = entry(lab.finish(&[lab.b.scalar(Scalar::ScaleGradient, &[x, factor])]));
    let graph = optimize(&lab.axes, &before, &[], None).graph;
    assert_eq!(graph.ty(graph.outputs[0]).len(), 6);
    assert_eq!(count(&graph, &only_for_gradients), 0);
}
