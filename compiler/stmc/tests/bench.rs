//! What `stmc bench` and `stmc profile` tell.
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

const SMALL: [&str; 4] = ["--set", "hidden=[8,8]", "--set", "train.batch=4"];

fn stmc(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stmc"));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).args(arguments);
    command
}

fn told(arguments: &[&str]) -> String {
    let output = stmc(arguments).args(SMALL).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} is a number in {value}"))
}

#[test]
fn a_step_has_its_price() {
    let line = told(&[
        "bench",
        "examples/nowcast/nowcast.stm",
        "--step",
        "--samples",
        "4",
        "--threads",
        "1",
        "--json",
    ]);
    let cost: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!(cost["model"], "Nowcast");
    assert_eq!(cost["batch"], 4);
    assert_eq!(cost["seconds"].as_array().map(Vec::len), Some(4));
    let (min, median) = (number(&cost, "/min"), number(&cost, "/median"));
    assert!(min > 0.0 && min <= median, "{min} {median}");
    assert!((number(&cost, "/samples_per_second") * median - 4.0).abs() < 1e-6);
    // No machine is faster than its peaks allow, and weights, gradients and two moments are the least of the state.
    assert!(number(&cost, "/roof/seconds") < min, "{line}");
    assert!(number(&cost, "/memory/state") >= 16.0 * number(&cost, "/parameters"), "{line}");
    assert!(number(&cost, "/memory/planned") > number(&cost, "/memory/state"), "{line}");
    assert!(number(&cost, "/compile/load") > 0.0 && number(&cost, "/compile_again/compile") > 0.0);
    // The same batch again and again is learnt.
    assert!(number(&cost, "/loss/1") < number(&cost, "/loss/0"), "{line}");
}

#[test]
fn turns_are_taken_as_they_are_asked_for() {
    let mut command =
        stmc(&["bench", "examples/nowcast/nowcast.stm", "--step", "--samples", "1", "--json", "--turns"]);
    let command = command.args(SMALL).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdin.take().expect("it is piped").write_all(b"2\n3\n").expect("it listens");
    let output = child.wait_with_output().expect("it ends with its input");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let counts: Vec<_> = lines.map(|cost| cost["seconds"].as_array().map(Vec::len)).collect();
    assert_eq!(counts, [Some(1), Some(2), Some(3)]);
}

#[test]
fn people_read_what_a_step_costs() {
    let text = told(&["bench", "examples/nowcast/nowcast.stm", "--step", "--samples", "2"]);
    for word in ["Nowcast on cpu", "step", "samples/s", "compiling", "memory"] {
        assert!(text.contains(word), "`{word}` is missing:\n{text}");
    }
}

#[test]
fn kernels_explain_a_step() {
    let line = told(&["profile", "examples/nowcast/nowcast.stm", "--steps", "3", "--json"]);
    let profile: Value = serde_json::from_str(&line).expect("one line of JSON");
    let explained = number(&profile, "/explained");
    assert!(explained > 0.95 && explained < 1.001, "{explained}");
    let kernels = profile["kernels"].as_array().expect("a list");
    let shares: f64 = kernels.iter().map(|kernel| number(kernel, "/share")).sum();
    assert!(shares <= explained + 1e-9 && shares > 0.9, "{shares}");
    assert!(kernels.iter().any(|k| k["name"] == "convolution" && number(k, "/flops") > 0.0));
    assert!(kernels.iter().any(|k| k["places"].to_string().contains("nowcast.stm")), "{line}");
    assert!(kernels.windows(2).all(|two| number(&two[0], "/seconds") >= number(&two[1], "/seconds")));
    let text = told(&["profile", "examples/nowcast/nowcast.stm", "--steps", "2"]);
    assert!(text.contains("of peak") && text.contains("convolution"), "{text}");
}
