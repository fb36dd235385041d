//! The nodes of a graph, one after the other. Loops become `Scan`, whose body is a graph of its own that sees the values around
//! it.
use crate::proto::{DimensionProto, Extent};
use crate::proto::{GraphProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto};
use crate::windowed::Windowed;
use crate::write::Unwritable;
use crate::writer::{Value, Writer, body, code, int, ints, raw};
use std::collections::HashMap;
use stmc_ir::interpret::Context;
use stmc_ir::ops::leaf::to_bits;
use stmc_ir::ops::{Op, Scan};
use stmc_ir::{Axes, Dim, Graph, Node, NodeId, Type};

/// What nodes may read besides their operands.
pub(crate) struct Given<'a> {
    pub axes: &'a Axes,
    pub context: &'a Context,
}

/// A graph or body that is being written.
struct Body<'a> {
    inputs: &'a [Option<Value>],
    values: HashMap<NodeId, Value>,
    scans: HashMap<NodeId, Vec<Value>>,
}

impl Body<'_> {
    fn value(&self, id: NodeId) -> &Value {
        self.values.get(&id).expect("operands precede their node")
    }
}

impl Writer {
    /// The outputs of a graph whose inputs are these; an input that it does not mention may be absent.
    pub fn graph(
        &mut self,
        graph: &Graph,
        inputs: &[Option<Value>],
        given: &Given<'_>,
    ) -> Result<Vec<Value>, Unwritable> {
        let forms = self.forms(graph);
        let mut body = Body { inputs, values: HashMap::new(), scans: HashMap::new() };
        for (i, node) in graph.nodes.iter().enumerate() {
            let id = NodeId::from_index(i);
            match &forms[i] {
                Form::Unused => continue,
                Form::Windowed(windowed) => {
                    let value = self.windowed(windowed, node, &body);
                    body.values.insert(id, value);
                }
                Form::Plain => match &node.op {
                    Op::Scan(scan) => {
                        let results = self.scan(scan, node, &body, given)?;
                        body.scans.insert(id, results);
                    }
                    _ => {
                        let value = self.plain(node, &body, given)?;
                        body.values.insert(id, value);
                    }
                },
            }
        }
        Ok(graph.outputs.iter().map(|o| body.value(*o).clone()).collect())
    }

    /// How each node is written: from the last on, so that windows which nothing else reads are left out.
    fn forms(&self, graph: &Graph) -> Vec<Form> {
        let free = self.samples.as_ref().map(|s| s.axis);
        let mut wanted = vec![false; graph.nodes.len()];
        graph.outputs.iter().for_each(|o| wanted[o.index()] = true);
        let mut forms: Vec<Form> = (0..graph.nodes.len()).map(|_| Form::Unused).collect();
        for i in (0..graph.nodes.len()).rev() {
            if !wanted[i] {
                continue;
            }
            let (form, operands) = match Windowed::of(graph, NodeId::from_index(i), free) {
                Some(w) => {
                    let operands = std::iter::once(w.base).chain(w.kernel).collect();
                    (Form::Windowed(w), operands)
                }
                None => (Form::Plain, graph.nodes[i].args.clone()),
            };
            operands.iter().for_each(|a| wanted[a.index()] = true);
            forms[i] = form;
        }
        forms
    }

    fn windowed(&mut self, windowed: &Windowed, node: &Node, body: &Body<'_>) -> Value {
        let base = body.value(windowed.base);
        match (&node.op, windowed.kernel) {
            (Op::Dot(dot), Some(kernel)) => self.convolve(windowed, &dot.axes, base, body.value(kernel)),
            (Op::Reduce(reduce), None) => self.pool(windowed, reduce.kind, base),
            _ => unreachable!("windows are contracted or reduced"),
        }
    }

    fn plain(&mut self, node: &Node, body: &Body<'_>, given: &Given<'_>) -> Result<Value, Unwritable> {
        let operands: Vec<&Value> = match node.op {
            Op::ScanResult(_) => vec![],
            _ => node.args.iter().map(|a| body.value(*a)).collect(),
        };
        let x = || operands[0];
        Ok(match &node.op {
            Op::Input { index, .. } => {
                body.inputs[*index as usize].clone().expect("an input that is mentioned is given")
            }
            Op::Fill { bits, ty } => {
                let number = self.bits(ty.dtype, to_bits(f64::from_bits(*bits), ty.dtype));
                let number = Value { name: number, dtype: ty.dtype, dims: vec![] };
                self.expanded(&number, ty.dims())
            }
            Op::Constant { data, ty } => self.known(data, ty),
            Op::Index { axis, extent } => self.places(*axis, *extent),
            Op::Host(scalar) => {
                let name = self.number(given.context.host[scalar.index()] as f32);
                Value { name, dtype: node.ty.dtype, dims: vec![] }
            }
            // Drawn once and for all: an evaluation draws the same numbers each time.
            Op::Random(random) if operands.is_empty() => {
                let value = node.op.rule().eval(&[], &random.ty, given.context);
                let bits: Vec<u32> = value.data.iter().map(|x| to_bits(*x, random.ty.dtype)).collect();
                self.known(&bits, &random.ty)
            }
            Op::Random(_) => {
                return Err(Unwritable {
                    what: "random numbers drawn within a loop".into(),
                    span: node.spans.first().copied(),
                });
            }
            Op::Scalar(op) => self.scalar(*op, &operands, node.ty.dtype),
            Op::Cast(cast) => self.cast(x(), cast.to),
            Op::Expand(op) => self.expand(op, x()),
            Op::Rename(op) => self.rename(op, x()),
            Op::Flatten(op) => self.flatten(op, x()),
            Op::Unflatten(op) => self.unflatten(op, x()),
            Op::Slice(op) => self.slice(op, x()),
            Op::Pad(op) => self.pad(op, x()),
            Op::Flip(op) => self.flip(op, x()),
            Op::Concat(op) => self.concat(op, &operands),
            Op::Windows(op) => self.windows(op, x()),
            Op::Fold(op) => self.fold(op, x()),
            Op::Gather(op) => self.gather(op, x(), operands[1]),
            Op::Scatter(op) => self.scatter(op, x(), operands[1]),
            Op::Reduce(op) => self.reduce(op, x()),
            Op::Dot(op) => self.contract(&op.axes, x(), operands[1]),
            Op::Scan(_) => unreachable!("a scan has several results"),
            Op::ScanResult(result) => body.scans[&node.args[0]][result.index].clone(),
        })
    }

    /// Elements in the order of the type.
    fn known(&mut self, bits: &[u32], ty: &Type) -> Value {
        let extents: Vec<usize> = ty.dims().iter().map(|d| d.extent).collect();
        let name = self.constant(code(ty.dtype), &extents, raw(ty.dtype, bits));
        Value { name, dtype: ty.dtype, dims: ty.dims().to_vec() }
    }

    /// Carries, then slices; the step number is one more slice. Captures are seen from within the body.
    fn scan(
        &mut self,
        scan: &Scan,
        node: &Node,
        body_around: &Body<'_>,
        given: &Given<'_>,
    ) -> Result<Vec<Value>, Unwritable> {
        let operands: Vec<Value> = node.args.iter().map(|a| body_around.value(*a).clone()).collect();
        let (first, rest) = operands.split_at(scan.carries);
        let (slices, captures) = rest.split_at(scan.slices);
        let steps = self.places(scan.axis, scan.extent);
        let scanned: Vec<&Value> = std::iter::once(&steps).chain(slices).collect();

        self.enter();
        let within = |w: &mut Writer, x: &Value| x.named(w.fresh("step"), x.without(&[scan.axis]));
        let sliced: Vec<Value> = scanned.iter().map(|x| within(self, x)).collect();
        let carried: Vec<Value> =
            first.iter().map(|x| x.named(self.fresh("carry"), x.dims.clone())).collect();
        let inputs: Vec<Option<Value>> =
            [&sliced[..1], &carried, &sliced[1..], captures].concat().into_iter().map(Some).collect();
        let outputs = self.graph(&scan.body, &inputs, given)?;
        let mut results = vec![];
        for (i, output) in outputs.iter().enumerate() {
            // A carry goes on with its axes in the order in which it began.
            let output = match carried.get(i) {
                Some(carry) => self.ordered(output, &carry.dims.iter().map(|d| d.axis).collect::<Vec<_>>()),
                None => output.clone(),
            };
            let name = self.fresh("next");
            self.identity(&output.name, &name);
            results.push(output.named(name, output.dims.clone()));
        }
        let graph = GraphProto {
            node: self.leave(),
            name: self.fresh("body"),
            initializer: vec![],
            input: carried
                .iter()
                .chain(&sliced)
                .map(|x| self.declared(x, given.axes, String::new()))
                .collect(),
            output: results.iter().map(|x| self.declared(x, given.axes, String::new())).collect(),
        };

        let way = usize::from(scan.reverse);
        let yields = scan.yields();
        let settings = vec![
            body("body", graph),
            int("num_scan_inputs", scanned.len() as i64),
            ints("scan_input_axes", scanned.iter().map(|x| x.place(scan.axis))),
            ints("scan_input_directions", vec![way; scanned.len()]),
            ints("scan_output_axes", vec![0; yields]),
            ints("scan_output_directions", vec![way; yields]),
        ];
        let inputs: Vec<&str> = first.iter().chain(scanned).map(|x| &x.name[..]).collect();
        let names = self.nodes("Scan", &inputs, settings, results.len());
        let stacked = Dim { axis: scan.axis, extent: scan.extent };
        let whole = |(i, (name, x)): (usize, (String, &Value))| match i < scan.carries {
            true => x.named(name, x.dims.clone()),
            false => x.named(name, [&[stacked][..], &x.dims].concat()),
        };
        Ok(names.into_iter().zip(&results).enumerate().map(whole).collect())
    }

    /// An input or output of a graph, with its type.
    pub fn declared(&self, x: &Value, axes: &Axes, doc_string: String) -> ValueInfoProto {
        let extent = |d: &Dim| match &self.samples {
            Some(s) if s.axis == d.axis => Extent::DimParam(axes.name(d.axis).into()),
            _ => Extent::DimValue(d.extent as i64),
        };
        let dim = x.dims.iter().map(|d| DimensionProto { value: Some(extent(d)) }).collect();
        let tensor = TensorTypeProto { elem_type: code(x.dtype), shape: Some(TensorShapeProto { dim }) };
        let r#type = Some(TypeProto { tensor_type: Some(tensor) });
        ValueInfoProto { name: x.name.clone(), r#type, doc_string }
    }
}

/// How a node is written.
enum Form {
    /// Not at all.
    Unused,
    /// By itself.
    Plain,
    /// Together with the windows that it reads.
    Windowed(Windowed),
}
