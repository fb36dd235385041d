//! What the tests of graph passes share: small graphs, values for them, and gradients by finite differences.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test file uses a part
pub mod loops;

use std::cell::RefCell;
use std::rc::Rc;
use stmc_ir::interpret::{Context, Value, run};
use stmc_ir::ops::{Scalar, Scan};
use stmc_ir::{Axes, AxisId, Builder, DType, Dim, Graph, NodeId, Op, Type, verify};
use stmc_passes::rebuild::SharedAxes;

/// A graph in the making, with axes by name.
#[derive(Clone)]
pub struct Lab {
    pub axes: SharedAxes,
    pub b: Builder,
}

impl Lab {
    pub fn new() -> Lab {
        let axes = Rc::new(RefCell::new(Axes::default()));
        Lab { b: Builder::new(axes.clone()), axes }
    }

    pub fn axis(&self, name: &str) -> AxisId {
        self.axes.borrow_mut().axis(name, "")
    }

    /// `f32[row: 3, col: 4]` is `ty("row 3 col 4")`.
    pub fn ty(&self, text: &str) -> Type {
        let words: Vec<&str> = text.split_whitespace().collect();
        let dims =
            words.chunks(2).map(|w| Dim { axis: self.axis(w[0]), extent: w[1].parse().expect("a number") });
        Type::new(DType::F32, dims.collect()).expect("distinct axes")
    }

    pub fn input(&self, index: usize, text: &str) -> NodeId {
        self.b.input(index, self.ty(text))
    }

    pub fn op(&self, op: Op, args: &[NodeId]) -> NodeId {
        self.b.must(op, args)
    }

    pub fn finish(&self, outputs: &[NodeId]) -> Graph {
        self.b.finish(outputs.to_vec())
    }

    /// A scan whose body is built by `f(lab of the body, step, carries, slices, captures)`, which gives the
    /// carries' next values and the yields.
    pub fn scan(
        &self,
        (axis, extent, reverse): (&str, usize, bool),
        carries: &[NodeId],
        slices: &[NodeId],
        captures: &[NodeId],
        f: impl FnOnce(&Lab, NodeId, &[NodeId], &[NodeId], &[NodeId]) -> (Vec<NodeId>, Vec<NodeId>),
    ) -> Vec<NodeId> {
        let axis = self.axis(axis);
        let body = Lab { axes: self.axes.clone(), b: self.b.sub() };
        let step = body.b.input(0, Type::scalar(DType::I32));
        let mut n = 0;
        let mut input = |ty: Type| {
            n += 1;
            body.b.input(n, ty)
        };
        let c: Vec<NodeId> = carries.iter().map(|x| input(self.b.ty(*x))).collect();
        let s: Vec<NodeId> = slices.iter().map(|x| input(self.b.ty(*x).without(&[axis]))).collect();
        let k: Vec<NodeId> = captures.iter().map(|x| input(self.b.ty(*x))).collect();
        let (next, yields) = f(&body, step, &c, &s, &k);
        let outputs = next.into_iter().chain(yields).collect();
        let scan = Scan {
            axis,
            extent,
            reverse,
            carries: carries.len(),
            slices: slices.len(),
            body: body.b.finish(outputs),
        };
        self.b.scan(scan, &[carries, slices, captures].concat()).expect("a well-typed scan")
    }
}

/// A generator of test data: splitmix64, the same on every run.
pub struct Draws(pub u64);

impl Draws {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Values for every input of a graph, floats within `domain`, integers below 3.
pub fn values(graph: &Graph, seed: u64, (low, high): (f64, f64)) -> Vec<Value> {
    let mut draws = Draws(seed);
    let inputs = graph.inputs();
    let count = inputs.iter().map(|i| i.0 + 1).max().unwrap_or(0);
    let mut values = vec![Value::scalar(0.0); count];
    for (index, ty) in inputs {
        values[index] = Value::build(&ty, |_| match ty.dtype {
            DType::F32 => draws.between(low, high),
            DType::I32 => draws.below(3) as f64,
            DType::Bool => draws.below(2) as f64,
        });
    }
    values
}

pub const ANY: (f64, f64) = (-1.5, 1.5);

pub fn context() -> Context {
    Context { host: vec![0.5], seed: 3, update: 1 }
}

pub fn outputs(graph: &Graph, inputs: &[Value]) -> Vec<Value> {
    run(graph, inputs, &context())
}

/// Panics unless both graphs give the same outputs. Both compute in f64; a rewrite may reorder sums, and
/// tables that are computed while compiling hold f32.
pub fn assert_same_values(before: &Graph, after: &Graph, what: &str) {
    let inputs = values(before, 11, ANY);
    let (want, got) = (outputs(before, &inputs), outputs(after, &inputs));
    assert_eq!(want.len(), got.len(), "{what}: number of outputs");
    for (i, (want, got)) in want.iter().zip(&got).enumerate() {
        assert_eq!(want.ty, got.ty, "{what}: type of output {i}");
        for (w, g) in want.data.iter().zip(&got.data) {
            let close = (w - g).abs() <= 1e-6 * w.abs().max(1.0) || w.is_nan() && g.is_nan() || w == g;
            assert!(close, "{what}: output {i} was {w} and became {g}");
        }
    }
}

/// Compares gradients (outputs of `graph` after the first) with finite differences of the sum of its first
/// output. `wanted[i]` is the input of gradient `i`.
pub fn assert_gradients(forward: &Graph, graph: &Graph, wanted: &[usize], domain: (f64, f64), what: &str) {
    let inputs = values(forward, 5, domain);
    let got = outputs(graph, &inputs);
    let loss = |inputs: &[Value]| outputs(forward, inputs)[0].data.iter().sum::<f64>();
    for (gradient, input) in got[forward.outputs.len()..].iter().zip(wanted) {
        assert_eq!(gradient.ty, inputs[*input].ty, "{what}: a gradient has the type of its input");
        let len = inputs[*input].data.len();
        // A few elements of a large tensor, spread over it.
        for i in (0..len).step_by(len.div_ceil(8)) {
            let at = |h: f64| {
                let mut moved = inputs.clone();
                moved[*input].data[i] += h;
                loss(&moved)
            };
            // Central differences in f64: the error is about h² + 1e-16 / h, relative to the loss.
            let h = 1e-5;
            let want = (at(h) - at(-h)) / (2.0 * h);
            let found = gradient.data[i];
            let close = (found - want).abs() <= 1e-6 * want.abs().max(1.0);
            assert!(close, "{what}: gradient {input} at {i} is {found}, differences say {want}");
        }
    }
}

pub fn check(graph: &Graph, lab: &Lab, after: &str) {
    verify::graph(graph, &lab.axes.borrow(), after);
}

/// How many nodes of a graph, bodies of scans included, satisfy `f`.
pub fn count(graph: &Graph, f: &dyn Fn(&Op) -> bool) -> usize {
    let live = graph.live();
    let nodes = graph.nodes.iter().enumerate().filter(|(i, _)| live[*i]);
    nodes
        .map(|(_, n)| {
            let inner = if let Op::Scan(scan) = &n.op { count(&scan.body, f) } else { 0 };
            usize::from(f(&n.op)) + inner
        })
        .sum()
}

/// How many live nodes within scans satisfy `f`.
pub fn count_inside(graph: &Graph, f: &dyn Fn(&Op) -> bool) -> usize {
    let live = graph.live();
    let nodes = graph.nodes.iter().enumerate().filter(|(i, _)| live[*i]);
    nodes.map(|(_, n)| if let Op::Scan(scan) = &n.op { count(&scan.body, f) } else { 0 }).sum()
}

pub fn is_dot(op: &Op) -> bool {
    matches!(op, Op::Dot(_))
}

/// x, whatever it is, made to matter: Σ x sin(3x + w), so that no two elements share a cotangent.
pub fn uneven(lab: &Lab, x: NodeId) -> NodeId {
    let ty = lab.b.ty(x);
    let ramp = ty.dims().iter().fold(lab.b.number(0.3), |sum, d| {
        let index = lab.op(Op::Index { axis: d.axis, extent: d.extent }, &[]);
        let index = lab.op(Op::Cast(stmc_ir::ops::Cast { to: DType::F32 }), &[index]);
        lab.b.plus(lab.b.times(sum, lab.b.number(1.7)), index)
    });
    let wave = lab.b.scalar(Scalar::Sin, &[ramp]);
    lab.b.times(x, lab.b.plus(wave, lab.b.times(x, lab.b.number(0.5))))
}
