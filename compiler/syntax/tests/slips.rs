//! What people get wrong and what they are told: the table `slips.txt`. Each program stands under its title, its
//! messages follow as lines `=> CODE line:column: message` and `=>     help`. With `STMC_BLESS` set the messages are
//! written anew; the diff is to be read.
#![allow(clippy::unwrap_used)] // A test helper is test code; clippy knows only the tests themselves.
use std::fmt::Write;
use std::path::Path;
use stmc_base::Sources;

/// A program and the lines `=> …` that it leads to.
fn with_messages(title: &str, program: &str) -> String {
    let mut sources = Sources::default();
    let id = sources.add("", program);
    let parsed = stmc_syntax::parse(id, program);
    assert_eq!(parsed.file.is_some(), parsed.diagnostics.is_empty(), "{title}: a file or messages");
    let mut out = format!("--- {title}\n{program}");
    for diagnostic in &parsed.diagnostics {
        let label = &diagnostic.labels[0];
        let place = sources.place(label.span);
        let snippet = sources.snippet(label.span).replace('\n', "⏎");
        writeln!(out, "=> {} {} `{snippet}`: {}", diagnostic.code, &place[1..], diagnostic.message).unwrap();
        for other in diagnostic.labels.iter().filter(|l| !l.text.is_empty()) {
            writeln!(out, "=>     at {}: {}", &sources.place(other.span)[1..], other.text).unwrap();
        }
        if let Some(help) = &diagnostic.help {
            writeln!(out, "=>     help: {help}").unwrap();
        }
    }
    out
}

#[test]
fn slips_are_explained() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slips.txt");
    let table = std::fs::read_to_string(&path).unwrap();
    let mut now = String::new();
    for case in table.split("--- ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let program: String =
            rest.lines().filter(|l| !l.starts_with("=> ")).map(|l| format!("{l}\n")).collect();
        now += &with_messages(title, &program);
    }
    if std::env::var_os("STMC_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
        return;
    }
    for (old, new) in table.split("--- ").zip(now.split("--- ")) {
        assert_eq!(old, new, "tests/slips.txt");
    }
    assert_eq!(table.len(), now.len(), "tests/slips.txt");
}
