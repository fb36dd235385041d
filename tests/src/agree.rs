//! One graph on every device: the reference interpreter (f64) says what is right, for values and for gradients.
use crate::devices::{self, Precision, Subject};
use crate::lab::Lab;
use crate::onnx;
use stmc_base::{SourceId, Span};
use stmc_ir::device::Scalars;
use stmc_ir::interpret::{Context, Value, from_bits, run};
use stmc_ir::module::{EntryGraph, InputRole, OutputRole};
use stmc_ir::ops::leaf::to_bits;
use stmc_ir::ops::{Reduce, Reduction};
use stmc_ir::{Axes, AxisId, DType, Graph, HostExpr, Module, NodeId, Op, Program, Type};
use stmc_passes::autodiff::differentiate;
use stmc_passes::compile::{Gradients, compile};
use stmc_passes::scan::tape::tape;

/// Random numbers, the step and host scalars are the same on every device.
const SEED: u64 = 0x5eed_1234_5678;
const UPDATE: u32 = 3;
const HOST: f64 = 0.5;

/// How far a device may be from the interpreter.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Of devices as exact as a processor.
    processor: f64,
    /// Of graphics cards.
    graphics: f64,
    /// What it is relative to.
    scale: Scale,
}

/// The larger of 1 and …
#[derive(Clone, Copy, Debug)]
enum Scale {
    /// the element itself: nothing can cancel.
    Element,
    /// the largest element of the tensor: sums cancel, and keep the rounding of their largest terms.
    Tensor,
}

/// Moved, compared or counted: the very same bits.
pub const EXACT: Tolerance = Tolerance { processor: 0.0, graphics: 0.0, scale: Scale::Element };
/// The same, but that graphics cards may take a subnormal number for 0.
pub const FLUSHED: Tolerance = Tolerance { processor: 0.0, graphics: 1.2e-38, scale: Scale::Element };
/// One or two roundings to f32 (2^-24 each). WGSL allows a division 2.5 units in the last place, a square root 4.5.
pub const ROUNDED: Tolerance = Tolerance { processor: 3e-7, graphics: 6e-7, scale: Scale::Element };
/// Elementary functions: 4 units in the last place here. WGSL owes sin and cos 2^-11, tanh 1e-5 and exp(x) 3 + 2|x| units.
pub const FUNCTION: Tolerance = Tolerance { processor: 6e-7, graphics: 6e-4, scale: Scale::Element };
/// Sums of up to a few thousand products, in another order than the interpreter's.
pub const SUM: Tolerance = Tolerance { processor: 1e-5, graphics: 2e-5, scale: Scale::Tensor };
/// Contractions and elementary functions that feed on each other, a handful of times.
pub const LOOP: Tolerance = Tolerance { processor: 2e-5, graphics: 2e-3, scale: Scale::Tensor };

impl Tolerance {
    /// The largest difference allowed for an element of a tensor.
    fn of(self, precision: Precision, element: f64, largest: f64) -> f64 {
        let part = if precision == Precision::Processor { self.processor } else { self.graphics };
        let size = match self.scale {
            Scale::Element => element.abs(),
            Scale::Tensor => largest,
        };
        part * size.max(1.0)
    }
}

/// A graph with values for its inputs.
pub struct Case {
    /// For messages.
    pub name: String,
    /// Where the graph is made.
    pub lab: Lab,
    /// Compared one by one.
    pub outputs: Vec<NodeId>,
    /// By input number; of its graph's types, numbers that f32 holds exactly.
    pub inputs: Vec<Value>,
    /// Of outputs.
    pub tolerance: Tolerance,
    /// Of gradients of a weighted sum of squares of the outputs. `None`: they are not compared.
    pub gradients: Option<Tolerance>,
}

/// Compares cases on every device. All that differ are listed.
pub fn check(cases: &[Case]) {
    let mut subjects = devices::all();
    let mut faults = vec![];
    let expected: Vec<Expected> = cases.iter().map(Expected::of).collect();
    for (case, expected) in cases.iter().zip(&expected) {
        for subject in &mut subjects {
            faults.extend(expected.faults(case, subject));
        }
    }
    faults.extend(faults_of_onnx(cases, &expected));
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
}

/// The graphs as they are, written as ONNX models; where there is an onnxruntime, it runs them.
fn faults_of_onnx(cases: &[Case], expected: &[Expected]) -> Vec<String> {
    let axes: Vec<Axes> = cases.iter().map(|case| case.lab.axes.borrow().clone()).collect();
    let model = |((case, expected), axes)| {
        let (case, expected): (&Case, &Expected) = (case, expected);
        onnx::Model { axes, entry: &expected.predict, context: context(), inputs: &case.inputs }
    };
    let models: Vec<onnx::Model<'_>> = cases.iter().zip(expected).zip(&axes).map(model).collect();
    let Some(python) = onnx::python() else {
        models.iter().for_each(onnx::assert_readable);
        return vec![];
    };
    let mut faults = vec![];
    for ((case, expected), found) in cases.iter().zip(expected).zip(onnx::values(&python, &models)) {
        match found {
            None => {}
            Some(Err(error)) => faults.push(format!("{} on onnxruntime: {error}", case.name)),
            Some(Ok(values)) => {
                for (i, (got, want)) in values.iter().zip(&expected.outputs).enumerate() {
                    let limit = |x, largest| case.tolerance.of(Precision::Processor, x, largest);
                    let fault = difference(got, want, limit);
                    faults.extend(fault.map(|f| format!("{} on onnxruntime: output {i}, {f}", case.name)));
                }
            }
        }
    }
    faults
}

/// A case compiled, and what it must give.
struct Expected {
    predict: EntryGraph,
    program: Program,
    outputs: Vec<Value>,
    gradients: Vec<(usize, Value)>,
}

impl Expected {
    fn of(case: &Case) -> Expected {
        let lab = &case.lab;
        let graph = lab.finish(&case.outputs);
        let outputs = run(&graph, &case.inputs, &context());
        let predict = entry("predict", &graph, named(&graph));
        let mut entries = vec![predict.clone()];
        let mut gradients = vec![];
        if case.gradients.is_some() {
            let loss = lab.finish(&[weighted_squares(lab, &case.outputs)]);
            gradients = exact_gradients(lab, &loss, &case.inputs);
            let role = OutputRole::Loss { name: "loss".into(), span: Span::new(SourceId(0), 0, 0) };
            entries.push(entry("train", &loss, vec![role]));
        }
        let axes = lab.axes.borrow().clone();
        let scalars = vec![HostExpr::Const(HOST)];
        let module = Module { axes, entries, scalars, ..Module::default() };
        Expected { predict, program: compile(&module, Gradients::WeightsAndInputs), outputs, gradients }
    }

    fn faults(&self, case: &Case, subject: &mut Subject) -> Vec<String> {
        if let Err(error) = subject.device.load(&self.program) {
            return vec![format!("{} on {}: {error}", case.name, subject.name)];
        }
        let mut faults = vec![];
        for entry in 0..self.program.entries.len() {
            faults.extend(self.entry_faults(case, subject, entry));
        }
        faults
    }

    fn entry_faults(&self, case: &Case, subject: &mut Subject, entry: usize) -> Vec<String> {
        self.write_inputs(case, subject, entry);
        // Twice: nothing may depend on what a run left behind.
        for _ in 0..2 {
            let scalars = Scalars { host: vec![HOST as f32], seed: SEED, update: UPDATE };
            if let Err(error) = subject.device.run(entry, &scalars) {
                return vec![format!("{} on {}: {error}", case.name, subject.name)];
            }
        }
        let mut faults = vec![];
        for port in &self.program.entries[entry].outputs {
            let (what, want, tolerance) = match &port.role {
                OutputRole::Named { name, .. } => {
                    let i: usize = name[1..].parse().expect("`y` and a number");
                    (format!("output {i}"), &self.outputs[i], case.tolerance)
                }
                OutputRole::InputGradient(i) => {
                    let of = |g: &&(usize, Value)| g.0 == *i;
                    let want = &self.gradients.iter().find(of).expect("the input has a gradient").1;
                    (format!("gradient of input {i}"), want, case.gradients.expect("it was asked for"))
                }
                _ => continue,
            };
            let buffer = self.program.buffer(port.buffer);
            let mut memory = vec![0; buffer.len];
            subject.device.read(port.buffer, &mut memory).expect("outputs can be read");
            let got: Vec<f64> = buffer.gather(&memory).iter().map(|b| from_bits(*b, buffer.dtype)).collect();
            if let Some(fault) =
                difference(&got, want, |x, largest| tolerance.of(subject.precision, x, largest))
            {
                faults.push(format!("{} on {}: {what}, {fault}", case.name, subject.name));
            }
        }
        faults
    }

    fn write_inputs(&self, case: &Case, subject: &mut Subject, entry: usize) {
        for port in &self.program.entries[entry].inputs {
            let InputRole::Named { name, .. } = &port.role else { panic!("inputs are named") };
            let value = &case.inputs[name[1..].parse::<usize>().expect("`x` and a number")];
            let bits: Vec<u32> = value.data.iter().map(|x| to_bits(*x, value.ty.dtype)).collect();
            let buffer = self.program.buffer(port.buffer);
            let mut memory = vec![0; buffer.len];
            // A halo around the input keeps what it had.
            subject.device.read(port.buffer, &mut memory).expect("inputs can be read");
            buffer.scatter(&bits, &mut memory);
            subject.device.write(port.buffer, &memory).expect("inputs fit");
        }
    }
}

fn context() -> Context {
    Context { host: vec![HOST], seed: SEED, update: UPDATE }
}

fn entry(name: &str, graph: &Graph, outputs: Vec<OutputRole>) -> EntryGraph {
    let types = graph.inputs();
    let count = types.iter().map(|i| i.0 + 1).max().unwrap_or(0);
    let role = |i: usize| {
        let ty = types.iter().find(|t| t.0 == i).map(|t| &t.1);
        InputRole::Named { name: format!("x{i}"), axes: ty.map_or(vec![], sorted) }
    };
    let inputs = (0..count).map(role).collect();
    EntryGraph { name: name.into(), graph: graph.clone(), inputs, outputs, batch: 1 }
}

fn named(graph: &Graph) -> Vec<OutputRole> {
    let role =
        |(n, id): (usize, &NodeId)| OutputRole::Named { name: format!("y{n}"), axes: sorted(graph.ty(*id)) };
    graph.outputs.iter().enumerate().map(role).collect()
}

fn sorted(ty: &Type) -> Vec<AxisId> {
    ty.dims().iter().map(|d| d.axis).collect()
}

/// Σ y (w + y / 2) over all f32 outputs, with other weights w everywhere, so that no two elements share a cotangent.
fn weighted_squares(lab: &Lab, outputs: &[NodeId]) -> NodeId {
    let mut loss = lab.b.number(0.0);
    for (n, y) in outputs.iter().enumerate() {
        let ty = lab.b.ty(*y);
        if ty.dtype != DType::F32 {
            continue;
        }
        let weight = |i: usize| ((i * 7 + n * 3 + 1) % 17) as f32 / 8.0 - 1.0;
        let data: Vec<u32> = (0..ty.len()).map(|i| weight(i).to_bits()).collect();
        let w = lab.op(Op::Constant { data: data.into(), ty: ty.clone() }, &[]);
        let mut term = lab.b.times(*y, lab.b.plus(w, lab.b.times(*y, lab.b.number(0.5))));
        if !ty.dims().is_empty() {
            term = lab.op(Op::Reduce(Reduce::new(Reduction::Sum, &sorted(&ty))), &[term]);
        }
        loss = lab.b.plus(loss, term);
    }
    loss
}

/// Gradients by reverse mode alone, in f64: no other pass has touched the graph.
fn exact_gradients(lab: &Lab, loss: &Graph, inputs: &[Value]) -> Vec<(usize, Value)> {
    let float = |(i, ty): (usize, Type)| (ty.dtype == DType::F32).then_some(i);
    let wanted: Vec<usize> = loss.inputs().into_iter().filter_map(float).collect();
    let taped = tape(&lab.axes, loss);
    let (graph, found) = differentiate(&lab.axes, &taped, &[taped.outputs[0]], &wanted);
    let values = run(&graph, inputs, &context());
    found.into_iter().zip(values.into_iter().skip(taped.outputs.len())).collect()
}

/// The worst difference beyond its limit. NaN is equal to NaN alone.
fn difference(got: &[f64], want: &Value, limit: impl Fn(f64, f64) -> f64) -> Option<String> {
    assert_eq!(got.len(), want.data.len(), "an output has the elements of its type");
    let largest = want.data.iter().filter(|x| x.is_finite()).fold(0.0, |max: f64, x| max.max(x.abs()));
    let float = want.ty.dtype == DType::F32;
    let mut worst: Option<(f64, usize)> = None;
    for (i, (got, want)) in got.iter().zip(&want.data).enumerate() {
        // What does not fit into an f32 is infinite there.
        let want = if float && want.is_finite() { f64::from(*want as f32) } else { *want };
        if *got == want || got.is_nan() && want.is_nan() {
            continue;
        }
        let beyond = (got - want).abs() - limit(want, largest);
        let beyond = if beyond.is_nan() { f64::INFINITY } else { beyond };
        if beyond > 0.0 && worst.is_none_or(|w| beyond > w.0) {
            worst = Some((beyond, i));
        }
    }
    worst.map(|(_, i)| {
        let (got, want, count) = (got[i], want.data[i], want.data.len());
        let allowed = limit(want, largest);
        format!("element {i} of {count} is {got}, expected {want} within {allowed:.1e}")
    })
}
