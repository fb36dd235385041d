//! The command line: what a person sees, also when the world does not play along.
mod common;

use common::{errors, fails, files, folder, program, repository, skipped, stmc, succeeds, text};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn nowcast() -> String {
    text(&repository("examples/nowcast/nowcast.stm"))
}

/// A short run of the tiny model.
fn trained(run: &Path) {
    succeeds(&["train", &program("tiny.stm"), "--out", &text(run), "--set", "train.epochs=2"]);
}

#[test]
fn checking_the_example_takes_less_than_50_ms() {
    let file = nowcast();
    let time = || {
        let began = Instant::now();
        succeeds(&["check", &file]);
        began.elapsed()
    };
    // The best of several: other tests run at the same time.
    let best = (0..20).map(|_| time()).min().expect("it ran");
    if cfg!(debug_assertions) {
        return skipped(&format!("the time of `check` (it took {best:?}): this is not a release build"));
    }
    assert!(best < Duration::from_millis(50), "{best:?}");
}

/// An NPY file of zeros.
fn write_zeros(path: &Path, shape: &[usize]) {
    let listed: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", listed.join(", "));
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").bytes());
    bytes.resize(bytes.len() + 4 * shape.iter().product::<usize>(), 0);
    std::fs::write(path, bytes).expect("the folder can be written");
}

#[test]
fn the_example_on_real_data_takes_an_array() {
    let array = folder("real").join("rain.npy");
    write_zeros(&array, &[92, 64, 64]);
    let file = text(&repository("examples/real/nowcast_radar.stm"));
    let from = format!("radar.from=\"{}\"", text(&array));
    succeeds(&["check", &file, "--set", &from]);
    let said = fails(&["check", &file]);
    assert!(said.contains("radar.npy") && said.contains("there is no such file"), "{said}");
}

#[test]
fn every_command_says_something_useful() {
    let file = nowcast();
    let has = |arguments: &[&str], words: &[&str]| {
        let said = succeeds(arguments);
        for word in words {
            assert!(said.contains(word), "stmc {}: there is no `{word}` in\n{said}", arguments.join(" "));
        }
    };
    has(&["check", &file], &["no errors"]);
    has(&["summary", &file], &["cells.0.gates.weight", "forecast"]);
    has(&["schema", &file], &["mm/h", "1000"]);
    has(&["emit", &file, "--stage", "ast"], &["Nowcast"]);
    has(&["emit", &file, "--stage", "graph"], &["entry train", "scan", "dot"]);
    has(
        &["emit", &file, "--after", "list"],
        &["simplify", "autodiff", "from here on gradients are ordinary nodes"],
    );
    has(&["emit", &file, "--stage", "kernels"], &["parallel"]);
    has(&["emit", &file, "--stage", "program"], &["apply"]);
    has(&["emit", &file, "--target", "clif"], &["function"]);
    has(&["explain", "e0202"], &["E0202", "outer product"]);
    has(&["--help"], &["train", "check", "Examples"]);
}

#[test]
fn a_run_is_evaluated_predicted_with_and_shown() {
    let run = folder("shown").join("run");
    trained(&run);
    let said = succeeds(&["eval", &text(&run)]);
    assert!(said.contains("test") && said.contains("mean_image"), "{said}");
    let names: Vec<String> = files(&run).into_iter().map(|f| f.0).collect();
    for name in [
        "config.json",
        "metrics.jsonl",
        "curves.svg",
        "last/weights.safetensors",
        "best/optimizer.safetensors",
    ] {
        assert!(names.iter().any(|n| n == name), "there is no {name} among {names:?}");
    }
    let again = stmc(&["train", &program("tiny.stm"), "--out", &text(&run)]);
    assert_eq!(again.status.code(), Some(1), "a run is not written over");
    assert!(errors(&again).contains("there is a run in it"), "{}", errors(&again));

    // Three samples of two images of 8x8.
    let past = run.join("past.npy");
    write_zeros(&past, &[3, 2, 8, 8]);
    let said = succeeds(&[
        "predict",
        &text(&run),
        "--input",
        &format!("past={}", text(&past)),
        "--out",
        &text(&run),
    ]);
    assert!(said.contains("[3, 8, 8]"), "{said}");
    assert!(run.join("forecast.npy").exists());
    let said =
        fails(&["predict", &text(&run), "--input", &format!("rain={}", text(&past)), "--out", &text(&run)]);
    assert!(said.contains("the input `past` is missing"), "{said}");
}

#[test]
fn predictions_need_the_run_alone() {
    let place = folder("moved");
    let (run, data, past) = (place.join("run"), place.join("rain.npy"), place.join("past.npy"));
    write_zeros(&data, &[40, 3, 8, 8]);
    let from = format!("radar.from=\"{}\"", text(&data));
    succeeds(&[
        "train",
        &program("tiny.stm"),
        "--out",
        &text(&run),
        "--set",
        "train.epochs=1",
        "--set",
        &from,
    ]);
    std::fs::remove_file(&data).expect("the data can be removed");
    write_zeros(&past, &[1, 2, 8, 8]);
    let input = format!("past={}", text(&past));
    let predict = ["predict", &text(&run), "--input", &input, "--out", &text(&run)];
    assert!(succeeds(&predict).contains("[1, 8, 8]"));
    // What is set counts: weights of another width are none of the run's.
    let said = fails(&[&predict[..], &["--set", "width=4"]].concat());
    assert!(said.contains("body.0.weight"), "{said}");
    let said = fails(&["eval", &text(&run)]);
    assert!(said.contains("rain.npy"), "{said}");
}

#[test]
fn missing_and_damaged_files_are_named() {
    let place = folder("damaged");
    let run = place.join("run");
    trained(&run);
    let names = |arguments: &[&str], words: &[&str]| {
        let said = fails(arguments);
        for word in words {
            assert!(said.contains(word), "stmc {}: there is no `{word}` in\n{said}", arguments.join(" "));
        }
    };
    let nowhere = text(&place.join("nowhere.stm"));
    names(&["check", &nowhere], &["nowhere.stm", "there is no such file"]);
    names(&["eval", &text(&place)], &["there is no run in it"]);
    let file = program("tiny.stm");
    let batch = text(&place.join("batch.safetensors"));
    let out = text(&place.join("out.safetensors"));
    names(&["step", &file, "--batch", &batch, "--out", &out], &["batch.safetensors"]);
    std::fs::write(place.join("batch.safetensors"), b"no tensors").expect("the folder can be written");
    names(&["step", &file, "--batch", &batch, "--out", &out], &["batch.safetensors"]);

    let weights = run.join("last").join("weights.safetensors");
    let whole = std::fs::read(&weights).expect("the run has weights");
    std::fs::write(&weights, &whole[..whole.len() / 2]).expect("the file can be written");
    names(&["train", "--resume", &text(&run)], &["weights.safetensors"]);
    std::fs::write(&weights, &whole).expect("the file can be written");
    let state = run.join("last").join("state.json");
    std::fs::write(&state, b"{").expect("the file can be written");
    names(&["train", "--resume", &text(&run)], &["state.json"]);
    std::fs::write(run.join("config.json"), b"{}").expect("the file can be written");
    names(&["eval", &text(&run)], &["config.json"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let place = folder("unwritable");
    std::fs::write(place.join("file"), b"").expect("the folder can be written");
    let below = text(&place.join("file").join("run"));
    let said = fails(&["train", &program("tiny.stm"), "--out", &below]);
    assert!(said.contains("file/run"), "{said}");
    if cfg!(target_os = "linux") {
        // Nobody makes folders there, root included.
        let said = fails(&["train", &program("tiny.stm"), "--out", "/proc/stmc-run"]);
        assert!(said.contains("/proc/stmc-run"), "{said}");
    }
}

/// A file system of a given size; unmounted at the end.
struct Small(std::path::PathBuf);

impl Small {
    /// `None`: this user may not mount.
    fn mount(path: &Path, size: &str) -> Option<Small> {
        std::fs::create_dir_all(path).expect("the folder can be made");
        let options = format!("size={size}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs", &text(path)]).output();
        done.is_ok_and(|o| o.status.success()).then(|| Small(path.to_path_buf()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whoever ran the test sees a mount that stays.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let place = folder("full");
    let Some(disk) = Small::mount(&place.join("disk"), "400k") else {
        return skipped("a full disk: this user may not mount a small file system");
    };
    let run = disk.0.join("run");
    // One checkpoint of this width takes a good half of the disk, so the second does not fit beside it.
    let arguments = ["train", &program("tiny.stm"), "--out", &text(&run), "--set", "width=650"];
    let said = fails(&arguments);
    assert!(said.contains("disk/run") && said.to_lowercase().contains("no space"), "{said}");
    let said = succeeds(&["eval", &text(&run)]);
    assert!(said.contains("test"), "the first checkpoint is whole: {said}");
    assert!(!run.join("checkpoints").join(".draft").exists(), "the draft gave its space back");

    // Not even the first fits.
    let huge = disk.0.join("huge");
    let said = fails(&["train", &program("tiny.stm"), "--out", &text(&huge), "--set", "width=4000"]);
    assert!(said.contains("disk/huge"), "{said}");
}

#[test]
fn wrong_programs_are_refused_with_every_error_at_once() {
    let file = folder("wrong").join("wrong.stm");
    let source = std::fs::read_to_string(program("tiny.stm")).expect("the program is there");
    let wrong = source.replace("time: -1]", "tim: -1]").replace("epochs    = 8", "epoch     = 8");
    std::fs::write(&file, wrong).expect("the folder can be written");
    let said = fails(&["check", &text(&file)]);
    assert!(said.contains("wrong.stm:") && said.contains("help"), "{said}");
    let output = stmc(&["check", &text(&file), "--message-format", "json"]);
    let lines = String::from_utf8(output.stdout).expect("the binary prints text");
    let parsed: Vec<serde_json::Value> =
        lines.lines().map(|l| serde_json::from_str(l).expect("each line is JSON")).collect();
    assert!(
        !parsed.is_empty()
            && parsed.iter().all(|d| d["severity"] == "error" && d["labels"][0]["place"].is_string()),
        "{lines}"
    );
    let key = parsed.iter().find(|d| d["code"] == "E0802").expect("the key is refused");
    assert_eq!(key["fix"]["edits"][0]["text"], "epochs", "{lines}");
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_at_its_place() {
    let place = folder("nan");
    let file = place.join("nan.stm");
    let source = std::fs::read_to_string(program("tiny.stm")).expect("the program is there");
    let wrong = source.replace("mse(forecast, future)\n", "mse(log(forecast - 1e9), future)\n");
    std::fs::write(&file, wrong).expect("the folder can be written");
    let run = place.join("run");
    let said = fails(&["train", &text(&file), "--out", &text(&run)]);
    assert!(said.contains("E0806") && said.contains("step 1") && said.contains("nan.stm:"), "{said}");
    assert!(run.join("last").join("weights.safetensors").exists(), "the first weights are kept");
}

#[test]
fn hypers_of_imported_files_are_set_behind_their_files_name() {
    let place = folder("imported-hypers");
    let rain = "hyper size: int = 8
hyper width: int = 1
hyper length: int = 4

data rain {
    from storms(size: size, length: length, count: 20, seed: 7)
    field rain: f32[storm, time, row, col]
    sample at s in storm { past: rain[storm: s, time: 0 .. width], next: rain[storm: s, time: -1] }
    split { train: shuffled(storm) < 80%, test: rest }
}
";
    let main = "use \"parts/rain.stm\".{rain, length as frames}

hyper width: int = 3

model Next(past: f32[time, row, col]) -> { next: f32[row, col, channel: width] } {
    { next: expand(mean(past, over: time), channel: width) }
}
";
    let write = |path: &Path, text: &str| std::fs::write(path, text).expect("the folder can be written");
    std::fs::create_dir_all(place.join("parts")).expect("the folder can be written");
    write(&place.join("parts/rain.stm"), rain);
    write(&place.join("main.stm"), main);
    let file = text(&place.join("main.stm"));
    let shape = |set: &[&str]| {
        let sets = set.iter().flat_map(|s| ["--set", *s]);
        succeeds(&["summary", &file].into_iter().chain(sets).collect::<Vec<_>>())
    };
    let plain = shape(&[]);
    assert!(plain.contains("time: 1, row: 8, col: 8") && plain.contains("channel: 3"), "{plain}");
    let set = shape(&["rain.size=16", "rain.width=2", "width=5", "frames=6"]);
    assert!(set.contains("time: 2, row: 16, col: 16") && set.contains("channel: 5"), "{set}");
    // What is set sees the names of the main file.
    assert!(shape(&["rain.width=width"]).contains("time: 3"));
    for (wrong, remedy) in
        [("size=16", "did you mean `rain.size`?"), ("rain.sise=16", "did you mean `rain.size`?")]
    {
        let said = fails(&["check", &file, "--set", wrong]);
        assert!(said.contains("E0802") && said.contains(remedy), "{said}");
    }
}

#[test]
fn a_graph_is_shown_after_every_pass() {
    let file = program("tiny.stm");
    let after = |pass: &str| succeeds(&["emit", &file, "--after", pass]);
    let passes = after("list");
    let names: Vec<&str> = passes.lines().filter_map(|l| l.split_whitespace().next()).collect();
    for pass in &names {
        assert!(after(pass).contains("entry train"), "{pass}");
    }
    assert!(after("autodiff") != after("tape"), "gradients are there");
    let wrong = stmc(&["emit", &file, "--after", "prun"]);
    let said = errors(&wrong);
    assert_eq!(wrong.status.code(), Some(2), "{said}");
    assert!(said.contains("there is no pass `prun`") && names.iter().all(|n| said.contains(n)), "{said}");
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    for arguments in [
        &["trane"][..],
        &["train"],
        &["explain", "E9999"],
        &["emit", "x.stm", "--stage", "graph", "--target", "clif"],
        &["emit", "x.stm", "--stage", "ast", "--after", "prune"],
        &["emit", "x.stm", "--target", "clif", "--arch", "sm_90"],
        &["emit", "x.stm", "--target", "cuda", "--arch", "90"],
    ] {
        assert_eq!(stmc(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
