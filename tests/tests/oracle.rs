//! Whole models against values computed elsewhere, in f64 and by other code: outputs, loss, gradients, and the weights after 1, 2 and 5 updates.
//!
//! `STMC_REFERENCE` names the folder that holds `oracle/golden/`; without it nothing is compared, and the test says so.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stmc::{Options, StepFiles};
use stmc_ir::Device;
use stmc_runtime::Tensor;
use stmc_runtime::tensor::Named;
use stmc_tests::devices::{self, Precision};

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
fn tolerances(description: &serde_json::Value) -> BTreeMap<String, f64> {
    let tensors = description["tensors"].as_object().expect("it lists the tensors");
    let number = |x: &serde_json::Value| x.as_f64().expect("errors are numbers");
    let tolerance =
        |t: &serde_json::Value| 4.0 * number(&t["f32_max_abs_err"]) + 2e-6 * number(&t["max_abs"]);
    tensors.iter().map(|(name, t)| (name.clone(), tolerance(t))).collect()
}

fn find<'a>(tensors: &'a Named, name: &str) -> Option<&'a Tensor> {
    tensors.iter().find(|t| t.0 == name).map(|t| &t.1)
}

/// What the golden file holds, and how far one may be from it.
struct Golden {
    tensors: Named,
    tolerances: BTreeMap<String, f64>,
    /// Of Adam.
    rate: f64,
    eps: f64,
    precision: Precision,
}

impl Golden {
    /// Everything that is neither given nor about evaluation.
    fn faults(&self, found: &Named) -> Vec<String> {
        let given = ["input.", "param.", "dropout_mask.", "eval_after"];
        let compared = self.tensors.iter().filter(|(name, _)| !given.iter().any(|g| name.starts_with(g)));
        let fault = |(name, want): &(String, Tensor)| match find(found, name) {
            Some(got) => self.fault(name, want, got),
            // The oracle writes out the weights after some updates and the loss before each; `step` all of them.
            None => Some(format!("{name} is missing")),
        };
        compared.filter_map(fault).collect()
    }

    fn fault(&self, name: &str, want: &Tensor, got: &Tensor) -> Option<String> {
        assert_eq!(want.bits.len(), got.bits.len(), "{name}");
        let slack = self.slack(name);
        // Where updates have slack, the later ones see the weights that the earlier ones moved.
        let allowed = if slack.is_some() { 2.0 } else { 1.0 } * self.tolerances[name];
        let beyond = want.numbers().zip(got.numbers()).enumerate().map(|(i, (w, g))| {
            let slack = slack.as_ref().map_or(0.0, |s| s[i]);
            f64::from((w - g).abs()) - slack
        });
        let worst = beyond.fold(0.0, |worst: f64, x| if x.is_nan() { f64::INFINITY } else { worst.max(x) });
        (worst > allowed).then(|| format!("{name} is off by {worst:.1e}, allowed is {allowed:.1e}"))
    }

    /// How far a gradient that is within its own tolerance moves each weight. Adam divides a gradient by its size, so one that is
    /// hardly larger than `eps` makes a step out of rounding noise. A graphics card owes us fewer digits than a
    /// processor (a division may be off by 2.5 units in the last place): outputs, loss and gradients keep to the tolerance there
    /// too, but weights after updates exceed it by up to three times, so this is allowed them besides. `None`: nothing is.
    fn slack(&self, name: &str) -> Option<Vec<f64>> {
        if self.precision == Precision::Processor {
            return None;
        }
        let (updates, path) = name.strip_prefix("after_")?.split_once('.')?;
        let most = updates.parse::<f64>().expect("a number of updates") * self.rate;
        let gradient = format!("grad.{path}");
        let off = self.tolerances[&gradient];
        let step = |g: f32| {
            // The derivative of g / (|g| + eps) where it is steepest within the tolerance.
            let size = (f64::from(g.abs()) - off).max(0.0) + self.eps;
            most * (off * self.eps / (size * size)).min(2.0)
        };
        Some(find(&self.tensors, &gradient)?.numbers().map(step).collect())
    }
}

fn check(device: &mut dyn Device, precision: Precision) {
    let Some(folder) = golden() else { return };
    for model in MODELS {
        let file = folder.join(format!("{model}.safetensors"));
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle").join(format!("{model}.stm"));
        let files = StepFiles { weights: Some(file.clone()), batch: file.clone(), masks: None, map: None };
        let found = match stmc::step(&program, &Options::default(), &files, device, UPDATES) {
            Ok(found) => found,
            Err(error) => panic!("{model} on {}: {error}", device.name()),
        };
        let description = std::fs::read_to_string(folder.join(format!("{model}.json")));
        let description = serde_json::from_str(&description.expect("the oracle has a description"));
        let description: serde_json::Value = description.expect("the description is JSON");
        let tensors = stmc_runtime::tensor::read(&file).expect("the golden file can be read");
        let setting = |name: &str| description["optimizer"][name].as_f64().expect("Adam has it");
        let (rate, eps) = (setting("lr"), setting("eps"));
        let golden = Golden { tensors, tolerances: tolerances(&description), rate, eps, precision };
        let faults = golden.faults(&found);
        assert!(faults.is_empty(), "{model} on {}:\n{}", device.name(), faults.join("\n"));
    }
}

#[test]
fn on_the_processor() {
    let mut device = stmc::device(stmc::DeviceKind::Cpu, 2).expect("the processor is there");
    check(&mut *device, Precision::Processor);
}

#[cfg(feature = "gpu")]
#[test]
fn on_wgpu() {
    if let Some(mut subject) = devices::gpu() {
        check(&mut *subject.device, subject.precision);
    }
}
