//! Programs that parse: their trees are those of `tests/programs/*.tree`, and the formatter keeps them. The drafts of
//! the language are held to the same where `STMC_REFERENCE` names the folder that has them.
//! With `STMC_BLESS` set the trees are written anew; the diff is to be read.
use std::path::{Path, PathBuf};
use stmc_base::{SourceId, Sources, diagnostic::Style};

/// The `.stm` files of a folder and those in it, sorted.
fn programs(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries =
        std::fs::read_dir(folder).expect("the folder is there").map(|e| e.expect("an entry").path());
    let mut all: Vec<_> = entries
        .flat_map(|p| match p.extension() {
            _ if p.is_dir() => programs(&p),
            Some(e) if e == "stm" => vec![(p.clone(), std::fs::read_to_string(&p).expect("it is readable"))],
            _ => vec![],
        })
        .collect();
    all.sort();
    all
}

fn own_programs() -> Vec<(PathBuf, String)> {
    programs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs"))
}

/// The tree of a text that must parse.
fn tree(name: &Path, text: &str) -> String {
    let mut sources = Sources::default();
    let id = sources.add(name.display().to_string(), text);
    let parsed = stmc_syntax::parse(id, text);
    let messages: String = parsed.diagnostics.iter().map(|d| d.render(&sources, Style::Plain)).collect();
    stmc_syntax::dump(&parsed.file.unwrap_or_else(|| panic!("{messages}")))
}

/// The formatter keeps every token but `;`, and the tree, and a second time it changes nothing.
fn survives_formatting(name: &Path, text: &str) {
    let format = |text: &str| stmc_syntax::format(SourceId(0), text).expect("it parses");
    let once = format(text);
    let name = name.display();
    // A `;` at the end of a line goes.
    let letters = |s: &str| s.chars().filter(|c| !c.is_whitespace() && *c != ';').collect::<String>();
    assert_eq!(letters(text), letters(&once), "{name}: the formatter changed a token");
    assert_eq!(
        tree(Path::new("before"), text),
        tree(Path::new("after"), &once),
        "{name}: the formatter changed the tree"
    );
    assert_eq!(once, format(&once), "{name}: formatted twice is not formatted once");
}

/// The text with other indentation and other gaps: none becomes empty, for a gap may mean something.
fn ragged(text: &str) -> String {
    let mut state = 7u32;
    let mut blanks = |least: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        " ".repeat((least + (state >> 16) % 4) as usize)
    };
    let mut out = String::new();
    for line in text.lines() {
        out += &blanks(0);
        let code = line.find("//").unwrap_or(line.len()).min(line.find('"').unwrap_or(line.len()));
        let words: Vec<&str> = line[..code].split_whitespace().collect();
        for (i, word) in words.iter().enumerate() {
            out += word;
            let last = i + 1 == words.len();
            if !last || line[..code].ends_with(' ') {
                out += &blanks(1);
            }
        }
        out += &line[code..];
        out.push('\n');
    }
    out
}

#[test]
fn programs_give_their_trees() {
    for (path, text) in own_programs() {
        let now = tree(&path, &text);
        let tree_path = path.with_extension("tree");
        if std::env::var_os("STMC_BLESS").is_some() {
            std::fs::write(&tree_path, &now).unwrap();
        }
        let then = std::fs::read_to_string(&tree_path).expect("the tree is there");
        assert_eq!(then, now, "{}", tree_path.display());
    }
}

#[test]
fn programs_survive_formatting() {
    for (path, text) in own_programs() {
        survives_formatting(&path, &text);
        let messy: String = text.lines().map(|l| format!("  \t{l}  \r\n\n\n")).collect();
        survives_formatting(&path, &messy);
        survives_formatting(&path, &ragged(&text));
    }
}

#[test]
fn drafts_parse_and_survive_formatting() {
    let Ok(reference) = std::env::var("STMC_REFERENCE") else {
        eprintln!("SKIPPED: STMC_REFERENCE is not set, so the drafts of the language were not read");
        return;
    };
    for (path, text) in programs(&Path::new(&reference).join("drafts")) {
        survives_formatting(&path, &text);
        survives_formatting(&path, &ragged(&text));
    }
}
