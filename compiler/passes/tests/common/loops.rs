//! Loops as models have them. Each gives a loss (a tensor; its sum counts) and the inputs that want
//! gradients.
use super::{Lab, uneven};
use stmc_ir::ops::{Cast, Concat, Dot, Pad, Random, Reduce, Reduction, Rename, Scalar, Slice, Windows};
use stmc_ir::{DType, NodeId, Op, Type};

/// A name, a graph and the inputs that want gradients.
pub struct Case {
    pub name: &'static str,
    pub lab: Lab,
    pub loss: NodeId,
    pub wanted: Vec<usize>,
}

pub fn dot(l: &Lab, x: NodeId, y: NodeId, over: &[&str]) -> NodeId {
    let axes: Vec<_> = over.iter().map(|a| l.axis(a)).collect();
    l.op(Op::Dot(Dot::new(&axes)), &[x, y])
}

pub fn sum(l: &Lab, x: NodeId, over: &[&str]) -> NodeId {
    let axes: Vec<_> = over.iter().map(|a| l.axis(a)).collect();
    l.op(Op::Reduce(Reduce::new(Reduction::Sum, &axes)), &[x])
}

pub fn rename(l: &Lab, x: NodeId, from: &str, to: &str) -> NodeId {
    l.op(Op::Rename(Rename::one(l.axis(from), l.axis(to))), &[x])
}

pub fn part(l: &Lab, x: NodeId, axis: &str, start: usize, len: usize) -> NodeId {
    l.op(Op::Slice(Slice::range(l.axis(axis), start, len)), &[x])
}

pub fn concat(l: &Lab, parts: &[NodeId], axis: &str) -> NodeId {
    l.op(Op::Concat(Concat { axis: l.axis(axis) }), parts)
}

/// A same-size convolution along `row` and `col`: channel -> unit -> channel.
pub fn conv(l: &Lab, x: NodeId, w: NodeId, stride: usize) -> NodeId {
    let view = ["row", "col"].iter().fold(x, |x, a| {
        let (axis, tap) = (l.axis(a), l.axis(&format!("tap({a})")));
        let padded = l.op(Op::Pad(Pad::around(axis, 1, 1, 0)), &[x]);
        l.op(Op::Windows(Windows { axis, tap, size: 3, stride, dilation: 1 }), &[padded])
    });
    rename(l, dot(l, view, w, &["channel", "tap(row)", "tap(col)"]), "unit", "channel")
}

pub fn sigmoid(l: &Lab, x: NodeId) -> NodeId {
    l.b.scalar(Scalar::Sigmoid, &[x])
}

pub fn tanh(l: &Lab, x: NodeId) -> NodeId {
    l.b.scalar(Scalar::Tanh, &[x])
}

/// A GRU as PyTorch writes it, input weights and recurrent weights apart.
pub fn gru(steps: usize, reverse: bool) -> Case {
    let lab = Lab::new();
    let x = lab.input(0, &format!("batch 2 time {steps} channel 3"));
    let w = lab.input(1, "unit 6 channel 3");
    let u = lab.input(2, "unit 6 hidden 2");
    let bias = lab.input(3, "unit 6");
    let h = lab.input(4, "batch 2 unit 2");
    let results = lab.scan(("time", steps, reverse), &[h], &[x], &[w, u, bias], |l, _, c, s, k| {
        let gx = l.b.plus(dot(l, s[0], k[0], &["channel"]), k[2]);
        let gh = dot(l, rename(l, c[0], "unit", "hidden"), k[1], &["hidden"]);
        let gate = |x, i: usize| part(l, x, "unit", 2 * i, 2);
        let r = sigmoid(l, l.b.plus(gate(gx, 0), gate(gh, 0)));
        let z = sigmoid(l, l.b.plus(gate(gx, 1), gate(gh, 1)));
        let n = tanh(l, l.b.plus(gate(gx, 2), l.b.times(r, gate(gh, 2))));
        let keep = l.b.times(z, c[0]);
        let next = l.b.plus(l.b.times(l.b.minus(l.b.number(1.0), z), n), keep);
        (vec![next], vec![next])
    });
    let last = sum(&lab, uneven(&lab, results[0]), &["batch", "unit"]);
    let all = sum(&lab, uneven(&lab, results[1]), &["batch", "unit", "time"]);
    let loss = lab.b.plus(last, all);
    Case { name: "gru", lab, loss, wanted: vec![0, 1, 2, 3, 4] }
}

/// A ConvLSTM whose gates see the input and the state together.
pub fn conv_lstm(steps: usize) -> Case {
    let lab = Lab::new();
    let x = lab.input(0, &format!("batch 1 time {steps} channel 2 row 3 col 4"));
    let w = lab.input(1, "unit 8 channel 4 tap(row) 3 tap(col) 3");
    let bias = lab.input(2, "channel 8");
    let peep = lab.input(3, "channel 2 row 3 col 4");
    let zero = lab.b.fill(0.0, &lab.ty("batch 1 channel 2 row 3 col 4"));
    let results = lab.scan(("time", steps, false), &[zero, zero], &[x], &[w, bias, peep], |l, _, c, s, k| {
        let both = concat(l, &[s[0], c[0]], "channel");
        let gates = l.b.plus(conv(l, both, k[0], 1), k[1]);
        let gate = |i: usize| part(l, gates, "channel", 2 * i, 2);
        let i = sigmoid(l, l.b.plus(gate(0), l.b.times(k[2], c[1])));
        let f = sigmoid(l, gate(1));
        let cell = l.b.plus(l.b.times(f, c[1]), l.b.times(i, tanh(l, gate(2))));
        let h = l.b.times(sigmoid(l, gate(3)), tanh(l, cell));
        (vec![h, cell], vec![h])
    });
    let loss = sum(&lab, uneven(&lab, results[2]), &["batch", "time", "channel", "row", "col"]);
    Case { name: "conv_lstm", lab, loss, wanted: vec![0, 1, 2, 3] }
}

/// Two ConvLSTM layers in one loop: the second sees the first one's new state.
pub fn deep(steps: usize) -> Case {
    let lab = Lab::new();
    let x = lab.input(0, &format!("batch 1 time {steps} channel 2 row 3 col 4"));
    let w = lab.input(1, "unit 8 channel 4 tap(row) 3 tap(col) 3");
    let v = lab.input(2, "unit 8 channel 4 tap(row) 3 tap(col) 3");
    let head = lab.input(3, "unit 3 channel 2");
    let zero = lab.b.fill(0.0, &lab.ty("batch 1 channel 2 row 3 col 4"));
    let results = lab.scan(("time", steps, false), &[zero; 4], &[x], &[w, v, head], |l, _, c, s, k| {
        let cell = |x, h, c, w| {
            let gates = conv(l, concat(l, &[x, h], "channel"), w, 1);
            let gate = |i: usize| part(l, gates, "channel", 2 * i, 2);
            let kept = l.b.times(sigmoid(l, gate(1)), c);
            let next = l.b.plus(kept, l.b.times(sigmoid(l, gate(0)), tanh(l, gate(2))));
            (l.b.times(sigmoid(l, gate(3)), tanh(l, next)), next)
        };
        let (h1, c1) = cell(s[0], c[0], c[1], k[0]);
        let (h2, c2) = cell(h1, c[2], c[3], k[1]);
        (vec![h1, c1, h2, c2], vec![dot(l, h2, k[2], &["channel"])])
    });
    let loss = sum(&lab, uneven(&lab, results[4]), &["batch", "time", "unit", "row", "col"]);
    Case { name: "deep", lab, loss, wanted: vec![1, 2, 3] }
}

/// A loop within a loop; the inner one starts from the outer one's carry.
pub fn nested() -> Case {
    let lab = Lab::new();
    let x = lab.input(0, "time 3 space 2 channel 2");
    let w = lab.input(1, "unit 2 channel 2");
    let h = lab.input(2, "channel 2");
    let results = lab.scan(("time", 3, false), &[h], &[x], &[w], |l, _, c, s, k| {
        let inner = l.scan(("space", 2, true), &[c[0]], &[s[0]], &[k[0]], |l, _, c, s, k| {
            let mixed = rename(l, dot(l, l.b.times(c[0], s[0]), k[0], &["channel"]), "unit", "channel");
            let next = tanh(l, l.b.plus(mixed, c[0]));
            (vec![next], vec![l.b.times(next, s[0])])
        });
        (vec![inner[0]], vec![sum(l, inner[1], &["space"])])
    });
    let loss = sum(&lab, uneven(&lab, results[1]), &["time", "channel"]);
    Case { name: "nested", lab, loss, wanted: vec![0, 1, 2] }
}

/// Every step reads the whole of what it walks along; the step number matters; one carry is an integer.
pub fn whole() -> Case {
    let lab = Lab::new();
    let x = lab.input(0, "time 3 channel 2");
    let q = lab.input(1, "channel 2");
    let start = lab.b.fill(0.0, &Type::scalar(DType::I32));
    let results = lab.scan(("time", 3, false), &[q, start], &[x], &[x], |l, step, c, s, k| {
        let score = dot(l, c[0], k[0], &["channel"]);
        let read = dot(l, tanh(l, score), k[0], &["time"]);
        let number = l.op(Op::Cast(Cast { to: DType::F32 }), &[c[1]]);
        let next = l.b.plus(l.b.times(read, s[0]), l.b.times(number, l.b.number(0.1)));
        (vec![next, l.b.plus(c[1], step)], vec![read])
    });
    let last = sum(&lab, uneven(&lab, results[0]), &["channel"]);
    let all = sum(&lab, uneven(&lab, results[2]), &["channel", "time"]);
    let loss = lab.b.plus(last, all);
    Case { name: "whole", lab, loss, wanted: vec![0, 1] }
}

/// Two carries of which one gets no gradient, a yield without one, and a step that draws at random.
pub fn partial() -> Case {
    let lab = Lab::new();
    let x = lab.input(0, "time 4 channel 2");
    let w = lab.input(1, "channel 2");
    let zero = lab.b.fill(0.0, &lab.ty("channel 2"));
    let results = lab.scan(("time", 4, false), &[zero, zero], &[x], &[w], |l, step, c, s, k| {
        let random = Random { site: 7, ty: l.ty("channel 2") };
        let draw = l.op(Op::Random(random), &[step]);
        let mask = l.b.scalar(Scalar::Less, &[draw, l.b.number(0.6)]);
        let kept = l.b.scalar(Scalar::Where, &[mask, s[0], l.b.number(0.0)]);
        let next = l.b.plus(l.b.times(c[0], k[0]), kept);
        let stopped = l.b.scalar(Scalar::Stop, &[l.b.times(c[1], s[0])]);
        (vec![next, l.b.plus(stopped, l.b.number(1.0))], vec![next, stopped])
    });
    let loss = sum(&lab, uneven(&lab, results[2]), &["time", "channel"]);
    Case { name: "partial", lab, loss, wanted: vec![0, 1] }
}

pub fn all() -> Vec<Case> {
    vec![gru(4, false), gru(3, true), conv_lstm(3), deep(3), nested(), whole(), partial()]
}
