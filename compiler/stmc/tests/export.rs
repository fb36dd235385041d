//! What leaves: exported files are whole, say what they hold, and compute what `predict` computes.
mod common;

use common::{fails, folder, program, repository, skipped, succeeds, text};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use stmc::{Again, DeviceKind, Format, Options, Tensor, TrainOptions};
use stmc_onnx::proto::{Extent, GraphProto, ModelProto, OPSET, ValueInfoProto};

/// Programs that together have most of what models are made of.
fn programs() -> Vec<PathBuf> {
    let gradients =
        ["attention", "batch_norm", "gru", "missing", "orders", "peephole", "recurrent", "stateful"];
    let mut paths: Vec<PathBuf> =
        gradients.iter().map(|name| repository(&format!("tests/gradients/{name}.stm"))).collect();
    paths.extend(["tiny.stm", "convolutions.stm"].map(|name| PathBuf::from(program(name))));
    let others = ["examples/nowcast/nowcast.stm", "compiler/stmc/templates/table.stm"];
    paths.extend(others.map(repository));
    paths
}

/// A run of a few updates.
fn trained(file: &Path, out: &Path) -> Again {
    let options = Options { set: vec!["train.steps=3".into()], ..Options::default() };
    let compiled = stmc::compile_file(file, &options).unwrap_or_else(|e| panic!("{e}"));
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

#[test]
fn a_model_as_onnx_is_sound_and_predicts_the_same() {
    let place = folder("onnx");
    let mut expected = vec![];
    let mut given = vec![];
    let mut device = stmc::device(DeviceKind::Cpu, 1).expect("there is a processor");
    for (n, file) in programs().iter().enumerate() {
        let again = trained(file, &place.join(format!("run{n}")));
        let bytes = exported(&again, Format::Onnx, &place.join(format!("{n}.onnx")));
        let model = stmc_onnx::read(&bytes).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(model.opset_import[0].version, OPSET);
        assert_sound(graph(&model), &HashSet::new());
        let inputs = inputs(&model);
        let outputs = stmc::predict(&again, &mut *device, &inputs).unwrap_or_else(|e| panic!("{e}"));
        for (info, (name, tensor)) in graph(&model).output.iter().zip(&outputs) {
            assert_eq!(&info.name, name);
            let fits =
                shape(info).iter().zip(&tensor.shape).all(|(said, n)| said.is_none_or(|said| said == *n));
            assert!(fits && shape(info).len() == tensor.shape.len(), "{}: {name}", file.display());
            assert_eq!(shape(info)[0], None, "{}: any number of samples", file.display());
            expected.push((file.clone(), format!("{n}/{name}"), tensor.clone()));
        }
        given.extend(inputs.into_iter().map(|(name, tensor)| (format!("{n}/{name}"), tensor)));
    }
    let Some(python) = std::env::var_os("STMC_ONNXRUNTIME").map(PathBuf::from) else {
        return skipped("predictions of onnxruntime: STMC_ONNXRUNTIME is not set");
    };
    let found = run(&python, &place, &given);
    for (file, name, want) in expected {
        let (_, got) = found.iter().find(|t| t.0 == name).expect("every output is there");
        assert_eq!(got.shape, want.shape, "{}: {name}", file.display());
        let difference = got.numbers().zip(want.numbers()).map(|(a, b)| (a - b).abs());
        let worst = difference.fold(0.0, |worst: f32, x| if x > worst || x.is_nan() { x } else { worst });
        let largest = want.numbers().fold(1.0, |largest: f32, x| largest.max(x.abs()));
        // Sums in another order than ours.
        assert!(worst <= 1e-5 * largest, "{}: {name} differs by {worst}", file.display());
    }
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

#[test]
fn what_cannot_be_exported_is_said() {
    let place = folder("unexported");
    let said = fails(&["export", &text(&place), "--out", "model.onnx"]);
    assert!(said.contains("there is no run in it"), "{said}");
    let output = common::stmc(&["export", &text(&place), "--out", "model.bin"]);
    assert_eq!(output.status.code(), Some(2), "{}", common::errors(&output));
    assert!(common::errors(&output).contains("--to onnx"), "{}", common::errors(&output));
}
