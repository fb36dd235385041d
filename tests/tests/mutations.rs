//! Nobody makes the compiler panic: every program of this repository with small mistakes in it, each a message with a
//! place, or right by chance.
//!
//! `STMC_MUTATIONS=100000` tries so many, `STMC_SEED=7` others; with `STMC_REFERENCE` the drafts there take part.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use stmc::{Error, Options};
use stmc_tests::fault::{NAME, fault};
use stmc_tests::mutate::{Random, mutate};

/// What the test has time for where nobody says otherwise.
const LIMIT: Duration = Duration::from_secs(20);

/// No program of a few pages takes longer to refuse, in a build without optimisation on a busy machine.
const SLOW: Duration = Duration::from_secs(60);

fn programs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = vec![];
    for folder in ["stdlib", "examples", "tests", "compiler"] {
        collect(&root.join(folder), &mut found);
    }
    match std::env::var_os("STMC_REFERENCE") {
        Some(reference) => collect(&Path::new(&reference).join("drafts"), &mut found),
        None => eprintln!("SKIPPED: the drafts, which are where STMC_REFERENCE points"),
    }
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "stm") {
            found.push(path);
        }
    }
}

/// What is wrong with the answer to a text. `None`: nothing.
fn answer_fault(folder: &Path, text: &str) -> Option<String> {
    let begin = Instant::now();
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let checked = stmc::check_text(folder.join(NAME), text, &Options::default());
        let (sources, diagnostics) = match checked {
            Ok(checked) => (checked.sources, checked.warnings),
            Err(Error::Program { diagnostics, .. }) if diagnostics.is_empty() => {
                return Some("it is refused without a word".to_string());
            }
            Err(Error::Program { sources, diagnostics }) => (*sources, diagnostics),
            Err(other) => return Some(format!("a message without a place: {other}")),
        };
        let wrong = diagnostics.iter().find_map(|d| Some((d, fault(&sources, d)?)));
        wrong.map(|(d, fault)| format!("{fault}: {d:?}"))
    }));
    let fault = answer.unwrap_or_else(|panic| Some(format!("it panics: {}", said(&*panic))));
    let late = || (begin.elapsed() > SLOW).then(|| format!("it takes {:.0?}", begin.elapsed()));
    fault.or_else(late)
}

fn said(panic: &dyn std::any::Any) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|n| n.parse().expect("a whole number"))
}

#[test]
fn a_program_with_mistakes_is_refused_with_a_place_and_never_ends_the_compiler() {
    let programs: Vec<(PathBuf, String)> = programs()
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a program is text");
            (path, text)
        })
        .collect();
    let seed = number("STMC_SEED").unwrap_or(0);
    let (count, limit) = match number("STMC_MUTATIONS") {
        Some(count) => (count, Duration::MAX),
        None => (u64::MAX, LIMIT),
    };
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mutations-{seed}"));
    std::fs::create_dir_all(&kept).expect("the folder can be made");
    let begin = Instant::now();
    let (mut faults, mut tried) = (vec![], 0);
    for n in 0..count {
        let mut random = Random(seed << 32 | n);
        let (path, text) = &programs[random.below(programs.len())];
        let text = mutate(text, &mut random);
        // Should the stack overflow, which ends the process, this is the program that did it.
        std::fs::write(kept.join("last.stm"), &text).expect("the program can be written");
        if let Some(fault) = answer_fault(path.parent().expect("a file lies in a folder"), &text) {
            let name = kept.join(format!("{n}.stm"));
            std::fs::write(&name, &text).expect("the program can be written");
            eprintln!("{}: {fault}\n  {}, from {}", faults.len(), name.display(), path.display());
            faults.push(fault);
        }
        tried = n + 1;
        if begin.elapsed() > limit || faults.len() >= 100 {
            break;
        }
    }
    eprintln!("{tried} mutations of {} programs, seed {seed}, {:.0?}", programs.len(), begin.elapsed());
    assert!(faults.is_empty(), "{} of {tried} mutations are answered badly", faults.len());
}
