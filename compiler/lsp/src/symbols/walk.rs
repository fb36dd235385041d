//! Through declarations and statements, with the scopes that they open.
use super::{Kind, Symbol, SymbolId, Symbols, Use, Written};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use stmc_base::{Sources, Span};
use stmc_model::{Resolved, vocabulary};
use stmc_syntax::ast::{self, DataKind, ItemKind, StmtKind};

/// What can be said of a value without evaluating it.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// Nothing.
    Nothing,
    /// A declaration that can be called.
    Declared(SymbolId),
    /// A layer with its settings.
    Layer(SymbolId),
    /// What may follow a point.
    Members(Rc<Vec<SymbolId>>),
    /// All elements of a list.
    Elements(Rc<Known>),
    /// A file's names.
    Module(usize),
}

/// Names between two braces or parentheses.
pub(super) struct Scope {
    pub names: Vec<(Arc<str>, SymbolId)>,
    pub axes: Vec<(Arc<str>, SymbolId)>,
    /// Bound by the language: the `step` of an optimizer.
    pub words: &'static [&'static str],
    pub span: Span,
}

pub(super) struct Walk<'a> {
    pub resolved: &'a Resolved,
    pub sources: &'a Sources,
    pub out: Symbols,
    /// Symbols by the place of their declaration: each is declared once, however often the walk comes by.
    declared: BTreeMap<Span, SymbolId>,
    /// Top-level names of each file.
    pub tops: Vec<BTreeMap<Arc<str>, SymbolId>>,
    /// Aliases of axes of each file.
    pub aliases: Vec<Vec<(Arc<str>, SymbolId)>>,
    /// Axes of the program.
    pub axes: BTreeMap<Arc<str>, SymbolId>,
    pub modules: Vec<SymbolId>,
    pub known: BTreeMap<SymbolId, Known>,
    /// The file that is walked.
    pub unit: usize,
    pub scopes: Vec<Scope>,
    /// Metrics and terms of the loss: `valid.csi`.
    pub series: Vec<SymbolId>,
    /// Outputs of the model that is trained, parts of the sample: `out.x`, `sample.x`.
    pub outputs: Vec<SymbolId>,
    pub parts: Vec<SymbolId>,
}

/// All symbols of a program. The library's bodies are walked only when the main file belongs to it.
pub(super) fn symbols(resolved: &Resolved, sources: &Sources) -> Symbols {
    let count = resolved.units.len();
    let mut walk = Walk {
        resolved,
        sources,
        out: Symbols::default(),
        declared: BTreeMap::new(),
        tops: vec![BTreeMap::new(); count],
        aliases: vec![vec![]; count],
        axes: BTreeMap::new(),
        modules: vec![],
        known: BTreeMap::new(),
        unit: 0,
        scopes: vec![],
        series: vec![],
        outputs: vec![],
        parts: vec![],
    };
    walk.declare_all();
    for u in 0..count {
        if u == 0 || !resolved.units[u].library {
            walk.unit = u;
            walk.file(&resolved.units[u].file);
        }
    }
    walk.out
}

impl<'a> Walk<'a> {
    // ------------------------------------------------------------ symbols and uses

    pub(super) fn declare(
        &mut self,
        name: &ast::Name,
        kind: Kind,
        head: Span,
        doc: Option<String>,
        scope: Option<Span>,
    ) -> SymbolId {
        if let Some(id) = self.declared.get(&name.span).filter(|_| name.span.start < name.span.end) {
            return *id;
        }
        let id = SymbolId::from_index(self.out.all.len());
        self.out.all.push(Symbol { name: name.text.clone(), kind, span: name.span, head, doc, scope });
        self.declared.insert(name.span, id);
        id
    }

    /// A symbol is named at a place.
    pub(super) fn refer(&mut self, span: Span, symbol: SymbolId) {
        self.write(span, symbol, Written::Plain);
    }

    pub(super) fn write(&mut self, span: Span, symbol: SymbolId, written: Written) {
        self.out.uses.push(Use { span, symbol, written });
    }

    /// The word itself in a place that may have parentheses or a prime around it.
    pub(super) fn word(&self, span: Span, name: &str) -> Span {
        let at = self.sources.snippet(span).find(name).unwrap_or(0);
        let start = span.start as usize + at;
        Span::new(span.source, start, (start + name.len()).min(span.end as usize))
    }

    // ------------------------------------------------------------ scopes

    pub(super) fn within<T>(&mut self, span: Span, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.scopes.push(Scope { names: vec![], axes: vec![], words: &[], span });
        let result = walk(self);
        self.scopes.pop();
        result
    }

    /// Declares a name in the innermost scope.
    pub(super) fn bind(&mut self, name: &ast::Name, kind: Kind, head: Span, doc: Option<String>) -> SymbolId {
        let scope = self.scopes.last().map(|s| s.span);
        let id = self.declare(name, kind, head, doc, scope);
        self.bring(id);
        id
    }

    /// A symbol can be named in the innermost scope.
    pub(super) fn bring(&mut self, id: SymbolId) {
        let name = self.out.symbol(id).name.clone();
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.push((name, id));
        }
    }

    fn bind_axis(&mut self, name: &ast::Name, kind: Kind, head: Span) {
        let span = self.scopes.last().map(|s| s.span);
        let id = self.declare(name, kind, head, None, span);
        if let Some(scope) = self.scopes.last_mut() {
            scope.axes.push((name.text.clone(), id));
        }
    }

    /// The symbol of a name that is no axis.
    pub(super) fn value_named(&self, name: &str) -> Option<SymbolId> {
        self.local(name).or_else(|| self.tops[self.unit].get(name).copied())
    }

    /// A word that the language binds, which is no axis here whatever axes there are.
    pub(super) fn is_word(&self, name: &str) -> bool {
        let here = self.scopes.iter().any(|s| s.words.contains(&name));
        here || vocabulary::function(name).is_some() || vocabulary::constant(name).is_some()
    }

    pub(super) fn local(&self, name: &str) -> Option<SymbolId> {
        let found = |s: &Scope| s.names.iter().rev().find(|(n, _)| &**n == name).map(|(_, id)| *id);
        self.scopes.iter().rev().find_map(found)
    }

    /// The symbol of a name that is an axis.
    pub(super) fn axis_named(&self, name: &str) -> Option<SymbolId> {
        let listed =
            |list: &[(Arc<str>, SymbolId)]| list.iter().rev().find(|(n, _)| &**n == name).map(|(_, id)| *id);
        let of_scope = |s: &Scope| {
            let setting = listed(&s.names).filter(|id| self.out.symbol(*id).kind == Kind::AxisSetting);
            listed(&s.axes).or(setting)
        };
        self.scopes
            .iter()
            .rev()
            .find_map(of_scope)
            .or_else(|| listed(&self.aliases[self.unit]))
            .or_else(|| listed(&self.aliases[0]))
            .or_else(|| self.axes.get(name).copied())
    }

    /// A word where only an axis can stand: one that nobody introduced is introduced by its first mention.
    pub(super) fn axis(&mut self, name: &ast::Name) {
        // A loop over axes binds names that stand for them.
        if let Some(id) = self.axis_named(&name.text).or_else(|| self.local(&name.text)) {
            self.refer(name.span, id);
        } else {
            self.program_axis(name, name.span);
        }
    }

    pub(super) fn axis_ref(&mut self, axis: &'a ast::AxisRef) {
        match &axis.kind {
            ast::AxisRefKind::Word(name) | ast::AxisRefKind::Position(name, _) => self.axis(name),
            ast::AxisRefKind::Taps(_, names) => names.iter().for_each(|n| self.axis(n)),
        }
    }

    pub(super) fn type_(&mut self, ty: &'a ast::Type) {
        match &ty.kind {
            ast::TypeKind::Tensor { shape, .. } => {
                for dim in shape.iter().flatten() {
                    self.axis_ref(&dim.axis);
                    if let ast::Extent::Expr(e) = &dim.extent {
                        self.expr(e);
                    }
                }
            }
            ast::TypeKind::Record(fields) => fields.iter().for_each(|f| self.type_(&f.ty)),
            ast::TypeKind::List(inner) | ast::TypeKind::Each(inner) => self.type_(inner),
            ast::TypeKind::Static(_) => {}
        }
    }

    // ------------------------------------------------------------ files

    fn file(&mut self, file: &'a ast::File) {
        // What `train` names must be there before it is met.
        for item in &file.items {
            if let ItemKind::Data(d) = &item.kind {
                self.data(d, item.span);
            }
        }
        for item in &file.items {
            self.item(item);
        }
    }

    fn item(&mut self, item: &'a ast::Item) {
        let span = item.span;
        match &item.kind {
            ItemKind::Use(_) | ItemKind::Axis(_) | ItemKind::Data(_) => {}
            ItemKind::Axes(a) => a.axes.iter().for_each(|a| self.axis_ref(a)),
            ItemKind::Hyper(h) => {
                self.optional_type(h.ty.as_ref());
                self.expr(&h.default);
                self.optional(h.domain.as_ref());
            }
            ItemKind::Let(l) => {
                self.optional_type(l.ty.as_ref());
                let known = self.expr(&l.value);
                if let ast::Pattern::Name(name) = &l.pattern
                    && let Some(id) = self.tops[self.unit].get(&name.text)
                {
                    self.known.insert(*id, known);
                }
            }
            ItemKind::Assert(a) => {
                self.expr(&a.condition);
            }
            ItemKind::Fn(f) => self.function_body(f, span),
            ItemKind::Layer(l) => self.within(span, |w| {
                w.parameter_list(&l.settings);
                w.parameter_list(&l.inputs);
                w.optional_type(l.result.as_ref());
                let results = w.results_of(&l.name);
                w.block(&l.body, &results);
            }),
            ItemKind::Model(m) => self.within(span, |w| {
                w.parameter_list(&m.inputs);
                w.type_(&m.outputs);
                let results = w.results_of(&m.name);
                w.block(&m.body, &results);
            }),
            ItemKind::Schedule(s) => self.within(span, |w| {
                w.parameter_list(&s.settings);
                w.bind(&s.time, Kind::Value, s.time.span, None);
                w.block(&s.body, &[]);
            }),
            ItemKind::Optimizer(o) => self.within(span, |w| {
                w.parameter_list(&o.settings);
                w.bind(&o.weight, Kind::Input, o.weight.span, None);
                w.bind(&o.gradient, Kind::Input, o.gradient.span, None);
                w.scopes.last_mut().expect("it was opened").words = &["step"];
                w.block(&o.body, &[]);
            }),
            ItemKind::Train(t) => self.train(t, span),
            ItemKind::Tune(t) => t.keys.iter().for_each(|k| {
                self.expr(&k.value);
            }),
        }
    }

    fn results_of(&self, name: &ast::Name) -> Vec<SymbolId> {
        let id = self.tops[self.unit].get(&name.text);
        id.and_then(|id| self.out.signature(*id)).map_or(vec![], |s| s.results.clone())
    }

    fn function_body(&mut self, f: &'a ast::FnDecl, span: Span) {
        self.within(span, |w| {
            w.parameter_list(&f.parameters);
            w.optional_type(f.result.as_ref());
            w.block(&f.body, &[]);
        });
    }

    /// Parameters, each after its type and default, which see those before it.
    fn parameter_list(&mut self, parameters: &'a [ast::Parameter]) {
        for p in parameters {
            self.optional_type(p.ty.as_ref());
            self.optional(p.default.as_ref());
            self.optional(p.domain.as_ref());
            self.bind(&p.name, Kind::Setting, p.span, p.doc.clone());
        }
    }

    pub(super) fn optional(&mut self, expr: Option<&'a ast::Expr>) {
        if let Some(expr) = expr {
            self.expr(expr);
        }
    }

    fn optional_type(&mut self, ty: Option<&'a ast::Type>) {
        if let Some(ty) = ty {
            self.type_(ty);
        }
    }

    // ------------------------------------------------------------ data and training

    fn data(&mut self, decl: &'a ast::DataDecl, span: Span) {
        self.within(span, |w| {
            // Lines see each other in any order, and models see the fields: `ocean.sst`.
            let mut fields = vec![];
            for s in &decl.statements {
                match &s.kind {
                    DataKind::Field(f) => fields.push(w.bind(&f.name, Kind::Field, s.span, s.doc.clone())),
                    DataKind::Let(l) => l.pattern.names().iter().for_each(|n| {
                        w.bind(n, Kind::Value, s.span, s.doc.clone());
                    }),
                    _ => {}
                }
            }
            if let Some(data) = w.tops[w.unit].get(&decl.name.text).copied() {
                w.known.insert(data, Known::Members(Rc::new(fields)));
            }
            decl.statements.iter().for_each(|s| w.data_line(s));
        });
    }

    fn data_line(&mut self, statement: &'a ast::DataStmt) {
        match &statement.kind {
            // The arguments of a generator have names of its own.
            DataKind::From(source) => match &source.kind {
                ast::ExprKind::Call { args, .. } => args.iter().for_each(|a| {
                    self.expr(&a.value);
                }),
                _ => {
                    self.expr(source);
                }
            },
            DataKind::Field(f) => {
                self.optional(f.source.as_ref());
                self.type_(&f.ty);
                self.optional(f.missing.as_ref());
            }
            DataKind::Let(l) => {
                self.expr(&l.value);
            }
            DataKind::Axis(_) => {}
            DataKind::Assert(a) => {
                self.expr(&a.condition);
            }
            DataKind::Sample(sample) => self.sample(sample, statement.span),
            DataKind::Split(record) => {
                record.lets.iter().for_each(|l| self.let_(l));
                record.entries.iter().for_each(|e| {
                    self.expr(&e.value);
                });
            }
            DataKind::Balance { method, by } => {
                self.expr(method);
                self.expr(by);
            }
            DataKind::Augment(list) => list.iter().for_each(|e| {
                self.expr(e);
            }),
        }
    }

    fn sample(&mut self, sample: &'a ast::Sample, span: Span) {
        self.within(span, |w| {
            for binder in &sample.binders {
                w.axis_expr(&binder.over);
                w.optional(binder.step.as_ref());
                w.bind(&binder.name, Kind::Value, binder.span, None);
            }
            w.optional(sample.condition.as_ref());
            w.parts = w.record(&sample.parts, Kind::Part, &[]);
        });
    }

    fn train(&mut self, train: &'a ast::TrainDecl, span: Span) {
        let top = |w: &Self, n: &ast::Name| w.tops[w.unit].get(&n.text).copied();
        let model = top(self, &train.model);
        for (name, id) in [(&train.model, model), (&train.data, top(self, &train.data))] {
            if let Some(id) = id {
                self.refer(name.span, id);
            }
        }
        let signature =
            model.and_then(|m| self.out.signature(self.out.target(m)).cloned()).unwrap_or_default();
        for port in signature.inputs.iter().chain(&signature.results) {
            let name = self.out.symbol(*port).name.clone();
            let part = self.parts.iter().find(|p| self.out.symbol(**p).name == name);
            self.out.links.extend(part.map(|p| (*port, *p)));
        }
        self.outputs = signature.results;
        self.within(span, |w| {
            w.parts.clone().into_iter().chain(w.outputs.clone()).for_each(|id| w.bring(id));
            // Metrics first: `keep` may stand before them.
            let terms = |k: &&ast::Key| matches!(&*k.name.text, "metrics" | "loss");
            for key in train.keys.iter().filter(terms) {
                match &key.value.kind {
                    ast::ExprKind::Record(record) => {
                        let made = w.record(record, Kind::Metric, &[]);
                        w.series.extend(made);
                    }
                    _ => {
                        w.expr(&key.value);
                    }
                }
            }
            for key in train.keys.iter().filter(|k| !terms(k)) {
                w.expr(&key.value);
            }
        });
    }

    // ------------------------------------------------------------ statements

    /// The statements, and what is known of the result. Its entries are those of `results`.
    pub(super) fn block(&mut self, block: &'a ast::Block, results: &[SymbolId]) -> Known {
        self.within(block.span, |w| {
            block.statements.iter().for_each(|s| w.statement(s));
            match &block.result {
                Some(result) => w.result(result, results),
                None => Known::Nothing,
            }
        })
    }

    /// Statements of a loop's body: its carries and, where there are several, its yields.
    pub(super) fn loop_body(&mut self, block: &'a ast::Block) -> Vec<SymbolId> {
        block.statements.iter().for_each(|s| self.statement(s));
        let scope = self.scopes.last().expect("the loop has a scope");
        let carried = |id: &SymbolId| self.out.symbol(*id).kind == Kind::Carry;
        let mut members: Vec<SymbolId> = scope.names.iter().map(|(_, id)| *id).filter(carried).collect();
        let yields: Vec<&ast::Expr> = block.statements.iter().filter_map(yielded).collect();
        if yields.len() > 1 {
            let names = yields.iter().filter_map(|e| e.name());
            members.extend(names.filter_map(|n| self.value_named(&n.text)));
        }
        members
    }

    fn statement(&mut self, statement: &'a ast::Stmt) {
        let (span, doc) = (statement.span, statement.doc.clone());
        match &statement.kind {
            StmtKind::Let(l) => self.let_(l),
            StmtKind::Axis(a) => self.bind_axis(&a.name, Kind::Axis, span),
            StmtKind::Axes(a) => {
                a.axes.iter().for_each(|a| self.axis_ref(a));
                self.bind_axis(&a.name, Kind::Axes, span);
            }
            StmtKind::Param(p) => {
                self.type_(&p.ty);
                self.expr(&p.initializer);
                self.guard(p.guard.as_ref());
                self.bind(&p.name, Kind::Weight, span, doc);
            }
            StmtKind::Buffer(b) => {
                self.type_(&b.ty);
                self.expr(&b.value);
                self.guard(b.guard.as_ref());
                self.bind(&b.name, Kind::Weight, span, doc);
            }
            StmtKind::Carry(c) => {
                self.optional_type(c.ty.as_ref());
                let known = self.expr(&c.value);
                self.guard(c.guard.as_ref());
                let layer = self.local(&c.name.text).filter(|id| self.out.symbol(*id).kind == Kind::SubLayer);
                match layer {
                    Some(layer) => self.refer(c.name.span, layer),
                    None => {
                        let id = self.bind(&c.name, Kind::Carry, span, doc);
                        self.known.insert(id, known);
                    }
                }
            }
            StmtKind::Yield(e) => {
                self.expr(e);
            }
            StmtKind::Assert(a) => {
                self.expr(&a.condition);
            }
            StmtKind::Fn(f) => {
                let head = Span { end: f.body.span.start.max(span.start), ..span };
                let id = self.bind(&f.name, Kind::Function, head, doc);
                let signature = self.function(f, span);
                self.out.signatures.insert(id, signature);
                self.function_body(f, span);
            }
            StmtKind::Update(u) => {
                self.expr(&u.value);
                self.guard(u.guard.as_ref());
                if let Some(id) = self.local(&u.name.text) {
                    self.refer(self.word(u.name.span, &u.name.text), id);
                }
            }
            StmtKind::SubLayer(s) => self.sub_layer(s, span, doc),
        }
    }

    fn let_(&mut self, l: &'a ast::Let) {
        self.optional_type(l.ty.as_ref());
        let known = self.expr(&l.value);
        match &l.pattern {
            ast::Pattern::Name(name) => {
                let id = self.bind(name, Kind::Value, l.span, None);
                self.known.insert(id, known);
            }
            pattern => self.bind_pattern(pattern, &known, l.span),
        }
    }

    /// Binds what a loop or a `let` takes apart.
    pub(super) fn bind_pattern(&mut self, pattern: &'a ast::Pattern, value: &Known, head: Span) {
        match (pattern, value) {
            (ast::Pattern::Name(name), _) => {
                let id = self.bind(name, Kind::Value, head, None);
                self.known.insert(id, value.clone());
            }
            (ast::Pattern::Tuple(names, _), _) => {
                let element = if let Known::Elements(e) = value { (**e).clone() } else { Known::Nothing };
                for name in names {
                    let id = self.bind(name, Kind::Value, head, None);
                    self.known.insert(id, element.clone());
                }
            }
        }
    }

    fn sub_layer(&mut self, sub: &'a ast::SubLayer, span: Span, doc: Option<String>) {
        let known = match self.expr(&sub.value) {
            Known::Declared(layer) => Known::Layer(layer),
            known => known,
        };
        let weights = match &known {
            Known::Layer(layer) => self.out.signature(*layer).map(|s| s.weights.clone()),
            _ => None,
        };
        for o in &sub.overrides {
            let named = |id: &&SymbolId| self.out.symbol(**id).name == o.name.text;
            if let Some(id) = weights.iter().flatten().find(named).copied() {
                self.refer(o.name.span, id);
            }
            self.expr(&o.initializer);
        }
        self.guard(sub.guard.as_ref());
        let id = self.bind(&sub.name, Kind::SubLayer, span, doc);
        self.known.insert(id, known);
    }

    pub(super) fn guard(&mut self, guard: Option<&'a ast::Guard>) {
        if let Some(guard) = guard {
            self.expr(&guard.condition);
            self.optional(guard.otherwise.as_ref());
        }
    }
}

fn yielded(statement: &ast::Stmt) -> Option<&ast::Expr> {
    if let StmtKind::Yield(e) = &statement.kind { Some(e) } else { None }
}
