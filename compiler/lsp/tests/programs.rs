//! What holds for every program of the repository: names can be changed without changing what is said, and an answer
//! comes while the next key is on its way.
#![allow(clippy::unwrap_used)] // Tests say what they expect.
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use stmc_lsp::symbols::Kind;
use stmc_lsp::{Analysis, Cache};

/// From a key to the messages: what a person does not notice. It takes a quarter of that on a machine with nothing else to do,
/// and ten times as long without optimisation.
const ANSWER: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 50 });

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The `.stm` files of the examples, the library and the tests.
fn programs() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        ["examples", "stdlib", "tests/systems", "tests/gradients", "tests/programs"]
            .map(|f| root().join(f))
            .into();
    let mut files = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "stm") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() > 10);
    files
}

/// A file as if the library were files of its author's: then its names are theirs to change, and every use of one is checked.
fn read(path: &Path) -> std::io::Result<String> {
    let library = path.parent().is_some_and(|p| p.ends_with("std"));
    let file = match library {
        true => root().join("stdlib").join(path.file_name().unwrap()),
        false => path.to_path_buf(),
    };
    let text = std::fs::read_to_string(file)?;
    let lines =
        text.lines().map(|line| match line.strip_prefix("use std.").and_then(|l| l.split_once('.')) {
            Some((module, names)) if library => format!("use \"{module}.stm\".{names}\n"),
            Some((module, names)) => format!("use \"std/{module}.stm\".{names}\n"),
            None => format!("{line}\n"),
        });
    Ok(lines.collect())
}

fn analysis(path: &Path, text: &str, cache: &Cache) -> Analysis {
    Analysis::of(path, text, &read, cache)
}

/// So many names of each program are tried.
const TRIED: usize = if cfg!(debug_assertions) { 12 } else { 24 };

#[test]
fn every_name_can_be_changed() {
    let cache = Cache::default();
    let mut changed = 0;
    for path in programs() {
        let text = read(&path).unwrap();
        let before = analysis(&path, &text, &cache);
        let names: Vec<_> =
            before.symbols.iter().filter(|(_, s)| !matches!(s.kind, Kind::Module(_))).collect();
        for (id, symbol) in names.iter().step_by(names.len().div_ceil(TRIED)) {
            let fresh = format!("{}_anew", symbol.name);
            match before.rename(symbol.span.source, symbol.span.start as usize, &fresh, &read, &cache) {
                Ok(edits) => {
                    assert_eq!(before.symbols.places(*id).len(), edits.len());
                    changed += 1;
                }
                Err(why) if why.contains("the name by which the library knows") => {}
                Err(why) => panic!("{}: `{}` ({}): {why}", path.display(), symbol.name, symbol.kind.text()),
            }
        }
    }
    assert!(changed > 200, "only {changed} names were changed");
}

/// Texts on the way to a program: some of them break off in the middle, some lack a piece.
#[test]
fn no_text_is_too_unfinished_for_an_answer() {
    let cache = Cache::default();
    for path in programs() {
        let text = read(&path).unwrap();
        let marks: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
        for n in 0..TRIED {
            // Marks that fall on all kinds of places.
            let at = marks[(n * 7919 + n) % marks.len()];
            let end = text[at..].char_indices().nth(23).map_or(text.len(), |(i, _)| at + i);
            let (cut, lacks) = (text[..at].to_string(), format!("{}{}", &text[..at], &text[end..]));
            for typed in [cut, lacks] {
                let found = analysis(&path, &typed, &cache);
                found.completions(at, &read, &cache);
                found.hover(found.main, at);
                found.definition(found.main, at.saturating_sub(3));
            }
        }
    }
}

#[test]
fn an_answer_comes_before_the_next_key() {
    let cache = Cache::default();
    for path in programs().into_iter().filter(|p| p.starts_with(root().join("examples"))) {
        let text = std::fs::read_to_string(&path).unwrap();
        // A key in a comment, in a name, and one that breaks the text.
        let head = text.find("\nuse ").unwrap();
        let model = text.find("\nmodel ").or_else(|| text.find("\nlayer ")).unwrap();
        for (at, key) in [(head, " // a"), (model, " // a"), (model + 9, "x"), (model, "\nlayer ")] {
            let typed = format!("{}{key}{}", &text[..at], &text[at..]);
            let took = (0..10).map(|_| {
                let start = Instant::now();
                Analysis::of(&path, &typed, &|p| std::fs::read_to_string(p), &cache);
                start.elapsed()
            });
            let took = took.min().unwrap();
            println!("{}: {took:?} after {key:?}", path.display());
            assert!(took < ANSWER, "{}: {took:?} after {key:?}", path.display());
        }
    }
}
