//! A piece of program as words with a meaning: what is a comment, what is a number, and where a name leads.
use crate::library::{BUILT_IN, Library};
use crate::module::Module;
use std::collections::{BTreeMap, BTreeSet};
use stmc_base::SourceId;
use stmc_syntax::ast::{Imports, ItemKind};
use stmc_syntax::tokens::{Kind, Token, tokens};
use stmc_syntax::words::{DATA_LINES, ITEMS, RESERVED, STATEMENTS};

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part<'t> {
    pub(crate) text: &'t str,
    pub(crate) look: Look,
}

/// How a part is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    Comment,
    Keyword,
    Number,
    Text,
    /// It is declared elsewhere.
    Link(Target),
}

/// Where something is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) module: String,
    pub(crate) entry: String,
}

/// What the names of a module stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(BTreeMap<String, Target>);

impl Names {
    /// Its own, what it imports, and what is built in: the nearer go first.
    pub(crate) fn of(module: &Module, library: &Library) -> Names {
        let mut names = BTreeMap::new();
        for module in [library.module(BUILT_IN), Some(module)].into_iter().flatten() {
            for entry in module.entries.iter().filter(|e| !e.kind.starts_with("key")) {
                names.insert(
                    entry.name.clone(),
                    Target { module: module.name.clone(), entry: entry.name.clone() },
                );
            }
        }
        for (here, target) in module.text.iter().flat_map(|text| imports(text)) {
            if library.module(&target.module).is_some_and(|m| m.entry(&target.entry).is_some()) {
                names.entry(here).or_insert(target);
            }
        }
        Names(names)
    }

    pub(crate) fn target(&self, word: &str) -> Option<&Target> {
        self.0.get(word)
    }
}

/// The names that a text imports one by one.
fn imports(text: &str) -> Vec<(String, Target)> {
    let items = stmc_syntax::parse(SourceId(0), text).file.map(|file| file.items).unwrap_or_default();
    let mut imports = vec![];
    for item in items {
        let ItemKind::Use(import) = item.kind else { continue };
        let path: Vec<&str> = import.path.iter().map(|n| &*n.text).collect();
        match &import.imports {
            Imports::Path(alias) => {
                if let Some((entry, module)) = path.split_last() {
                    let here = alias.as_ref().map_or(*entry, |n| &n.text);
                    let target = Target { module: module.join("."), entry: (*entry).to_string() };
                    imports.push((here.to_string(), target));
                }
            }
            Imports::Names(names) => imports.extend(names.iter().map(|n| {
                let here = n.alias.as_ref().unwrap_or(&n.name).text.to_string();
                (here, Target { module: path.join("."), entry: n.name.text.to_string() })
            })),
        }
    }
    imports
}

/// The parts of a text, which joined are the text. Parameters, and names that it declares itself, lead nowhere.
pub(crate) fn parts<'t>(text: &'t str, parameters: &[String], names: &Names) -> Vec<Part<'t>> {
    let all = tokens(text);
    let code: Vec<&Token> = all.iter().filter(|t| t.kind != Kind::Space).collect();
    let own = declared(&code);
    let mut parts: Vec<Part> = vec![];
    for (i, token) in all.iter().enumerate() {
        let after_dot = i > 0 && all[i - 1].is_sign(".");
        let before_colon = all.get(i + 1).is_some_and(|t| t.is_sign(":"));
        let is_own = own.contains(token.text) || parameters.iter().any(|p| p == token.text);
        let look = look(token, names, after_dot || before_colon || is_own);
        match parts.last_mut() {
            Some(last) if last.look == Look::Plain && look == Look::Plain => {
                let start = last.text.as_ptr() as usize - text.as_ptr() as usize;
                last.text = &text[start..token.end()];
            }
            _ => parts.push(Part { text: token.text, look }),
        }
    }
    parts
}

/// The words that stand before `=` or `~`, or after `let`, `axis` and the like: names of the text's own.
fn declared<'t>(code: &[&Token<'t>]) -> BTreeSet<&'t str> {
    let declares = |t: &Token| ITEMS.contains(&t.text) || STATEMENTS.contains(&t.text) || t.text == "for";
    let mut own = BTreeSet::new();
    for pair in code.windows(2) {
        let is_word = |t: &Token| t.kind == Kind::Word;
        if is_word(pair[0]) && is_word(pair[1]) && declares(pair[0]) {
            own.insert(pair[1].text);
        }
        if is_word(pair[0]) && (pair[1].is_sign("=") || pair[1].is_sign("~")) {
            own.insert(pair[0].text);
        }
    }
    own
}

fn look(token: &Token, names: &Names, is_local: bool) -> Look {
    match token.kind {
        Kind::Comment | Kind::Doc => Look::Comment,
        Kind::Text | Kind::OpenText => Look::Text,
        Kind::Number | Kind::Date => Look::Number,
        Kind::Word if RESERVED.contains(&token.text) => Look::Keyword,
        Kind::Word if is_local => Look::Plain,
        Kind::Word => match names.target(token.text) {
            Some(target) => Look::Link(target.clone()),
            None if is_keyword(token.text) => Look::Keyword,
            None => Look::Plain,
        },
        _ => Look::Plain,
    }
}

/// Words that begin something, and are no names of the module.
fn is_keyword(word: &str) -> bool {
    [ITEMS, STATEMENTS, DATA_LINES].iter().any(|words| words.contains(&word))
        || matches!(word, "along" | "at" | "on")
}
