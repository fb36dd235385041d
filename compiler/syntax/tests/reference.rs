//! Every program of the reference drafts parses. They lie outside: `STMC_REFERENCE` names the folder that has `drafts`.
use std::path::{Path, PathBuf};
use stmc_base::{Sources, diagnostic::Style};

fn stm_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there").map(|e| e.unwrap().path());
    let mut files: Vec<_> = entries
        .flat_map(|p| if p.is_dir() { stm_files(&p) } else { vec![p] })
        .filter(|p| p.extension().is_some_and(|e| e == "stm"))
        .collect();
    files.sort();
    files
}

#[test]
fn drafts_parse() {
    let Ok(reference) = std::env::var("STMC_REFERENCE") else {
        eprintln!("SKIPPED: STMC_REFERENCE is not set, so the drafts were not read");
        return;
    };
    for path in stm_files(&Path::new(&reference).join("drafts")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut sources = Sources::default();
        let id = sources.add(path.display().to_string(), text.as_str());
        let parsed = stmc_syntax::parse(id, &text);
        let messages: String = parsed.diagnostics.iter().map(|d| d.render(&sources, Style::Plain)).collect();
        assert!(parsed.file.is_some(), "{messages}");
    }
}
