//! What files declare at their top, before any body is looked at: items with their parameters, imports, axes.
use super::walk::{Known, Walk};
use super::{Kind, Signature, SymbolId};
use std::sync::Arc;
use stmc_base::Span;
use stmc_model::{Binding, ItemRef};
use stmc_syntax::ast::{self, DataKind, ItemKind, StaticType, StmtKind, TypeKind};

impl<'a> Walk<'a> {
    /// The items of all files, then what they import.
    pub(super) fn declare_all(&mut self) {
        for (u, unit) in self.resolved.units.iter().enumerate() {
            let start = Span::new(unit.file.span.source, 0, 0);
            let name = ast::Name { text: self.file_name(u), span: start };
            let module = self.declare(&name, Kind::Module(u), start, unit.file.doc.clone(), None);
            self.modules.push(module);
            self.known.insert(module, Known::Module(u));
        }
        for u in 0..self.resolved.units.len() {
            let file = &self.resolved.units[u].file;
            for (i, item) in file.items.iter().enumerate() {
                self.item_names(ItemRef { unit: u, item: i, name: 0 }, item);
            }
        }
        for u in 0..self.resolved.units.len() {
            self.imports(u);
        }
        for u in 0..self.resolved.units.len() {
            if !self.resolved.units[u].library {
                self.program_axes(u);
            }
        }
    }

    /// `nn` of `std/nn.stm`.
    fn file_name(&self, unit: usize) -> Arc<str> {
        let source = self.sources.source(self.resolved.units[unit].file.span.source);
        let file = source.name.rsplit(['/', '\\']).next().unwrap_or(&source.name);
        file.strip_suffix(".stm").unwrap_or(file).into()
    }

    fn item_names(&mut self, at: ItemRef, item: &'a ast::Item) {
        let doc = || item.doc.clone();
        let head = |body: &ast::Block| Span { end: body.span.start.max(item.span.start), ..item.span };
        let (name, kind, head) = match &item.kind {
            ItemKind::Hyper(h) => (&h.name, Kind::Hyper, item.span),
            ItemKind::Let(l) => {
                for (n, name) in l.pattern.names().iter().enumerate() {
                    let id = self.declare(name, Kind::Value, item.span, doc(), None);
                    self.top(ItemRef { name: n, ..at }, name, id);
                }
                return;
            }
            ItemKind::Fn(f) => (&f.name, Kind::Function, head(&f.body)),
            ItemKind::Layer(l) => (&l.name, Kind::Layer, head(&l.body)),
            ItemKind::Model(m) => (&m.name, Kind::Model, head(&m.body)),
            ItemKind::Schedule(s) => (&s.name, Kind::Schedule, head(&s.body)),
            ItemKind::Optimizer(o) => (&o.name, Kind::Optimizer, head(&o.body)),
            ItemKind::Data(d) => (&d.name, Kind::Data, Span { end: d.name.span.end, ..item.span }),
            ItemKind::Axes(a) => {
                let id = self.declare(&a.name, Kind::Axes, item.span, doc(), None);
                self.aliases[at.unit].push((a.name.text.clone(), id));
                return;
            }
            ItemKind::Use(_) | ItemKind::Axis(_) | ItemKind::Assert(_) => return,
            ItemKind::Train(_) | ItemKind::Tune(_) => return,
        };
        let id = self.declare(name, kind, head, doc(), None);
        self.top(at, name, id);
        let signature = match &item.kind {
            ItemKind::Fn(f) => self.function(f, item.span),
            ItemKind::Layer(l) => Signature {
                settings: self.parameters(&l.settings, None, item.span),
                inputs: self.parameters(&l.inputs, Some(Kind::Input), item.span),
                weights: self.weights(&l.body, item.span),
                results: l.result.as_ref().map_or(vec![], |ty| self.results(ty)),
            },
            ItemKind::Model(m) => Signature {
                inputs: self.parameters(&m.inputs, Some(Kind::Input), item.span),
                weights: self.weights(&m.body, item.span),
                results: self.results(&m.outputs),
                ..Signature::default()
            },
            ItemKind::Schedule(s) => {
                Signature { settings: self.parameters(&s.settings, None, item.span), ..Signature::default() }
            }
            ItemKind::Optimizer(o) => {
                Signature { settings: self.parameters(&o.settings, None, item.span), ..Signature::default() }
            }
            _ => return,
        };
        self.out.signatures.insert(id, signature);
    }

    fn top(&mut self, at: ItemRef, name: &ast::Name, id: SymbolId) {
        self.out.items.insert(at, id);
        self.tops[at.unit].insert(name.text.clone(), id);
    }

    /// The parameters of a function, top-level or local.
    pub(super) fn function(&mut self, f: &'a ast::FnDecl, scope: Span) -> Signature {
        Signature {
            settings: self.parameters(&f.parameters, None, scope),
            results: f.result.as_ref().map_or(vec![], |ty| self.results(ty)),
            ..Signature::default()
        }
    }

    fn parameters(&mut self, list: &'a [ast::Parameter], kind: Option<Kind>, scope: Span) -> Vec<SymbolId> {
        let of = |p: &ast::Parameter| match p.ty.as_ref().map(|t| &t.kind) {
            Some(TypeKind::Static(StaticType::Axis | StaticType::Axes)) => Kind::AxisSetting,
            Some(TypeKind::Static(StaticType::Fn | StaticType::Layer)) => Kind::FnSetting,
            _ => Kind::Setting,
        };
        list.iter()
            .map(|p| self.declare(&p.name, kind.unwrap_or(of(p)), p.span, p.doc.clone(), Some(scope)))
            .collect()
    }

    fn weights(&mut self, body: &'a ast::Block, scope: Span) -> Vec<SymbolId> {
        let mut weights = vec![];
        for statement in &body.statements {
            let name = match &statement.kind {
                StmtKind::Param(p) => &p.name,
                StmtKind::Buffer(b) => &b.name,
                _ => continue,
            };
            let doc = statement.doc.clone();
            weights.push(self.declare(name, Kind::Weight, statement.span, doc, Some(scope)));
        }
        weights
    }

    fn results(&mut self, ty: &'a ast::Type) -> Vec<SymbolId> {
        let TypeKind::Record(fields) = &ty.kind else { return vec![] };
        fields.iter().map(|f| self.declare(&f.name, Kind::Output, f.span, f.doc.clone(), None)).collect()
    }

    /// `use` lines: what they name, and the names that they give.
    fn imports(&mut self, u: usize) {
        let resolved = self.resolved;
        for item in &resolved.units[u].file.items {
            let ItemKind::Use(import) = &item.kind else { continue };
            match &import.imports {
                ast::Imports::Names(names) => {
                    for n in names {
                        self.import(u, &n.name, n.alias.as_ref(), item.span);
                    }
                }
                ast::Imports::Path(alias) => {
                    let Some(last) = import.path.last() else { continue };
                    self.import(u, last, alias.as_ref(), item.span);
                }
            }
            self.import_path(u, import);
        }
    }

    fn import(&mut self, u: usize, name: &'a ast::Name, alias: Option<&'a ast::Name>, head: Span) {
        let here = alias.unwrap_or(name);
        let target = match self.resolved.units[u].names.get(&here.text) {
            Some(Binding::Item(at)) => self.out.item(*at),
            Some(Binding::Module(unit)) => Some(self.modules[*unit]),
            None => None,
        };
        let Some(target) = target else { return };
        self.refer(name.span, target);
        let id = match alias {
            Some(alias) => {
                let known = self.known.get(&target).cloned();
                let id = self.declare(alias, Kind::Alias(target), head, None, None);
                self.known.extend(known.map(|k| (id, k)));
                id
            }
            None => target,
        };
        self.tops[u].insert(here.text.clone(), id);
    }

    /// The words before the imported names lead to the file.
    fn import_path(&mut self, u: usize, import: &'a ast::Use) {
        let names: Vec<&ast::Name> = match &import.imports {
            ast::Imports::Names(names) => names.iter().map(|n| n.alias.as_ref().unwrap_or(&n.name)).collect(),
            ast::Imports::Path(alias) => alias.as_ref().or(import.path.last()).into_iter().collect(),
        };
        let bound = names.iter().find_map(|n| self.resolved.units[u].names.get(&n.text));
        let Some(Binding::Item(at)) = bound else { return };
        let module = self.modules[at.unit];
        if let Some(file) = &import.file {
            self.refer(file.span, module);
            return;
        }
        let whole = matches!(import.imports, ast::Imports::Path(_));
        let path = &import.path[..import.path.len() - usize::from(whole)];
        if let Some(last) = path.last() {
            self.refer(last.span, module);
        }
    }

    /// The axes that a user's file introduces: `axis` lines first, then wherever a type or an alias names one.
    fn program_axes(&mut self, u: usize) {
        let items = &self.resolved.units[u].file.items;
        for item in items {
            match &item.kind {
                ItemKind::Axis(a) => self.program_axis(&a.name, item.span),
                ItemKind::Data(d) => d.statements.iter().for_each(|s| {
                    if let DataKind::Axis(a) = &s.kind {
                        self.program_axis(&a.name, s.span);
                    }
                }),
                _ => {}
            }
        }
        for item in items {
            match &item.kind {
                ItemKind::Axes(alias) => {
                    alias.axes.iter().filter_map(ast::AxisRef::word).for_each(|w| self.introduce(u, w));
                }
                ItemKind::Model(m) => {
                    m.inputs.iter().filter_map(|p| p.ty.as_ref()).for_each(|t| self.introduce_type(u, t));
                    self.introduce_type(u, &m.outputs);
                }
                ItemKind::Data(d) => d.statements.iter().for_each(|s| {
                    if let DataKind::Field(f) = &s.kind {
                        self.introduce_type(u, &f.ty);
                    }
                }),
                _ => {}
            }
        }
    }

    fn introduce_type(&mut self, u: usize, ty: &'a ast::Type) {
        match &ty.kind {
            TypeKind::Tensor { shape: Some(dims), .. } => {
                dims.iter().filter_map(|d| d.axis.word()).for_each(|w| self.introduce(u, w));
            }
            TypeKind::Record(fields) => fields.iter().for_each(|f| self.introduce_type(u, &f.ty)),
            _ => {}
        }
    }

    fn introduce(&mut self, u: usize, word: &ast::Name) {
        let alias = |list: &[(Arc<str>, SymbolId)]| list.iter().any(|(n, _)| *n == word.text);
        if !alias(&self.aliases[u]) && !alias(&self.aliases[0]) {
            self.program_axis(word, word.span);
        }
    }

    /// An axis of the program: its first mention declares it.
    pub(super) fn program_axis(&mut self, name: &ast::Name, head: Span) {
        if !self.axes.contains_key(&name.text) {
            let id = self.declare(name, Kind::Axis, head, None, None);
            self.axes.insert(name.text.clone(), id);
        }
    }
}
