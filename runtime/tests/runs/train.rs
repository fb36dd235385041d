//! Training as a whole, on a toy program: what is written, that a resumed run is the same run, and how it ends when something
//! is wrong.
use crate::toy::{self, ERROR_SPAN, Event, Settings, Toy, Watched, toy};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stmc_base::Code;
use stmc_ir::Precision;
use stmc_runtime::folder::{self, Mark};
use stmc_runtime::state::Ending;
use stmc_runtime::{
    Leg, Options, Outcome, RunError, RunFolder, Session, Tensor, Trainer, Watching, predict, report,
};

fn options(interrupted: &Arc<AtomicBool>) -> Options {
    Options { interrupted: interrupted.clone(), watch: Watching::Silent, phases: 1 }
}

fn begin(toy: &Toy, run: &Path, event: Event) -> Result<Outcome, RunError> {
    let flag = match &event {
        Event::Interrupt(_, flag) => flag.clone(),
        _ => Arc::default(),
    };
    let mut device = Watched::new(&toy.program, event);
    let mut session = Session::start(&toy.module, &toy.program, &mut device, 5)?;
    let folder = RunFolder::create(run, &toy.config)?;
    Trainer::begin(&mut session, &toy.data, folder, &options(&flag))?.run().map(over)
}

/// Of a run without phases.
fn over(leg: Leg) -> Outcome {
    match leg {
        Leg::Over(outcome) => *outcome,
        Leg::Next(_) => panic!("there is one phase"),
    }
}

fn resume(toy: &Toy, run: &Path) -> Result<Outcome, RunError> {
    let mut device = Watched::new(&toy.program, Event::Nothing);
    let mut session = Session::start(&toy.module, &toy.program, &mut device, 5)?;
    Trainer::resume(&mut session, &toy.data, RunFolder::open(run)?, &options(&Arc::default()))?
        .run()
        .map(over)
}

/// A fresh toy and a place for its runs.
fn prepare(settings: &Settings) -> (tempfile::TempDir, Toy) {
    let folder = tempfile::tempdir().unwrap();
    let toy = toy(folder.path(), settings);
    (folder, toy)
}

fn log(run: &Path) -> Vec<Value> {
    let mut lines = folder::read_log(run).unwrap();
    lines.iter_mut().for_each(|l| drop(l.as_object_mut().unwrap().remove("seconds")));
    lines
}

fn check_same_run(one: &Path, other: &Path) {
    for mark in [Mark::Last, Mark::Best] {
        let [mut a, mut b] = [one, other].map(|run| folder::load(run, mark).unwrap().unwrap());
        for state in [&mut a.state, &mut b.state] {
            // Digits of times make lines of the log longer or shorter.
            (state.seconds, state.log_bytes) = (0.0, 0);
        }
        assert_eq!(a, b);
    }
    assert_eq!(log(one), log(other));
    let [a, b] = [one, other].map(|run| std::fs::read_to_string(run.join("curves.svg")).unwrap());
    assert_eq!(a, b);
}

#[test]
fn training_beats_the_baseline_and_leaves_its_results() {
    let (folder, toy) = prepare(&Settings::default());
    let run = folder.path().join("runs/toy");
    let outcome = begin(&toy, &run, Event::Nothing).unwrap();
    assert_eq!(outcome.ending(), Some(Ending::Done));
    assert_eq!(outcome.state.step, 54);
    let (part, scores) = &outcome.scores[1];
    let score = |name: &str| scores.iter().find(|s| s.name == name).unwrap().number().unwrap();
    assert_eq!(part, "test");
    assert!(score("error") < 0.5 * score("typical"), "{scores:?}");
    assert!((score("error").powi(2) - score("loss")).abs() < 1e-12);
    let table = stmc_runtime::score::table(&outcome.scores);
    assert!(table.contains("error") && table.contains(" K"), "{table}");

    let lines = log(&run);
    let epochs: Vec<&Value> = lines.iter().filter(|l| l.get("epochs").is_some()).collect();
    assert_eq!(epochs.len(), 6);
    assert_eq!(lines.iter().filter(|l| l.get("epoch").is_some()).count(), 54);
    let last = epochs[5];
    assert_eq!(
        last["terms"]["fit"].as_f64().unwrap() + last["terms"]["decay"].as_f64().unwrap(),
        last["train_loss"]
    );
    assert_eq!(last["rate"], 0.05 / (1.0 + 53.0 / 50.0));
    assert!(last["valid"]["error"].as_f64().unwrap() < 1.0);
    assert_eq!(lines.last().unwrap()["final"]["test"]["error"], score("error"));

    let curves = std::fs::read_to_string(run.join("curves.svg")).unwrap();
    assert!(curves.starts_with("<svg") && curves.contains(">typical</text>") && curves.contains(">K</text>"));
    let film = std::fs::read(run.join("forecast.gif")).unwrap();
    assert!(film.starts_with(b"GIF89a") && film.ends_with(b";") && film.len() > 1000);
    let config = folder::config(&run).unwrap();
    assert_eq!((config.model.as_str(), config.seed), ("Toy", 5));
    assert!(run.join("best/weights.safetensors").exists());
    // Old checkpoints are gone.
    let kept = std::fs::read_dir(run.join("checkpoints")).unwrap().count();
    assert!(kept <= 2, "{kept} checkpoints");
}

#[test]
fn the_same_run_twice_gives_the_same_bits() {
    let (folder, toy_a) = prepare(&Settings::default());
    let [one, two, three] = ["one", "two", "three"].map(|name| folder.path().join(name));
    let outcome = begin(&toy_a, &one, Event::Nothing).unwrap();
    begin(&toy(folder.path(), &Settings::default()), &two, Event::Nothing).unwrap();
    check_same_run(&one, &two);
    // Data that were used before serve again.
    begin(&toy_a, &three, Event::Nothing).unwrap();
    check_same_run(&one, &three);
    let mut device = Watched::new(&toy_a.program, Event::Nothing);
    let mut session = Session::start(&toy_a.module, &toy_a.program, &mut device, 5).unwrap();
    let scores = report::evaluate(&mut session, &toy_a.data, &one, &["valid", "test", "none"]).unwrap();
    assert_eq!(scores, outcome.scores);
}

#[test]
fn an_interrupted_run_goes_on_bit_for_bit() {
    for accumulate in [1, 3] {
        let settings = Settings { accumulate, ..Settings::default() };
        let (folder, first) = prepare(&settings);
        let whole = folder.path().join("whole");
        begin(&first, &whole, Event::Nothing).unwrap();
        // In the middle of an epoch, at its end, at the first step.
        for at in [1, 7, 9] {
            let run = folder.path().join(format!("cut-{at}"));
            let flag = Arc::<AtomicBool>::default();
            let toy_b = toy(folder.path(), &settings);
            let outcome = begin(&toy_b, &run, Event::Interrupt(at, flag)).unwrap();
            assert_eq!((outcome.ending(), outcome.state.step), (None, at));
            let toy_c = toy(folder.path(), &settings);
            let outcome = resume(&toy_c, &run).unwrap();
            assert_eq!(outcome.ending(), Some(Ending::Done));
            check_same_run(&whole, &run);
        }
    }
}

#[test]
fn a_run_with_a_scaled_loss_goes_on_bit_for_bit() {
    for accumulate in [1, 3] {
        // So steep that the first scales are too large.
        let settings = Settings {
            accumulate,
            epochs: 6 * accumulate,
            precision: Precision::F16,
            gain: 1e3,
            rate: 2e-5,
            ema: Some(0.5),
            ..Settings::default()
        };
        let (folder, first) = prepare(&settings);
        let whole = folder.path().join("whole");
        begin(&first, &whole, Event::Nothing).unwrap();
        let lines = log(&whole);
        let state = folder::load(&whole, Mark::Last).unwrap().unwrap().state;
        let steps: Vec<&Value> = lines.iter().filter(|l| l.get("epoch").is_some()).collect();
        let skipped = steps.last().unwrap()["skipped"].as_u64().unwrap();
        assert!(steps[0]["skipped"] == 1 && steps[0]["scale"] == 32768.0, "{}", steps[0]);
        assert!((2..15).contains(&skipped), "{skipped}");
        assert_eq!(state.clock.rules, state.step - skipped, "a skipped update is none");
        // Among the skipped updates, right after them, later.
        for at in [1, 2, 3, 7] {
            let run = folder.path().join(format!("cut-{at}"));
            let outcome = begin(&toy(folder.path(), &settings), &run, Event::Interrupt(at, Arc::default()));
            assert_eq!(outcome.unwrap().ending(), None);
            let outcome = resume(&toy(folder.path(), &settings), &run).unwrap();
            assert_eq!(outcome.ending(), Some(Ending::Done));
            check_same_run(&whole, &run);
        }
    }
}

#[test]
fn a_run_that_fell_over_goes_on_from_its_last_checkpoint() {
    let (folder, first) = prepare(&Settings::default());
    let whole = folder.path().join("whole");
    begin(&first, &whole, Event::Nothing).unwrap();
    for at in [1, 13, 27] {
        let run = folder.path().join(format!("fell-{at}"));
        let toy_b = toy(folder.path(), &Settings::default());
        let error = begin(&toy_b, &run, Event::Failure(at)).unwrap_err();
        assert_eq!(error.to_string(), "interpreter: it fell over");
        resume(&toy(folder.path(), &Settings::default()), &run).unwrap();
        check_same_run(&whole, &run);
    }
}

#[test]
fn a_finished_run_resumed_only_scores_again() {
    let (folder, first) = prepare(&Settings::default());
    let run = folder.path().join("run");
    let outcome = begin(&first, &run, Event::Nothing).unwrap();
    let before = log(&run);
    let again = resume(&toy(folder.path(), &Settings::default()), &run).unwrap();
    assert_eq!(again.scores, outcome.scores);
    assert_eq!(log(&run), before);
}

#[test]
fn training_stops_when_it_no_longer_improves_and_keeps_the_best() {
    // A rate so high that it soon gets worse.
    let settings = Settings { epochs: 40, rate: 0.45, stop: Some(2), ..Settings::default() };
    let (folder, toy) = prepare(&settings);
    let run = folder.path().join("run");
    let outcome = begin(&toy, &run, Event::Nothing).unwrap();
    assert_eq!(outcome.ending(), Some(Ending::Stalled));
    let best = outcome.state.best.unwrap();
    assert_eq!(outcome.state.epoch, best.epoch + 2);
    let valid: Vec<f64> = log(&run).iter().filter_map(|l| l["valid"]["loss"].as_f64()).collect();
    let least = valid.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!((valid[best.epoch as usize - 1], best.value), (least, least));
    assert_eq!(outcome.scores[0].1[0].number(), Some(least), "the best weights are the result");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_at_its_term() {
    let user = |result: Result<Outcome, RunError>| match result {
        Err(RunError::User(diagnostic)) => diagnostic,
        other => panic!("{other:?}"),
    };
    let (folder, bad) = prepare(&Settings { bad_target: Some(f32::NAN), ..Settings::default() });
    let first = user(begin(&bad, &folder.path().join("nan"), Event::Nothing));
    assert_eq!((first.code, first.labels[0].span), (Code::E0806, toy::span(ERROR_SPAN)));
    assert_eq!(first.message, "the loss term `fit` is not a number at step 1, in epoch 1");
    assert!(first.help.unwrap().contains("no update was made yet"));

    let (folder, wild) = prepare(&Settings { rate: 1e12, ..Settings::default() });
    let run = folder.path().join("wild");
    let later = user(begin(&wild, &run, Event::Nothing));
    assert_eq!(later.message, "the loss term `fit` is infinite at step 3, in epoch 1");
    assert!(later.help.unwrap().contains("clip"));
    // What was saved before is whole.
    assert_eq!(folder::load(&run, Mark::Last).unwrap().unwrap().state.step, 0);
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let (folder, toy) = prepare(&Settings::default());
    let below_a_file = folder.path().join("x.npy/run");
    let message = begin(&toy, &below_a_file, Event::Nothing).unwrap_err().to_string();
    assert!(message.starts_with(&*below_a_file.to_string_lossy()), "{message}");

    let taken = folder.path().join("taken");
    let first = RunFolder::create(&taken, &toy.config).unwrap();
    let message = RunFolder::create(&taken, &toy.config).err().unwrap().to_string();
    assert!(message.contains("there is a run in it"), "{message}");
    let message = RunFolder::open(&taken).err().unwrap().to_string();
    assert!(message.contains("another process is writing this run"), "{message}");
    drop(first);
    let message = resume(&toy, &taken).unwrap_err().to_string();
    assert!(message.contains("nothing was saved yet"), "{message}");
    let message = RunFolder::open(folder.path()).err().unwrap().to_string();
    assert!(message.contains("no config.json"), "{message}");

    let parent = folder.path().join("runs");
    let numbered = |_| RunFolder::create_numbered(&parent, "toy", &toy.config).unwrap().path().to_path_buf();
    assert_eq!([1, 2].map(numbered), [parent.join("toy-1"), parent.join("toy-2")]);
}

/// Needs a file system of its own; only root may make one.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_the_checkpoint_before_stays() {
    let (folder, toy) = prepare(&Settings::default());
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let command = |program: &str, args: &[&str]| {
        std::process::Command::new(program).args(args).arg(&disk).output().is_ok_and(|o| o.status.success())
    };
    if !command("mount", &["-t", "tmpfs", "-o", "size=128k", "tmpfs"]) {
        eprintln!("SKIPPED: a small file system cannot be mounted here");
        return;
    }
    let run = disk.join("run");
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let interrupted = begin(&toy, &run, Event::Interrupt(12, Arc::default())).unwrap();
        assert_eq!(interrupted.state.step, 12);
        let before = folder::load(&run, Mark::Last).unwrap().unwrap();
        let filler = vec![0; 1 << 20];
        // Fills what is left; the write fails, as it should.
        let _ = std::fs::write(disk.join("filler"), filler);
        let error = resume(&toy_again(folder.path()), &run).unwrap_err();
        assert!(error.to_string().contains("No space left on device"), "{error}");
        assert!(error.to_string().starts_with(&*run.to_string_lossy()), "{error}");
        assert_eq!(folder::load(&run, Mark::Last).unwrap().unwrap().weights, before.weights);
        std::fs::remove_file(disk.join("filler")).unwrap();
        let outcome = resume(&toy_again(folder.path()), &run).unwrap();
        assert_eq!(outcome.ending(), Some(Ending::Done));
    }));
    assert!(command("umount", &[]), "the file system can be taken away");
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn toy_again(folder: &Path) -> Toy {
    toy(folder, &Settings::default())
}

#[test]
fn predictions_do_not_depend_on_how_samples_are_grouped() {
    let (_folder, toy) = prepare(&Settings::default());
    let mut device = Watched::new(&toy.program, Event::Nothing);
    let mut session = Session::start(&toy.module, &toy.program, &mut device, 5).unwrap();
    let weights = vec![
        ("weight".to_string(), Tensor::floats(vec![3], [1.0, 10.0, 100.0])),
        ("bias".to_string(), Tensor::floats(vec![], [0.5])),
    ];
    session.set_weights(&weights).unwrap();
    let x = Tensor::floats(vec![6, 3], (0..18).map(|i| i as f32));
    let expected: Vec<f32> = (0..6).map(|i| (3 * i) as f32 * 111.0 + 210.5).collect();
    let given = vec![("x".to_string(), x.clone())];
    let all = predict::predict(&mut session, &given, 0).unwrap();
    assert_eq!(all, [("y".to_string(), Tensor::floats(vec![6], expected.clone()))]);
    let one = vec![("x".to_string(), x.slice(0, 2, 3))];
    assert_eq!(predict::predict(&mut session, &one, 0).unwrap()[0].1, Tensor::floats(vec![1], [expected[2]]));

    let wrong = |given: &[(&str, Tensor)]| {
        let given = given.iter().map(|(n, t)| (n.to_string(), t.clone())).collect();
        let mut device = Watched::new(&toy.program, Event::Nothing);
        let mut session = Session::start(&toy.module, &toy.program, &mut device, 5).unwrap();
        predict::predict(&mut session, &given, 0).unwrap_err().to_string()
    };
    assert_eq!(wrong(&[("z", x.clone())]), "the input `x` is missing; the model takes `x`");
    assert_eq!(wrong(&[("x", x.slice(1, 0, 2))]), "`x` is [6, 2], and the model takes [samples, 3]");
}
