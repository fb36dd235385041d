//! What leaves: exported files are whole, say what they hold, and compute what `predict` computes.
mod common;

use common::{fails, folder, program, repository, skipped, succeeds, text};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use stmc::{Again, DeviceKind, Format, Options, Tensor, TrainOptions};
use stmc_onnx::proto::{Extent, GraphProto, ModelProto, OPSET, ValueInfoProto};

/// A program, the model of it that is trained, and what makes the training short.
struct Subject {
    file: PathBuf,
    model: Option<&'static str>,
    set: &'static [&'static str],
}

impl Subject {
    fn new(path: &str) -> Subject {
        Subject { file: repository(path), model: None, set: &[] }
    }
}

/// The examples, but the one whose data are not made by a program. Less width and less data leave what a model is made of.
const EXAMPLES: &[(&str, Option<&str>, &[&str])] = &[
    ("nowcast/nowcast.stm", None, &["hidden=[8, 8]", "radar.from=storms(size: 16, length: 8, count: 60)"]),
    ("emulator/emulator.stm", None, &["width=2", "hidden=8"]),
    ("emulator/volume.stm", None, &["width=2"]),
    ("evapotranspiration/evapotranspiration.stm", None, &["d=16"]),
    ("heartbeat/cnn_gru.stm", None, &[BEATS, "filters=8", "blocks=2"]),
    ("heartbeat/cnn_2d.stm", None, &[BEATS, "filters=8"]),
    ("heartbeat/transformer.stm", None, &[BEATS, "filters=8"]),
    ("species/species.stm", Some("Language"), &["hidden=64"]),
    ("species/species.stm", Some("Vision"), &["hidden=64"]),
    ("species/species.stm", Some("Autoencoder"), &["hidden=64"]),
];
const BEATS: &str = "ecg.from=heartbeats(count: 400, patients: 20, seed: 2)";

/// Programs that together have most of what models are made of, and every example.
fn subjects() -> Vec<Subject> {
    let gradients =
        ["attention", "batch_norm", "gru", "missing", "orders", "peephole", "recurrent", "stateful"];
    let gradients = gradients.iter().map(|name| Subject::new(&format!("tests/gradients/{name}.stm")));
    let own = ["tests/programs/tiny.stm", "tests/programs/convolutions.stm", "templates/table.stm"];
    let own = own.iter().map(|path| Subject::new(&format!("compiler/stmc/{path}")));
    let examples = EXAMPLES.iter().map(|(path, model, set)| Subject {
        file: repository("examples").join(path),
        model: *model,
        set,
    });
    gradients.chain(own).chain(examples).collect()
}

/// A run of a few updates.
fn trained(file: &Path, out: &Path) -> Again {
    run_of(&Subject { file: file.into(), model: None, set: &[] }, out)
}

fn run_of(subject: &Subject, out: &Path) -> Again {
    let set = subject.set.iter().chain(&["train.steps=3"]).map(ToString::to_string).collect();
    let options = Options { set, model: subject.model.map(str::to_string), ..Options::default() };
    let compiled = stmc::compile_file(&subject.file, &options).unwrap_or_else(|e| panic!("{e}"));
    let mut device = stmc::device(DeviceKind::Cpu, 1).expect("there is a processor");
    let options = TrainOptions { out: Some(out.into()), ..TrainOptions::default() };
    let outcome = compiled.train(&mut *device, &options).unwrap_or_else(|e| panic!("{e}"));
    Again::without_data(&outcome.path, &[]).unwrap_or_else(|e| panic!("{e}"))
}

fn exported(again: &Again, format: Format, path: &Path) -> Vec<u8> {
    stmc::export(again, format, path).unwrap_or_else(|e| panic!("{e}"));
    std::fs::read(path).expect("the file was written")
}

fn shape(info: &ValueInfoProto) -> Vec<Option<usize>> {
    let ty = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).expect("a port has a type");
    let dims = &ty.shape.as_ref().expect("a port has a shape").dim;
    let extent = |value: &Option<Extent>| match value {
        Some(Extent::DimValue(n)) => Some(*n as usize),
        _ => None,
    };
    dims.iter().map(|d| extent(&d.value)).collect()
}

/// Every name is made once, before it is read.
fn assert_sound(graph: &GraphProto, around: &HashSet<String>) {
    let mut known = around.clone();
    let mut own = HashSet::new();
    let mut make = |name: &str, known: &mut HashSet<String>| {
        assert!(own.insert(name.to_string()), "{} makes `{name}` twice", graph.name);
        known.insert(name.to_string());
    };
    graph.initializer.iter().for_each(|t| make(&t.name, &mut known));
    graph.input.iter().for_each(|i| make(&i.name, &mut known));
    for node in &graph.node {
        for name in &node.input {
            assert!(known.contains(name), "{} reads `{name}`, which is not made yet", node.name);
        }
        node.attribute.iter().filter_map(|a| a.g.as_ref()).for_each(|body| assert_sound(body, &known));
        node.output.iter().for_each(|name| make(name, &mut known));
    }
    graph.output.iter().for_each(|o| assert!(known.contains(&o.name), "`{}` is not made", o.name));
    let results: HashSet<&str> = graph.output.iter().map(|o| &o.name[..]).collect();
    assert_eq!(results.len(), graph.output.len(), "a result is named once");
}

fn graph(model: &ModelProto) -> &GraphProto {
    model.graph.as_ref().expect("a model has a graph")
}

/// Operators of a graph and the bodies in it.
fn operators(graph: &GraphProto) -> Vec<&str> {
    let mut found = vec![];
    for node in &graph.node {
        found.push(&node.op_type[..]);
        found.extend(node.attribute.iter().filter_map(|a| a.g.as_ref()).flat_map(operators));
    }
    found
}

/// A few samples for each input; the graph's own number of them where it is not open.
fn inputs(model: &ModelProto) -> Vec<(String, Tensor)> {
    let of = |(n, info): (usize, &ValueInfoProto)| {
        let shape: Vec<usize> = shape(info).into_iter().map(|extent| extent.unwrap_or(3)).collect();
        let count: usize = shape.iter().product();
        let values = (0..count).map(|i| ((i * 37 + n * 11) % 101) as f32 / 50.0 - 0.6);
        (info.name.clone(), Tensor::floats(shape, values))
    };
    graph(model).input.iter().enumerate().map(of).collect()
}

/// Exported models, what goes into them, and what `stmc predict` makes of it.
struct Comparison {
    place: PathBuf,
    given: Vec<(String, Tensor)>,
    /// What is compared, its name, and the values.
    expected: Vec<(String, String, Tensor)>,
}

impl Comparison {
    fn new(name: &str) -> Comparison {
        Comparison { place: folder(name), given: vec![], expected: vec![] }
    }

    /// Exports the subject, which must be sound.
    fn add(&mut self, subject: &Subject) {
        let (n, file) = (self.expected.len(), &subject.file);
        let again = run_of(subject, &self.place.join(format!("run{n}")));
        let bytes = exported(&again, Format::Onnx, &self.place.join(format!("{n}.onnx")));
        let model = stmc_onnx::read(&bytes).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(model.opset_import[0].version, OPSET);
        assert_sound(graph(&model), &HashSet::new());
        let inputs = inputs(&model);
        let mut device = stmc::device(DeviceKind::Cpu, 1).expect("there is a processor");
        let outputs = stmc::predict(&again, &mut *device, &inputs).unwrap_or_else(|e| panic!("{e}"));
        for (info, (name, tensor)) in graph(&model).output.iter().zip(&outputs) {
            // Names are given once: an output that is called like an input has another one.
            assert_eq!(info.name.trim_end_matches('_'), name);
            let fits =
                shape(info).iter().zip(&tensor.shape).all(|(said, n)| said.is_none_or(|said| said == *n));
            assert!(fits && shape(info).len() == tensor.shape.len(), "{}: {name}", file.display());
            assert_eq!(shape(info)[0], None, "{}: any number of samples", file.display());
            let what = format!("{} {}: {name}", file.display(), subject.set.join(", "));
            self.expected.push((what, format!("{n}/{}", info.name), tensor.clone()));
        }
        self.given.extend(inputs.into_iter().map(|(name, tensor)| (format!("{n}/{name}"), tensor)));
    }

    /// Holds what onnxruntime makes of them to it, where there is one: within 1e-5, of the largest value where that is above 1.
    /// It adds in another order, so what cancels keeps the rounding of what was added.
    fn hold(self) {
        let Some(python) = std::env::var_os("STMC_ONNXRUNTIME").map(PathBuf::from) else {
            return skipped("predictions of onnxruntime: STMC_ONNXRUNTIME is not set");
        };
        let found = run(&python, &self.place, &self.given);
        let mut faults = vec![];
        for (what, name, want) in self.expected {
            let (_, got) = found.iter().find(|t| t.0 == name).expect("every output is there");
            assert_eq!(got.shape, want.shape, "{what}");
            let difference = got.numbers().zip(want.numbers()).map(|(a, b)| (a - b).abs());
            let worst = difference.fold(0.0, |worst: f32, x| if x > worst || x.is_nan() { x } else { worst });
            let largest = want.numbers().fold(1.0, |largest: f32, x| largest.max(x.abs()));
            if worst.is_nan() || worst > 1e-5 * largest {
                faults.push(format!("{what} differs by {worst}, the largest is {largest}"));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn a_model_as_onnx_is_sound_and_predicts_the_same() {
    let mut comparison = Comparison::new("onnx");
    subjects().iter().for_each(|subject| comparison.add(subject));
    comparison.hold();
}

/// One contraction: behind a second one, sums that differ in their last digit may be rounded to neighbours of a format.
const ROUNDED: &str = "
use std.nn.Linear
use std.loss.mse
use std.optim.Sgd
data radar {
    from storms(size: 8, length: 2, count: 20, seed: 3)
    field rain: f32[sequence, time, row, col]
    sample at s in sequence { past: rain[sequence: s, time: 0], next: rain[sequence: s, time: 1] }
    split { train: sequence < 12, test: rest }
}
model Row(past: f32[row, col]) -> { forecast: f32[row, col] } {
    next = Linear(8, features: col)
    { forecast: past |> next }
}
train Row on radar { loss = mse(forecast, next), optimizer = Sgd(lr: 0.1), batch = 4, steps = 3 }
";

#[test]
fn what_is_rounded_to_a_precision_is_rounded_as_onnx_too() {
    let mut comparison = Comparison::new("onnx-rounded");
    let file = comparison.place.join("row.stm");
    std::fs::write(&file, ROUNDED).expect("the folder is writable");
    for set in [
        &["train.precision=\"tf32\""][..],
        &["train.precision=\"bf16\""][..],
        &["train.precision=\"f16\""][..],
    ] {
        comparison.add(&Subject { file: file.clone(), model: None, set });
    }
    // They are rounded: the formats give other numbers.
    let numbers: Vec<&Tensor> = comparison.expected.iter().map(|e| &e.2).collect();
    assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2], "all precisions give the same");
    comparison.hold();
}

fn run(python: &Path, place: &Path, given: &[(String, Tensor)]) -> Vec<(String, Tensor)> {
    stmc_runtime::tensor::write(&place.join("inputs.safetensors"), given).expect("the folder is writable");
    let script = repository("tests/onnx/run.py");
    let output = std::process::Command::new(python).arg(script).arg(place).output().expect("the Python runs");
    assert!(output.status.success(), "{}", common::errors(&output));
    let errors = std::fs::read_to_string(place.join("errors.txt")).expect("the script writes it");
    assert!(errors.is_empty(), "{errors}");
    stmc_runtime::tensor::read(&place.join("outputs.safetensors")).expect("the script writes it")
}

#[test]
fn convolutions_and_loops_are_still_to_be_seen() {
    let place = folder("onnx-forms");
    let again = trained(Path::new(&program("convolutions.stm")), &place.join("run"));
    let model = exported(&again, Format::Onnx, &place.join("convolutions.onnx"));
    let model = stmc_onnx::read(&model).unwrap_or_else(|e| panic!("{e}"));
    let found = operators(graph(&model));
    assert!(["Conv", "MaxPool"].iter().all(|op| found.contains(op)), "{found:?}");
    let names: Vec<&str> = graph(&model).initializer.iter().map(|t| &t.name[..]).collect();
    assert!(names.contains(&"down.0.weight"), "{names:?}");
    let noted = |key: &str| model.metadata_props.iter().find(|p| p.key == key).map(|p| p.value.clone());
    assert_eq!(noted("axes.past").as_deref(), Some("batch, time, row, col"));
    assert!(noted("stmc").is_some_and(|note| note.contains("\"model\":\"Test\"")));

    let again = trained(&repository("tests/gradients/gru.stm"), &place.join("loop"));
    let model = exported(&again, Format::Onnx, &place.join("gru.onnx"));
    let model = stmc_onnx::read(&model).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(operators(graph(&model)).iter().filter(|op| **op == "Scan").count(), 2);
}

#[test]
fn weights_leave_by_path_with_what_they_belong_to_and_come_back() {
    let place = folder("safetensors");
    let again = trained(Path::new(&program("tiny.stm")), &place.join("run"));
    let path = place.join("tiny.safetensors");
    let bytes = exported(&again, Format::Safetensors, &path);
    assert_eq!(bytes, exported(&again, Format::Safetensors, &path), "the same run gives the same bytes");
    let header = String::from_utf8_lossy(&bytes[8..]).into_owned();
    for word in ["body.0.weight", "body.1.running_mean", "fit.fit0", "mm/h", "width", "__metadata__"] {
        assert!(header.contains(word), "there is no `{word}`");
    }
    // What left is imported again; what is fitted is fitted anew.
    let run = text(&place.join("again"));
    succeeds(&["import", &program("tiny.stm"), "--torch", &text(&path), "--out", &run]);
    let second = place.join("second.safetensors");
    succeeds(&["export", &run, "--out", &text(&second)]);
    assert_eq!(bytes, std::fs::read(&second).expect("the file was written"));
}

#[test]
fn an_imported_run_is_a_run_like_any_other() {
    let place = folder("imported");
    let trained = trained(Path::new(&program("tiny.stm")), &place.join("run"));
    let path = place.join("tiny.safetensors");
    exported(&trained, Format::Safetensors, &path);
    let mut weights = stmc_runtime::tensor::read(&path).expect("it is a file of weights");
    weights.retain(|(name, _)| !name.starts_with("fit."));
    // As another program would call them.
    for (name, _) in &mut weights {
        *name = format!("net.{name}");
    }
    weights.push(("net.body.1.num_batches_tracked".into(), Tensor::floats(vec![], [7.0])));
    let theirs = text(&place.join("theirs.safetensors"));
    stmc_runtime::tensor::write(Path::new(&theirs), &weights).expect("the folder is writable");
    let file = program("tiny.stm");

    let run = text(&place.join("imported"));
    let said = fails(&["import", &file, "--torch", &theirs, "--out", &run]);
    for words in [
        "`body.0.weight` [unit: 8, channel: 2, tap(row): 3, tap(col): 3] is not in the file",
        "`net.body.0.weight` [8, 2, 3, 3] of the file is no weight here",
    ] {
        assert!(said.contains(words), "there is no {words} in\n{said}");
    }
    assert!(!Path::new(&run).exists(), "nothing is left of what failed");

    let map = text(&place.join("map.toml"));
    std::fs::write(&map, "[rename]\n\"\" = \"net.\"\n").expect("the folder is writable");
    let said = succeeds(&["import", &file, "--torch", &theirs, "--map", &map, "--out", &run]);
    assert!(said.contains("weights taken") && said.contains("num_batches_tracked"), "{said}");
    let scores = |run: &str| succeeds(&["eval", run]);
    assert_eq!(scores(&run), scores(&text(&place.join("run"))));
    succeeds(&["train", "--resume", &run]);
    let again = Again::without_data(Path::new(&run), &[]).unwrap_or_else(|e| panic!("{e}"));
    exported(&again, Format::Onnx, &place.join("theirs.onnx"));
}

/// `STMC_TORCH` names a Python that has torch and safetensors.
#[test]
fn pytorch_and_we_give_the_same_for_the_same_weights() {
    let Some(python) = std::env::var_os("STMC_TORCH").map(PathBuf::from) else {
        return skipped("weights to and from PyTorch: STMC_TORCH is not set");
    };
    let place = folder("torch");
    let torch = |command: &str| {
        let script = repository("tests/torch/run.py");
        let mut torch = std::process::Command::new(&python);
        let output = torch.arg(script).arg(command).arg(&place).output().expect("the Python runs");
        assert!(output.status.success(), "{}", common::errors(&output));
        stmc_runtime::tensor::read(&place.join("outputs.safetensors")).expect("the script writes it")
    };
    let (file, map) = (program("twin.stm"), place.join("names.toml"));
    std::fs::copy(program("twin.toml"), &map).expect("the folder is writable");
    let theirs = torch("make");
    let (run, weights) = (text(&place.join("run")), text(&place.join("theirs.safetensors")));
    succeeds(&["import", &file, "--torch", &weights, "--map", &text(&map), "--out", &run]);
    let given = stmc_runtime::tensor::read(&place.join("inputs.safetensors")).expect("the script writes it");
    let predicted = |run: &str| {
        let again = Again::without_data(Path::new(run), &[]).unwrap_or_else(|e| panic!("{e}"));
        let mut device = stmc::device(DeviceKind::Cpu, 1).expect("there is a processor");
        stmc::predict(&again, &mut *device, &given).unwrap_or_else(|e| panic!("{e}"))
    };
    assert_near(&predicted(&run), &theirs);
    // And back, after some training here.
    let before = predicted(&run);
    succeeds(&["train", "--resume", &run]);
    succeeds(&["export", &run, "--out", &text(&place.join("ours.safetensors"))]);
    let after = predicted(&run);
    assert_ne!(before, after, "it was trained");
    assert_near(&torch("load"), &after);
}

/// Within 1e-5: both add in f32, in orders of their own.
fn assert_near(got: &[(String, Tensor)], want: &[(String, Tensor)]) {
    assert_eq!(got.len(), want.len());
    for ((name, got), (other, want)) in got.iter().zip(want) {
        assert_eq!((name, &got.shape), (other, &want.shape));
        for (a, b) in got.numbers().zip(want.numbers()) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{name}: {a} and {b}");
        }
    }
}

#[test]
fn what_cannot_be_exported_is_said() {
    let place = folder("unexported");
    let said = fails(&["export", &text(&place), "--out", "model.onnx"]);
    assert!(said.contains("there is no run in it"), "{said}");
    let output = common::stmc(&["export", &text(&place), "--out", "model.bin"]);
    assert_eq!(output.status.code(), Some(2), "{}", common::errors(&output));
    assert!(common::errors(&output).contains("--to onnx"), "{}", common::errors(&output));
}
