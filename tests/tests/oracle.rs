//! Whole models against values computed elsewhere, in f64 and by other code: outputs, loss, gradients, and the weights after 1, 2 and 5 updates.
//!
//! `STMC_REFERENCE` names the folder that holds `oracle/golden/`; without it nothing is compared, and the test says so.
use std::path::{Path, PathBuf};
use stmc::{Options, StepFiles};
use stmc_cpu::{CpuDevice, Isa};
use stmc_ir::Device;
use stmc_runtime::Tensor;
use stmc_runtime::import::{self, Map, Wanted};
use stmc_runtime::tensor::Named;
use stmc_tests::devices;

/// A program of `oracle/`, and the golden file that it is held against.
struct Case {
    program: &'static str,
    golden: &'static str,
    /// The program has names of its own, and this map says what they are in the golden file.
    map: Option<&'static str>,
}

/// A program with the names of its golden file.
const fn same(program: &'static str) -> Case {
    Case { program, golden: program, map: None }
}

/// A program with names of its own, and a map beside it.
const fn mapped(program: &'static str, golden: &'static str) -> Case {
    Case { program, golden, map: Some(program) }
}

const CASES: [Case; 14] = [
    mapped("climate_cnn_gru", "climate_cnn_gru"),
    same("climate_conv3d"),
    same("convlstm_ed"),
    same("convlstm_ed_ss"),
    same("convlstm_openstl"),
    mapped("convlstm_joined", "convlstm_openstl"),
    same("deepearth_language"),
    same("deepearth_mae"),
    same("deepearth_vision"),
    mapped("et_cnntransformer_v8", "et_cnntransformer_v8"),
    same("heart_cnn_2d"),
    mapped("heart_cnn_gru_1d", "heart_cnn_gru_1d"),
    Case { map: Some("heart_cnn_gru_1d"), ..same("heart_cnn_gru_1d_flat") },
    same("heart_transformer_2d"),
];
const UPDATES: u64 = 5;
/// What the golden files give, and what is about evaluation.
const NOT_COMPARED: [&str; 4] = ["input.", "param.", "dropout_mask.", "eval_after"];
/// What training keeps beside the weights, after the first pass: it has no gradient.
const BUFFERS: &str = "buffer_after_1.";
/// A buffer of theirs that nothing depends on.
const COUNTER: &str = "num_batches_tracked";
/// Tensors that are named after weights.
const OF_WEIGHTS: [&str; 5] = ["grad.", "after_1.", "after_2.", "after_5.", BUFFERS];

fn golden() -> Option<PathBuf> {
    let folder = std::env::var_os("STMC_REFERENCE").map(|f| Path::new(&f).join("oracle/golden"));
    if folder.is_none() {
        devices::skipped("comparisons with an independent oracle: STMC_REFERENCE is not set");
    }
    folder
}

/// How far each element may be off: four times what another f32 implementation is off, and 2e-6 of the largest element. Where
/// the exact gradient is 0 (a bias before a normalization), the rule makes whole steps of rounding noise, in either direction.
fn tolerances(golden: &Named, file: &Path) -> Named {
    let text = std::fs::read_to_string(file).expect("the oracle has a description");
    let description: serde_json::Value = serde_json::from_str(&text).expect("the description is JSON");
    let noise = description["ill_conditioned_after_step"].as_array().expect("it is a list");
    let rate = description["optimizer"]["lr"].as_f64().expect("the rule has a rate");
    let tolerance = |name: &str| {
        if let Some(("", rest)) = name.split_once("after_")
            && noise.iter().any(|n| n.as_str() == Some(name))
        {
            let updates: f64 =
                rest.split('.').next().and_then(|n| n.parse().ok()).expect("it names the update");
            return 2.0 * updates * rate;
        }
        let number = |key: &str| description["tensors"][name][key].as_f64().expect("it tells every error");
        4.0 * number("f32_max_abs_err") + 2e-6 * number("max_abs")
    };
    let all = golden.iter().filter(|t| is_compared(&t.0)).map(|(name, t)| {
        let same = std::iter::repeat_n(tolerance(name) as f32, t.bits.len());
        (name.clone(), Tensor::floats(t.shape.clone(), same))
    });
    all.collect()
}

fn is_compared(name: &str) -> bool {
    !NOT_COMPARED.iter().any(|prefix| name.starts_with(prefix)) && !name.ends_with(COUNTER)
}

/// What is compared of `golden`, by the names that the program gives its weights.
fn by_our_names(golden: &Named, found: &Named, map: &Map) -> Named {
    let of_weights = |name: &str| OF_WEIGHTS.iter().any(|prefix| name.starts_with(prefix));
    let is_buffer = |path: &str| find(found, &format!("grad.{path}")).is_none();
    let others = golden.iter().filter(|t| is_compared(&t.0) && !of_weights(&t.0)).cloned();
    let weights = OF_WEIGHTS.iter().flat_map(|prefix| {
        let of_ours = if *prefix == BUFFERS { "after_1." } else { prefix };
        let ours = found.iter().filter_map(|(name, t)| Some((name.strip_prefix(of_ours)?.to_string(), t)));
        let ours = ours.filter(|t| !t.0.starts_with("input.") && is_buffer(&t.0) == (*prefix == BUFFERS));
        let wanted: Vec<Wanted> = ours.map(|(name, t)| (name, t.shape.clone())).collect();
        let theirs = match wanted.is_empty() {
            true => vec![], // a model without buffers
            false => import::pick(&wanted, golden, map, prefix).unwrap_or_else(|e| panic!("{prefix} {e}")),
        };
        theirs.into_iter().map(move |(name, t)| (format!("{prefix}{name}"), t))
    });
    let all: Named = others.chain(weights).collect();
    let theirs = golden.iter().filter(|t| is_compared(&t.0)).count();
    assert!(all.len() >= theirs || !map.tensor.is_empty(), "{} of {theirs} tensors are compared", all.len());
    all
}

fn find<'a>(tensors: &'a Named, name: &str) -> Option<&'a Tensor> {
    tensors.iter().find(|t| t.0 == name).map(|t| &t.1)
}

fn faults(expected: &Named, allowed: &Named, found: &Named) -> Vec<String> {
    let mut faults = vec![];
    for ((name, want), (_, allowed)) in expected.iter().zip(allowed) {
        let ours = name.replacen(BUFFERS, "after_1.", 1);
        let Some(got) = find(found, &ours) else {
            faults.push(format!("{name} is missing"));
            continue;
        };
        assert_eq!(want.bits.len(), got.bits.len(), "{name}");
        let elements = want.numbers().zip(got.numbers()).zip(allowed.numbers());
        let apart = elements.map(|((w, g), allowed)| ((w - g).abs(), allowed));
        let far = apart.filter(|(x, allowed)| x.is_nan() || x > allowed);
        if let Some((apart, allowed)) = far.max_by(|a, b| a.0.total_cmp(&b.0)) {
            faults.push(format!("{name} is off by {apart:.1e}, allowed is {allowed:.1e}"));
        }
    }
    faults
}

fn check(device: &mut dyn Device) {
    let Some(folder) = golden() else { return };
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
    for Case { program, golden, map } in CASES {
        let file = folder.join(format!("{golden}.safetensors"));
        let golden = folder.join(format!("{golden}.json"));
        let path = programs.join(format!("{program}.stm"));
        let map = map.map(|map| programs.join(format!("{map}.toml")));
        let (weights, masks) = (Some(file.clone()), Some(file.clone()));
        let files = StepFiles { weights, batch: file.clone(), masks, map: map.clone() };
        let found = match stmc::step(&path, &Options::default(), &files, device, UPDATES) {
            Ok(found) => found,
            Err(error) => panic!("{program} on {}: {error}", device.name()),
        };
        let map = map.map_or_else(Map::default, |m| import::read_map(&m).expect("the map can be read"));
        let given = stmc_runtime::tensor::read(&file).expect("the golden file can be read");
        let allowed = by_our_names(&tolerances(&given, &golden), &found, &map);
        let faults = faults(&by_our_names(&given, &found, &map), &allowed, &found);
        assert!(faults.is_empty(), "{program} on {}:\n{}", device.name(), faults.join("\n"));
    }
}

#[test]
fn on_the_processor() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        check(&mut CpuDevice::new(2, isa).expect("the path is available"));
    }
}

#[cfg(feature = "gpu")]
#[test]
fn on_wgpu() {
    if let Some(mut subject) = devices::gpu() {
        check(&mut *subject.device);
    }
}
