//! The whole file: initializers, inputs and outputs by name, and what is noted about the model.
use crate::graph::Given;
use crate::proto::{
    GraphProto, IR_VERSION, ModelProto, OPSET, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    ValueInfoProto,
};
use crate::samples;
use crate::writer::{Samples, Value, Writer, code, int, raw};
use prost::Message;
use std::collections::HashMap;
use stmc_base::Span;
use stmc_ir::interpret::Context;
use stmc_ir::module::{EntryGraph, InputRole, OutputRole};
use stmc_ir::{Axes, AxisId, Dim, Type};

/// What is written: an entry after all graph passes, and what takes the place of its inputs.
pub struct Frozen<'a> {
    /// The name of the model.
    pub name: &'a str,
    /// All axes.
    pub axes: &'a Axes,
    /// `predict`.
    pub entry: &'a EntryGraph,
    /// By input of the entry. `None`: it stays an input, which is named.
    pub fixed: Vec<Option<Fixed>>,
    /// The values of run-time scalars, and what random numbers are drawn from.
    pub context: Context,
    /// Keys and values of the file's metadata. For each input and output there is one more, `axes.<name>`.
    pub notes: Vec<(String, String)>,
}

/// The elements of an input that is known.
pub struct Fixed {
    /// Of the initializer.
    pub name: String,
    /// The order of its axes, slowest first.
    pub axes: Vec<AxisId>,
    /// Four bytes each.
    pub bits: Vec<u32>,
}

/// What ONNX has no operators for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unwritable {
    /// In the words of users.
    pub what: String,
    /// Where in the source. `None`: not known.
    pub span: Option<Span>,
}

/// Protobuf cannot hold more in one message.
const LIMIT: usize = i32::MAX as usize;

/// The bytes of the file. The number of samples (the axis `batch`) is open if the graph treats each by itself.
pub fn write(frozen: &Frozen<'_>) -> Result<Vec<u8>, Unwritable> {
    let model = model(frozen)?;
    if model.encoded_len() > LIMIT {
        return Err(Unwritable { what: "a model of more than 2 GiB".into(), span: None });
    }
    Ok(model.encode_to_vec())
}

/// Reads the bytes of a file back, as far as `write` makes them. An error says where they are no such file.
pub fn read(bytes: &[u8]) -> Result<ModelProto, String> {
    ModelProto::decode(bytes).map_err(|e| e.to_string())
}

fn model(frozen: &Frozen<'_>) -> Result<ModelProto, Unwritable> {
    let entry = frozen.entry;
    let mut writer = Writer::default();
    writer.enter();
    let types: HashMap<usize, Type> = entry.graph.inputs().into_iter().collect();
    let mut names = Names::default();
    let mut inputs: Vec<Option<Value>> = vec![];
    let mut initializers: Vec<TensorProto> = vec![];
    // Named inputs first: weights give way to them.
    for i in 0..entry.inputs.len() {
        let value = types.get(&i).and_then(|ty| match (&frozen.fixed[i], &entry.inputs[i]) {
            (None, InputRole::Named { name, axes }) => Some(value(names.free(name), axes, ty)),
            (None, role) => panic!("{role:?} is neither fixed nor named"),
            (Some(_), _) => None,
        });
        inputs.push(value);
    }
    let named: Vec<Value> = inputs.iter().flatten().cloned().collect();
    for (i, fixed) in frozen.fixed.iter().enumerate() {
        let (Some(fixed), Some(ty)) = (fixed, types.get(&i)) else { continue };
        let value = value(names.free(&fixed.name), &fixed.axes, ty);
        initializers.push(TensorProto {
            dims: value.dims.iter().map(|d| d.extent as i64).collect(),
            data_type: code(ty.dtype),
            name: value.name.clone(),
            raw_data: raw(ty.dtype, &fixed.bits),
        });
        inputs[i] = Some(value);
    }
    writer.samples = open_samples(&mut writer, frozen, &named);

    let given = Given { axes: frozen.axes, context: &frozen.context };
    let results = writer.graph(&entry.graph, &inputs, &given)?;
    let mut outputs = vec![];
    for (result, role) in results.iter().zip(&entry.outputs) {
        let OutputRole::Named { name, axes } = role else { continue };
        let result = writer.ordered(result, axes);
        let name = names.free(name);
        writer.identity(&result.name, &name);
        outputs.push(result.named(name, result.dims.clone()));
    }

    let noted = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
    let mut notes: Vec<StringStringEntryProto> = frozen.notes.iter().map(|(k, v)| noted(k, v)).collect();
    let mut ports = |values: &[Value]| -> Vec<ValueInfoProto> {
        let port = |x: &Value| {
            let listed: Vec<&str> = x.dims.iter().map(|d| frozen.axes.name(d.axis)).collect();
            notes.push(noted(&format!("axes.{}", x.name), &listed.join(", ")));
            writer.declared(x, frozen.axes, format!("{}[{}]", x.dtype.name(), listed.join(", ")))
        };
        values.iter().map(port).collect()
    };
    let (input, output) = (ports(&named), ports(&outputs));
    initializers.append(&mut writer.constants);
    let graph = GraphProto {
        node: writer.leave(),
        name: frozen.name.into(),
        initializer: initializers,
        input,
        output,
    };
    Ok(ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        producer_name: "stmc".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        metadata_props: notes,
    })
}

/// The axis of samples, and how many there are. `None`: their number is that of the graph.
fn open_samples(writer: &mut Writer, frozen: &Frozen<'_>, named: &[Value]) -> Option<Samples> {
    let is_batch = |d: &&Dim| {
        let axis = frozen.axes.get(d.axis);
        axis.name == "batch" && axis.owner.is_empty()
    };
    let (input, axis) = named.iter().find_map(|x| Some((x, x.dims.iter().find(is_batch)?.axis)))?;
    if !samples::are_apart(&frozen.entry.graph, axis, frozen.axes) {
        return None;
    }
    let place = input.place(axis) as i64;
    let count = writer.node("Shape", &[&input.name], vec![int("start", place), int("end", place + 1)]);
    Some(Samples { axis, count })
}

fn value(name: String, axes: &[AxisId], ty: &Type) -> Value {
    let extent = |axis: &AxisId| ty.extent(*axis).expect("the order names the axes of the input");
    let dims = axes.iter().map(|a| Dim { axis: *a, extent: extent(a) }).collect();
    Value { name, dtype: ty.dtype, dims }
}

/// Names that users see; each is given once.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    /// The name, or the name with as many underscores as make it free.
    fn free(&mut self, name: &str) -> String {
        let mut name = name.to_string();
        while self.0.contains(&name) {
            name.push('_');
        }
        self.0.push(name.clone());
        name
    }
}
