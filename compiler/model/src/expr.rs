//! Expressions and the statements of blocks.
use crate::axis::Naming;
use crate::elab::{Context, Elab, Eval, Failed};
use crate::resolve::{Binding, ItemRef, twice};
use crate::scope::{Env, Scope};
use crate::value::{Closure, Spanned, Value, show};
use crate::{builtins, habits, names};
use std::rc::Rc;
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span, date};
use stmc_syntax::ast::{self, ExprKind, ItemKind, StmtKind};

/// How many rounds a loop over statics may have.
const ROUNDS: i64 = 4096;

impl<'a> Elab<'a> {
    /// The value of an expression.
    pub(crate) fn eval(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Value<'a>> {
        let value = self.value(expr, env)?;
        self.note(expr.span, &value);
        Ok(value)
    }

    fn value(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Value<'a>> {
        match &expr.kind {
            ExprKind::Int(i) => Ok(Value::Int(*i)),
            ExprKind::Float(x) => Ok(Value::Float(*x)),
            ExprKind::Percent(x) => Ok(self.percent(*x)),
            ExprKind::Quantity { value, unit } => Ok(self.quantity(*value, unit)),
            ExprKind::Date(date) => self.date(date, expr.span),
            ExprKind::Str(s) => Ok(Value::Str(s.clone())),
            ExprKind::Bool(b) => Ok(Value::Bool(*b)),
            ExprKind::Name(name) => self.name(name, expr.span, env),
            ExprKind::Primed(name) => self.primed(name, expr.span, env),
            ExprKind::List(elements) => self.list(elements, env),
            ExprKind::Comprehension { binder, iterable, body } => {
                self.comprehension(binder, iterable, body, env)
            }
            ExprKind::Record(record) => self.record(record, env),
            ExprKind::Tuple(args) => self.tuple(expr, args, env),
            ExprKind::Block(block) => self.block(block, &Scope::block(env)),
            ExprKind::If { condition, then, otherwise } => self.if_expr(condition, then, otherwise, env),
            ExprKind::Scan(scan) => self.scan(scan, expr.span, env),
            ExprKind::For { binder, iterable, body } => self.unrolled(binder, iterable, body, env),
            ExprKind::Unary { op, operand } => {
                let operand = self.spanned(operand, env)?;
                self.unary(*op, operand, expr.span)
            }
            ExprKind::Binary { op, op_span, left, right } => {
                let (left, right) = (self.spanned(left, env), self.spanned(right, env));
                self.binary(*op, *op_span, left?, right?)
            }
            ExprKind::Pipe { value, stage } => self.pipe(value, stage, env),
            ExprKind::Call { callee, args } => self.call(callee, args, expr.span, env),
            ExprKind::Index { base, args } => self.index_expr(base, args, expr.span, env),
            ExprKind::Member { base, member } => self.member(base, member, expr.span, env),
            ExprKind::Range { start, end } => self.range(start.as_deref(), end.as_deref(), env),
        }
    }

    /// The value of an expression with its place.
    pub(crate) fn spanned(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Spanned<'a>> {
        Ok(Spanned { value: self.eval(expr, env)?, span: expr.span })
    }

    fn percent(&self, x: f64) -> Value<'a> {
        match self.length {
            Some(length) if self.place == Context::Schedule => Value::Float(x * length.steps as f64),
            _ => Value::Percent(x),
        }
    }

    /// Durations become steps where the length of an epoch is known.
    fn quantity(&self, value: f64, unit: &ast::Name) -> Value<'a> {
        match (&*unit.text, self.length) {
            ("step" | "steps", _) => Value::Float(value),
            ("epoch" | "epochs", Some(length)) => Value::Float(value * length.steps_per_epoch as f64),
            _ => Value::Quantity(value, unit.text.clone()),
        }
    }

    /// A written date is all of its month, day, hour or minute.
    fn date(&mut self, written: &ast::Date, span: Span) -> Eval<Value<'a>> {
        let ast::Date { year, month, day, hour, minute } = *written;
        let (year, month, first) = (i64::from(year), i64::from(month), i64::from(day.unwrap_or(1)));
        let days = date::days(year, month, first);
        if date::civil(days) != (year, month, first) {
            return Err(self.fail(Code::E0403, span, format!("there is no {year}-{month:02}-{first:02}")));
        }
        let clock = |hour: u8, minute: u8| days as f64 + f64::from(hour) / 24.0 + f64::from(minute) / 1440.0;
        Ok(match (day, hour, minute) {
            (None, ..) => Value::Date(days as f64, date::days(year, month + 1, 1) as f64),
            (_, None, _) => Value::Date(days as f64, days as f64 + 1.0),
            (_, Some(h), None) => Value::Date(clock(h, 0), clock(h, 60)),
            (_, Some(h), Some(m)) => Value::Date(clock(h, m), clock(h, m + 1)),
        })
    }

    // ------------------------------------------------------------ names

    /// The value of a name.
    pub(crate) fn name(&mut self, name: &Arc<str>, span: Span, env: &Env<'a>) -> Eval<Value<'a>> {
        match env.find(name) {
            Some(Value::Failed) => return Err(Failed),
            Some(Value::Lazy(expr, inner)) => return self.lazily(expr, &inner),
            Some(Value::LazyElement(l, n, inner)) => return self.lazy_element(l, n, &inner),
            Some(Value::Field(field)) => return self.field(field, span).map(Value::Tensor),
            Some(value) => return Ok(value),
            None => {}
        }
        if let Some(binding) = self.resolved.units[env.unit].names.get(name) {
            return self.global(env.unit, name, *binding, span);
        }
        if &**name == "training" {
            return Ok(Value::Bool(self.training));
        }
        if &**name == "frozen" {
            return Ok(Value::Frozen);
        }
        if let Some(constant) = builtins::constant(name) {
            return Ok(Value::Float(constant));
        }
        if let Some(builtin) = builtins::find(name) {
            return Ok(Value::Builtin(builtin));
        }
        if self.is_axis(name, env) {
            let name = ast::Name { text: name.clone(), span };
            return self.axis_word(&name, env, Naming::Old).map(Value::Axes);
        }
        Err(self.undefined(name, span, env))
    }

    fn undefined(&mut self, name: &str, span: Span, env: &Env<'a>) -> Failed {
        let mut known: Vec<Arc<str>> = env.names();
        known.extend(self.resolved.units[env.unit].names.keys().cloned());
        known.extend(builtins::names().map(Arc::from));
        let near = names::did_you_mean(name, known.iter().map(|n| n.as_ref()));
        if self.ambiguous.iter().any(|n| &**n == name) {
            let message = format!("`{name}` is an output of the model and a part of the sample");
            let diagnostic = Diagnostic::new(Code::E0401, span, message);
            return self.error(diagnostic.help(format!("`out.{name}` or `sample.{name}`")));
        }
        let library = crate::library::holder(name);
        if let (Some(help), None) = (habits::of_name(name), library) {
            let message = format!("there is no `{name}` here");
            return self.error(Diagnostic::new(Code::E0104, span, message).help(help));
        }
        let mut diagnostic = Diagnostic::new(Code::E0401, span, format!("`{name}` is not defined"));
        if let Some(module) = library {
            diagnostic = diagnostic.help(format!("`use {module}.{name}` at the top of the file"));
            if let Some(last) = self.last_import(env.unit) {
                diagnostic = diagnostic.fix(last, format!("\nuse {module}.{name}"));
            }
        } else if let Some(near) = near {
            diagnostic = diagnostic.help_at(span, near);
        }
        self.error(diagnostic)
    }

    /// The end of a file's last `use`. `None`: it has none.
    fn last_import(&self, unit: usize) -> Option<Span> {
        let items = self.resolved.units[unit].file.items.iter();
        let last = items.filter(|i| matches!(i.kind, ItemKind::Use(_))).map(|i| i.span).max()?;
        Some(Span { start: last.end, ..last })
    }

    /// The value of a top-level name, evaluated once.
    fn global(&mut self, unit: usize, name: &Arc<str>, binding: Binding, span: Span) -> Eval<Value<'a>> {
        let at = match binding {
            Binding::Module(module) => return Ok(Value::Module(module)),
            Binding::Item(at) => at,
        };
        let key = (unit, name.clone());
        match self.globals.get(&key) {
            Some(Some(Value::Failed)) => return Err(Failed),
            Some(Some(value)) => return Ok(value.clone()),
            Some(None) => {
                return Err(self.fail(Code::E0411, span, format!("`{name}` is defined through itself")));
            }
            None => {}
        }
        self.globals.insert(key.clone(), None);
        let value = self.item_value(at);
        // A failure is remembered as a failure, so that it is reported once.
        self.globals.insert(key, Some(value.as_ref().map_or(Value::Failed, Value::clone)));
        value
    }

    /// A declaration of a file, as a value.
    pub(crate) fn item_value(&mut self, at: ItemRef) -> Eval<Value<'a>> {
        let top = self.tops[at.unit].clone();
        let resolved: &'a crate::Resolved = self.resolved;
        match &resolved.item(at).kind {
            ItemKind::Hyper(h) => self.hyper(h, at, &top),
            ItemKind::Let(l) => {
                let value = self.spanned(&l.value, &top)?;
                let mut bound = self.destructure(&l.pattern, value)?;
                Ok(bound.swap_remove(at.name).1)
            }
            ItemKind::Fn(f) => Ok(Value::Fn(Rc::new(Closure { decl: f, env: top }))),
            ItemKind::Layer(l) => Ok(Value::LayerDecl(l, at.unit)),
            ItemKind::Model(m) => Ok(Value::Model(m)),
            ItemKind::Schedule(s) => Ok(Value::Schedule(s, at.unit)),
            ItemKind::Optimizer(o) => Ok(Value::OptimizerDecl(o, at.unit)),
            ItemKind::Data(_) => Ok(Value::Data),
            _ => unreachable!("other items declare no value"),
        }
    }

    /// A static that `--set` may override.
    fn hyper(&mut self, hyper: &'a ast::Hyper, at: ItemRef, top: &Env<'a>) -> Eval<Value<'a>> {
        let set: &'a crate::Settings = self.settings;
        let value = match set.set.get(&self.resolved.hyper_name(at, &hyper.name.text)) {
            // What is said there sees the main file's names.
            Some(set) => self.spanned(set, &self.tops[0].clone())?,
            None => self.spanned(&hyper.default, top)?,
        };
        match &hyper.ty {
            Some(ty) => self.coerce(value, ty, &hyper.name.text, top),
            None => Ok(value.value),
        }
    }

    fn primed(&mut self, name: &Arc<str>, span: Span, env: &Env<'a>) -> Eval<Value<'a>> {
        if let Some(value) = env.next(name) {
            return if matches!(value, Value::Failed) { Err(Failed) } else { Ok(value) };
        }
        if matches!(env.find(name), Some(Value::Failed)) {
            return Err(Failed);
        }
        let message = format!("`{name}'` has no value yet");
        let diagnostic = Diagnostic::new(Code::E0601, span, message);
        Err(self.error(diagnostic.help(format!("`{name}' = …` in a line before this one"))))
    }

    // ------------------------------------------------------------ collections

    /// `(row, col)` is a set of axes, `(0, 5)` a list of values.
    fn tuple(&mut self, expr: &'a ast::Expr, args: &'a [ast::Arg], env: &Env<'a>) -> Eval<Value<'a>> {
        let is_value = |arg: &ast::Arg| match &arg.value.kind {
            ExprKind::Name(name) => env.find(name).is_some_and(|v| !matches!(v, Value::Axes(_))),
            ExprKind::Call { .. } | ExprKind::Member { .. } | ExprKind::Tuple(_) => false,
            _ => true,
        };
        if !args.iter().any(is_value) {
            return self.axis_set(expr, env, Naming::Old).map(Value::Axes);
        }
        let mut values = vec![];
        for arg in args {
            values.push(self.eval(&arg.value, env)?);
        }
        Ok(Value::list(values))
    }

    fn list(&mut self, elements: &'a [ast::Element], env: &Env<'a>) -> Eval<Value<'a>> {
        let mut out = vec![];
        for e in elements {
            if self.guard(e.guard.as_ref(), env)? {
                out.push(self.eval(&e.value, env));
            } else if let Some(otherwise) = e.guard.as_ref().and_then(|g| g.otherwise.as_ref()) {
                out.push(self.eval(otherwise, env));
            }
        }
        Ok(Value::list(out.into_iter().collect::<Eval<_>>()?))
    }

    /// Whether a guard holds; none always does.
    pub(crate) fn guard(&mut self, guard: Option<&'a ast::Guard>, env: &Env<'a>) -> Eval<bool> {
        match guard {
            None => Ok(true),
            Some(guard) => self.condition(&guard.condition, env),
        }
    }

    /// What stands in place of a declaration whose guard does not hold: what its `else` says, or what is usual there.
    /// `None`: the guard holds.
    pub(crate) fn instead(
        &mut self,
        guard: Option<&'a ast::Guard>,
        usual: Value<'a>,
        env: &Env<'a>,
    ) -> Eval<Option<Value<'a>>> {
        if self.guard(guard, env)? {
            return Ok(None);
        }
        match guard.and_then(|g| g.otherwise.as_ref()) {
            Some(otherwise) => self.eval(otherwise, env).map(Some),
            None => Ok(Some(usual)),
        }
    }

    /// A static condition.
    pub(crate) fn condition(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<bool> {
        let value = self.eval(expr, env)?.plain();
        self.truth(&value, expr.span)
    }

    /// A static truth value.
    fn truth(&mut self, value: &Value<'a>, span: Span) -> Eval<bool> {
        match value {
            Value::Bool(b) => Ok(*b),
            Value::Tensor(_) | Value::Host(_) => {
                let message = "the condition is known only at run time";
                let diagnostic = Diagnostic::new(Code::E0402, span, message);
                Err(self.error(diagnostic.help("`where(c, a, b)` chooses element by element")))
            }
            other => Err(self.wrong_kind(other, "a truth value", span)),
        }
    }

    /// The elements of a static list, a range or a set of axes.
    pub(crate) fn elements(&mut self, iterable: &'a ast::Expr, env: &Env<'a>) -> Eval<Vec<Value<'a>>> {
        let value = match &iterable.kind {
            ExprKind::Tuple(_) => Value::Axes(self.axis_set(iterable, env, Naming::Old)?),
            _ => self.eval(iterable, env)?.plain(),
        };
        match value {
            Value::List(l) => Ok(l.to_vec()),
            Value::Axes(axes) => Ok(axes.into_iter().map(|a| Value::Axes(vec![a])).collect()),
            Value::Range(Some(a), Some(b)) if b.saturating_sub(a) > ROUNDS => {
                let message =
                    format!("a loop over statics is written out, and this one has more than {ROUNDS} rounds");
                let diagnostic = Diagnostic::new(Code::E0403, iterable.span, message);
                Err(self
                    .error(diagnostic.help("`scan along axis: n { … }` is one loop, whatever its extent")))
            }
            Value::Range(Some(a), Some(b)) => Ok((a..b).map(Value::Int).collect()),
            Value::Range(..) => {
                Err(self.fail(Code::E0403, iterable.span, "a loop needs both ends of its range"))
            }
            Value::Tensor(_) => {
                let diagnostic = Diagnostic::new(Code::E0406, iterable.span, "`for` runs over a static list");
                Err(self.error(diagnostic.help("`scan x in xs along axis { … }` runs along a tensor's axis")))
            }
            other => Err(self.wrong_kind(&other, "a list, a range or axes", iterable.span)),
        }
    }

    /// Binds the position and the element of a loop.
    pub(crate) fn bind_loop(
        &mut self,
        binder: &'a ast::LoopBinder,
        i: usize,
        element: Value<'a>,
        scope: &Env<'a>,
    ) -> Eval<()> {
        if let Some(index) = &binder.index {
            self.bind(scope, index, Value::Int(i as i64));
        }
        let element = Spanned { value: element, span: binder.span };
        for (name, value) in self.destructure(&binder.element, element)? {
            self.bind(scope, name, value);
        }
        Ok(())
    }

    fn comprehension(
        &mut self,
        binder: &'a ast::LoopBinder,
        iterable: &'a ast::Expr,
        body: &'a ast::Expr,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        let mut out = vec![];
        for (i, element) in self.elements(iterable, env)?.into_iter().enumerate() {
            let scope = Scope::block(env);
            self.bind_loop(binder, i, element, &scope)?;
            out.push(self.eval(body, &scope)?);
        }
        Ok(Value::list(out))
    }

    fn record(&mut self, record: &'a ast::Record, env: &Env<'a>) -> Eval<Value<'a>> {
        let scope = Scope::block(env);
        for l in &record.lets {
            self.let_statement(l, &scope)?;
        }
        let mut entries: Vec<(Arc<str>, Value<'a>)> = vec![];
        let mut failed = false;
        for entry in &record.entries {
            if let Some(first) = record.entries.iter().find(|e| e.key.text == entry.key.text)
                && first.key.span != entry.key.span
            {
                self.report(twice(&entry.key, first.key.span));
            }
            match self.eval(&entry.value, &scope) {
                Ok(value) => entries.push((entry.key.text.clone(), value)),
                Err(Failed) => failed = true,
            }
        }
        if failed { Err(Failed) } else { Ok(Value::record(entries)) }
    }

    fn range(
        &mut self,
        start: Option<&'a ast::Expr>,
        end: Option<&'a ast::Expr>,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        let start = start.map(|e| self.int(e, env)).transpose()?;
        let end = end.map(|e| self.int(e, env)).transpose()?;
        Ok(Value::Range(start, end))
    }

    /// A static whole number.
    pub(crate) fn int(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<i64> {
        match self.eval(expr, env)?.plain() {
            Value::Int(i) => Ok(i),
            Value::Tensor(_) | Value::Host(_) => Err(self.fail(
                Code::E0406,
                expr.span,
                "a static number is needed; this is known only at run time",
            )),
            other => Err(self.wrong_kind(&other, "a whole number", expr.span)),
        }
    }

    fn if_expr(
        &mut self,
        condition: &'a ast::Expr,
        then: &'a ast::Expr,
        otherwise: &'a ast::Expr,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        let chosen = self.eval(condition, env)?.plain();
        if let Value::Host(c) = &chosen
            && self.place == Context::Schedule
        {
            let (then, otherwise) = (self.spanned(then, env)?, self.spanned(otherwise, env)?);
            return self.host_if(c.clone(), &then, &otherwise);
        }
        let branch = if self.truth(&chosen, condition.span)? { then } else { otherwise };
        self.eval(branch, env)
    }

    // ------------------------------------------------------------ blocks

    /// Runs the statements in `scope` and gives the result. Independent mistakes of several statements are all
    /// reported.
    pub(crate) fn block(&mut self, block: &'a ast::Block, scope: &Env<'a>) -> Eval<Value<'a>> {
        self.statements(block, scope)?;
        match &block.result {
            Some(result) => self.eval(result, scope),
            None => Ok(Value::record(vec![])),
        }
    }

    /// Runs the statements; fails after the last one if one failed.
    pub(crate) fn statements(&mut self, block: &'a ast::Block, scope: &Env<'a>) -> Eval<()> {
        let before = self.diagnostics.len();
        let mut failed = false;
        for (position, statement) in block.statements.iter().enumerate() {
            if self.statement(statement, position as u32, scope).is_err() {
                failed = true;
                self.bind_failed(statement, scope);
            }
        }
        // What a failed statement would have bound is `Failed`: the result may still hold mistakes of its own.
        if failed && let Some(result) = &block.result {
            let _ = self.eval(result, scope);
        }
        if failed || self.diagnostics[before..].iter().any(|d| d.code == Code::E0407) {
            Err(Failed)
        } else {
            Ok(())
        }
    }

    fn bind_failed(&mut self, statement: &'a ast::Stmt, scope: &Env<'a>) {
        let fail = |name: &ast::Name| {
            if scope.find(&name.text).is_none() {
                scope.define(&name.text, Value::Failed, name.span);
            }
        };
        match &statement.kind {
            StmtKind::Let(l) => l.pattern.names().iter().for_each(fail),
            StmtKind::Param(p) => fail(&p.name),
            StmtKind::Buffer(b) => fail(&b.name),
            StmtKind::Carry(c) => fail(&c.name),
            StmtKind::SubLayer(s) => fail(&s.name),
            StmtKind::Update(u) => self.prime_failed(u, scope),
            _ => {}
        }
    }

    fn statement(&mut self, statement: &'a ast::Stmt, position: u32, scope: &Env<'a>) -> Eval<()> {
        match &statement.kind {
            StmtKind::Let(l) => self.let_statement(l, scope),
            StmtKind::Axis(a) => {
                let axis = self.axes.borrow_mut().axis(&a.name.text, &scope.owner);
                scope.define_axis(&a.name.text, vec![axis]);
                Ok(())
            }
            StmtKind::Axes(a) => {
                let mut axes = vec![];
                for axis in &a.axes {
                    axes.extend(self.axis_ref(axis, scope, Naming::Old)?);
                }
                scope.define_axis(&a.name.text, axes);
                Ok(())
            }
            StmtKind::Param(p) => self.param(p, scope),
            StmtKind::Buffer(b) => self.buffer(b, scope),
            StmtKind::Carry(c) => self.carry(c, statement.span, scope),
            StmtKind::Yield(e) => self.yield_statement(e, scope),
            StmtKind::Assert(a) => self.assertion(a, scope),
            StmtKind::Fn(f) => {
                let closure = Value::Fn(Rc::new(Closure { decl: f, env: scope.clone() }));
                self.bind(scope, &f.name, closure);
                Ok(())
            }
            StmtKind::Update(u) => self.update(u, scope),
            StmtKind::SubLayer(s) => self.sub_layer(s, position, scope),
        }
    }

    /// Binds a name; nothing shadows.
    pub(crate) fn bind(&mut self, scope: &Env<'a>, name: &ast::Name, value: Value<'a>) {
        self.note(name.span, &value);
        if let Some(first) = scope.bind(name, value) {
            self.report(twice(name, first));
        }
    }

    pub(crate) fn let_statement(&mut self, l: &'a ast::Let, scope: &Env<'a>) -> Eval<()> {
        let value = self.spanned(&l.value, scope)?;
        for (name, value) in self.destructure(&l.pattern, value)? {
            self.bind(scope, name, value);
        }
        Ok(())
    }

    /// The names of a pattern with their values.
    pub(crate) fn destructure(
        &mut self,
        pattern: &'a ast::Pattern,
        value: Spanned<'a>,
    ) -> Eval<Vec<(&'a ast::Name, Value<'a>)>> {
        let names = match pattern {
            ast::Pattern::Name(name) => return Ok(vec![(name, value.value)]),
            ast::Pattern::Tuple(names, _) => names,
        };
        match value.value.plain() {
            Value::List(l) if l.len() == names.len() => Ok(names.iter().zip(l.iter().cloned()).collect()),
            Value::List(l) => {
                let message = format!("{} names for a list of {}", names.len(), l.len());
                let diagnostic = Diagnostic::new(Code::E0403, pattern.span(), message);
                Err(self.error(diagnostic.label(value.span, format!("a list of {}", l.len()))))
            }
            Value::Record(entries) => {
                let message = "a record's entries go by their names, not by their places";
                let mut diagnostic = Diagnostic::new(Code::E0403, pattern.span(), message);
                if let Some((first, _)) = entries.first() {
                    diagnostic = diagnostic.help(format!("`let r = …`, then `r.{first}`"));
                }
                Err(self.error(diagnostic))
            }
            other => Err(self.wrong_kind(&other, "a list", value.span)),
        }
    }

    /// A static fact.
    pub(crate) fn assertion(&mut self, assert: &'a ast::Assert, scope: &Env<'a>) -> Eval<()> {
        if self.condition(&assert.condition, scope)? {
            return Ok(());
        }
        let why = assert.message.as_ref().map_or("this does not hold".to_string(), |m| m.value.to_string());
        let mut diagnostic = Diagnostic::new(Code::E0405, assert.condition.span, why);
        if let ExprKind::Binary { left, right, .. } = &assert.condition.kind {
            let literal =
                |e: &ast::Expr| matches!(e.kind, ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_));
            for side in [left, right].into_iter().filter(|e| !literal(e)) {
                if let Some(text) = self.eval(side, scope).ok().and_then(|v| show(&v)) {
                    diagnostic = diagnostic.label(side.span, text);
                }
            }
            // The labels of the sides say it; the whole needs none of its own.
            if diagnostic.labels.len() > 1 {
                diagnostic.labels.remove(0);
            }
        }
        Err(self.error(diagnostic))
    }
}
