//! A module as its text declares it.
use stmc_base::{Diagnostic, SourceId};
use stmc_syntax::ast::{Item, ItemKind, Name, Parameter};

/// A module, or a file.
#[derive(Clone, Debug)]
pub struct Module {
    /// `std.nn`, or the file's path.
    pub name: String,
    /// Its `//!` lines; empty: it has none.
    pub doc: String,
    /// Its text. `None`: it has none, the compiler knows what is in it.
    pub text: Option<String>,
    /// In the order of the text.
    pub entries: Vec<Entry>,
}

/// Something that a module declares.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it is written.
    pub name: String,
    /// `layer`, `fn`, …
    pub kind: &'static str,
    /// What stands before the body.
    pub signature: String,
    /// The names of its parameters, settings first.
    pub parameters: Vec<String>,
    /// Its `///` lines; empty: it has none.
    pub doc: String,
    /// The whole declaration. `None`: the compiler knows it.
    pub source: Option<String>,
    /// Counted from 1; 0 without a source.
    pub line: usize,
}

impl Entry {
    /// The first sentence of its documentation, on one line.
    pub fn summary(&self) -> String {
        first_sentence(&self.doc)
    }
}

impl Module {
    /// What a text declares; the diagnostics of a text that does not parse.
    pub fn read(name: &str, text: &str) -> Result<Module, Vec<Diagnostic>> {
        let parsed = stmc_syntax::parse(SourceId(0), text);
        let Some(file) = parsed.file else { return Err(parsed.diagnostics) };
        let entries = file.items.iter().filter_map(|item| entry(item, text)).collect();
        let doc = file.doc.unwrap_or_default();
        Ok(Module { name: name.to_string(), doc, text: Some(text.to_string()), entries })
    }

    /// The entry of that name. `None`: there is none.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name == name)
    }

    /// The first sentence of its documentation, on one line.
    pub fn summary(&self) -> String {
        first_sentence(&self.doc)
    }
}

fn first_sentence(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    paragraph.split(". ").next().unwrap_or_default().trim_end_matches('.').to_string()
}

fn entry(item: &Item, text: &str) -> Option<Entry> {
    let (kind, name, body) = declared(&item.kind)?;
    let (start, end) = (item.span.start as usize, item.span.end as usize);
    let head = &text[start..body.map_or(end, |body| body as usize)];
    // What has no body is one line, and its columns are those of its neighbours.
    let signature = match body {
        Some(_) => head.trim_end().trim_end_matches(['=', '{']).trim_end().to_string(),
        None => head.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    Some(Entry {
        name: name.text.to_string(),
        kind,
        signature,
        parameters: parameters(&item.kind),
        doc: item.doc.clone().unwrap_or_default(),
        source: Some(text[start..end].to_string()),
        line: text[..start].matches('\n').count() + 1,
    })
}

/// The kind, the name, and where the body begins. `None`: nothing that others would look up.
fn declared(kind: &ItemKind) -> Option<(&'static str, &Name, Option<u32>)> {
    Some(match kind {
        ItemKind::Fn(f) => ("fn", &f.name, Some(f.body.span.start)),
        ItemKind::Layer(l) => ("layer", &l.name, Some(l.body.span.start)),
        ItemKind::Model(m) => ("model", &m.name, Some(m.body.span.start)),
        ItemKind::Schedule(s) => ("schedule", &s.name, Some(s.body.span.start)),
        ItemKind::Optimizer(o) => ("optimizer", &o.name, Some(o.body.span.start)),
        ItemKind::Data(d) => ("data", &d.name, Some(d.name.span.end)),
        ItemKind::Hyper(h) => ("hyper", &h.name, None),
        ItemKind::Axes(a) => ("axes", &a.name, None),
        ItemKind::Let(l) => ("let", l.pattern.names().first()?, None),
        ItemKind::Use(_)
        | ItemKind::Axis(_)
        | ItemKind::Assert(_)
        | ItemKind::Train(_)
        | ItemKind::Tune(_) => {
            return None;
        }
    })
}

fn parameters(kind: &ItemKind) -> Vec<String> {
    let (lists, words): (Vec<&[Parameter]>, Vec<&Name>) = match kind {
        ItemKind::Fn(f) => (vec![&f.parameters], vec![]),
        ItemKind::Layer(l) => (vec![&l.settings, &l.inputs], vec![]),
        ItemKind::Model(m) => (vec![&m.inputs], vec![]),
        ItemKind::Schedule(s) => (vec![&s.settings], vec![&s.time]),
        ItemKind::Optimizer(o) => (vec![&o.settings], vec![&o.weight, &o.gradient]),
        _ => (vec![], vec![]),
    };
    let listed = lists.into_iter().flatten().map(|p| &p.name);
    listed.chain(words).map(|name| name.text.to_string()).collect()
}
