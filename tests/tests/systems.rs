//! Whole systems of the field as their papers have them, checked without their data: a schema beside stands in. Each then makes an
//! update, smaller, on numbers made up here, so every layer runs, forward and backward.
use std::path::{Path, PathBuf};
use stmc::{DeviceKind, Options, StepFiles, StepInput};
use stmc_ir::DType;
use stmc_runtime::Tensor;
use stmc_runtime::tensor::Named;

/// A file of `systems/`.
struct System {
    name: &'static str,
    /// The file of `schemas/`.
    schema: &'static str,
    models: &'static [&'static str],
    /// What makes an update small.
    small: &'static [&'static str],
}

const SYSTEMS: &[System] = &[
    System { name: "crops", schema: "crops", models: &["Crops"], small: &[] },
    System { name: "species", schema: "species", models: &["Vision", "Autoencoder"], small: &[] },
    System {
        name: "emulator",
        schema: "emulator",
        models: &["Emulator"],
        small: &["width=4", "hidden=6", "months=3"],
    },
    System { name: "emulator3d", schema: "emulator", models: &["Conv3dNet"], small: &["width=2"] },
    System {
        name: "evapotranspiration",
        schema: "evapotranspiration",
        models: &["V8"],
        small: &["steps=2", "c1=4", "c2=8", "d=16"],
    },
    System {
        name: "heartbeat",
        schema: "heartbeat",
        models: &["Beat1d", "Beat2d", "BeatTransformer"],
        small: &["filters=16", "gru_hidden=8", "blocks=1", "dense=8"],
    },
    System { name: "nowcast", schema: "nowcast", models: &["Nowcast"], small: &["hidden=[8, 4, 4, 4]"] },
    System {
        name: "nowcast_openstl",
        schema: "nowcast_openstl",
        models: &["ConvLstmStl"],
        small: &["hidden=[8, 8]", "pre=2", "aft=2"],
    },
    System { name: "sst", schema: "sst", models: &["Ocean"], small: &["width=4"] },
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn options(system: &System) -> Options {
    let path = folder("schemas").join(format!("{}.json", system.schema));
    let text = std::fs::read_to_string(path).expect("the schema is there");
    Options { schema: Some(serde_json::from_str(&text).expect("it is a schema")), ..Options::default() }
}

#[test]
fn they_check() {
    for system in SYSTEMS {
        let file = folder("systems").join(format!("{}.stm", system.name));
        if let Err(error) = stmc::check_file(file, &options(system)) {
            panic!("{}:\n{error}", system.name);
        }
    }
}

/// Numbers between -1 and 1, the names' numbers 0 and 1: no run of them repeats within a tensor.
fn made_up(input: &StepInput) -> Tensor {
    let shape: Vec<usize> = input.axes.iter().map(|(_, extent)| *extent).collect();
    let numbers =
        (0..shape.iter().product::<usize>()).map(|i| ((i as f64 * 0.754_877).fract() * 2.0 - 1.0) as f32);
    match input.dtype {
        DType::F32 => Tensor::floats(shape, numbers),
        dtype => Tensor { dtype, shape, bits: numbers.map(|x| u32::from(x > 0.0)).collect() },
    }
}

#[test]
fn their_layers_run() {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("systems");
    std::fs::create_dir_all(&made).expect("the target folder is writable");
    // The number of weights that a file asserts is that at full size.
    for System { name, .. } in SYSTEMS {
        let text = std::fs::read_to_string(folder("systems").join(format!("{name}.stm")));
        let text = text.expect("the system is there");
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("assert ")).collect();
        std::fs::write(made.join(format!("{name}.stm")), kept.join("\n")).expect("the folder is writable");
    }
    for system in SYSTEMS {
        for model in system.models {
            let mut options = Options { model: Some(model.to_string()), ..options(system) };
            options.set = system.small.iter().map(|s| s.to_string()).collect();
            options.set.push("train.batch=2".into());
            let losses =
                losses(&made.join(format!("{}.stm", system.name)), &options, &made.join("batch.safetensors"));
            assert!(losses.iter().all(|x| x.is_finite()), "{model} of {}: {losses:?}", system.name);
            assert!(losses[0] != losses[1], "{model} of {}: an update changes nothing", system.name);
        }
    }
}

/// Before the first update and before the second.
fn losses(file: &Path, options: &Options, batch: &Path) -> [f32; 2] {
    let inputs = stmc::step_inputs(file, options).unwrap_or_else(|e| panic!("{e}"));
    let given: Named = inputs.iter().map(|input| (input.name.clone(), made_up(input))).collect();
    stmc_runtime::tensor::write(batch, &given).expect("the folder is writable");
    let files = StepFiles { weights: None, batch: batch.into(), masks: None, map: None };
    let mut device = stmc::device(DeviceKind::Cpu, 2).expect("there is a processor");
    let found = stmc::step(file, options, &files, &mut *device, 2).unwrap_or_else(|e| panic!("{e}"));
    [1, 2].map(|n| {
        let name = format!("loss_before_step_{n}");
        let tensor = &found.iter().find(|t| t.0 == name).expect("it was computed").1;
        tensor.numbers().next().expect("a loss is one number")
    })
}
