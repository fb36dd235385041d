//! Graphs as ONNX models, run by onnxruntime where there is one: `STMC_ONNXRUNTIME` names a Python that has it.
use crate::devices::skipped;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use stmc_ir::interpret::{Context, Value, from_bits};
use stmc_ir::module::EntryGraph;
use stmc_ir::ops::leaf::to_bits;
use stmc_ir::{Axes, DType};
use stmc_runtime::{Named, Tensor};

/// The Python with an onnxruntime. `None`, said loudly: there is none.
pub fn python() -> Option<PathBuf> {
    static SAID: Once = Once::new();
    let python = std::env::var_os("STMC_ONNXRUNTIME").map(PathBuf::from);
    if python.is_none() {
        SAID.call_once(|| skipped("every comparison with onnxruntime: STMC_ONNXRUNTIME is not set"));
    }
    python
}

/// What onnxruntime makes of the models `<name>.onnx` in a folder for inputs `<name>/<input>`: outputs `<name>/<output>`, and
/// the models that it does not run.
pub fn run(python: &Path, folder: &Path, inputs: &[(String, Tensor)]) -> (Named, Vec<String>) {
    stmc_runtime::tensor::write(&folder.join("inputs.safetensors"), inputs).expect("the folder is writable");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("onnx/run.py");
    let output = Command::new(python).arg(script).arg(folder).output().expect("the Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let errors = std::fs::read_to_string(folder.join("errors.txt")).expect("the script writes it");
    let outputs =
        stmc_runtime::tensor::read(&folder.join("outputs.safetensors")).expect("the script writes it");
    (outputs, errors.lines().map(str::to_string).collect())
}

/// A graph whose inputs and outputs are named.
pub struct Model<'a> {
    /// All axes.
    pub axes: &'a Axes,
    /// `x0`, `x1` … in, `y0`, `y1` … out.
    pub entry: &'a EntryGraph,
    /// What `Host` and `Random` read.
    pub context: Context,
    /// By number.
    pub inputs: &'a [Value],
}

/// The values of each model's outputs. `None`: what it computes cannot be written. An error says what onnxruntime does.
pub fn values(python: &Path, models: &[Model<'_>]) -> Vec<Option<Result<Vec<Vec<f64>>, String>>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut inputs, mut written): (Named, Vec<bool>) = Default::default();
    for (n, model) in models.iter().enumerate() {
        let bytes = bytes(model);
        written.push(bytes.is_some());
        let Some(bytes) = bytes else { continue };
        std::fs::write(folder.path().join(format!("{n}.onnx")), bytes).expect("the folder is writable");
        inputs.extend(model.inputs.iter().enumerate().map(|(i, value)| (format!("{n}/x{i}"), tensor(value))));
    }
    let (outputs, errors) = run(python, folder.path(), &inputs);
    let of = |(n, model): (usize, &Model<'_>)| {
        if !written[n] {
            return None;
        }
        let begins = format!("{n}: ");
        if let Some(error) = errors.iter().find(|e| e.starts_with(&begins)) {
            return Some(Err(error[begins.len()..].to_string()));
        }
        let output = |i: usize| {
            let name = format!("{n}/y{i}");
            let (_, tensor) = outputs.iter().find(|t| t.0 == name).expect("every output is written");
            tensor.bits.iter().map(|bits| from_bits(*bits, tensor.dtype)).collect()
        };
        Some(Ok((0..model.entry.outputs.len()).map(output).collect()))
    };
    models.iter().enumerate().map(of).collect()
}

/// What is written can be read, and has every input and output.
pub fn assert_readable(model: &Model<'_>) {
    let Some(bytes) = bytes(model) else { return };
    let read = stmc_onnx::read(&bytes).unwrap_or_else(|e| panic!("{e}"));
    let graph = read.graph.expect("a model has a graph");
    assert_eq!(graph.output.len(), model.entry.outputs.len());
    let mentioned = model.entry.graph.inputs().len();
    assert_eq!(graph.input.len(), mentioned);
}

/// The file. `None`: random numbers in a loop are all that cannot be written.
fn bytes(model: &Model<'_>) -> Option<Vec<u8>> {
    let frozen = stmc_onnx::Frozen {
        name: "case",
        axes: model.axes,
        entry: model.entry,
        fixed: model.entry.inputs.iter().map(|_| None).collect(),
        context: model.context.clone(),
        notes: vec![],
    };
    match stmc_onnx::write(&frozen) {
        Ok(bytes) => Some(bytes),
        Err(why) => {
            assert_eq!(why.what, "random numbers drawn within a loop");
            None
        }
    }
}

fn tensor(value: &Value) -> Tensor {
    let shape = value.ty.dims().iter().map(|d| d.extent).collect();
    let dtype: DType = value.ty.dtype;
    Tensor { dtype, shape, bits: value.data.iter().map(|x| to_bits(*x, dtype)).collect() }
}
