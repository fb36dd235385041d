//! The colours of editors know the words of the language: those that the parser and its messages know.
#![allow(clippy::unwrap_used)] // Tests say what they expect.
use serde_json::Value;
use std::collections::BTreeSet;
use stmc_syntax::ast::{DType, StaticType};
use stmc_syntax::words::{DATA_LINES, ITEMS, RESERVED, STATEMENTS};

const COLOURS: &str = include_str!("../../../grammar/editors/vscode/syntaxes/stm.tmLanguage.json");
const GRAMMAR: &str = include_str!("../../../grammar/stm.pest");

/// The words of the alternatives `(a|b|c)` in the patterns of a rule.
fn words(rule: &str) -> BTreeSet<String> {
    let colours: Value = serde_json::from_str(COLOURS).unwrap();
    let rule = &colours["repository"][rule];
    let mut patterns: Vec<&str> = vec![];
    patterns.extend(rule["match"].as_str());
    patterns.extend(rule["patterns"].as_array().into_iter().flatten().filter_map(|p| p["match"].as_str()));
    assert!(!patterns.is_empty(), "there is a rule");
    let groups = patterns.iter().flat_map(|p| p.split(['(', ')']));
    let lists = groups
        .filter(|g| g.split('|').count() > 1 && g.chars().all(|c| c.is_ascii_alphanumeric() || c == '|'));
    lists.flat_map(|g| g.split('|')).map(str::to_string).collect()
}

fn set<'a>(list: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    list.into_iter().map(str::to_string).collect()
}

#[test]
fn colours_know_the_words_of_the_language() {
    let keywords = set(GRAMMAR.lines().filter_map(|l| l.strip_prefix("kw_")?.split_whitespace().next()));
    let begin = set(ITEMS.iter().chain(STATEMENTS).chain(DATA_LINES).chain(RESERVED).copied());
    let dtypes = DType::ALL.iter().map(|t| t.text());
    let types = set(dtypes.chain(StaticType::ALL.iter().map(|t| t.text())));
    for (rule, known) in [
        ("declarations", set(ITEMS.iter().copied())),
        ("statements", set(STATEMENTS.iter().copied())),
        ("data_lines", set(DATA_LINES.iter().copied())),
        ("reserved", set(RESERVED.iter().copied())),
        ("clauses", keywords.difference(&begin).cloned().collect()),
        ("types", types),
    ] {
        assert_eq!(words(rule), known, "{rule}");
    }
}

#[test]
fn the_extension_is_of_the_same_version() {
    let package: Value =
        serde_json::from_str(include_str!("../../../grammar/editors/vscode/package.json")).unwrap();
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
}
