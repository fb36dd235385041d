//! The library face: what the command line does, from Rust.
use std::path::{Path, PathBuf};

const MODEL: &str = r#"
use std.nn.Linear
use std.loss.mse
use std.metric.rmse
use std.optim.Adam

axes space = (row, col)
data radar {
    from storms(size: 8, length: 2, count: 40, seed: 3)
    field rain: f32[sequence, time, row, col]
    sample at s in sequence {
        past: rain[sequence: s, time: 0]
        next: mean(rain[sequence: s, time: 1])
    }
    split { train: shuffled(sequence) < 80%, test: rest }
}
model Amount(past: f32[row, col]) -> { amount: f32[] } {
    head = Linear(1)
    { amount: past |> flatten((row, col) -> channel) |> head |> squeeze(channel) }
}
train Amount on radar {
    loss = mse(amount, next), optimizer = Adam(lr: 1e-2), batch = 8, epochs = 2
    metrics = { error: rmse(amount, next) }
}
"#;

/// The ten lines of the crate's documentation, on a file of one's own.
fn train_and_use(file: &Path, out: PathBuf) -> Result<(f64, Vec<usize>), stmc::Error> {
    let compiled = stmc::compile_file(file, &stmc::Options::default())?;
    let mut device = stmc::device(stmc::DeviceKind::Cpu, 1)?;
    let options = stmc::TrainOptions { out: Some(out), ..Default::default() };
    let outcome = compiled.train(&mut *device, &options)?;
    let again = stmc::Again::open(&outcome.path, None, &[])?;
    let scores = stmc::evaluate(&again, &mut *device)?;
    let past = stmc::Tensor::floats(vec![3, 8, 8], (0..192).map(|i| i as f32 / 100.0));
    let forecast = stmc::predict(&again, &mut *device, &[("past".into(), past)].to_vec())?;
    let error = scores[0].1.iter().find(|s| s.name == "error").and_then(|s| s.number());
    Ok((error.unwrap_or(f64::NAN), forecast[0].1.shape.clone()))
}

#[test]
fn a_model_is_trained_evaluated_and_used_in_ten_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("amount.stm");
    std::fs::write(&file, MODEL).expect("the folder is writable");
    let (error, shape) = train_and_use(&file, folder.path().join("run")).unwrap_or_else(|e| panic!("{e}"));
    assert!(error.is_finite() && error > 0.0, "the test part has an error: {error}");
    assert_eq!(shape, [3], "one amount per sample");
}

#[test]
fn errors_are_values_that_can_be_shown_and_sent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("amount.stm");
    std::fs::write(&file, MODEL.replace("Linear(1)", "Linear(1, biass: false)"))
        .expect("the folder is writable");
    let Err(error) = stmc::check_file(&file, &stmc::Options::default()) else {
        panic!("there is a mistake in it")
    };
    let text = error.to_string();
    assert!(text.starts_with("error[E0404]: `Linear` has no argument `biass`"), "{text}");
    assert!(text.contains("did you mean `bias`?"), "{text}");
    assert_eq!(error.json()[0]["code"], "E0404");
    let missing = stmc::check_file(folder.path().join("none.stm"), &stmc::Options::default());
    assert!(
        matches!(missing, Err(stmc::Error::World(what)) if what.ends_with("none.stm: there is no such file"))
    );
}
