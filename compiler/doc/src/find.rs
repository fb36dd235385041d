//! What a person means by a name.
use crate::library::Library;
use crate::module::{Entry, Module};
use stmc_base::distance;

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Found<'l> {
    /// `std.nn`, `nn`
    Module(&'l Module),
    /// `std.nn.Conv`, `Conv`, `conv`: one or more.
    Entries(Vec<(&'l Module, &'l Entry)>),
    /// Nothing; the nearest name, if one is near.
    Nothing(Option<&'l str>),
}

/// Looks a name up: first as it is written, then in any case of letters.
pub fn find<'l>(library: &'l Library, name: &str) -> Found<'l> {
    let modules = || library.modules.iter();
    if let Some(module) = modules().find(|m| m.name == name || m.name.strip_prefix("std.") == Some(name)) {
        return Found::Module(module);
    }
    let exact = |m: &Module, e: &Entry| e.name == name || format!("{}.{}", m.name, e.name) == name;
    let found = entries(library, exact);
    if !found.is_empty() {
        return Found::Entries(found);
    }
    let found = entries(library, |_, e| e.name.to_lowercase() == name.to_lowercase());
    if !found.is_empty() {
        return Found::Entries(found);
    }
    let names: Vec<&str> = modules()
        .flat_map(|m| std::iter::once(&m.name).chain(m.entries.iter().map(|e| &e.name)))
        .map(String::as_str)
        .collect();
    let last = name.rsplit('.').next().unwrap_or(name);
    Found::Nothing(nearest(name, &names).or_else(|| nearest(last, &names)))
}

fn entries(library: &Library, is: impl Fn(&Module, &Entry) -> bool) -> Vec<(&Module, &Entry)> {
    let all = library.modules.iter().flat_map(|m| m.entries.iter().map(move |e| (m, e)));
    all.filter(|(m, e)| is(m, e)).collect()
}

/// The first of the names that differ by fewest letters, if those are few.
fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let letters = word.chars().count();
    let scored = names.iter().map(|name| (distance(&word, &name.to_lowercase()), *name));
    let near = scored.filter(|(d, _)| *d <= 1 + letters / 4 && *d < letters);
    near.min_by_key(|(d, _)| *d).map(|(_, name)| name)
}
