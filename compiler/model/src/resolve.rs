//! Loads a file with its imports and says what every top-level name stands for. Nothing is evaluated yet.
use crate::choice::Choice;
use crate::{habits, library, names};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, SourceId, Sources, Span};
use stmc_syntax::Parsed;
use stmc_syntax::ast::{self, ItemKind};

/// A file, its imports, and the meaning of their top-level names.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The main file first.
    pub units: Vec<Unit>,
    /// The program's axes: those that the user's files introduce, and the customary ones.
    pub(crate) axes: BTreeMap<Arc<str>, ProgramAxis>,
    /// Which model is compiled.
    pub(crate) chosen: Choice,
    /// What is odd in the user's texts.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// An axis of the program.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProgramAxis {
    /// Where `periodic` was said. `None`: it was not.
    pub periodic: Option<Span>,
}

/// One file.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its tree.
    pub file: ast::File,
    /// Its path, seen from the main file's folder. Empty: it is the main file, or the library's.
    pub path: String,
    /// Its folder, seen from the main file's; empty, or with a slash at its end.
    pub folder: String,
    /// It is a module of the standard library.
    pub library: bool,
    /// What its top-level names stand for, imports included.
    pub names: BTreeMap<Arc<str>, Binding>,
}

/// What a top-level name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binding {
    /// A declaration.
    Item(ItemRef),
    /// A whole file, by its place among the units: `use std.loss as losses`.
    Module(usize),
}

/// A declared name: which file, which item of it, which name of the item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ItemRef {
    /// Its place among the units.
    pub unit: usize,
    /// The declaration's place among the unit's.
    pub item: usize,
    /// The name's place among those that the declaration gives: `let (a, b) = …` gives two.
    pub name: usize,
}

impl ItemRef {
    /// The first name of a declaration of the main file.
    pub(crate) fn of_main(item: usize) -> ItemRef {
        ItemRef { unit: 0, item, name: 0 }
    }
}

impl Resolved {
    /// The declaration.
    pub fn item(&self, at: ItemRef) -> &ast::Item {
        &self.units[at.unit].file.items[at.item]
    }

    /// The main file's declarations.
    pub(crate) fn main_items(&self) -> impl Iterator<Item = &ast::Item> {
        self.units[0].file.items.iter()
    }

    /// The names of the program's axes, sorted.
    pub fn axes(&self) -> impl Iterator<Item = &str> {
        self.axes.keys().map(|name| name.as_ref())
    }

    /// Whether the program has an axis of that name.
    pub fn has_axis(&self, name: &str) -> bool {
        self.axes.contains_key(name)
    }

    /// Whether the file has a `data` block.
    pub fn has_data(&self) -> bool {
        self.data().is_some()
    }
}

/// Parses the main file and everything it imports. `read` gives the text of a file by its path relative to the
/// main file; modules of the standard library are embedded.
pub fn resolve(
    sources: &mut Sources,
    main: SourceId,
    read: &dyn Fn(&str) -> io::Result<String>,
) -> Result<Resolved, Vec<Diagnostic>> {
    let (resolved, diagnostics) = resolve_what_parses(sources, main, read, &stmc_syntax::parse);
    if diagnostics.is_empty() { Ok(resolved) } else { Err(diagnostics) }
}

/// The same for an editor: of files with mistakes it takes what is left of them. `parse` may know a text from before.
pub fn resolve_what_parses(
    sources: &mut Sources,
    main: SourceId,
    read: &dyn Fn(&str) -> io::Result<String>,
    parse: &dyn Fn(SourceId, &str) -> Parsed,
) -> (Resolved, Vec<Diagnostic>) {
    let mut loader = Loader {
        sources,
        read,
        parse,
        loaded: BTreeMap::new(),
        units: vec![],
        diagnostics: vec![],
        warnings: vec![],
        broken: false,
    };
    loader.unit(main, "", "", false);
    let Loader { loaded, units, warnings, mut diagnostics, broken, .. } = loader;
    let told = diagnostics.len();
    let (axes, chosen) = (BTreeMap::new(), Choice::default());
    let mut resolved = Resolved { units: vec![], axes, chosen, warnings };
    let own: Vec<BTreeMap<Arc<str>, Binding>> =
        units.iter().enumerate().map(|(u, unit)| own_names(u, unit, &mut diagnostics)).collect();
    for (u, unit) in units.iter().enumerate() {
        let mut names = own[u].clone();
        bind_imports(unit, &loaded, &own, &mut names, &mut diagnostics);
        let Loaded { file, path, folder, library } = unit.clone();
        resolved.units.push(Unit { file, path, folder, library, names });
    }
    resolved.axes = introduced(&resolved.units);
    resolved.chosen = resolved.first_choice();
    if broken {
        // What a broken text seems to lack was perhaps there.
        diagnostics.truncate(told);
    }
    (resolved, diagnostics)
}

#[derive(Clone)]
struct Loaded {
    file: ast::File,
    path: String,
    folder: String,
    library: bool,
}

struct Loader<'a> {
    sources: &'a mut Sources,
    read: &'a dyn Fn(&str) -> io::Result<String>,
    parse: &'a dyn Fn(SourceId, &str) -> Parsed,
    /// Units by module path or file path.
    loaded: BTreeMap<String, usize>,
    units: Vec<Loaded>,
    diagnostics: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// A text has mistakes.
    broken: bool,
}

impl Loader<'_> {
    fn unit(&mut self, source: SourceId, path: &str, folder: &str, library: bool) {
        let text = self.sources.source(source).text.clone();
        let parsed = (self.parse)(source, &text);
        self.diagnostics.extend(parsed.diagnostics);
        self.broken |= parsed.file.is_none();
        if !library && parsed.file.is_some() {
            self.warnings.extend(stmc_syntax::unused(source, &text));
        }
        let nothing = || ast::File { doc: None, items: vec![], span: Span::new(source, 0, text.len()) };
        let file = parsed.file.or(parsed.remains).unwrap_or_else(nothing);
        let uses: Vec<ast::Use> = file.items.iter().filter_map(as_use).cloned().collect();
        self.units.push(Loaded { file, path: path.into(), folder: folder.into(), library });
        for import in &uses {
            self.load(import, folder);
        }
    }

    fn load(&mut self, import: &ast::Use, folder: &str) {
        match &import.file {
            Some(file) => self.load_file(file, folder),
            None => self.load_module(import),
        }
    }

    fn load_file(&mut self, file: &ast::Text, folder: &str) {
        let path = join(folder, &file.value);
        if self.loaded.contains_key(&path) {
            return;
        }
        match (self.read)(&path) {
            Ok(text) => {
                let source = self.sources.add(path.clone(), text);
                self.loaded.insert(path.clone(), self.units.len());
                let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
                self.unit(source, &path, &folder, false);
            }
            Err(e) => {
                let reason = match e.kind() {
                    io::ErrorKind::NotFound => "there is no such file".to_string(),
                    _ => e.to_string(),
                };
                let message = format!("the file `{path}` cannot be imported: {reason}");
                let help = "a path begins at the folder of the file that it stands in";
                self.diagnostics.push(Diagnostic::new(Code::E0410, file.span, message).help(help));
            }
        }
    }

    fn load_module(&mut self, import: &ast::Use) {
        let Some((path, text)) = module_of(import) else {
            let path = dotted(&import.path);
            let span = import.path[0].span.to(import.path[import.path.len() - 1].span);
            let mut diagnostic =
                Diagnostic::new(Code::E0410, span, format!("there is no module `{path}` in the library"));
            let most = dotted(&import.path[..import.path.len() - 1]);
            let whole = format!("std.{path}");
            if library::module(&whole).or(library::module(&format!("std.{most}"))).is_some() {
                diagnostic = diagnostic.help_at(span, stmc_base::Help::did_you_mean(&whole));
            } else if let Some(near) = names::did_you_mean(&most, library::modules()) {
                let most = import.path[..import.path.len() - 1].last().map_or(span, |last| last.span);
                diagnostic = diagnostic.help_at(import.path[0].span.to(most), near);
            } else if let Some(near) = names::did_you_mean(&path, library::modules()) {
                diagnostic = diagnostic.help_at(span, near);
            }
            self.diagnostics.push(diagnostic);
            return;
        };
        if !self.loaded.contains_key(&path) {
            let source = self.sources.add(library::file_name(&path), text);
            self.loaded.insert(path, self.units.len());
            self.unit(source, "", "", true);
        }
    }
}

fn as_use(item: &ast::Item) -> Option<&ast::Use> {
    if let ItemKind::Use(u) = &item.kind { Some(u) } else { None }
}

fn dotted(path: &[ast::Name]) -> String {
    path.iter().map(|n| n.text.as_ref()).collect::<Vec<_>>().join(".")
}

/// The library module that a `use` reads: its whole path, or all but the last word.
fn module_of(import: &ast::Use) -> Option<(String, &'static str)> {
    let whole = dotted(&import.path);
    if let Some(text) = library::module(&whole) {
        return Some((whole, text));
    }
    let most = dotted(&import.path[..import.path.len() - 1]);
    matches!(import.imports, ast::Imports::Path(_)).then_some(())?;
    library::module(&most).map(|text| (most, text))
}

/// The path of a file that a text in `folder` names, seen from the main file.
pub(crate) fn join(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "." | "" => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The names that a file declares itself.
fn own_names(u: usize, unit: &Loaded, diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<Arc<str>, Binding> {
    let mut names = BTreeMap::new();
    let mut places: BTreeMap<Arc<str>, Span> = BTreeMap::new();
    for (i, item) in unit.file.items.iter().enumerate() {
        for (n, name) in declared(&item.kind).into_iter().enumerate() {
            if let Some(first) = places.insert(name.text.clone(), name.span) {
                diagnostics.push(twice(name, first));
            }
            names.insert(name.text.clone(), Binding::Item(ItemRef { unit: u, item: i, name: n }));
        }
    }
    names
}

/// The message about a second declaration.
pub(crate) fn twice(name: &ast::Name, first: Span) -> Diagnostic {
    Diagnostic::new(Code::E0407, name.span, format!("`{}` is declared twice", name.text))
        .label(first, "here first")
        .help("nothing shadows: give one of the two another name")
}

/// Values: axes have a namespace of their own.
fn declared(kind: &ItemKind) -> Vec<&ast::Name> {
    match kind {
        ItemKind::Hyper(h) => vec![&h.name],
        ItemKind::Let(l) => l.pattern.names().iter().collect(),
        ItemKind::Fn(f) => vec![&f.name],
        ItemKind::Layer(l) => vec![&l.name],
        ItemKind::Model(m) => vec![&m.name],
        ItemKind::Schedule(s) => vec![&s.name],
        ItemKind::Optimizer(o) => vec![&o.name],
        ItemKind::Data(d) => vec![&d.name],
        ItemKind::Use(_) | ItemKind::Axis(_) | ItemKind::Axes(_) => vec![],
        ItemKind::Assert(_) | ItemKind::Train(_) | ItemKind::Tune(_) => vec![],
    }
}

fn bind_imports(
    unit: &Loaded,
    loaded: &BTreeMap<String, usize>,
    own: &[BTreeMap<Arc<str>, Binding>],
    names: &mut BTreeMap<Arc<str>, Binding>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for import in unit.file.items.iter().filter_map(as_use) {
        // What could not be loaded was refused.
        let Some((target, rest)) = target(unit, import, loaded) else { continue };
        for (name, alias) in imported(import, rest) {
            let bound = match name {
                None => Some(Binding::Module(target)),
                Some(name) => lookup(name, target, own, diagnostics),
            };
            let Some(bound) = bound else { continue };
            if names.get(&alias.text).is_some_and(|b| *b != bound) {
                diagnostics.push(twice(alias, alias.span).help("give it another name: `use … as …`"));
            }
            names.insert(alias.text.clone(), bound);
        }
    }
}

/// The unit that a `use` reads, and the words of its path that come after the module's.
fn target<'a>(
    unit: &Loaded,
    import: &'a ast::Use,
    loaded: &BTreeMap<String, usize>,
) -> Option<(usize, &'a [ast::Name])> {
    match &import.file {
        Some(file) => Some((*loaded.get(&join(&unit.folder, &file.value))?, &import.path[..])),
        None => {
            let (path, _) = module_of(import)?;
            let words = path.matches('.').count() + 1;
            Some((*loaded.get(&path)?, &import.path[words..]))
        }
    }
}

/// What a `use` binds: a declaration (`None`: the module itself), and its name here.
fn imported<'a>(import: &'a ast::Use, rest: &'a [ast::Name]) -> Vec<(Option<&'a ast::Name>, &'a ast::Name)> {
    match &import.imports {
        ast::Imports::Names(list) => {
            list.iter().map(|n| (Some(&n.name), n.alias.as_ref().unwrap_or(&n.name))).collect()
        }
        ast::Imports::Path(alias) => {
            let last = rest.last();
            let Some(name) = alias.as_ref().or(last).or(import.path.last()) else { return vec![] };
            vec![(last, name)]
        }
    }
}

fn lookup(
    name: &ast::Name,
    target: usize,
    own: &[BTreeMap<Arc<str>, Binding>],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Binding> {
    let found = own[target].get(&name.text).copied();
    if found.is_none() {
        let message = format!("there is no `{}` in this module", name.text);
        let mut diagnostic = Diagnostic::new(Code::E0410, name.span, message);
        if let Some(holder) = library::holder(&name.text) {
            diagnostic = diagnostic.help(format!("it is in `{holder}`: `use {holder}.{}`", name.text));
        } else if let Some(near) = names::did_you_mean(&name.text, own[target].keys().map(|k| k.as_ref())) {
            diagnostic = diagnostic.help_at(name.span, near);
        } else if let Some(help) = habits::of_name(&name.text) {
            diagnostic = diagnostic.help(help);
        }
        diagnostics.push(diagnostic);
    }
    found
}

/// The program's axes: of `axis`, `axes`, fields and models in the user's files, and the customary ones.
fn introduced(units: &[Unit]) -> BTreeMap<Arc<str>, ProgramAxis> {
    let mut axes: BTreeMap<Arc<str>, ProgramAxis> = BTreeMap::new();
    for name in ["batch", "time", "channel"] {
        axes.insert(name.into(), ProgramAxis::default());
    }
    for item in units.iter().filter(|u| !u.library).flat_map(|u| &u.file.items) {
        match &item.kind {
            ItemKind::Axis(a) => {
                let periodic = a.periodic.then_some(a.name.span);
                axes.insert(a.name.text.clone(), ProgramAxis { periodic });
            }
            ItemKind::Axes(alias) => alias.axes.iter().for_each(|a| introduce(a, &mut axes)),
            ItemKind::Model(m) => {
                m.inputs.iter().filter_map(|p| p.ty.as_ref()).for_each(|t| introduce_type(t, &mut axes));
                introduce_type(&m.outputs, &mut axes);
            }
            ItemKind::Data(d) => d.statements.iter().for_each(|s| match &s.kind {
                ast::DataKind::Field(f) => introduce_type(&f.ty, &mut axes),
                ast::DataKind::Axis(a) => {
                    axes.entry(a.name.text.clone()).or_default();
                }
                _ => {}
            }),
            _ => {}
        }
    }
    // An alias in a model's type is no axis.
    for item in units.iter().flat_map(|u| &u.file.items) {
        if let ItemKind::Axes(alias) = &item.kind {
            axes.remove(&alias.name.text);
        }
    }
    axes
}

fn introduce(axis: &ast::AxisRef, axes: &mut BTreeMap<Arc<str>, ProgramAxis>) {
    if let Some(word) = axis.word() {
        axes.entry(word.text.clone()).or_default();
    }
}

fn introduce_type(ty: &ast::Type, axes: &mut BTreeMap<Arc<str>, ProgramAxis>) {
    match &ty.kind {
        ast::TypeKind::Tensor { shape: Some(dims), .. } => dims.iter().for_each(|d| introduce(&d.axis, axes)),
        ast::TypeKind::Record(fields) => fields.iter().for_each(|f| introduce_type(&f.ty, axes)),
        ast::TypeKind::List(inner) | ast::TypeKind::Each(inner) => introduce_type(inner, axes),
        _ => {}
    }
}
