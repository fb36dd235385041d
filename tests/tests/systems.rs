//! Whole systems of the field: as their papers have them, checked without their data, a schema beside stands in; and examples that
//! make their data themselves. Each makes an update, smaller, on numbers made up here, so every layer runs, forward and backward.
use std::path::{Path, PathBuf};
use stmc::{DeviceKind, Options, StepFiles, StepInput};
use stmc_ir::DType;
use stmc_runtime::Tensor;
use stmc_runtime::tensor::Named;

/// A program.
struct System {
    /// A file of `systems/`, or the path of an example.
    file: &'static str,
    /// The file of `schemas/`. `None`: the data are made.
    schema: Option<&'static str>,
    models: &'static [&'static str],
    /// What makes an update small.
    small: &'static [&'static str],
}

const SYSTEMS: &[System] = &[
    System { file: "systems/crops.stm", schema: Some("crops"), models: &["Crops"], small: &[] },
    System {
        file: "../examples/species/species.stm",
        schema: None,
        models: &["Language", "Vision", "Autoencoder"],
        small: &["hidden=16", "plants.from=observations(count: 200, words: 16, looks: 8, seed: 59)"],
    },
    System {
        file: "systems/emulator.stm",
        schema: Some("emulator"),
        models: &["Emulator"],
        small: &["width=4", "hidden=6", "months=3"],
    },
    System {
        file: "systems/emulator3d.stm",
        schema: Some("emulator"),
        models: &["Conv3dNet"],
        small: &["width=2"],
    },
    System {
        file: "systems/evapotranspiration.stm",
        schema: Some("evapotranspiration"),
        models: &["V8"],
        small: &["steps=2", "c1=4", "c2=8", "d=16"],
    },
    System {
        file: "../examples/heartbeat/cnn_gru.stm",
        schema: None,
        models: &["BeatSeries"],
        small: &[
            "filters=16",
            "hidden=8",
            "blocks=1",
            "ecg.from=heartbeats(count: 200, patients: 8, seed: 2)",
        ],
    },
    System {
        file: "../examples/heartbeat/cnn_2d.stm",
        schema: None,
        models: &["BeatImage"],
        small: &["filters=16", "ecg.from=heartbeats(count: 200, patients: 8, seed: 2)"],
    },
    System {
        file: "../examples/heartbeat/transformer.stm",
        schema: None,
        models: &["BeatTokens"],
        small: &["filters=16", "ecg.from=heartbeats(count: 200, patients: 8, seed: 2)"],
    },
    System {
        file: "systems/nowcast.stm",
        schema: Some("nowcast"),
        models: &["Nowcast"],
        small: &["hidden=[8, 4, 4, 4]"],
    },
    System {
        file: "systems/nowcast_openstl.stm",
        schema: Some("nowcast_openstl"),
        models: &["ConvLstmStl"],
        small: &["hidden=[8, 8]", "pre=2", "aft=2"],
    },
    System { file: "systems/sst.stm", schema: Some("sst"), models: &["Ocean"], small: &["width=4"] },
];

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn options(system: &System) -> Options {
    let schema = system.schema.map(|name| {
        let text = std::fs::read_to_string(place(&format!("schemas/{name}.json")));
        serde_json::from_str(&text.expect("the schema is there")).expect("it is a schema")
    });
    Options { schema, ..Options::default() }
}

#[test]
fn they_check() {
    for system in SYSTEMS {
        if let Err(error) = stmc::check_file(place(system.file), &options(system)) {
            panic!("{}:\n{error}", system.file);
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
    let batch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("systems.safetensors");
    for system in SYSTEMS {
        for model in system.models {
            let mut options = Options { model: Some(model.to_string()), ..options(system) };
            options.set = system.small.iter().map(|s| s.to_string()).collect();
            options.set.push("train.batch=2".into());
            let losses = losses(&place(system.file), &options, &batch);
            assert!(losses.iter().all(|x| x.is_finite()), "{model} of {}: {losses:?}", system.file);
            assert!(losses[0] != losses[1], "{model} of {}: an update changes nothing", system.file);
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
