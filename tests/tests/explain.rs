//! What `stmc explain` shows is true: the wrong program leads to the code, and the right one is right.
use std::path::Path;
use stmc::{Error, Options};
use stmc_base::{Code, Diagnostic, Severity};

/// What every program has, where an example leaves it out.
const DATA: &str = "
data radar {
    from storms(size: 8, length: 4, count: 12, seed: 1)
    field rain: f32[sequence, time, row, col]
    sample at s in sequence { past: rain[sequence: s, time: 0 .. 2], future: rain[sequence: s, time: 2 .. 4] }
    split { train: shuffled(sequence) < 50%, test: rest }
}
";
const MODEL: &str = "
model Same(past: f32[time, row, col]) -> { forecast: f32[time, row, col] } {
    param scale: [] ~ 1
    { forecast: scale * past }
}
";

/// Stands in a text for what is too long to show.
const DEEP: &str = "…";

fn program(example: &str) -> String {
    let mut program = String::new();
    let trains = example.contains("\ntrain ") || example.starts_with("train ");
    if trains {
        program += "use std.loss.mse\nuse std.optim.Adam\n";
    }
    if example == DEEP {
        return format!("let a = {}1{}", "(".repeat(300), ")".repeat(300));
    }
    program += example;
    if trains && !example.contains("data ") {
        program += DATA;
    }
    if example.contains("train Same on") {
        program += MODEL;
    }
    program
}

fn told(example: &str) -> Vec<Diagnostic> {
    // Beside the data that some examples read.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/data/example.stm");
    match stmc::check_text(path, &program(example), &Options::default()) {
        Ok(checked) => checked.warnings,
        Err(Error::Program { diagnostics, .. }) => diagnostics,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn examples_lead_to_their_codes_and_their_remedies_do_not() {
    let mut faults = vec![];
    for code in Code::ALL {
        let (wrong, right) = code.example();
        if wrong.is_empty() || right.is_empty() {
            faults.push(format!("{code} has no example"));
            continue;
        }
        let (of_wrong, of_right) = (told(wrong), told(right));
        // What happens while training is no matter of the text.
        if *code != Code::E0806 && of_wrong.iter().map(|d| d.code).ne([*code]) {
            let said: Vec<String> = of_wrong.iter().map(|d| format!("{}: {}", d.code, d.message)).collect();
            faults.push(format!("{code}: its example leads to {said:?}"));
        }
        let rest: Vec<&Diagnostic> =
            of_right.iter().filter(|d| d.severity() == Severity::Error || d.code == *code).collect();
        if !rest.is_empty() {
            faults.push(format!("{code}: what should be right leads to {rest:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
