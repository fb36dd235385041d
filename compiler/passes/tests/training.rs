//! Gradients end to end: the program that `compile` makes of a loss, run on the kernel interpreter in f32,
//! gives the gradients that autodiff alone gives on the reference interpreter in f64.
mod common;
use common::loops::*;
use common::*;
use stmc_base::{SourceId, Span};
use stmc_ir::device::Scalars;
use stmc_ir::interpret::Context;
use stmc_ir::kernel_interpret::Interpreter;
use stmc_ir::module::{EntryGraph, InputRole, OutputRole};
use stmc_ir::ops::*;
use stmc_ir::{Device, Module, NodeId, Op};
use stmc_passes::autodiff::differentiate;
use stmc_passes::compile::{Gradients, compile};
use stmc_passes::scan::tape::tape;

/// Sums over hundreds of terms in f32, recomputed activations: 1e-4 of the largest element.
const TOLERANCE: f64 = 1e-4;

fn check_training(case: &Case) {
    let graph = case.lab.finish(&[case.loss]);
    let types = graph.inputs();
    let axes = |ty: &stmc_ir::Type| ty.dims().iter().map(|d| d.axis).collect::<Vec<_>>();
    let inputs = types.iter().map(|(i, ty)| InputRole::Named { name: format!("x{i}"), axes: axes(ty) });
    let entry = EntryGraph {
        name: "train".into(),
        inputs: inputs.collect(),
        outputs: vec![OutputRole::Loss { name: "loss".into(), span: Span::new(SourceId(0), 0, 0) }],
        batch: 1,
        graph: graph.clone(),
    };
    let module = Module { axes: case.lab.axes.borrow().clone(), entries: vec![entry], ..Module::default() };
    let program = compile(&module, Gradients::WeightsAndInputs);

    let taped = tape(&case.lab.axes, &graph);
    let all: Vec<usize> = (0..types.len()).collect();
    let (expected, found) = differentiate(&case.lab.axes, &taped, &[taped.outputs[0]], &all);
    let values = values(&graph, 5, ANY);
    let expected = outputs(&expected, &values);

    let mut device = Interpreter::default();
    device.load(&program).expect("the interpreter takes every program");
    let entry = &program.entries[0];
    for port in &entry.inputs {
        let InputRole::Named { name, .. } = &port.role else { panic!("inputs are named") };
        let value = &values[name[1..].parse::<usize>().expect("x and a number")];
        let bits: Vec<u32> = value.data.iter().map(|x| (*x as f32).to_bits()).collect();
        let buffer = program.buffer(port.buffer);
        let mut memory = vec![0; buffer.len];
        buffer.scatter(&bits, &mut memory);
        device.write(port.buffer, &memory).expect("inputs fit");
    }
    let Context { seed, update, .. } = context();
    // Twice: nothing may depend on what a run left behind.
    for _ in 0..2 {
        device.run(0, &Scalars { host: vec![], seed, update }).expect("the program runs");
    }
    assert_eq!(entry.outputs.len(), 1 + found.len(), "{}: the loss and its gradients", case.name);
    for port in &entry.outputs {
        let place = match port.role {
            OutputRole::InputGradient(input) => 1 + found.iter().position(|f| *f == input).expect("wanted"),
            _ => 0,
        };
        let buffer = program.buffer(port.buffer);
        let mut memory = vec![0; buffer.len];
        device.read(port.buffer, &mut memory).expect("outputs can be read");
        let want = &expected[place].data;
        let largest = want.iter().fold(1.0f64, |m, x| m.max(x.abs()));
        for (i, (bits, want)) in buffer.gather(&memory).iter().zip(want).enumerate() {
            let got = f64::from(f32::from_bits(*bits));
            let close = (got - want).abs() <= TOLERANCE * largest;
            assert!(close, "{}: output {place} element {i} is {got}, expected {want}", case.name);
        }
    }
}

#[test]
fn loops() {
    for case in all() {
        check_training(&case);
    }
}

/// A network of image layers: the input, the first weight, and the layers.
fn image(
    name: &'static str,
    channels: usize,
    weights: &[&str],
    f: fn(&Lab, NodeId, &[NodeId]) -> NodeId,
) -> Case {
    let lab = Lab::new();
    let x = lab.input(0, &format!("batch 2 channel {channels} row 8 col 6"));
    let w: Vec<NodeId> = weights.iter().enumerate().map(|(i, ty)| lab.input(i + 1, ty)).collect();
    let y = uneven(&lab, f(&lab, x, &w));
    let axes: Vec<_> = lab.b.ty(y).dims().iter().map(|d| d.axis).collect();
    let loss = lab.b.sum(y, &axes);
    Case { name, lab, loss, wanted: vec![] }
}

fn windows(l: &Lab, x: NodeId, size: usize, stride: usize) -> NodeId {
    ["row", "col"].iter().fold(x, |x, a| {
        let (axis, tap) = (l.axis(a), l.axis(&format!("tap({a})")));
        l.op(Op::Windows(Windows { axis, tap, size, stride, dilation: 1 }), &[x])
    })
}

const FILTER: &str = "unit 16 channel 8 tap(row) 3 tap(col) 3";

#[test]
fn convolutions() {
    check_training(&image("stacked", 8, &[FILTER, FILTER], |l, x, w| {
        let y = part(l, conv(l, x, w[0], 1), "channel", 0, 8);
        conv(l, tanh(l, y), w[1], 1)
    }));
    check_training(&image("strided", 8, &[FILTER], |l, x, w| conv(l, x, w[0], 2)));
    check_training(&image("transposed", 8, &["unit 16 channel 8 tap(row) 4 tap(col) 4"], |l, x, w| {
        let y = dot(l, tanh(l, x), w[0], &["channel"]);
        ["row", "col"].iter().fold(y, |y, a| {
            let (axis, tap) = (l.axis(a), l.axis(&format!("tap({a})")));
            let extent = 2 * l.b.ty(y).extent(axis).expect("an image") + 2;
            let y = l.op(Op::Fold(Fold { axis, tap, stride: 2, dilation: 1, extent }), &[y]);
            part(l, y, a, 1, extent - 2)
        })
    }));
    check_training(&image("patches", 8, &["unit 16 channel 8 tap(row) 2 tap(col) 2"], |l, x, w| {
        dot(l, windows(l, x, 2, 2), w[0], &["channel", "tap(row)", "tap(col)"])
    }));
    check_training(&image("periodic", 8, &[FILTER], |l, x, w| {
        let row = l.op(Op::Pad(Pad::around(l.axis("row"), 1, 1, 0)), &[tanh(l, x)]);
        let around = concat(l, &[part(l, row, "col", 5, 1), row, part(l, row, "col", 0, 1)], "col");
        dot(l, windows(l, around, 3, 1), w[0], &["channel", "tap(row)", "tap(col)"])
    }));
    check_training(&image("depthwise", 16, &["channel 16 tap(row) 3 tap(col) 3"], |l, x, w| {
        dot(l, windows(l, tanh(l, x), 3, 1), w[0], &["tap(row)", "tap(col)"])
    }));
    check_training(&image("skip", 8, &["unit 8 channel 8", "unit 16 channel 16"], |l, x, w| {
        let y = rename(l, dot(l, x, w[0], &["channel"]), "unit", "channel");
        dot(l, concat(l, &[tanh(l, y), x], "channel"), w[1], &["channel"])
    }));
}

#[test]
fn pooling_and_norms() {
    check_training(&image("max pool", 8, &[], |l, x, _| {
        let taps = [l.axis("tap(row)"), l.axis("tap(col)")];
        let most = |x| l.op(Op::Reduce(Reduce::new(Reduction::FirstMax, &taps)), &[x]);
        most(windows(l, most(windows(l, x, 2, 2)), 3, 1))
    }));
    check_training(&image("mean pool", 8, &["channel 8"], |l, x, w| {
        let mean = sum(l, windows(l, l.b.times(x, w[0]), 2, 2), &["tap(row)", "tap(col)"]);
        tanh(l, sum(l, windows(l, mean, 2, 1), &["tap(row)", "tap(col)"]))
    }));
    check_training(&image("norm", 8, &["channel 8"], |l, x, w| {
        let n = l.b.number(1.0 / 96.0);
        let over = ["batch", "row", "col"];
        let apart = l.b.minus(x, l.b.times(sum(l, x, &over), n));
        let variance = l.b.times(sum(l, l.b.times(apart, apart), &over), n);
        let root = l.b.scalar(Scalar::Sqrt, &[l.b.plus(variance, l.b.number(1e-5))]);
        l.b.times(l.b.over(apart, root), w[0])
    }));
    check_training(&image("pixel shuffle", 16, &["unit 16 channel 4 tap(row) 3 tap(col) 3"], |l, x, w| {
        let dim = |a: &str, extent| stmc_ir::Dim { axis: l.axis(a), extent };
        let into = vec![dim("channel", 4), dim("r", 2), dim("c", 2)];
        let y = l.op(Op::Unflatten(Unflatten { axis: l.axis("channel"), into }), &[tanh(l, x)]);
        let join = |y, a: &str, b: &str| {
            l.op(Op::Flatten(Flatten { axes: vec![l.axis(a), l.axis(b)], into: l.axis(a) }), &[y])
        };
        conv(l, join(join(y, "row", "r"), "col", "c"), w[0], 1)
    }));
}
