//! Reference interpreter of graphs: every op by its defining `eval`, in f64. Slow and obviously right.
use crate::graph::Graph;
use crate::ops::Op;
use crate::types::{AxisId, DType, Type};
use std::collections::BTreeMap;

/// A tensor of the interpreter: row-major over the sorted axes of its type. Bools are 0 and 1.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    /// Its type.
    pub ty: Type,
    /// As many as the type has elements.
    pub data: Vec<f64>,
}

/// What a graph may read besides its inputs.
#[derive(Clone, Default, Debug)]
pub struct Context {
    /// `Module::scalars`, evaluated.
    pub host: Vec<f64>,
    /// The run's seed.
    pub seed: u64,
    /// Number of the update.
    pub update: u32,
}

impl Value {
    /// A number without axes.
    pub fn scalar(x: f64) -> Value {
        Value { ty: Type::scalar(DType::F32), data: vec![x] }
    }

    /// From four-byte elements in the same order.
    pub fn from_bits(ty: &Type, bits: &[u32]) -> Value {
        Value { ty: ty.clone(), data: bits.iter().map(|b| from_bits(*b, ty.dtype)).collect() }
    }

    /// A tensor whose element at each multi-index (over the sorted axes) is `f(index)`.
    pub fn build(ty: &Type, mut f: impl FnMut(&[usize]) -> f64) -> Value {
        let mut data = Vec::with_capacity(ty.len());
        each_index(ty, |index| data.push(f(index)));
        Value { ty: ty.clone(), data }
    }

    /// The element at an index over the axes of `of`, of which this tensor may lack some (it broadcasts along them).
    pub fn at(&self, of: &Type, index: &[usize]) -> f64 {
        self.element(|axis| of.along(index, axis))
    }

    /// The same, but at this place along one axis.
    pub fn at_with(&self, of: &Type, index: &[usize], (axis, place): (AxisId, usize)) -> f64 {
        self.element(|a| if a == axis { place } else { of.along(index, a) })
    }

    /// The element whose index along each axis is this.
    pub fn element(&self, index: impl Fn(AxisId) -> usize) -> f64 {
        self.data[self.ty.position(index)]
    }
}

/// An element's number.
pub fn from_bits(bits: u32, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::from_bits(bits)),
        DType::I32 => f64::from(bits as i32),
        DType::Bool => f64::from(bits),
    }
}

/// Calls `f` with every multi-index of a type, row-major.
pub fn each_index(ty: &Type, mut f: impl FnMut(&[usize])) {
    let mut index = vec![0; ty.dims().len()];
    for _ in 0..ty.len() {
        f(&index);
        for (i, d) in index.iter_mut().zip(ty.dims()).rev() {
            *i += 1;
            if *i < d.extent {
                break;
            }
            *i = 0;
        }
    }
}

/// The outputs of a graph for these inputs (by `Op::Input` index).
pub fn run(graph: &Graph, inputs: &[Value], context: &Context) -> Vec<Value> {
    let live = graph.live();
    let mut values: Vec<Option<Value>> = Vec::with_capacity(graph.nodes.len());
    // Results of scans, which have several.
    let mut scans: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        if !live[i] {
            values.push(None);
            continue;
        }
        let args: Vec<&Value> = node
            .args
            .iter()
            .map(|a| values[a.index()].as_ref().expect("operands of live nodes are live"))
            .collect();
        values.push(Some(match &node.op {
            Op::Input { index, ty } => {
                let value = &inputs[*index as usize];
                assert_eq!(&value.ty, ty, "input {index} has its declared type");
                value.clone()
            }
            Op::Scan(scan) => {
                let results = scan.interpret(&args, context);
                scans.insert(i, results);
                Value::scalar(0.0)
            }
            Op::ScanResult(r) => scans[&node.args[0].index()][r.index].clone(),
            op => op.rule().eval(&args, &node.ty, context),
        }));
    }
    graph.outputs.iter().map(|o| values[o.index()].clone().expect("outputs are live")).collect()
}
