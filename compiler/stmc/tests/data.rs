//! Tables, dates, fits over the train part, and the way back to physical units: from a file to scores.
use std::ops::Range;
use std::path::{Path, PathBuf};
use stmc::{Again, DeviceKind, Options, TrainOptions};
use stmc_base::{SourceId, Span};
use stmc_ir::DType;
use stmc_ir::data::SourceSpec;

/// Trains a program beside its data and gives the metrics of a part.
fn scores(program: &str, folder: &Path, part: &str) -> Vec<(String, f64)> {
    let file = folder.join("program.stm");
    std::fs::write(&file, program).expect("the folder is writable");
    let compiled = stmc::compile_file(&file, &Options::default()).unwrap_or_else(|e| panic!("{e}"));
    let mut device = stmc::device(DeviceKind::Cpu, 1).expect("there is a processor");
    let options = TrainOptions { out: Some(folder.join("run")), ..TrainOptions::default() };
    let outcome = compiled.train(&mut *device, &options).unwrap_or_else(|e| panic!("{e}"));
    let again = Again::open(&outcome.path, None, &[]).unwrap_or_else(|e| panic!("{e}"));
    let all = stmc::evaluate(&again, &mut *device).unwrap_or_else(|e| panic!("{e}"));
    let of_part = all.into_iter().find(|(name, _)| name == part).expect("the part is there").1;
    of_part.into_iter().map(|s| (s.name.clone(), s.number().expect("it is one number"))).collect()
}

fn score(scores: &[(String, f64)], name: &str) -> f64 {
    scores.iter().find(|s| s.0 == name).unwrap_or_else(|| panic!("{name} in {scores:?}")).1
}

fn assert_close(what: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{what} is {found}, not {expected}");
}

/// What is forecast is in the units of the field: the table's mean where the model gives 0.
#[test]
fn a_prediction_is_in_physical_units() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows: String = (0..40).map(|i| format!("{i},{}\n", 100 + 2 * (i % 8))).collect();
    std::fs::write(folder.path().join("t.csv"), format!("x,y\n{rows}")).expect("the folder is writable");
    let program = r#"
use std.loss.mse
use std.optim.Adam
use std.data.zscore
data table {
    from "t.csv"
    field x: f32[row]
    field y: f32[row]
    sample at r in row { x: x[row: r], y: zscore(y)[row: r] }
    split { train: row < 32, test: rest }
}
model Nothing(x: f32[]) -> { y: f32[] } {
    param scale: [] ~ 0
    { y: scale * x }
}
train Nothing on table { loss = mse(out.y, sample.y), optimizer = Adam(lr: 0), batch = 8, epochs = 1 }
"#;
    scores(program, folder.path(), "test");
    let mut device = stmc::device(DeviceKind::Cpu, 1).expect("there is a processor");
    let again = Again::without_data(&folder.path().join("run"), &[]).unwrap_or_else(|e| panic!("{e}"));
    let x = stmc::Tensor::floats(vec![3], [1.0, 2.0, 3.0]);
    let found = stmc::predict(&again, &mut *device, &vec![("x".into(), x)]).unwrap_or_else(|e| panic!("{e}"));
    let numbers: Vec<f64> = found[0].1.numbers().map(f64::from).collect();
    numbers.iter().for_each(|y| assert_close("y", *y, 107.0));
    assert_eq!(numbers.len(), 3);
}

#[test]
fn a_table_is_classified() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Three kinds around three points; the first is four times as frequent.
    let mut text = "kind,site,a,b\n".to_string();
    for i in 0..180u32 {
        let kind = if i % 6 < 4 { 0 } else { i % 6 - 3 };
        let noise = |k: u32| f64::from((i * k + 11 * (i / 7)) % 97) / 97.0 - 0.5;
        let (a, b) = ([0.0, 2.0, 0.0][kind as usize] + noise(31), [0.0, 0.0, 2.0][kind as usize] + noise(57));
        text += &format!(
            "{},{},{a:.4},{b:.4}\n",
            ["oak", "pine", "yew"][kind as usize],
            ["north", "south"][i as usize % 2]
        );
    }
    std::fs::write(folder.path().join("plots.csv"), text).expect("the folder is writable");
    let program = r#"
use std.nn.Linear
use std.loss.cross_entropy
use std.optim.Adam
data plots {
    from "plots.csv"
    field kind: category[row]
    field site: category[row]
    field signal = 0.5 * columns(2 .. 4): f32[row, channel]
    sample at r in row if site[row: r] == "north" or shuffled(row) < 90% {
        signal: signal[row: r]
        kind: kind[row: r]
    }
    split { test: shuffled(row, within: kind) < 25%, train: rest }
    balance smote(signal, k: 5) by kind
}
model Kinds(signal: f32[channel: 2]) -> { logits: f32[channel: plots.kind.count] } {
    head = Linear(plots.kind.count)
    { logits: signal |> head }
}
train Kinds on plots {
    loss = cross_entropy(logits, kind)
    metrics = { right: mean(f32(argmax(logits, over: channel) == kind)), kinds: mean(f32(kind < plots.kind.count)) }
    optimizer = Adam(lr: 5e-2), batch = 16, epochs = 12
}
"#;
    let scores = scores(program, folder.path(), "test");
    assert!(score(&scores, "right") > 0.95, "{scores:?}");
    assert_eq!(score(&scores, "kinds"), 1.0);
}

fn monthly() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/suite/data/monthly.npz")
}

/// All values of an array of the test data, row-major.
fn values(variable: &str, ranges: &[Range<usize>]) -> Vec<f64> {
    let span = Span::new(SourceId(0), 0, 0);
    let spec = SourceSpec::File { path: "monthly.npz".into(), span };
    let source =
        stmc_data::open(&spec, monthly().parent().expect("it lies in a folder")).expect("it is there");
    let mut bits = vec![0; ranges.iter().map(Range::len).product()];
    source.read(variable, ranges, DType::F32, &mut bits).expect("it can be read");
    bits.into_iter().map(|b| f64::from(f32::from_bits(b))).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

const REST: &str = r#"
use std.loss.mse
use std.optim.Adam
use std.data.{anomaly, zscore}
model Same(past: f32[lat, lon]) -> { heat: f32[lat, lon] } {
    param scale: [] ~ 1
    { heat: scale * past }
}
train Same on heat {
    loss = mse(out.heat, sample.heat)
    metrics = { change: mean(sample.heat), heat: mean(physical(sample.heat)), same: mean(physical(out.heat)), season: mean(season), north: mean(north) }
    optimizer = Adam(lr: 0), batch = 2, epochs = 1
}
"#;

/// The test part is the second of two years: its departures are those from the first.
#[test]
fn a_calendar_mean_is_fitted_and_undone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(monthly(), folder.path().join("monthly.npz")).expect("the data can be copied");
    let program = REST.to_string()
        + r#"
data heat {
    from "monthly.npz"
    field heat: f32[time, lat, lon] unit "degC"
    let change = anomaly(heat)
    sample at t in time {
        past: change[time: t - 1 .. t][time: -1]
        heat: change[time: t]
        season: month(time)[time: t]
        north: coord(lat)[lat: 0]
    }
    split { train: time <= 2000-12, test: rest, gap: 2 months }
}
"#;
    let scores = scores(&program, folder.path(), "test");
    // The gap takes January and February, the first window March.
    let heat = values("heat", &[0..24, 0..3, 0..4]);
    let (before, after) = (&heat[3 * 12..12 * 12], &heat[15 * 12..24 * 12]);
    assert_close("heat", score(&scores, "heat"), mean(after));
    assert_close("change", score(&scores, "change"), mean(after) - mean(before));
    assert_close("season", score(&scores, "season"), 8.0);
    assert_close("north", score(&scores, "north"), 10.0);
    // The forecast is the departure of the month before, put upon the mean of the month itself.
    let past = mean(&heat[14 * 12..23 * 12]) - mean(&heat[2 * 12..11 * 12]);
    assert_close("same", score(&scores, "same"), past + mean(before));

    // A prediction is put upon the mean of its month, which is given with it.
    let mut device = stmc::device(DeviceKind::Cpu, 1).expect("there is a processor");
    let again = Again::without_data(&folder.path().join("run"), &[]).unwrap_or_else(|e| panic!("{e}"));
    let past = ("past".to_string(), stmc::Tensor::floats(vec![2, 3, 4], vec![0.5; 24]));
    let error = stmc::predict(&again, &mut *device, &vec![past.clone()]).map(|_| ()).unwrap_err().to_string();
    let told = "the input `month(time)` is missing; the model takes `past`, `month(time)`";
    assert!(error.contains(told), "{error}");
    let months = ("month(time)".to_string(), stmc::Tensor::floats(vec![2], vec![5.0, 9.0]));
    let found = stmc::predict(&again, &mut *device, &vec![past, months]).unwrap_or_else(|e| panic!("{e}"));
    let found: Vec<f64> = found[0].1.numbers().map(f64::from).collect();
    for (cell, x) in found.iter().enumerate() {
        let month = if cell < 12 { 4 } else { 8 };
        assert_close("forecast", *x, 0.5 + heat[month * 12 + cell % 12]);
    }
}

/// A relief on a grid of its own: numbers in a line between its rows, classes where they are nearest.
#[test]
fn what_stands_still_is_taken_at_the_places_of_what_moves() {
    let program = r#"
use std.loss.mse
use std.optim.Adam
data heat {
    from "monthly.npz"
    field heat: f32[time, lat, lon]
    from "relief.npz"
    field relief: f32[lat, lon]
    field cover: category[lat, lon]
    sample at t in time, i in lat { past: heat[time: t, lat: i], heat: heat[time: t, lat: i], relief: relief[lat: i], cover: cover[lat: i] }
    split { train: lat > 5, valid: lat > -5, test: rest }
}
model Same(past: f32[lon]) -> { heat: f32[lon] } {
    param scale: [] ~ 1
    { heat: scale * past }
}
train Same on heat {
    loss = mse(out.heat, sample.heat)
    metrics = { relief: mean(sample.relief), cover: mean(f32(sample.cover)) }
    optimizer = Adam(lr: 0), batch = 2, epochs = 1
}
"#;
    let beside = monthly();
    let beside = beside.parent().expect("it lies in a folder");
    // Rows at -12, -4, 4 and 12 degrees, of heights 10 lat + 0, 1, 2, 3.
    for (part, lat, cover) in [("valid", 0.0, 2.0), ("test", -10.0, 0.0)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for file in ["monthly.npz", "relief.npz"] {
            std::fs::copy(beside.join(file), folder.path().join(file)).expect("the data can be copied");
        }
        let scores = scores(program, folder.path(), part);
        assert_close("relief", score(&scores, "relief"), 10.0 * lat + 1.5);
        assert_close("cover", score(&scores, "cover"), cover);
    }
}

/// The train part is told by member and month together: mean and deviation are of its cells alone.
#[test]
fn a_fit_over_a_split_along_two_axes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(monthly(), folder.path().join("monthly.npz")).expect("the data can be copied");
    let program = r#"
use std.loss.mse
use std.optim.Adam
use std.data.zscore
data ensemble {
    from "monthly.npz"
    field runs: f32[member, time]
    sample at m in member, t in time { run: zscore(runs)[member: m, time: t], past: runs[member: m, time: t] }
    split { test: member == 1 and time >= 2001-01, train: rest }
}
model Same(past: f32[]) -> { run: f32[] } {
    param scale: [] ~ 1
    { run: scale * past }
}
train Same on ensemble {
    loss = mse(out.run, sample.run)
    metrics = { run: mean(sample.run), physical: mean(physical(sample.run)) }
    optimizer = Adam(lr: 0), batch = 2, epochs = 1
}
"#;
    let scores = scores(program, folder.path(), "test");
    let all = values("runs", &[0..3, 0..24]);
    let test = &all[36..48];
    let train: Vec<f64> = all[..36].iter().chain(&all[48..]).copied().collect();
    let centre = mean(&train);
    let deviation = mean(&train.iter().map(|x| (x - centre).powi(2)).collect::<Vec<_>>()).sqrt();
    assert_close("physical", score(&scores, "physical"), mean(test));
    assert_close("run", score(&scores, "run"), (mean(test) - centre) / deviation);
}

/// Models of several files may share data, which read the files beside themselves.
#[test]
fn data_and_models_may_stand_in_other_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).expect("the folder is writable");
    let rows: String = (0..20).map(|i| format!("{i},{}\n", 3 * i)).collect();
    std::fs::write(shared.join("t.csv"), format!("x,y\n{rows}")).expect("the folder is writable");
    let block = "
let (weak, strong) = (1, 3)
let valid = 20%
data line {
    from \"t.csv\"
    field x: f32[row]
    field y: f32[row]
    sample at r in row { x: x[row: r], y: y[row: r] }
    split { test: shuffled(row) < valid, train: rest }
}
model Line(x: f32[]) -> { y: f32[] } {
    param shift: [] ~ zeros
    { y: strong * x + shift }
}
";
    std::fs::write(shared.join("line.stm"), block).expect("the folder is writable");
    let program = "
use \"shared/line.stm\".{line as points, Line as Straight, strong as slope}
use std.loss.mse
use std.optim.Adam
train Straight on points {
    loss      = mse(out.y, sample.y)
    metrics   = { error: mse(out.y, slope * sample.x) }
    optimizer = Adam(lr: 1e-3)
    batch     = 4
    epochs    = 1
}
";
    let found = scores(program, folder.path(), "test");
    assert!(score(&found, "error") < 1e-3, "{found:?}");
}
