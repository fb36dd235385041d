//! Training as the language says it, from file to checkpoints: groups of weights, averages, first weights, phases, and several
//! models in a file.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stmc::{Error, Options, Outcome, TrainOptions};
use stmc_ir::device::{Device, DeviceError, Scalars};
use stmc_ir::kernel_interpret::Interpreter;
use stmc_ir::program::{BufferId, Program};
use stmc_runtime::folder::{self, Mark};

const DATA: &str = "
use std.loss.mse
use std.optim.{Adam, Sgd}
use std.schedule.linear
data radar {
    from storms(size: 8, length: 4, count: 20, seed: 1)
    field rain: f32[sequence, time, row, col]
    let typical = fit(mean(rain, over: (sequence, time)))
    sample at s in sequence { past: rain[sequence: s, time: 0 .. 1], future: rain[sequence: s, time: 1 .. 1 + frames], typical: typical }
    split { train: sequence < 12, valid: sequence < 16, test: rest }
}
";

/// Gradients are 3 and 4, whatever the data: their norm is 5.
const PULL: &str = "
let frames = 1
model Pull(past: f32[time, row, col]) -> { a: f32[], b: f32[], still: f32[] } {
    param left: [] ~ 1
    param right: [] ~ 2
    param fixed: [] ~ 3
    let zero = 0 * mean(past, over: (time, row, col))
    { a: left + zero, b: right + zero, still: fixed + zero }
}
train Pull on radar {
    loss       = mean(3 * a + 4 * b + 0 * still)
    optimizer  = { \"left\": Sgd(lr: 0.1), \"fixed\": frozen, \"*\": Sgd(lr: 1) }
    clip       = norm(1)
    ema        = 0.5
    batch      = 4
    steps      = 3
    save_every = 2 steps
}
";

/// Two weights of a scan whose length the phases change.
const GROW: &str = "
hyper frames: int = 1
hyper rate: float = 0.01
model Grow(past: f32[time, row, col]) -> { forecast: f32[time: frames, row, col] } {
    param gain: [] ~ 1
    param shift: [] ~ 0.1
    let run = scan along time: frames {
        carry guess = past[time: -1]
        guess' = gain * guess + shift
        yield guess'
    }
    { forecast: run }
}
train Grow on radar {
    loss      = mse(forecast, future)
    metrics   = { error: mse(forecast, future) }
    optimizer = Adam(lr: linear(from: rate, to: 0, over: 100%))
    batch     = 4
    epochs    = 2
    keep      = best(valid.error)
    phases    = [for n in 1 .. 4 => phase(frames: n, epochs: n, rate: 0.01 * n, reset: RESET)]
}
";

fn place(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("training").join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).expect("what an earlier test left can be removed");
    }
    std::fs::create_dir_all(&path).expect("the folder can be made");
    path
}

fn write(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("model.stm");
    std::fs::write(&file, format!("{DATA}{text}")).expect("the file can be written");
    file
}

fn options(set: &[&str]) -> Options {
    Options { set: set.iter().map(ToString::to_string).collect(), ..Options::default() }
}

fn good<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn train(file: &Path, out: &Path, set: &[&str]) -> Outcome {
    let told = TrainOptions { out: Some(out.into()), ..TrainOptions::default() };
    good(good(stmc::compile_file(file, &options(set))).train(&mut Interpreter::default(), &told))
}

/// The values of scalar weights, by path; files sort them.
fn scalars(tensors: &stmc_runtime::Named) -> Vec<(&str, f32)> {
    tensors.iter().map(|(name, t)| (name.as_str(), t.numbers().next().expect("a scalar"))).collect()
}

#[test]
fn groups_share_a_norm_and_averages_follow() {
    let folder = place("groups");
    let run = folder.join("run");
    train(&write(&folder, PULL), &run, &[]);
    let saved = folder::load(&run, Mark::Last).unwrap().unwrap();
    // Clipped to 0.6 and 0.8; rates 0.1 and 1.
    let close = |found: Vec<(&str, f32)>, expected: &[(&str, f32)]| {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (f, e) in found.iter().zip(expected) {
            assert!(f.0 == e.0 && (f.1 - e.1).abs() < 1e-5, "{found:?}, expected {expected:?}");
        }
    };
    close(scalars(&saved.weights), &[("fixed", 3.0), ("left", 1.0 - 3.0 * 0.06), ("right", 2.0 - 3.0 * 0.8)]);
    // After three updates by -d each: w - d (1/8 * 0 + 1/8 * 1 + 1/4 * 2 + 1/2 * 3) = w - 2.125 d.
    close(scalars(&saved.averages), &[("left", 1.0 - 2.125 * 0.06), ("right", 2.0 - 2.125 * 0.8)]);
    let paths: Vec<&str> = saved.moments.iter().map(|m| m.0.as_str()).collect();
    assert_eq!(paths, ["v.left", "v.right"]);
    assert!(run.join("checkpoints/000002/stays").exists(), "every second update stays");
    // Evaluation and prediction take the averages.
    let again = good(stmc::Again::open(&run, None, &[]));
    let past = stmc::Tensor::floats(vec![1, 1, 8, 8], (0..64).map(|i| i as f32));
    let found = good(stmc::predict(&again, &mut Interpreter::default(), &vec![("past".into(), past)]));
    close(scalars(&found), &[("a", 0.8725), ("b", 0.3), ("still", 3.0)]);
}

#[test]
fn a_run_begins_with_given_weights() {
    let folder = place("start");
    let file = write(&folder, PULL);
    train(&file, &folder.join("first"), &[]);
    // Of a run the averages, as its evaluation uses them.
    train(&file, &folder.join("second"), &["train.start=\"first\"", "train.steps=1"]);
    let second = folder::load(&folder.join("second"), Mark::Last).unwrap().unwrap();
    let found = scalars(&second.weights);
    assert!((found[1].1 - (0.8725 - 0.06)).abs() < 1e-5 && found[0].1 == 3.0, "{found:?}");
    // Of a file what it has.
    let one = vec![
        ("right".to_string(), stmc::Tensor::floats(vec![1], [7.0])),
        ("other".to_string(), stmc::Tensor::floats(vec![2], [7.0, 8.0])),
    ];
    stmc_runtime::tensor::write(&folder.join("some.safetensors"), &one).unwrap();
    let third = folder.join("third");
    train(&file, &third, &["train.start=\"some.safetensors\"", "train.steps=1"]);
    let weights = folder::load(&third, Mark::Last).unwrap().unwrap().weights;
    assert!((scalars(&weights)[2].1 - 6.2).abs() < 1e-5, "{weights:?}");
    let line = &folder::read_log(&third).unwrap()[0];
    assert_eq!(line["taken"], 1);
    assert_eq!((&line["drawn"][0], &line["drawn"][1]), (&"left".into(), &"fixed".into()));
    assert_eq!(line["unused"][0], "other");
    let missing = stmc::check_file(&file, &options(&["train.start=\"none\""]));
    let Err(error) = missing else { panic!("there is no such file") };
    assert!(error.to_string().contains("`none` is not there"), "{error}");
}

/// A weight for each place, and one for all.
const PLACES: &str = "
let frames = 1
model Places(past: f32[time, row, col]) -> { forecast: f32[time, row, col] } {
    param usual: [row: past.row, col: past.col] ~ 0
    param gain: [] ~ 1
    { forecast: gain * past + usual }
}
train Places on radar { loss = mse(forecast, future), optimizer = { \"usual\": frozen, \"*\": Sgd(lr: 0.1) }, batch = 4, steps = 2 }
";

#[test]
fn weights_of_another_grid_are_named_and_can_be_drawn_anew() {
    let folder = place("grids");
    let file = write(&folder, PLACES);
    let small = folder.join("small");
    train(&file, &small, &[]);
    let wide = "radar.from=storms(size: 16, length: 4, count: 20, seed: 1)";
    let set = options(&[wide, "train.start=\"small\""]);
    let told = TrainOptions { out: Some(folder.join("wide")), ..TrainOptions::default() };
    let error = good(stmc::compile_file(&file, &set)).train(&mut Interpreter::default(), &told);
    let error = error.expect_err("a weight does not fit").to_string();
    let words = "`usual` is [row: 16, col: 16] in the model, [8, 8] in the file: it belongs to a grid whose `row` is not 16; `draw = [\"usual\"]`";
    assert!(error.contains(words), "{error}");
    // The others are taken, as the message says.
    let again = good(stmc::Again::open(&small, None, &[]));
    let weights = folder.join("small.safetensors");
    good(stmc::export(&again, stmc::Format::Safetensors, &weights));
    let map = folder.join("map.toml");
    std::fs::write(&map, "draw = [\"usual\"]").unwrap();
    let files = stmc::ImportFiles { torch: weights, map: Some(map), out: Some(folder.join("imported")) };
    let compiled = good(stmc::compile_file(&file, &options(&[wide])));
    let adopted = good(compiled.import(&mut Interpreter::default(), &files));
    assert_eq!((adopted.taken, adopted.drawn), (1, vec!["usual".to_string()]));
}

/// Asks for an interrupt in the n-th run of an entry.
struct Interrupting {
    device: Interpreter,
    left: usize,
    flag: Arc<AtomicBool>,
}

impl Device for Interrupting {
    fn name(&self) -> String {
        self.device.name()
    }
    fn load(&mut self, program: &Program) -> Result<(), DeviceError> {
        self.device.load(program)
    }
    fn write(&mut self, buffer: BufferId, values: &[u32]) -> Result<(), DeviceError> {
        self.device.write(buffer, values)
    }
    fn read(&mut self, buffer: BufferId, values: &mut [u32]) -> Result<(), DeviceError> {
        self.device.read(buffer, values)
    }
    fn run(&mut self, entry: usize, scalars: &Scalars) -> Result<(), DeviceError> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.flag.store(true, Ordering::Relaxed);
        }
        self.device.run(entry, scalars)
    }
}

/// The log without times.
fn log(run: &Path) -> Vec<serde_json::Value> {
    let mut lines = folder::read_log(run).expect("the run has a log");
    lines.iter_mut().for_each(|l| drop(l.as_object_mut().expect("a line is an object").remove("seconds")));
    lines
}

#[test]
fn phases_go_on_with_the_weights_and_resume_bit_for_bit() {
    for reset in ["[]", "[optimizer, schedule]"] {
        let folder = place(&format!("phases{}", reset.len()));
        let file = write(&folder, &GROW.replace("RESET", reset));
        let whole = folder.join("whole");
        let outcome = train(&file, &whole, &[]);
        // 12 samples in batches of 4: 3 updates an epoch, 1 + 2 + 3 epochs.
        assert_eq!((outcome.state.phase, outcome.state.step, outcome.state.epoch), (2, 18, 6));
        let lines = log(&whole);
        let phases: Vec<u64> =
            lines.iter().filter(|l| l["epochs"].is_u64()).map(|l| l["phase"].as_u64().unwrap()).collect();
        assert_eq!(phases, [1, 2, 2, 3, 3, 3]);
        let rates: Vec<f64> =
            lines.iter().filter(|l| l["epoch"].is_u64()).map(|l| l["rate"].as_f64().unwrap()).collect();
        let expected: Vec<f64> = match reset {
            "[]" => (0..18)
                .map(|t| {
                    (
                        t,
                        [1, 2, 3][if t < 3 {
                            0
                        } else if t < 9 {
                            1
                        } else {
                            2
                        }],
                    )
                })
                .map(|(t, n)| 0.01 * f64::from(n) * (1.0 - f64::from(t) / 18.0))
                .collect(),
            _ => [3, 6, 9]
                .iter()
                .zip(1..)
                .flat_map(|(len, n)| {
                    (0..*len).map(move |t| 0.01 * f64::from(n) * (1.0 - f64::from(t) / f64::from(*len)))
                })
                .collect(),
        };
        assert!(
            rates.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9),
            "{rates:?}, expected {expected:?}"
        );
        for at in [2, 20, 47] {
            let run = folder.join(format!("cut{at}"));
            let flag = Arc::<AtomicBool>::default();
            let mut device = Interrupting { device: Interpreter::default(), left: at, flag: flag.clone() };
            let told = TrainOptions { out: Some(run.clone()), interrupted: flag, ..TrainOptions::default() };
            let first = good(good(stmc::compile_file(&file, &options(&[]))).train(&mut device, &told));
            assert_eq!(first.ending(), None, "run {at} of an entry comes before the end");
            let again = good(stmc::Again::open(&run, None, &[]));
            let told = TrainOptions { out: Some(run.clone()), ..TrainOptions::default() };
            let second = good(stmc::resume(&again, &mut Interpreter::default(), &told));
            assert_eq!(second.scores, outcome.scores, "cut at {at}");
            for mark in [Mark::Last, Mark::Best] {
                let [mut a, mut b] = [&whole, &run].map(|r| folder::load(r, mark).unwrap().unwrap());
                for state in [&mut a.state, &mut b.state] {
                    (state.seconds, state.log_bytes) = (0.0, 0);
                }
                assert_eq!(a, b, "cut at {at}");
            }
            assert_eq!(log(&run), lines, "cut at {at}");
        }
        // The run's result is that of the last phase, with its hypers.
        let again = good(stmc::Again::open(&whole, None, &[]));
        assert_eq!(good(stmc::evaluate(&again, &mut Interpreter::default())), outcome.scores);
        let past = stmc::Tensor::floats(vec![2, 1, 8, 8], (0..128).map(|i| i as f32));
        let found = good(stmc::predict(&again, &mut Interpreter::default(), &vec![("past".into(), past)]));
        assert_eq!(found[0].1.shape, [2, 3, 8, 8]);
    }
}

/// A forecaster that reads its past mixed with what it said itself. What it is shown is drawn for each sample and each step.
const SHOWN: &str = "
use std.schedule.approach
let frames = 3
model Shown(past: f32[time, row, col], future: f32[time: 3, row, col]) -> { forecast: f32[time: 3, row, col], shown: f32[time: 3, row, col] } {
    param gain: [] ~ 0.9
    let share = SCHEDULE
    let run = scan frame in future along time {
        carry guess = past[time: 0]
        let keep = if training then bernoulli(share, like: frame[row: 0, col: 0]) else 0
        guess' = gain * (keep * frame + (1 - keep) * guess)
        yield stack(guess', keep + 0 * frame, along: kind)
    }
    { forecast: run[kind: 0], shown: run[kind: 1] }
}
train Shown on radar {
    loss      = { error: mse(forecast, future), shown: mean(shown) + 0 * mean(forecast), apart: mean((shown - mean(shown, over: (row, col))) ^ 2) + 0 * mean(forecast),
                  times: mean((shown - mean(shown, over: time)) ^ 2) + 0 * mean(forecast) }
    optimizer = Sgd(lr: 0.01)
    batch     = 12
    epochs    = 40
    seed      = 4
}
";

#[test]
fn the_truth_is_shown_less_and_less_or_more_and_more_by_sample_and_step() {
    type Formula = fn(f64) -> f64;
    let rates: [(&str, Formula); 2] = [
        ("linear(from: 1, to: 0, over: 20 steps)", |t| (1.0 - t / 20.0).max(0.0)),
        ("approach(start: 10 steps, scale: 5 steps, end: 30 steps)", |t| match t {
            t if t < 10.0 => 0.5,
            t if t < 30.0 => 1.0 - 0.5 * (-(t - 10.0) / 5.0).exp(),
            _ => 1.0,
        }),
    ];
    for (n, (schedule, rate)) in rates.into_iter().enumerate() {
        let folder = place(&format!("shown{n}"));
        let text = SHOWN.replace("SCHEDULE", schedule);
        let run = folder.join("run");
        train(&write(&folder, &text), &run, &[]);
        let lines: Vec<_> = log(&run).into_iter().filter(|l| l["epoch"].is_u64()).collect();
        assert_eq!(lines.len(), 40);
        let (mut drawn, mut expected, mut mixed) = (0.0, 0.0, 0);
        for (t, line) in lines.iter().enumerate() {
            let share = rate(t as f64);
            let term = |name: &str| line["terms"][name].as_f64().expect("it is logged");
            let found = term("shown");
            // Of 36 draws, four deviations.
            let deviation = (share * (1.0 - share) / 36.0).sqrt();
            assert!((found - share).abs() <= 4.0 * deviation + 1e-6, "update {t}: {found}, not {share}");
            assert_eq!(term("apart"), 0.0, "a frame is shown whole or not at all");
            mixed += usize::from(term("times") > 0.0);
            (drawn, expected) = (drawn + found, expected + share);
        }
        assert!(f64::abs(drawn - expected) < 2.0, "{drawn} of {expected}");
        assert!(mixed > 10, "steps of a sample are drawn apart");
    }
}

#[test]
fn batches_add_up_to_an_update_and_gradients_are_cut_by_value() {
    let folder = place("accumulated");
    let file = write(&folder, &GROW.replace("RESET", "[]").replace("phases    =", "// "));
    let weights = |name: &str, set: &[&str]| {
        let run = folder.join(name);
        train(&file, &run, set);
        let saved = folder::load(&run, Mark::Last).unwrap().unwrap();
        (saved.state.step, scalars(&saved.weights).iter().map(|w| w.1).collect::<Vec<_>>())
    };
    // The mean over a batch is the mean of the means over its halves.
    let sgd = "train.optimizer=Sgd(lr: 0.01)";
    let whole = weights("whole", &[sgd, "train.batch=6"]);
    let halves = weights("halves", &[sgd, "train.batch=3", "train.accumulate=2"]);
    assert_eq!((whole.0, halves.0), (4, 4));
    assert!(whole.1.iter().zip(&halves.1).all(|(a, b)| (a - b).abs() < 1e-6), "{whole:?}, {halves:?}");
    assert_ne!(whole.1, [1.0, 0.1]);
    // Gradients of 3 and 4, each cut to 0.5; the rates are 0.1 and 1.
    let file = write(&folder, PULL);
    let run = folder.join("cut");
    train(&file, &run, &["train.clip=value(0.5)", "train.steps=1"]);
    let saved = folder::load(&run, Mark::Last).unwrap().unwrap();
    let found: Vec<f32> = scalars(&saved.weights).iter().map(|w| w.1).collect();
    assert!(found.iter().zip([3.0, 0.95, 1.5]).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
}

const TWO: &str = "
let frames = 1
model One(past: f32[time, row, col]) -> { forecast: f32[time, row, col] } { param a: [] ~ 1; { forecast: a * past } }
model Two(past: f32[time, row, col]) -> { forecast: f32[time, row, col] } { param b: [] ~ 1; { forecast: b + past } }
model Three(past: f32[time, row, col]) -> { forecast: f32[time, row, col] } { param c: [] ~ 1; { forecast: c - past } }
train One on radar { loss = mse(forecast, future), optimizer = Sgd(lr: 0.1), batch = 4, steps = 1 }
";
const SECOND: &str =
    "train Two on radar { loss = mse(forecast, future), optimizer = Sgd(lr: 0.1), batch = 4, steps = 2 }\n";

#[test]
fn of_several_models_one_is_chosen() {
    let folder = place("several");
    let named = |model: &str| Options { model: Some(model.into()), ..Options::default() };
    let paths = |options: &Options, file: &Path| -> Result<Vec<String>, String> {
        let compiled = stmc::compile_file(file, options).map_err(|e| e.to_string())?;
        Ok(compiled.program.params.iter().map(|p| p.path.clone()).collect())
    };
    // One `train` block: it is for any of the models.
    let file = write(&folder, TWO);
    assert_eq!(paths(&Options::default(), &file), Ok(vec!["a".into()]));
    assert_eq!(paths(&named("Three"), &file), Ok(vec!["c".into()]));
    let error = paths(&named("Thre"), &file).unwrap_err();
    assert!(error.contains("the file has no model `Thre`; did you mean `Three`?"), "{error}");
    // Two: one must be named.
    let file = write(&folder, &format!("{TWO}{SECOND}"));
    let error = paths(&Options::default(), &file).unwrap_err();
    assert!(error.contains("the file trains `One` and `Two`: choose one, `--model One`"), "{error}");
    assert_eq!(paths(&named("Two"), &file), Ok(vec!["b".into()]));
    let error = paths(&named("Three"), &file).unwrap_err();
    assert!(error.contains("none of the file's `train` blocks trains `Three`"), "{error}");
    // A check looks at all of them, a resumed run at its own.
    good(stmc::check_file(&file, &Options::default()));
    let wrong =
        write(&folder, &format!("{TWO}{}", SECOND.replace("0.1", "\"x\"")).replace("c - past", "c - pst"));
    let Err(error) = stmc::check_file(&wrong, &Options::default()) else { panic!("two models are wrong") };
    let text = error.to_string();
    assert!(text.contains("`pst` is not defined") && text.matches("error[").count() == 2, "{text}");
    let file = write(&folder, &format!("{TWO}{SECOND}"));
    let run = folder.join("run");
    let told = TrainOptions { out: Some(run.clone()), ..TrainOptions::default() };
    good(good(stmc::compile_file(&file, &named("Two"))).train(&mut Interpreter::default(), &told));
    let again = good(stmc::Again::open(&run, None, &[]));
    assert_eq!(again.compiled.checked.module.name, "Two");
}

/// One weight that is pulled to 1; a rate of 3 throws it far away.
const SEARCHED: &str = "
let frames = 1
hyper rate: float = 0.1 in [0.05, 0.5, 3]
hyper power: int = 2 in ints(1, 2)
model One(past: f32[time, row, col]) -> { w: f32[] } {
    param w: [] ~ 0
    { w: w + 0 * mean(past, over: (time, row, col)) }
}
assert rate * power != 1, \"this pair is left out\"
train One on radar {
    loss      = mean((w - 1) ^ 2)
    optimizer = Sgd(lr: rate)
    batch     = 4
    epochs    = 2
}
tune {
    search   = grid()
    minimize = valid.loss
}
";

#[test]
fn a_search_goes_on_where_it_was() {
    let folder = place("tune");
    let file = write(&folder, SEARCHED);
    let out = folder.join("search");
    let told = TrainOptions { out: Some(out.clone()), ..TrainOptions::default() };
    let mut numbers = vec![];
    let mut search = |set: &[&str]| {
        let mut note = |trial: &stmc::tune::Trial, _: &_| numbers.push(trial.number);
        let tuned = stmc::tune::tune(&file, &options(set), &mut Interpreter::default(), &told, &mut note);
        (tuned, std::mem::take(&mut numbers))
    };
    let (tuned, heard) = search(&[]);
    let tuned = good(tuned);
    assert_eq!(heard, [1, 2, 3, 4, 5, 6]);
    let sets: Vec<String> = tuned.trials.iter().map(|t| format!("{} {}", t.set[0].1, t.set[1].1)).collect();
    assert_eq!(sets, ["0.05 1", "0.05 2", "0.5 1", "0.5 2", "3 1", "3 2"]);
    // An assertion fails for one of them; with a rate of 0.5 the first update arrives.
    let best = tuned.best().expect("some have a value");
    assert_eq!((best.number, best.value), (3, Some(0.0)));
    assert_eq!(tuned.trials[3].value, None);
    // The last two rows are lost, and of the last trial the run: the one is read again, the other done again.
    let table = out.join("trials.csv");
    let text = std::fs::read_to_string(&table).unwrap();
    assert!(text.starts_with("trial,rate,power,valid.loss\n1,0.05,1,"), "{text}");
    let kept: Vec<&str> = text.lines().take(5).collect();
    std::fs::write(&table, kept.join("\n") + "\n").unwrap();
    std::fs::remove_dir_all(out.join("trial-006")).unwrap();
    let (again, heard) = search(&[]);
    assert_eq!((good(again).trials, heard), (tuned.trials, vec![5, 6]));
    assert_eq!(std::fs::read_to_string(&table).unwrap(), text);
    // Another search does not go on in its folder.
    let (other, _) = search(&["rate=0.05"]);
    let Err(error) = other else { panic!("its table has other columns") };
    assert!(error.to_string().contains("of another search"), "{error}");
}
