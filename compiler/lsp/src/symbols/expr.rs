//! Through expressions: what each name refers to, and what can be said of a value for the sake of its members.
use super::walk::{Known, Walk};
use super::{Kind, SymbolId, Written};
use std::rc::Rc;
use stmc_base::Span;
use stmc_model::vocabulary::{self, Function};
use stmc_syntax::ast::{self, Arg, BinaryOp, Expr, ExprKind, Member};

/// What a call's arguments are matched with.
enum Callee {
    /// Nobody knows.
    Unknown,
    /// A function of the language.
    BuiltIn(&'static Function),
    /// Parameters of a declaration.
    Parameters(Vec<SymbolId>),
}

impl<'a> Walk<'a> {
    pub(super) fn expr(&mut self, expr: &'a Expr) -> Known {
        match &expr.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Percent(_) | ExprKind::Quantity { .. } => {
                Known::Nothing
            }
            ExprKind::Date(_) | ExprKind::Str(_) | ExprKind::Bool(_) => Known::Nothing,
            ExprKind::Name(name) => self.name(name, expr.span, Written::Plain),
            ExprKind::Primed(name) => {
                if let Some(id) = self.local(name) {
                    self.refer(self.word(expr.span, name), id);
                }
                Known::Nothing
            }
            ExprKind::List(elements) => {
                let mut known = Known::Nothing;
                for e in elements {
                    known = applied(self.expr(&e.value));
                    self.guard(e.guard.as_ref());
                }
                Known::Elements(Rc::new(known))
            }
            ExprKind::Comprehension { binder, iterable, body } => {
                let iterated = self.iterable(iterable);
                self.within(body.span.to(binder.span), |w| {
                    w.loop_binder(binder, &iterated);
                    Known::Elements(Rc::new(applied(w.expr(body))))
                })
            }
            ExprKind::Record(record) => Known::Members(Rc::new(self.record(record, Kind::Entry, &[]))),
            ExprKind::Tuple(args) => {
                for arg in args {
                    self.label_axis(arg);
                    self.expr(&arg.value);
                    self.optional(arg.arrow.as_ref());
                }
                Known::Nothing
            }
            ExprKind::Block(block) => self.block(block, &[]),
            ExprKind::If { .. } => self.result(expr, &[]),
            ExprKind::Scan(scan) => self.scan(scan),
            ExprKind::For { binder, iterable, body } => {
                let iterated = self.iterable(iterable);
                self.within(body.span.to(binder.span), |w| {
                    w.loop_binder(binder, &iterated);
                    Known::Members(Rc::new(w.loop_body(body)))
                })
            }
            ExprKind::Unary { operand, .. } => {
                self.expr(operand);
                Known::Nothing
            }
            ExprKind::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
                Known::Nothing
            }
            ExprKind::Pipe { value, stage } => {
                self.expr(value);
                match &stage.kind {
                    ExprKind::Call { callee, args } => {
                        let f = self.callee(callee);
                        self.call(&f, callee, args, 1)
                    }
                    _ => {
                        let f = self.expr(stage);
                        self.result_of(&f)
                    }
                }
            }
            ExprKind::Call { callee, args } => {
                let f = self.callee(callee);
                self.call(&f, callee, args, 0)
            }
            ExprKind::Index { base, args } => {
                let known = self.expr(base);
                for arg in args {
                    self.label_axis(arg);
                    self.expr(&arg.value);
                }
                match known {
                    Known::Elements(element) => (*element).clone(),
                    _ => Known::Nothing,
                }
            }
            ExprKind::Member { base, member } => self.member(base, member),
            ExprKind::Range { start, end } => {
                self.optional(start.as_deref());
                self.optional(end.as_deref());
                Known::Nothing
            }
        }
    }

    /// A body's result, whose entries bear the names that were declared.
    pub(super) fn result(&mut self, expr: &'a Expr, results: &[SymbolId]) -> Known {
        match &expr.kind {
            ExprKind::Record(record) => Known::Members(Rc::new(self.record(record, Kind::Entry, results))),
            ExprKind::If { condition, then, otherwise } => {
                self.expr(condition);
                let known = self.result(then, results);
                self.result(otherwise, results);
                known
            }
            ExprKind::Block(block) => self.block(block, results),
            _ => self.expr(expr),
        }
    }

    // ------------------------------------------------------------ names

    fn name(&mut self, name: &str, span: Span, written: Written) -> Known {
        let axis = || self.axis_named(name).filter(|_| !self.is_word(name));
        match self.value_named(name).or_else(axis) {
            Some(id) => {
                self.write(self.word(span, name), id, written);
                self.known_of(id)
            }
            None => Known::Nothing,
        }
    }

    fn known_of(&self, id: SymbolId) -> Known {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        match self.out.symbol(id).kind {
            Kind::Alias(target) => self.known_of(target),
            _ if self.out.signatures.contains_key(&id) => Known::Declared(id),
            _ => Known::Nothing,
        }
    }

    /// A name that is called is the function, even where a value of that name is in scope.
    fn callee(&mut self, callee: &'a Expr) -> Known {
        let ExprKind::Name(name) = &callee.kind else { return self.expr(callee) };
        let local = self.local(name).filter(|id| self.out.symbol(*id).kind.is_called());
        let top = self.tops[self.unit].get(name).copied();
        let id = match local.or(top) {
            Some(id) => Some(id),
            None if vocabulary::function(name).is_some() => None,
            None => self.local(name),
        };
        match id {
            Some(id) => {
                self.refer(self.word(callee.span, name), id);
                self.known_of(id)
            }
            None => Known::Nothing,
        }
    }

    /// `base.member`
    fn member(&mut self, base: &'a Expr, member: &'a Member) -> Known {
        let known = self.expr(base);
        let Member::Name(name) = member else {
            return if let Known::Elements(element) = known { (*element).clone() } else { Known::Nothing };
        };
        let named =
            |list: &[SymbolId], w: &Self| list.iter().copied().find(|id| w.out.symbol(*id).name == name.text);
        let found = match &known {
            Known::Members(members) => named(members, self),
            Known::Module(unit) => self.tops[*unit].get(&name.text).copied(),
            _ => None,
        };
        let loose = base.name().filter(|n| self.value_named(&n.text).is_none());
        let found = found.or_else(|| match loose.as_ref().map(|n| &*n.text)? {
            "out" => named(&self.outputs, self),
            "sample" => named(&self.parts, self),
            _ => named(&self.series, self),
        });
        match found.or_else(|| self.axis_named(&name.text)) {
            Some(id) => {
                self.refer(name.span, id);
                self.known_of(id)
            }
            None => Known::Nothing,
        }
    }

    // ------------------------------------------------------------ records and loops

    /// The entries: those that `expected` lists are named here, the others declared.
    pub(super) fn record(
        &mut self,
        record: &'a ast::Record,
        kind: Kind,
        expected: &[SymbolId],
    ) -> Vec<SymbolId> {
        self.within(record.span, |w| {
            for l in &record.lets {
                let known = w.expr(&l.value);
                w.bind_pattern(&l.pattern, &known, l.span);
            }
            let mut entries = vec![];
            for entry in &record.entries {
                let short = !entry.quoted && entry.value.span == entry.key.span;
                let known = match (&entry.value.kind, short) {
                    (ExprKind::Name(name), true) => w.name(name, entry.value.span, Written::ShortValue),
                    _ => w.expr(&entry.value),
                };
                if entry.quoted {
                    continue;
                }
                let named = |id: &&SymbolId| w.out.symbol(**id).name == entry.key.text;
                let found = expected.iter().find(named).copied();
                let id = found.unwrap_or_else(|| {
                    let id = w.declare(&entry.key, kind, entry.span, entry.doc.clone(), None);
                    w.known.entry(id).or_insert(known);
                    id
                });
                if kind == Kind::Metric {
                    // A metric may be made of those before it.
                    w.bring(id);
                }
                match (found, short) {
                    (_, true) => w.write(entry.key.span, id, Written::ShortKey),
                    (Some(id), false) => w.refer(entry.key.span, id),
                    (None, false) => {}
                }
                entries.push(id);
            }
            entries
        })
    }

    fn iterable(&mut self, iterable: &'a Expr) -> Known {
        match &iterable.kind {
            ExprKind::Tuple(_) => {
                self.axis_expr(iterable);
                Known::Nothing
            }
            _ => match self.expr(iterable) {
                Known::Elements(element) => (*element).clone(),
                _ => Known::Nothing,
            },
        }
    }

    fn loop_binder(&mut self, binder: &'a ast::LoopBinder, element: &Known) {
        if let Some(index) = &binder.index {
            self.bind(index, Kind::Value, binder.span, None);
        }
        self.bind_pattern(&binder.element, element, binder.span);
    }

    fn scan(&mut self, scan: &'a ast::Scan) -> Known {
        for source in &scan.sources {
            self.expr(&source.value);
        }
        self.optional(scan.extent.as_ref());
        self.axis(&scan.along);
        let layers = self.layers_in_scope();
        let start = scan.sources.first().map_or(scan.along.span, |s| s.span);
        self.within(scan.body.span.to(start), |w| {
            for source in &scan.sources {
                w.bind_pattern(&source.pattern, &Known::Nothing, source.span);
            }
            if let Some(at) = &scan.at {
                w.bind(at, Kind::Value, at.span, None);
            }
            let mut members = w.loop_body(&scan.body);
            members.extend(layers);
            Known::Members(Rc::new(members))
        })
    }

    /// A run's members include the states of the layers that it applies.
    fn layers_in_scope(&self) -> Vec<SymbolId> {
        let names = self.scopes.iter().flat_map(|s| &s.names).map(|(_, id)| *id);
        names.filter(|id| self.out.symbol(*id).kind == Kind::SubLayer).collect()
    }

    // ------------------------------------------------------------ calls

    /// `callee(args)` with so many operands piped in before its arguments.
    fn call(&mut self, f: &Known, callee: &'a Expr, args: &'a [Arg], piped: usize) -> Known {
        let of = |w: &Self, id: SymbolId| w.out.signature(id).cloned().unwrap_or_default();
        match f {
            Known::Declared(id) => {
                let layer = self.out.symbol(*id).kind == Kind::Layer;
                // Settings in parentheses; a tensor that is piped in goes to the layer that they make.
                let skip = if layer { 0 } else { piped };
                self.arguments(&Callee::Parameters(of(self, *id).settings), args, skip);
                match layer && piped == 0 {
                    true => Known::Layer(*id),
                    false => self.result_of(f),
                }
            }
            Known::Layer(id) => {
                self.arguments(&Callee::Parameters(of(self, *id).inputs), args, piped);
                self.result_of(f)
            }
            Known::Elements(_) => {
                self.arguments(&Callee::Unknown, args, piped);
                self.result_of(f)
            }
            _ => {
                let function = callee.name().and_then(|n| vocabulary::function(&n.text));
                let callee = function.map_or(Callee::Unknown, Callee::BuiltIn);
                self.arguments(&callee, args, piped);
                Known::Nothing
            }
        }
    }

    /// What a function or layer gives.
    fn result_of(&self, f: &Known) -> Known {
        match f {
            Known::Declared(id) | Known::Layer(id) => match self.out.signature(*id) {
                Some(s) if !s.results.is_empty() => Known::Members(Rc::new(s.results.clone())),
                _ => Known::Nothing,
            },
            Known::Elements(element) => self.result_of(element),
            _ => Known::Nothing,
        }
    }

    fn arguments(&mut self, callee: &Callee, args: &'a [Arg], piped: usize) {
        let mut position = piped;
        for arg in args {
            let word = arg.label.as_ref().and_then(|l| l.word());
            let mut axes = false;
            match callee {
                Callee::Parameters(list) => {
                    let found = match word {
                        Some(word) => list.iter().find(|id| self.out.symbol(**id).name == word.text),
                        None => list.get(position),
                    };
                    axes = found.is_some_and(|id| self.out.symbol(*id).kind == Kind::AxisSetting);
                    if let (Some(word), Some(id)) = (word, found.copied()) {
                        self.refer(word.span, id);
                    }
                }
                Callee::BuiltIn(function) => {
                    let found = match (word, &arg.label) {
                        (Some(word), _) => function.parameters.iter().find(|p| p.name == &*word.text),
                        // `tap(row): 3` and `over.0: 1` are labels that only axes can be.
                        (None, Some(_)) => None,
                        (None, None) => function.parameters.get(position),
                    };
                    axes = found.is_some_and(|p| p.axes) || found.is_none() && function.renames;
                    if found.is_none() && arg.label.is_some() && function.by_axis {
                        self.new_label_axis(arg);
                    }
                }
                Callee::Unknown => {}
            }
            if arg.label.is_none() {
                position += 1;
            }
            self.argument(arg, axes);
        }
    }

    fn argument(&mut self, arg: &'a Arg, axes: bool) {
        match &arg.value.kind {
            _ if axes || arg.arrow.is_some() => {
                self.axis_expr(&arg.value);
                if let Some(arrow) = &arg.arrow {
                    self.axis_expr(arrow);
                }
            }
            ExprKind::Record(record) if self.is_by_axis(record) => {
                for entry in &record.entries {
                    self.axis(&entry.key);
                    self.expr(&entry.value);
                }
            }
            _ => {
                self.expr(&arg.value);
            }
        }
    }

    /// `{ lat: 3, lon: 1 }` as an argument: a value for each axis.
    fn is_by_axis(&self, record: &ast::Record) -> bool {
        let axis = |e: &ast::Entry| !e.quoted && self.axis_named(&e.key.text).is_some();
        record.lets.is_empty() && !record.entries.is_empty() && record.entries.iter().all(axis)
    }

    // ------------------------------------------------------------ axes

    /// `time: 0` in an index: a label that can only be an axis, but introduces none.
    fn label_axis(&mut self, arg: &'a Arg) {
        let Some(label) = &arg.label else { return };
        let words = match &label.kind {
            ast::AxisRefKind::Word(n) | ast::AxisRefKind::Position(n, _) => std::slice::from_ref(n),
            ast::AxisRefKind::Taps(_, names) => names,
        };
        for word in words {
            if let Some(id) = self.axis_named(&word.text).or_else(|| self.local(&word.text)) {
                self.refer(word.span, id);
            }
        }
    }

    fn new_label_axis(&mut self, arg: &'a Arg) {
        if let Some(label) = &arg.label {
            self.axis_ref(label);
        }
    }

    /// An expression that stands for axes: `lat`, `(lat, lon)`, `taps(over)`, `axes(x) - channel`, `(head: 8, depth)`.
    pub(super) fn axis_expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Name(name) => {
                let word = ast::Name { text: name.clone(), span: self.word(expr.span, name) };
                self.axis(&word);
            }
            ExprKind::Tuple(args) => {
                for arg in args {
                    match &arg.label {
                        Some(label) => {
                            self.axis_ref(label);
                            self.expr(&arg.value);
                        }
                        None => self.axis_expr(&arg.value),
                    }
                }
            }
            ExprKind::Call { callee, args } if is_taps(callee) => {
                args.iter().for_each(|a| self.axis_expr(&a.value));
            }
            ExprKind::Member { base, member: Member::Position(..) } => self.axis_expr(base),
            ExprKind::Binary { op: BinaryOp::Sub, left, right, .. } => {
                self.axis_expr(left);
                self.axis_expr(right);
            }
            _ => {
                self.expr(expr);
            }
        }
    }
}

fn is_taps(callee: &Expr) -> bool {
    matches!(&callee.kind, ExprKind::Name(n) if matches!(&**n, "tap" | "taps"))
}

/// A layer's declaration where a layer is wanted.
fn applied(known: Known) -> Known {
    match known {
        Known::Declared(id) => Known::Layer(id),
        known => known,
    }
}
