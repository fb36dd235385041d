//! Runs the binary, as a person would.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test file uses a part
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A fresh folder for a test.
pub fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).expect("what an earlier test left can be removed");
    }
    std::fs::create_dir_all(&path).expect("the target folder can be written");
    path
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A program of these tests.
pub fn program(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name);
    text(&path)
}

pub fn text(path: &Path) -> String {
    path.to_str().expect("paths here are text").to_string()
}

/// `stmc` with these arguments, ready to run.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stmc"));
    command.args(arguments).env_remove("STMC_CPU").current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Runs `stmc` to its end.
pub fn stmc(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary runs")
}

/// Runs `stmc`, which must succeed; what it printed.
pub fn succeeds(arguments: &[&str]) -> String {
    let output = stmc(arguments);
    assert!(output.status.success(), "stmc {}\n{}", arguments.join(" "), errors(&output));
    String::from_utf8(output.stdout).expect("the binary prints text")
}

/// Runs `stmc`, which must fail by exit code 1; what it said.
pub fn fails(arguments: &[&str]) -> String {
    let output = stmc(arguments);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "stmc {}\n{said}", arguments.join(" "));
    assert!(!said.contains("panicked"), "stmc {}\n{said}", arguments.join(" "));
    said
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file in a folder, by its path within it; pointers to folders are followed.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = vec![];
    collect(folder, "", &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let name = format!("{prefix}{}", path.file_name().expect("an entry has a name").to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), found);
        } else {
            found.push((name, std::fs::read(&path).expect("the file can be read")));
        }
    }
}

/// Says on the terminal, past the capture of the test harness, what was not tested.
pub fn skipped(what: &str) {
    // A closed terminal is no reason to fail.
    let _ = writeln!(std::io::stderr(), "SKIPPED {what}");
}
