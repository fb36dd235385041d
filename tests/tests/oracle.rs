//! Whole models against values computed elsewhere, in f64 and by other code: outputs, loss, gradients, and the weights after 1, 2 and 5 updates.
//!
//! `STMC_REFERENCE` names the folder that holds `oracle/golden/`; without it nothing is compared, and the test says so.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stmc::{Options, StepFiles};
use stmc_ir::Device;
use stmc_runtime::Tensor;
use stmc_runtime::tensor::Named;
use stmc_tests::devices;

const MODELS: [&str; 2] = ["convlstm_ed", "convlstm_openstl"];
const UPDATES: u64 = 5;

fn golden() -> Option<PathBuf> {
    let folder = std::env::var_os("STMC_REFERENCE").map(|f| Path::new(&f).join("oracle/golden"));
    if folder.is_none() {
        devices::skipped("comparisons with an independent oracle: STMC_REFERENCE is not set");
    }
    folder
}

/// How far a tensor may be off: four times what another f32 implementation is off, and 2e-6 of the largest element.
fn tolerances(file: &Path) -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(file).expect("the oracle has a description");
    let all: serde_json::Value = serde_json::from_str(&text).expect("the description is JSON");
    let tensors = all["tensors"].as_object().expect("it lists the tensors");
    let number = |x: &serde_json::Value| x.as_f64().expect("errors are numbers");
    let tolerance =
        |t: &serde_json::Value| 4.0 * number(&t["f32_max_abs_err"]) + 2e-6 * number(&t["max_abs"]);
    tensors.iter().map(|(name, t)| (name.clone(), tolerance(t))).collect()
}

fn find<'a>(tensors: &'a Named, name: &str) -> Option<&'a Tensor> {
    tensors.iter().find(|t| t.0 == name).map(|t| &t.1)
}

/// Everything in the golden file that is neither given nor about evaluation.
fn faults(expected: &Named, found: &Named, tolerances: &BTreeMap<String, f64>) -> Vec<String> {
    let mut faults = vec![];
    let given = ["input.", "param.", "dropout_mask.", "eval_after"];
    let compared = expected.iter().filter(|(name, _)| !given.iter().any(|g| name.starts_with(g)));
    for (name, want) in compared {
        let Some(got) = find(found, name) else {
            faults.push(format!("{name} is missing"));
            continue;
        };
        assert_eq!(want.bits.len(), got.bits.len(), "{name}");
        let apart = want.numbers().zip(got.numbers()).map(|(w, g)| f64::from((w - g).abs()));
        let apart = apart.fold(0.0, |worst: f64, x| if x.is_nan() { f64::INFINITY } else { worst.max(x) });
        if apart > tolerances[name] {
            faults.push(format!("{name} is off by {apart:.1e}, allowed is {:.1e}", tolerances[name]));
        }
    }
    faults
}

fn check(device: &mut dyn Device) {
    let Some(golden) = golden() else { return };
    for model in MODELS {
        let file = golden.join(format!("{model}.safetensors"));
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle").join(format!("{model}.stm"));
        let files = StepFiles { weights: Some(file.clone()), batch: file.clone(), masks: None, map: None };
        let found = match stmc::step(&program, &Options::default(), &files, device, UPDATES) {
            Ok(found) => found,
            Err(error) => panic!("{model} on {}: {error}", device.name()),
        };
        let expected = stmc_runtime::tensor::read(&file).expect("the golden file can be read");
        let faults = faults(&expected, &found, &tolerances(&golden.join(format!("{model}.json"))));
        assert!(faults.is_empty(), "{model} on {}:\n{}", device.name(), faults.join("\n"));
    }
}

#[test]
fn on_the_processor() {
    check(&mut *stmc::device(stmc::DeviceKind::Cpu, 2).expect("the processor is there"));
}

#[cfg(feature = "gpu")]
#[test]
fn on_wgpu() {
    if let Some(mut subject) = devices::gpu() {
        check(&mut *subject.device);
    }
}
