//! What `--set` overrides: `frames=3`, `train.batch=8`, `radar.from="path"`.
use crate::names;
use crate::resolve::{Binding, ItemRef, Resolved};
use std::collections::BTreeMap;
use stmc_base::{Code, Diagnostic, Sources, Span};
use stmc_ir::module::Resets;
use stmc_syntax::ast::{self, ItemKind};

/// Overrides, parsed as expressions, by name.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub(crate) set: BTreeMap<String, ast::Expr>,
    /// The phase of which these are the settings. `None`: those of the whole run.
    pub(crate) phase: Option<Span>,
    /// What begins anew with the phase.
    pub(crate) resets: Resets,
    /// Updates in all, as schedules see them. `None`: those of the phase alone.
    pub(crate) run: Option<usize>,
}

impl Settings {
    /// The phase of which these are the settings. `None`: those of the whole run.
    pub fn phase(&self) -> Option<Span> {
        self.phase
    }

    /// The same for schedules that see a run of so many updates: it has several phases.
    pub fn within_run(&self, updates: usize) -> Settings {
        Settings { run: Some(updates), ..self.clone() }
    }

    /// Parses `name=expression` texts. Each becomes a source of its own, so that messages can point at it.
    pub fn parse(sources: &mut Sources, set: &[String]) -> Result<Settings, Vec<Diagnostic>> {
        let mut settings = Settings::default();
        let mut diagnostics = vec![];
        for text in set {
            match parse_one(sources, text) {
                Ok((name, value)) => {
                    settings.set.insert(name, value);
                }
                Err(more) => diagnostics.extend(more),
            }
        }
        if diagnostics.is_empty() { Ok(settings) } else { Err(diagnostics) }
    }

    /// Whether every name is one that can be set.
    pub(crate) fn check(&self, resolved: &Resolved) -> Vec<Diagnostic> {
        let known = settable(resolved);
        let unknown = self.set.iter().filter(|(name, _)| !known.contains(name));
        unknown
            .map(|(name, value)| {
                let message = format!("there is no setting `{name}`");
                let diagnostic = Diagnostic::new(Code::E0802, value.span, message);
                let behind = known.iter().find(|k| k.rsplit_once('.').is_some_and(|(_, last)| last == name));
                diagnostic.help(match behind {
                    Some(behind) => stmc_base::Help::did_you_mean(behind),
                    None => names::near_or_all(name, "settings are", known.iter().map(String::as_str)),
                })
            })
            .collect()
    }
}

fn parse_one(sources: &mut Sources, text: &str) -> Result<(String, ast::Expr), Vec<Diagnostic>> {
    // `let value=…` has the value where the option's text has it.
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let program = format!("let value ={value}");
    let source = sources.add(format!("--set {name}"), program.clone());
    if value.trim().is_empty() {
        let span = Span::new(source, 0, program.len());
        let message = format!("`--set {name}` lacks a value");
        return Err(vec![Diagnostic::new(Code::E0802, span, message).help(format!("`--set {name}=…`"))]);
    }
    let parsed = stmc_syntax::parse(source, &program);
    let file = parsed.file.ok_or(parsed.diagnostics)?;
    match file.items.into_iter().map(|i| i.kind).next() {
        Some(ItemKind::Let(l)) => Ok((name.trim().to_string(), l.value)),
        _ => Err(vec![Diagnostic::new(Code::E0802, file.span, format!("`--set {name}` takes one value"))]),
    }
}

/// Hypers, keys of `train`, and `DATA.from`.
fn settable(resolved: &Resolved) -> Vec<String> {
    let mut known: Vec<String> = resolved.all_hypers().into_iter().map(|(name, _)| name).collect();
    if resolved.main_items().any(|item| matches!(item.kind, ItemKind::Train(_))) {
        known.extend(crate::vocabulary::train().map(|k| format!("train.{}", k.0)));
    }
    for (_, data) in resolved.datas() {
        known.push(format!("{}.from", data.name.text));
        let froms = data.statements.iter().filter(|s| matches!(s.kind, ast::DataKind::From(_))).count();
        known.extend((0..froms).map(|n| format!("{}.from.{n}", data.name.text)));
    }
    known
}

impl Resolved {
    /// The hypers of all the user's files, each by the name that sets it.
    pub(crate) fn all_hypers(&self) -> Vec<(String, ItemRef)> {
        let mut all = vec![];
        for (unit, file) in self.units.iter().enumerate().filter(|(_, u)| !u.library) {
            for (item, declared) in file.file.items.iter().enumerate() {
                if let ItemKind::Hyper(h) = &declared.kind {
                    let at = ItemRef { unit, item, name: 0 };
                    all.push((self.hyper_name(at, &h.name.text), at));
                }
            }
        }
        all
    }

    /// What sets a hyper: its name in the main file; where that does not know it, its own behind that of its file, `beats.width`.
    pub(crate) fn hyper_name(&self, at: ItemRef, own: &str) -> String {
        let in_main = self.units[0].names.iter().find(|(_, binding)| **binding == Binding::Item(at));
        if let Some((name, _)) = in_main {
            return name.to_string();
        }
        let stem =
            |path: &str| path.trim_end_matches(".stm").rsplit('/').next().unwrap_or_default().to_string();
        let path = &self.units[at.unit].path;
        let alike = self.units.iter().filter(|u| !u.path.is_empty() && stem(&u.path) == stem(path)).count();
        // Two files of one name are told apart by their folders.
        let file = if alike > 1 { path.trim_end_matches(".stm").to_string() } else { stem(path) };
        format!("{file}.{own}")
    }
}
