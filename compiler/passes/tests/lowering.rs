//! Lowering keeps values: the program that `compile` makes of a graph gives, on the kernel interpreter, what the graph gives on the
//! reference interpreter. Inputs are random, so every stride, halo and slot that is wrong shows.
use std::cell::RefCell;
use std::rc::Rc;
use stmc_ir::device::Scalars;
use stmc_ir::interpret::{Context, Value, run};
use stmc_ir::kernel_interpret::Interpreter;
use stmc_ir::module::{EntryGraph, InputRole, OutputRole};
use stmc_ir::ops::*;
use stmc_ir::{Axes, AxisId, Builder, DType, Device, Dim, Module, NodeId, Type};
use stmc_passes::compile::{Gradients, compile};

/// Axes of the cases, by name; extents are fixed so that no two that could be confused agree.
struct Case {
    b: Builder,
    inputs: usize,
}

const EXTENTS: &[(&str, usize)] = &[
    ("batch", 3),
    ("time", 4),
    ("channel", 6),
    ("row", 5),
    ("col", 8),
    ("unit", 16),
    ("tap_row", 3),
    ("tap_col", 3),
];

impl Case {
    fn axis(&self, name: &str) -> AxisId {
        self.b.axes().borrow_mut().axis(name, "")
    }
    fn ty(&self, names: &[&str]) -> Type {
        let dim = |n: &&str| {
            let extent = EXTENTS.iter().find(|e| e.0 == *n).expect("a known axis").1;
            Dim { axis: self.axis(n), extent }
        };
        Type::new(DType::F32, names.iter().map(dim).collect()).expect("distinct axes")
    }
    fn input(&mut self, names: &[&str]) -> NodeId {
        self.inputs += 1;
        self.b.input(self.inputs - 1, self.ty(names))
    }
    fn op(&self, op: Op, args: &[NodeId]) -> NodeId {
        self.b.must(op, args)
    }
    fn conv(&self, x: NodeId, w: NodeId, stride: usize) -> NodeId {
        let mut x = x;
        for (axis, tap) in [("row", "tap_row"), ("col", "tap_col")] {
            let (axis, tap) = (self.axis(axis), self.axis(tap));
            x = self.op(Op::Pad(Pad::around(axis, 1, 1, 0)), &[x]);
            x = self.op(Op::Windows(Windows { axis, tap, size: 3, stride, dilation: 1 }), &[x]);
        }
        let over = [self.axis("channel"), self.axis("tap_row"), self.axis("tap_col")];
        self.op(Op::Dot(Dot::new(&over)), &[x, w])
    }
}

fn noise(seed: usize, ty: &Type) -> Value {
    let draw = |i: usize| {
        let word = stmc_ir::philox::philox([7, seed as u32], [i as u32, 0, 0, 0])[0];
        f64::from((word >> 8) as f32 / 16_777_216.0 * 2.0 - 1.0)
    };
    Value { ty: ty.clone(), data: (0..ty.len()).map(draw).collect() }
}

fn check(name: &str, build: impl Fn(&mut Case) -> Vec<NodeId>) {
    let axes = Rc::new(RefCell::new(Axes::default()));
    for (name, _) in EXTENTS {
        axes.borrow_mut().axis(name, "");
    }
    let mut case = Case { b: Builder::new(axes.clone()), inputs: 0 };
    let outputs = build(&mut case);
    let graph = case.b.finish(outputs);
    let types = graph.inputs();
    let sorted = |ty: &Type| ty.dims().iter().map(|d| d.axis).collect::<Vec<_>>();
    let inputs: Vec<InputRole> =
        types.iter().map(|(i, ty)| InputRole::Named { name: format!("x{i}"), axes: sorted(ty) }).collect();
    assert!(types.iter().enumerate().all(|(n, (i, _))| n == *i), "{name}: inputs are numbered in order");
    let roles = graph.outputs.iter().enumerate();
    let roles =
        roles.map(|(n, o)| OutputRole::Named { name: format!("y{n}"), axes: sorted(graph.ty(*o)) }).collect();
    let entry = EntryGraph { name: "predict".into(), graph: graph.clone(), inputs, outputs: roles, batch: 3 };
    let module = Module { axes: axes.borrow().clone(), entries: vec![entry], ..Module::default() };
    let program = compile(&module, Gradients::Weights);

    let values: Vec<Value> = types.iter().map(|(i, ty)| noise(*i, ty)).collect();
    let expected = run(&graph, &values, &Context { seed: 5, update: 3, ..Context::default() });
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
    // Twice: nothing may depend on what a run left behind.
    for _ in 0..2 {
        device.run(0, &Scalars { host: vec![], seed: 5, update: 3 }).expect("the program runs");
    }
    for (n, (port, expected)) in entry.outputs.iter().zip(&expected).enumerate() {
        let buffer = program.buffer(port.buffer);
        let mut memory = vec![0; buffer.len];
        device.read(port.buffer, &mut memory).expect("outputs can be read");
        for (i, (bits, want)) in buffer.gather(&memory).iter().zip(&expected.data).enumerate() {
            let got = stmc_ir::interpret::from_bits(*bits, buffer.dtype);
            let close = (got - want).abs() <= 1e-5 * (1.0 + want.abs());
            assert!(close, "{name}: output {n} element {i} is {got}, expected {want}\n{}", dump(&program));
        }
    }
}

fn dump(program: &stmc_ir::Program) -> String {
    program.kernels.iter().map(stmc_ir::Kernel::dump).collect()
}

#[test]
fn pointwise_and_broadcast() {
    check("sum of three", |c| {
        let (x, y, z) = (c.input(&["batch", "row", "col"]), c.input(&["row"]), c.input(&["col", "channel"]));
        vec![c.b.times(c.b.plus(x, y), z), c.b.plus(x, y)]
    });
}

#[test]
fn moves() {
    check("slice, flip, pad with gaps", |c| {
        let x = c.input(&["batch", "col", "channel"]);
        let (col, channel) = (c.axis("col"), c.axis("channel"));
        let s = c.op(Op::Slice(Slice { axis: col, start: 1, step: 2, len: 3 }), &[x]);
        let f = c.op(Op::Flip(Flip { axis: channel }), &[s]);
        let p = c.op(Op::Pad(Pad { axis: col, low: 2, high: 1, gap: 1, fill: 2f32.to_bits() }), &[f]);
        let halo = c.b.times(c.op(Op::Pad(Pad::around(channel, 1, 2, 0)), &[p]), c.b.number(3.0));
        vec![p, halo, f]
    });
    check("flatten and unflatten", |c| {
        let x = c.input(&["batch", "row", "col"]);
        let (row, col, channel, batch) = (c.axis("row"), c.axis("col"), c.axis("channel"), c.axis("batch"));
        let flat = c.op(Op::Flatten(Flatten { axes: vec![col, row], into: channel }), &[x]);
        let into = vec![Dim { axis: row, extent: 4 }, Dim { axis: col, extent: 10 }];
        let apart = c.op(Op::Unflatten(Unflatten { axis: channel, into }), &[flat]);
        let all = c.op(Op::Flatten(Flatten { axes: vec![row, batch, col], into: col }), &[x]);
        vec![flat, apart, all]
    });
    check("concat and gather", |c| {
        let (x, y, i) = (c.input(&["batch", "col"]), c.input(&["batch", "col", "row"]), c.input(&["time"]));
        let col = c.axis("col");
        let both = c.op(Op::Concat(Concat { axis: col }), &[x, y, x]);
        let scaled = c.b.times(i, c.b.number(40.0));
        let index = c.op(Op::Cast(Cast { to: DType::I32 }), &[scaled]);
        vec![both, c.op(Op::Gather(Gather { axis: col }), &[both, index])]
    });
}

#[test]
fn pixel_shuffle() {
    check("space to depth and back", |c| {
        let x = c.input(&["batch", "col", "channel"]);
        let (col, channel, tap) = (c.axis("col"), c.axis("channel"), c.axis("tap_col"));
        let into = vec![Dim { axis: col, extent: 4 }, Dim { axis: tap, extent: 2 }];
        let apart = c.op(Op::Unflatten(Unflatten { axis: col, into }), &[x]);
        let deep = c.op(Op::Flatten(Flatten { axes: vec![channel, tap], into: channel }), &[apart]);
        let into = vec![Dim { axis: channel, extent: 6 }, Dim { axis: tap, extent: 2 }];
        let back = c.op(Op::Unflatten(Unflatten { axis: channel, into }), &[deep]);
        vec![deep, c.op(Op::Flatten(Flatten { axes: vec![col, tap], into: col }), &[back])]
    });
}

#[test]
fn reductions() {
    check("mean, maximum, everything", |c| {
        let x = c.input(&["batch", "time", "row", "col", "unit"]);
        let (batch, time, row, col, unit) =
            (c.axis("batch"), c.axis("time"), c.axis("row"), c.axis("col"), c.axis("unit"));
        let d = c.b.minus(x, c.b.over(c.b.sum(x, &[unit]), c.b.number(16.0)));
        let max = c.op(Op::Reduce(Reduce::new(Reduction::Max, &[row, col])), &[d]);
        vec![c.b.sum(c.b.times(d, d), &[batch, time, row, col, unit]), max, c.b.sum(x, &[batch, row, time])]
    });
    check("pooling", |c| {
        let x = c.input(&["batch", "row", "col", "channel"]);
        let mut y = c.b.scalar(Scalar::Tanh, &[x]);
        for (axis, tap) in [("row", "tap_row"), ("col", "tap_col")] {
            let (axis, tap) = (c.axis(axis), c.axis(tap));
            y = c.op(Op::Pad(Pad::around(axis, 1, 1, f32::NEG_INFINITY.to_bits())), &[y]);
            y = c.op(Op::Windows(Windows { axis, tap, size: 3, stride: 2, dilation: 1 }), &[y]);
        }
        let taps = [c.axis("tap_row"), c.axis("tap_col")];
        vec![c.op(Op::Reduce(Reduce::new(Reduction::FirstMax, &taps)), &[y])]
    });
    check("fold", |c| {
        let x = c.input(&["batch", "row", "tap_row", "channel"]);
        let (axis, tap) = (c.axis("row"), c.axis("tap_row"));
        let fold = |stride, dilation, extent| Op::Fold(Fold { axis, tap, stride, dilation, extent });
        vec![c.op(fold(1, 1, 7), &[x]), c.op(fold(2, 1, 12), &[x]), c.op(fold(2, 3, 15), &[x])]
    });
}

#[test]
fn contractions() {
    check("convolution", |c| {
        let x = c.input(&["batch", "row", "col", "channel"]);
        let w = c.input(&["unit", "channel", "tap_row", "tap_col"]);
        let y = c.conv(c.b.scalar(Scalar::Tanh, &[x]), w, 1);
        vec![c.b.scalar(Scalar::Sigmoid, &[y]), c.conv(x, w, 2)]
    });
    check("convolution of a concat", |c| {
        let (x, y) =
            (c.input(&["batch", "row", "col", "channel"]), c.input(&["batch", "row", "col", "channel"]));
        let channel = c.axis("channel");
        let both = c.op(Op::Concat(Concat { axis: channel }), &[x, c.b.times(x, y)]);
        let w = c.input(&["unit", "channel", "tap_row", "tap_col"]);
        let w2 = c.op(Op::Concat(Concat { axis: channel }), &[w, c.b.negated(w)]);
        vec![c.conv(both, w2, 1)]
    });
    check("batched and small products", |c| {
        let (x, y) =
            (c.input(&["batch", "time", "row", "channel"]), c.input(&["batch", "col", "channel", "row"]));
        let (channel, row) = (c.axis("channel"), c.axis("row"));
        let (u, v) = (c.input(&["channel"]), c.input(&["channel", "time"]));
        let dot = |axes: &[AxisId], x, y| c.op(Op::Dot(Dot::new(axes)), &[x, y]);
        vec![dot(&[channel], x, y), dot(&[channel, row], x, y), dot(&[channel], u, v), dot(&[channel], u, u)]
    });
}

#[test]
fn random_numbers_do_not_depend_on_the_layout() {
    check("random", |c| {
        let x = c.input(&["batch", "row", "unit"]);
        let ty = c.ty(&["batch", "row", "unit"]);
        let r = c.op(Op::Random(Random { site: 77, ty }), &[]);
        vec![c.b.plus(x, r), r]
    });
}

/// A convolutional recurrence with every kind of operand and result.
fn recurrence(c: &mut Case, reverse: bool) -> Vec<NodeId> {
    let frames = c.input(&["batch", "time", "row", "col"]);
    let (first, w) =
        (c.input(&["row", "col", "channel"]), c.input(&["unit", "channel", "tap_row", "tap_col"]));
    let head = c.input(&["unit", "channel"]);
    let inner = Case { b: c.b.sub(), inputs: 0 };
    let b = &inner.b;
    let step = b.input(0, Type::scalar(DType::I32));
    let h = b.input(1, c.ty(&["batch", "row", "col", "channel"]));
    let sum = b.input(2, c.ty(&["batch"]));
    let frame = b.input(3, c.ty(&["batch", "row", "col"]));
    let w_in = b.input(4, c.ty(&["unit", "channel", "tap_row", "tap_col"]));
    let head_in = b.input(5, c.ty(&["unit", "channel"]));
    let z = b.scalar(Scalar::Tanh, &[inner.conv(h, w_in, 1)]);
    let back = b.must(Op::Dot(Dot::new(&[c.axis("unit")])), &[z, head_in]);
    let t = b.must(Op::Cast(Cast { to: DType::F32 }), &[step]);
    let next = b.plus(b.times(back, b.number(0.1)), b.times(frame, t));
    let total = b.plus(sum, b.sum(frame, &[c.axis("row"), c.axis("col")]));
    let body = b.finish(vec![next, total, h, next, b.times(next, next), frame]);
    let scan = Scan { axis: c.axis("time"), extent: 4, reverse, carries: 2, slices: 1, body };
    let start = c.b.expand_to(first, &c.ty(&["batch", "row", "col", "channel"]));
    let zero = c.b.fill(0.0, &c.ty(&["batch"]));
    let results = c.b.scan(scan, &[start, zero, frames, w, head]).expect("the scan is well typed");
    vec![
        results[0],
        results[1],
        results[2],
        results[3],
        results[4],
        results[5],
        c.b.plus(results[3], results[2]),
    ]
}

#[test]
fn scans() {
    check("forward", |c| recurrence(c, false));
    check("reversed", |c| recurrence(c, true));
}
