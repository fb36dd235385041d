//! What the fuzzers try: a text is read, formatted, checked and shown to an editor, and nothing panics.
//!
//! A package of its own, for `cargo +nightly fuzz run checker` takes a compiler of its own. The program `mutations` needs no
//! more than the one of this repository.
use std::path::Path;
use stmc_base::{Diagnostic, Sources};

#[path = "../../src/fault.rs"]
pub mod fault;
#[path = "../../src/mutate.rs"]
pub mod mutate;

/// Reads a text and brings it into the house style, which changes nothing of it.
pub fn read(text: &str) -> Result<(), String> {
    let mut sources = Sources::default();
    let id = sources.add(fault::NAME, text);
    let parsed = stmc_syntax::parse(id, text);
    sound(&sources, &parsed.diagnostics)?;
    let Some(file) = parsed.file else { return Ok(()) };
    let Ok(formatted) = stmc_syntax::format(id, text) else { return Ok(()) };
    let again = stmc_syntax::parse(id, &formatted).file.ok_or("formatted, it is not read any more")?;
    match stmc_syntax::dump(&file) == stmc_syntax::dump(&again) {
        true => Ok(()),
        false => Err("formatted, it says something else".into()),
    }
}

/// Checks a text as if it stood in a folder, and asks what an editor asks at a byte.
pub fn check(text: &str, folder: &Path, at: usize) -> Result<(), String> {
    let read = |path: &Path| std::fs::read_to_string(path);
    let cache = stmc_lsp::Cache::default();
    let analysis = stmc_lsp::Analysis::of(&folder.join(fault::NAME), text, &read, &cache);
    sound(&analysis.sources, &analysis.diagnostics)?;
    let _ = analysis.completions(at, &read, &cache);
    let _ = analysis.hover(analysis.main, at);
    Ok(())
}

fn sound(sources: &Sources, diagnostics: &[Diagnostic]) -> Result<(), String> {
    match diagnostics.iter().find_map(|d| Some((d, fault::fault(sources, d)?))) {
        Some((d, fault)) => Err(format!("{fault}: {d:?}")),
        None => Ok(()),
    }
}
