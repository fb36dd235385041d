//! Devices agree on the course of a training.
use std::path::{Path, PathBuf};
use stmc::{Options, TrainOptions};
use stmc_ir::Device;
use stmc_ir::kernel_interpret::Interpreter;
use stmc_tests::devices;

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).expect("what an earlier test left can be removed");
    }
    path
}

fn compiled(path: &Path, set: &[&str]) -> stmc::Compiled {
    let set = set.iter().map(ToString::to_string).collect();
    match stmc::compile_file(path, &Options { set, ..Options::default() }) {
        Ok(compiled) => compiled,
        Err(error) => panic!("{error}"),
    }
}

/// The losses before each of the first updates of a small version of the nowcaster.
fn losses(device: &mut dyn Device, updates: usize) -> Vec<f64> {
    let nowcast = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/nowcast/nowcast.stm");
    let data = "radar.from=storms(size: 16, length: 8, count: 50, seed: 7)";
    let epochs = format!("train.epochs={}", updates.div_ceil(8));
    let compiled = compiled(&nowcast, &["hidden=[4]", "train.batch=4", &epochs, data]);
    let out = folder(&format!("losses-{}", device.name().replace([' ', '/', '(', ')'], "-")));
    let options = TrainOptions { out: Some(out.clone()), ..TrainOptions::default() };
    if let Err(error) = compiled.train(device, &options) {
        panic!("{}: {error}", device.name());
    }
    let log = std::fs::read_to_string(out.join("metrics.jsonl")).expect("the run has a log");
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("lines are JSON");
    let losses: Vec<f64> = log.lines().filter_map(|l| line(l)["loss"].as_f64()).collect();
    assert!(losses.len() >= updates, "{} losses for {updates} updates", losses.len());
    losses[..updates].to_vec()
}

fn assert_agree(expected: &[f64], found: &[f64], what: &str) {
    for (step, (want, got)) in expected.iter().zip(found).enumerate() {
        // Rounding differs, and each update carries it on.
        assert!((want - got).abs() <= 1e-4 * want, "{what}, update {step}: {got}, expected {want}");
    }
}

#[test]
fn the_first_losses_are_the_same_on_every_device() {
    let cpu = losses(&mut *stmc::device(stmc::DeviceKind::Cpu, 1).expect("the processor is there"), 20);
    assert!(cpu[19] < cpu[0], "it learns: {cpu:?}");
    assert_agree(&losses(&mut Interpreter::default(), 4), &cpu, "processor beside interpreter");
    if let Some(mut subject) = devices::gpu() {
        assert_agree(&cpu, &losses(&mut *subject.device, 20), &subject.name);
    }
}

#[test]
fn what_is_missing_teaches_nothing_and_does_not_spread() {
    let gaps = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/gaps.stm");
    let compiled = compiled(&gaps, &[]);
    let mut device = stmc::device(stmc::DeviceKind::Cpu, 1).expect("the processor is there");
    let out = folder("gaps");
    let options = TrainOptions { out: Some(out.clone()), ..TrainOptions::default() };
    if let Err(error) = compiled.train(&mut *device, &options) {
        panic!("{error}");
    }
    let log = std::fs::read_to_string(out.join("metrics.jsonl")).expect("the run has a log");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|l| serde_json::from_str(l).expect("lines are JSON")).collect();
    let losses: Vec<f64> = lines.iter().filter_map(|l| l["loss"].as_f64()).collect();
    assert!(losses.iter().all(|x| x.is_finite()), "{losses:?}");
    let epoch = |losses: &[f64]| losses.iter().sum::<f64>();
    assert!(epoch(&losses[16..]) < 0.9 * epoch(&losses[..4]), "it learns: {losses:?}");
    assert!(log.contains("\"wet\""), "{log}");
}
