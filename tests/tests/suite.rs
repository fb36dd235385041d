//! Wrong programs, each with its messages beside the mistakes: `// error[E0203]: …` at the end of the line, or on a line of its
//! own before it. Those in `suite/train` are wrong only once they are trained. And every message has a case.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use stmc::{Checked, Error, Options, TrainOptions};
use stmc_base::{Code, Diagnostic, Severity, Sources};
use stmc_ir::kernel_interpret::Interpreter;

/// `12 error[E0203]: there is no axis …`: the line, and what stands there.
type Message = (usize, String);

fn suite() -> Vec<PathBuf> {
    let mut found = vec![];
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("suite"), &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the suite is there") {
        let path = entry.expect("the suite can be read").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "stm") {
            found.push(path);
        }
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the case is text")
}

/// What the comments of a program say.
fn expected(text: &str) -> Vec<Message> {
    let mark = |line: &str| ["// error[", "// warning["].iter().filter_map(|m| line.rfind(m)).max();
    let message = |(n, line): (usize, &str)| {
        let at = mark(line)?;
        let alone = line[..at].trim().is_empty();
        Some((n + if alone { 2 } else { 1 }, line[at + 3..].trim().to_string()))
    };
    text.lines().enumerate().filter_map(message).collect()
}

/// What the compiler says of a program.
fn found(path: &Path) -> Vec<Message> {
    let is_trained = path.parent().is_some_and(|folder| folder.ends_with("train"));
    let checked = if is_trained { train(path) } else { stmc::check_file(path, &Options::default()) };
    let mut messages: Vec<Message> = match checked {
        Ok(checked) => checked.warnings.iter().map(|d| message(&checked.sources, d)).collect(),
        Err(Error::Program { sources, diagnostics }) => {
            diagnostics.iter().map(|d| message(&sources, d)).collect()
        }
        Err(other) => panic!("{}: {other}", path.display()),
    };
    messages.sort();
    messages
}

fn train(path: &Path) -> Result<Checked, Error> {
    let name = path.file_stem().expect("a case has a name");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("suite").join(name);
    if out.exists() {
        std::fs::remove_dir_all(&out).expect("what an earlier test left can be removed");
    }
    let compiled = stmc::compile_file(path, &Options::default())?;
    let options = TrainOptions { out: Some(out), ..TrainOptions::default() };
    compiled.train(&mut Interpreter::default(), &options)?;
    Ok(compiled.checked)
}

fn message(sources: &Sources, d: &Diagnostic) -> Message {
    let span = d.labels[0].span;
    let before = &sources.source(span.source).text[..span.start as usize];
    let kind = if d.severity() == Severity::Error { "error" } else { "warning" };
    (before.matches('\n').count() + 1, format!("{kind}[{}]: {}", d.code, d.message))
}

#[test]
fn wrong_programs_are_told_what_is_wrong() {
    let mut faults = vec![];
    for path in suite() {
        let (expected, found) = (expected(&text(&path)), found(&path));
        if expected != found {
            let show =
                |all: &[Message]| all.iter().map(|(n, m)| format!("    {n}: {m}\n")).collect::<String>();
            let name = path.display();
            faults.push(format!("{name}\n  expected\n{}  found\n{}", show(&expected), show(&found)));
        }
    }
    assert!(faults.is_empty(), "{} cases differ:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let texts: Vec<String> = suite().iter().map(|p| text(p)).collect();
    let seen: BTreeSet<&str> = texts
        .iter()
        .flat_map(|t| t.split("// error[").skip(1).chain(t.split("// warning[").skip(1)))
        .filter_map(|rest| rest.get(..5))
        .collect();
    let without: Vec<&str> = Code::ALL.iter().map(|c| c.name()).filter(|c| !seen.contains(c)).collect();
    assert!(without.is_empty(), "without a case: {}", without.join(", "));
    let unknown: Vec<&&str> = seen.iter().filter(|c| Code::find(c).is_none()).collect();
    assert!(unknown.is_empty(), "expected, but not in the table: {unknown:?}");
}
