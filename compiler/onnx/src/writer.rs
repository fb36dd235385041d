//! Makes nodes and initializers, and brings values into the order and shape that an operator wants.
use crate::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, element, kind};
use std::collections::HashMap;
use stmc_ir::{AxisId, DType, Dim};

/// A tensor of the file: the axes of a value of the graph, in an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Value {
    pub name: String,
    pub dtype: DType,
    /// Slowest first.
    pub dims: Vec<Dim>,
}

impl Value {
    pub fn place(&self, axis: AxisId) -> usize {
        self.dims.iter().position(|d| d.axis == axis).expect("the value has the axis")
    }

    pub fn has(&self, axis: AxisId) -> bool {
        self.dims.iter().any(|d| d.axis == axis)
    }

    pub fn extent(&self, axis: AxisId) -> usize {
        self.dims[self.place(axis)].extent
    }

    /// Those of its dims that are not along these axes.
    pub fn without(&self, axes: &[AxisId]) -> Vec<Dim> {
        self.dims.iter().copied().filter(|d| !axes.contains(&d.axis)).collect()
    }

    /// The same elements under another name or shape.
    pub fn named(&self, name: String, dims: Vec<Dim>) -> Value {
        Value { name, dtype: self.dtype, dims }
    }
}

/// The axis of samples, where the file takes any number of them.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub axis: AxisId,
    /// An int64 vector of one element: how many there are.
    pub count: String,
}

/// The graph being written.
#[derive(Default)]
pub(crate) struct Writer {
    /// Nodes of the graph and of the bodies within it that are being written, the innermost last.
    scopes: Vec<Vec<NodeProto>>,
    /// Initializers: known in all bodies.
    pub constants: Vec<TensorProto>,
    known: HashMap<(i32, Vec<i64>, Vec<u8>), String>,
    made: usize,
    /// `None`: the number of samples is that of the graph.
    pub samples: Option<Samples>,
}

pub(crate) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: kind::INT, i: Some(i), ..AttributeProto::default() }
}

pub(crate) fn ints(name: &str, ints: impl IntoIterator<Item = usize>) -> AttributeProto {
    let ints = ints.into_iter().map(|i| i as i64).collect();
    AttributeProto { name: name.into(), r#type: kind::INTS, ints, ..AttributeProto::default() }
}

pub(crate) fn text(name: &str, s: &str) -> AttributeProto {
    let s = Some(s.as_bytes().to_vec());
    AttributeProto { name: name.into(), r#type: kind::STRING, s, ..AttributeProto::default() }
}

pub(crate) fn body(name: &str, g: GraphProto) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: kind::GRAPH, g: Some(g), ..AttributeProto::default() }
}

pub(crate) fn code(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => element::FLOAT,
        DType::I32 => element::INT32,
        DType::Bool => element::BOOL,
    }
}

/// Elements of four bytes as the file has them.
pub(crate) fn raw(dtype: DType, bits: &[u32]) -> Vec<u8> {
    match dtype {
        DType::Bool => bits.iter().map(|b| u8::from(*b != 0)).collect(),
        DType::F32 | DType::I32 => bits.iter().flat_map(|b| b.to_le_bytes()).collect(),
    }
}

impl Writer {
    /// Begins the graph, or a body within it.
    pub fn enter(&mut self) {
        self.scopes.push(vec![]);
    }

    /// Ends it: its nodes.
    pub fn leave(&mut self) -> Vec<NodeProto> {
        self.scopes.pop().expect("every scope was entered")
    }

    /// A name that nothing else has: those of users hold no slash.
    pub fn fresh(&mut self, what: &str) -> String {
        self.made += 1;
        format!("/{what}_{}", self.made)
    }

    /// An operator with settings.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.nodes(op, inputs, attributes, 1).remove(0)
    }

    /// An operator without settings.
    pub fn call(&mut self, op: &str, inputs: &[&str]) -> String {
        self.node(op, inputs, vec![])
    }

    /// An operator of several results.
    pub fn nodes(
        &mut self,
        op: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
        results: usize,
    ) -> Vec<String> {
        let name = self.fresh(&op.to_lowercase());
        let output: Vec<String> = match results {
            1 => vec![name.clone()],
            n => (0..n).map(|i| format!("{name}_{i}")).collect(),
        };
        let input = inputs.iter().map(ToString::to_string).collect();
        let node = NodeProto { input, output: output.clone(), name, op_type: op.into(), attribute };
        self.scopes.last_mut().expect("a graph is being written").push(node);
        output
    }

    /// The value of another name as a result of the graph or body being written: made here, and no other result.
    pub fn identity(&mut self, x: &str, name: &str) {
        let node = NodeProto {
            input: vec![x.into()],
            output: vec![name.into()],
            name: name.into(),
            op_type: "Identity".into(),
            attribute: vec![],
        };
        self.scopes.last_mut().expect("a graph is being written").push(node);
    }

    /// An initializer; the same elements are stored once.
    pub fn constant(&mut self, element: i32, dims: &[usize], data: Vec<u8>) -> String {
        let dims: Vec<i64> = dims.iter().map(|n| *n as i64).collect();
        let key = (element, dims, data);
        if let Some(name) = self.known.get(&key) {
            return name.clone();
        }
        let name = self.fresh("constant");
        let (data_type, dims, raw_data) = key.clone();
        self.constants.push(TensorProto { dims, data_type, name: name.clone(), raw_data });
        self.known.insert(key, name.clone());
        name
    }

    /// A number without axes.
    pub fn number(&mut self, x: f32) -> String {
        self.bits(DType::F32, x.to_bits())
    }

    /// An integer without axes.
    pub fn integer(&mut self, x: i32) -> String {
        self.bits(DType::I32, x as u32)
    }

    /// An element without axes.
    pub fn bits(&mut self, dtype: DType, bits: u32) -> String {
        self.constant(code(dtype), &[], raw(dtype, &[bits]))
    }

    /// Settings that are inputs: int64.
    pub fn list(&mut self, list: &[i64]) -> String {
        let data = list.iter().flat_map(|i| i.to_le_bytes()).collect();
        self.constant(element::INT64, &[list.len()], data)
    }

    /// The same, of a place or an extent.
    pub fn one(&mut self, x: usize) -> String {
        self.list(&[x as i64])
    }

    fn counts(&self, dims: &[Dim]) -> bool {
        self.samples.as_ref().is_some_and(|s| dims.iter().any(|d| d.axis == s.axis))
    }

    /// A shape as an input.
    pub fn shape(&mut self, dims: &[Dim]) -> String {
        let extents: Vec<i64> = dims.iter().map(|d| d.extent as i64).collect();
        let free = self.samples.clone().and_then(|s| Some((dims.iter().position(|d| d.axis == s.axis)?, s)));
        let Some((place, samples)) = free else { return self.list(&extents) };
        let mut parts = vec![samples.count];
        if place > 0 {
            parts.insert(0, self.list(&extents[..place]));
        }
        if place + 1 < dims.len() {
            parts.push(self.list(&extents[place + 1..]));
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if let [only] = parts[..] { only.into() } else { self.node("Concat", &parts, vec![int("axis", 0)]) }
    }

    /// Elements in another shape, row-major: a dimension for each group of axes.
    pub fn reshape(&mut self, x: &str, groups: &[Vec<Dim>]) -> String {
        // -1: the one that the number of samples decides.
        let extent = |dims: &Vec<Dim>| match self.counts(dims) {
            true => -1,
            false => dims.iter().map(|d| d.extent as i64).product(),
        };
        let shape: Vec<i64> = groups.iter().map(extent).collect();
        let shape = self.list(&shape);
        self.call("Reshape", &[x, &shape])
    }

    /// With its axes in this order.
    pub fn ordered(&mut self, x: &Value, order: &[AxisId]) -> Value {
        if x.dims.iter().map(|d| d.axis).eq(order.iter().copied()) {
            return x.clone();
        }
        let places: Vec<usize> = order.iter().map(|a| x.place(*a)).collect();
        let dims = places.iter().map(|p| x.dims[*p]).collect();
        let name = self.node("Transpose", &[&x.name], vec![ints("perm", places)]);
        x.named(name, dims)
    }

    /// So that it broadcasts against a tensor of these dims, which has all its axes.
    pub fn aligned(&mut self, x: &Value, dims: &[Dim]) -> String {
        let order: Vec<AxisId> = dims.iter().map(|d| d.axis).filter(|a| x.has(*a)).collect();
        let x = self.ordered(x, &order);
        let Some(first) = dims.iter().position(|d| x.has(d.axis)) else { return x.name };
        // Dimensions before the first are added by broadcasting itself.
        let lacking = dims[first..].iter().enumerate().filter(|(_, d)| !x.has(d.axis));
        let places: Vec<i64> = lacking.map(|(i, _)| i as i64).collect();
        if places.is_empty() {
            return x.name;
        }
        let places = self.list(&places);
        self.call("Unsqueeze", &[&x.name, &places])
    }

    /// With a dimension for each group of axes, in the order of the groups.
    pub fn merged(&mut self, x: &Value, groups: &[Vec<Dim>]) -> String {
        let order: Vec<AxisId> = groups.iter().flatten().map(|d| d.axis).collect();
        let x = self.ordered(x, &order);
        match groups.iter().all(|g| g.len() == 1) {
            true => x.name,
            false => self.reshape(&x.name, groups),
        }
    }

    /// The contrary: each dimension of `x` taken apart into a group of axes.
    pub fn parted(&mut self, x: String, groups: &[Vec<Dim>]) -> Value {
        let dims: Vec<Dim> = groups.iter().flatten().copied().collect();
        let name = match groups.iter().all(|g| g.len() == 1) {
            true => x,
            false => {
                let single: Vec<Vec<Dim>> = dims.iter().map(|d| vec![*d]).collect();
                self.reshape(&x, &single)
            }
        };
        Value { name, dtype: DType::F32, dims }
    }

    /// With every one of these dims, in their order, repeated along those that it lacks.
    pub fn expanded(&mut self, x: &Value, dims: &[Dim]) -> Value {
        let aligned = self.aligned(x, dims);
        if x.dims.len() == dims.len() {
            return x.named(aligned, dims.to_vec());
        }
        let shape = self.shape(dims);
        let name = self.call("Expand", &[&aligned, &shape]);
        x.named(name, dims.to_vec())
    }
}

/// All axes of these values: those of the value that has most of them first, in its order.
pub(crate) fn united(values: &[&Value]) -> Vec<Dim> {
    let mut widest: Vec<&&Value> = values.iter().collect();
    widest.sort_by_key(|v| std::cmp::Reverse(v.dims.len()));
    let mut dims: Vec<Dim> = vec![];
    for d in widest.iter().flat_map(|v| &v.dims) {
        if dims.iter().all(|o| o.axis != d.axis) {
            dims.push(*d);
        }
    }
    dims
}
