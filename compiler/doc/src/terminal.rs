//! Documentation on a terminal.
use crate::library::{BUILT_IN, Library};
use crate::module::{Entry, Module};
use stmc_base::diagnostic::Style;

/// The modules, a line each.
pub fn overview(library: &Library, style: Style) -> String {
    let width = library.modules.iter().map(|m| m.name.chars().count()).max().unwrap_or(0);
    let line = |m: &Module| format!("{}  {}\n", bold(&format!("{:<width$}", m.name), style), m.summary());
    let lines: String = library.modules.iter().map(line).collect();
    format!("{lines}\n`stmc doc std.nn` lists a module, `stmc doc Conv` tells all of an entry.\n")
}

/// A module: what it is, and a line on each entry.
pub fn module(module: &Module, style: Style) -> String {
    let mut out = format!("{}\n{}", bold(&module.name, style), indented(&module.doc));
    for entry in &module.entries {
        out += &format!("\n{}\n", bold(&entry.signature, style));
        if !entry.doc.is_empty() {
            out += &indented(&entry.doc);
        }
    }
    out
}

/// An entry: signature, documentation, how it is imported, source.
pub fn entry(module: &Module, entry: &Entry, style: Style) -> String {
    let mut out = format!("{}\n", bold(&entry.signature, style));
    if !entry.doc.is_empty() {
        out += &format!("\n{}", indented(&entry.doc));
    }
    match &entry.source {
        Some(source) => {
            if module.name.starts_with("std.") {
                out += &format!("\n    use {}.{}\n", module.name, entry.name);
            }
            out += &format!("\n{}\n{source}\n", dim(&format!("{}, line {}", module.name, entry.line), style));
        }
        None if entry.kind == "function" || entry.kind == "value" => {
            out += &format!("\n    {BUILT_IN}: no import is needed\n");
        }
        None => out += &format!("\n    a {}\n", entry.kind),
    }
    out
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}").trim_end().to_string() + "\n").collect()
}

fn bold(text: &str, style: Style) -> String {
    coded(text, 1, style)
}

fn dim(text: &str, style: Style) -> String {
    coded(text, 2, style)
}

fn coded(text: &str, code: u8, style: Style) -> String {
    match style {
        Style::Plain => text.to_string(),
        Style::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
    }
}
