//! The wrong programs of `tests/suite/model`: each message stands beside the mistake, `// error[E0203]: …`.
use crate::common::{elaborated, rendered};
use std::path::{Path, PathBuf};
use stmc_base::{Diagnostic, Severity, Sources};
use stmc_model::Request;

/// The line, and what stands there.
type Message = (usize, String);

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/suite/model");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the suite is there")
        .map(|e| e.expect("it can be read").path())
        .collect();
    cases.sort();
    cases
}

/// What the comments of a program say, one message a line.
fn expected(text: &str) -> Vec<Message> {
    let mark = |line: &str| ["// error[", "// warning["].iter().filter_map(|m| line.rfind(m)).max();
    let message = |(n, line): (usize, &str)| mark(line).map(|at| (n + 1, line[at + 3..].trim().to_string()));
    text.lines().enumerate().filter_map(message).collect()
}

fn found(sources: &Sources, diagnostics: &[Diagnostic]) -> Vec<Message> {
    let message = |d: &Diagnostic| {
        let span = d.labels[0].span;
        let before = &sources.source(span.source).text[..span.start as usize];
        let kind = if d.severity() == Severity::Error { "error" } else { "warning" };
        (before.matches('\n').count() + 1, format!("{kind}[{}]: {}", d.code, d.message))
    };
    let mut all: Vec<Message> = diagnostics.iter().map(message).collect();
    all.sort();
    all
}

#[test]
fn wrong_programs_are_told_what_is_wrong() {
    let mut faults = vec![];
    for path in cases() {
        let text = std::fs::read_to_string(&path).expect("the case is text");
        let (sources, result) = elaborated(&text, &[], Request::Train);
        let diagnostics = result.map_or_else(|e| e, |(_, warnings)| warnings);
        let (expected, found) = (expected(&text), found(&sources, &diagnostics));
        if expected != found {
            let show =
                |all: &[Message]| all.iter().map(|(n, m)| format!("    {n}: {m}\n")).collect::<String>();
            let rendered = rendered(&sources, &diagnostics);
            let name = path.file_name().expect("files have names").to_string_lossy().to_string();
            faults.push(format!(
                "==={name}\n  expected\n{}  found\n{}{rendered}",
                show(&expected),
                show(&found)
            ));
        }
    }
    assert!(faults.is_empty(), "{} cases differ:\n{}", faults.len(), faults.join("\n"));
}
