//! A run that was killed goes on as if nothing had happened: the same weights, moments and metrics, bit for bit. And how work
//! is cut among threads changes nothing.
mod common;

use common::{command, files, folder, program, succeeds, text};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Kills at seeded moments of a run, and as many again while a checkpoint is being written.
const ANYWHERE: usize = 15;
const WHILE_SAVING: usize = 5;

/// What must be equal: the checkpoints and the log, times aside.
fn results(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![];
    for (name, bytes) in files(run) {
        let wanted = name.starts_with("last/") || name.starts_with("best/") || name.ends_with(".jsonl");
        if wanted {
            let is_text = name.ends_with(".json") || name.ends_with(".jsonl");
            let bytes = if is_text { without_times(&bytes) } else { bytes };
            all.push((name, bytes));
        }
    }
    assert!(all.iter().any(|f| f.0 == "last/weights.safetensors"), "the run has weights");
    all
}

/// Seconds differ from run to run, and with the digits of the seconds the length of the log.
fn without_times(bytes: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).expect("the log is text");
    let is_time = |field: &&str| !field.contains("\"seconds\"") && !field.contains("\"log_bytes\"");
    let lines: Vec<String> =
        text.lines().map(|l| l.split(',').filter(is_time).collect::<Vec<_>>().join(",")).collect();
    lines.join("\n").into_bytes()
}

fn start(run: &Path) -> Child {
    let arguments = ["train", &program("tiny.stm"), "--out", &text(run), "--threads", "1"];
    command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs")
}

fn assert_same(expected: &[(String, Vec<u8>)], found: &[(String, Vec<u8>)], what: &str) {
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(expected), names(found), "{what}");
    for ((name, want), (_, got)) in expected.iter().zip(found) {
        let (want_text, got_text) = (String::from_utf8_lossy(want), String::from_utf8_lossy(got));
        let shown = if name.contains(".json") { format!("\n{want_text}\n{got_text}") } else { String::new() };
        assert!(want == got, "{what}: {name} differs{shown}");
    }
}

/// Waits for a condition, or for the process to end. Whether the condition came first.
fn reached(child: &mut Child, condition: impl Fn() -> bool) -> bool {
    loop {
        if condition() {
            return true;
        }
        if child.try_wait().expect("the process can be asked").is_some() {
            return false;
        }
        std::hint::spin_loop();
    }
}

/// A run must have saved something before it can go on.
fn has_begun(run: &Path) -> bool {
    run.join("last").join("state.json").exists()
}

#[test]
fn a_killed_run_goes_on_bit_for_bit() {
    let place = folder("killed");
    let whole = place.join("whole");
    succeeds(&["train", &program("tiny.stm"), "--out", &text(&whole), "--threads", "1"]);
    let expected = results(&whole);
    let logged = text_lines(&whole.join("metrics.jsonl"), "");

    let mut interrupted = 0;
    for moment in 0..ANYWHERE {
        let run = place.join(format!("moment-{moment}"));
        // Fractions of the golden ratio lie evenly in the run, whatever their number.
        let lines = (logged as f64 * ((moment + 1) as f64 * 0.618_033_988_75).fract()) as usize;
        let mut child = start(&run);
        let log = run.join("metrics.jsonl");
        interrupted += usize::from(reached(&mut child, || has_begun(&run) && text_lines(&log, "") >= lines));
        finish(child, &run, &expected, &format!("killed after {lines} lines of the log"));
    }
    assert_eq!(interrupted, ANYWHERE, "runs that were still going on");

    let mut saving = 0;
    for attempt in 0..20 * WHILE_SAVING {
        let run = place.join(format!("saving-{attempt}"));
        let draft = run.join("checkpoints").join(".draft");
        let mut child = start(&run);
        assert!(reached(&mut child, || has_begun(&run)), "the run saves its first weights");
        // The first, second … checkpoint from here on, and each in another state of completion.
        let epoch = attempt % 4;
        let counted = || text_lines(&run.join("metrics.jsonl"), "\"epochs\"") > epoch;
        let stop = Duration::from_micros(150 * (attempt as u64 % 7));
        let found = reached(&mut child, || counted() && draft.exists());
        let since = Instant::now();
        reached(&mut child, || since.elapsed() >= stop);
        child.kill().expect("the process can be killed");
        child.wait().expect("the process ends");
        if found && draft.exists() {
            saving += 1;
            finish(child, &run, &expected, "killed while saving");
        }
        std::fs::remove_dir_all(&run).expect("the run can be removed");
        if saving == WHILE_SAVING {
            return;
        }
    }
    panic!("only {saving} runs could be caught while saving");
}

fn text_lines(path: &Path, word: &str) -> usize {
    std::fs::read_to_string(path).map_or(0, |log| log.lines().filter(|l| l.contains(word)).count())
}

/// Kills the process with no chance to tidy up, goes on with the run, and compares.
fn finish(mut child: Child, run: &Path, expected: &[(String, Vec<u8>)], what: &str) {
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().expect("the process ends");
    succeeds(&["train", "--resume", &text(run), "--threads", "1"]);
    assert_same(expected, &results(run), what);
}

#[test]
fn one_thread_and_two_threads_give_the_same_bytes() {
    let place = folder("threads");
    let run = |threads: &str| {
        let path = place.join(threads);
        succeeds(&["train", &program("tiny.stm"), "--out", &text(&path), "--threads", threads]);
        results(&path)
    };
    assert_same(&run("1"), &run("2"), "two threads");
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_the_step_and_the_run_goes_on() {
    let place = folder("interrupted");
    let (whole, run) = (place.join("whole"), place.join("run"));
    succeeds(&["train", &program("tiny.stm"), "--out", &text(&whole), "--threads", "1"]);
    let mut child = start(&run);
    assert!(reached(&mut child, || text_lines(&run.join("metrics.jsonl"), "\"step\"") > 5));
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signal.expect("`kill` runs").success());
    let status = child.wait().expect("the process ends");
    // Interrupted, or done before the signal came.
    assert!(matches!(status.code(), Some(130 | 0)), "{status}");
    succeeds(&["train", "--resume", &text(&run), "--threads", "1"]);
    assert_same(&results(&whole), &results(&run), "interrupted");
}
