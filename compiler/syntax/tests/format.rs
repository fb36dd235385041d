//! The house style: the table `format.txt`, each text under its title, and what becomes of it below `=>`. With
//! `STMC_BLESS` set the results are written anew; the diff is to be read. And the library, the examples and the
//! programs of the tests are as the formatter would have them.
#![allow(clippy::unwrap_used)] // A test helper is test code; clippy knows only the tests themselves.
use std::path::{Path, PathBuf};
use stmc_base::SourceId;

#[test]
fn texts_are_formatted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format.txt");
    let table = std::fs::read_to_string(&path).unwrap();
    let mut now = String::new();
    for case in table.split("--- ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let text = rest.split("=>\n").next().unwrap();
        let formatted = stmc_syntax::format(SourceId(0), text).unwrap_or_else(|d| panic!("{title}: {d:?}"));
        assert_eq!(stmc_syntax::format(SourceId(0), &formatted), Ok(formatted.clone()), "{title}: twice");
        now += &format!("--- {title}\n{text}=>\n{formatted}");
    }
    if std::env::var_os("STMC_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
        return;
    }
    assert_eq!(table, now, "tests/format.txt");
}

/// The `.stm` files of a folder and those in it.
fn programs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|p| if p.is_dir() { programs(&p) } else { vec![p] }).filter(|p| is_program(p)).collect()
}

fn is_program(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "stm")
}

#[test]
fn the_programs_of_this_repository_are_in_house_style() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = [
        "stdlib",
        "examples",
        "tests",
        "compiler/model/tests",
        "compiler/stmc/tests",
        "compiler/stmc/templates",
    ];
    let mut unformatted = vec![];
    for path in folders.iter().flat_map(|folder| programs(&root.join(folder))) {
        let text = std::fs::read_to_string(&path).unwrap();
        // Programs that do not parse are there for their messages.
        if stmc_syntax::format(SourceId(0), &text).is_ok_and(|formatted| formatted != text) {
            unformatted.push(path);
        }
    }
    assert!(unformatted.is_empty(), "`stmc fmt` these: {unformatted:#?}");
}
