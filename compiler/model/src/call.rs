//! Calls, pipes, indexing and members.
use crate::axis::{Naming, label_word};
use crate::elab::{Context, Elab, Eval, Failed};
use crate::scope::{Env, Scope};
use crate::value::{Closure, Layer, Rule, Spanned, Tensor, Value, show};
use crate::{arith, habits, names};
use std::rc::Rc;
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::ops::{Gather, Reduce, Reduction, Slice};
use stmc_ir::{AxisId, Op};
use stmc_syntax::ast::{self, Arg, DType, Member, Parameter, StaticType, TypeKind};

/// How deeply calls may nest: a function cannot end its own recursion, for there is nothing to count down on but
/// statics.
const MAX_CALLS: usize = 96;

/// An operand: text still to be evaluated, or a value.
#[derive(Clone)]
pub(crate) enum Operand<'a> {
    Expr(&'a ast::Expr, Env<'a>),
    Value(Spanned<'a>),
}

impl Operand<'_> {
    pub(crate) fn span(&self) -> Span {
        match self {
            Operand::Expr(e, _) => e.span,
            Operand::Value(v) => v.span,
        }
    }
}

impl<'a> Elab<'a> {
    /// An operand's value.
    pub(crate) fn operand(&mut self, operand: &Operand<'a>) -> Eval<Spanned<'a>> {
        match operand {
            Operand::Expr(e, env) => self.spanned(e, env),
            Operand::Value(v) => Ok(v.clone()),
        }
    }

    /// `callee(args)`.
    pub(crate) fn call(
        &mut self,
        callee: &'a ast::Expr,
        args: &'a [Arg],
        span: Span,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        let f = self.callee(callee, env)?;
        self.call_value(f, &[], args, env, span)
    }

    /// A name that is called is the function, even where a metric or a setting of that name is in scope.
    fn callee(&mut self, callee: &'a ast::Expr, env: &Env<'a>) -> Eval<Value<'a>> {
        if let ast::ExprKind::Name(name) = &callee.kind
            && env.find(name).is_some_and(|v| !v.applies())
        {
            return self.name(name, callee.span, &self.tops[env.unit].clone());
        }
        self.eval(callee, env)
    }

    /// `value |> stage`.
    pub(crate) fn pipe(
        &mut self,
        value: &'a ast::Expr,
        stage: &'a ast::Expr,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        let operand = match self.place {
            Context::Data => Operand::Expr(value, env.clone()),
            _ => Operand::Value(self.spanned(value, env)?),
        };
        if let ast::ExprKind::Call { callee, args } = &stage.kind {
            let f = self.callee(callee, env)?;
            return self.call_value(f, &[operand], args, env, stage.span);
        }
        let f = self.eval(stage, env)?;
        self.apply(f, operand, stage.span, env)
    }

    /// One operand through a layer, a function, or a list of them.
    pub(crate) fn apply(
        &mut self,
        f: Value<'a>,
        operand: Operand<'a>,
        span: Span,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        match f {
            Value::List(stages) => {
                let mut value = self.operand(&operand)?;
                for stage in stages.iter() {
                    value.value = self.apply(stage.clone(), Operand::Value(value.clone()), span, env)?;
                }
                Ok(value.value)
            }
            f => self.call_value(f, &[operand], &[], env, span),
        }
    }

    /// A call with operands that were piped in before its arguments.
    pub(crate) fn call_value(
        &mut self,
        f: Value<'a>,
        piped: &[Operand<'a>],
        args: &'a [Arg],
        env: &Env<'a>,
        span: Span,
    ) -> Eval<Value<'a>> {
        match f {
            Value::Fn(closure) => self.call_fn(&closure, piped, args, env, span),
            Value::Builtin(builtin) => self.call_builtin(builtin, piped, args, env, span),
            Value::LayerDecl(decl, unit) => {
                let layer = self.construct(decl, unit, args, env, span)?;
                match piped {
                    [] => Ok(Value::Layer(layer)),
                    _ => self.apply_layer(&layer, piped, &[], env, span),
                }
            }
            Value::Layer(layer) => self.apply_layer(&layer, piped, args, env, span),
            Value::Schedule(decl, unit) => self.schedule(decl, unit, args, env, span),
            Value::OptimizerDecl(decl, unit) => {
                let top = self.tops[unit].clone();
                let scope = Scope::body(&top, "");
                let settings =
                    self.bind_parameters(&decl.name, &decl.settings, &[], args, env, &scope, span)?;
                Ok(Value::Optimizer(Rc::new(Rule { decl, unit, settings })))
            }
            Value::List(_) if piped.len() + args.len() == 1 => {
                let operand = match (piped, args) {
                    ([one], _) => one.clone(),
                    (_, [one]) => Operand::Expr(&one.value, env.clone()),
                    _ => unreachable!("there is one"),
                };
                self.apply(f, operand, span, env)
            }
            other => {
                let message = format!("{} cannot be applied", other.kind());
                Err(self.fail(Code::E0403, span, message))
            }
        }
    }

    fn call_fn(
        &mut self,
        closure: &Rc<Closure<'a>>,
        piped: &[Operand<'a>],
        args: &'a [Arg],
        env: &Env<'a>,
        span: Span,
    ) -> Eval<Value<'a>> {
        let decl = closure.decl;
        self.enter(span, &decl.name)?;
        let owner = format!("{}/{}", self.path(), decl.name.text);
        let scope = Scope::body(&closure.env, &owner);
        self.calls.pop();
        self.bind_parameters(&decl.name, &decl.parameters, piped, args, env, &scope, span)?;
        self.calls.push(span);
        self.bodies.push(crate::scan::Body::Function);
        let value = self.block(&decl.body, &scope);
        self.bodies.pop();
        self.calls.pop();
        value
    }

    /// Notes a call; refuses endless recursion.
    pub(crate) fn enter(&mut self, span: Span, name: &ast::Name) -> Eval<()> {
        if self.calls.len() >= MAX_CALLS {
            return Err(self.fail(
                Code::E0411,
                span,
                format!("`{}` is applied within itself without end", name.text),
            ));
        }
        self.calls.push(span);
        Ok(())
    }

    /// Binds parameters in `scope`: piped operands first, then arguments by position or name, then defaults, which
    /// see the parameters before them.
    #[allow(clippy::too_many_arguments)] // A call has that many sides.
    pub(crate) fn bind_parameters(
        &mut self,
        callee: &ast::Name,
        parameters: &'a [Parameter],
        piped: &[Operand<'a>],
        args: &'a [Arg],
        env: &Env<'a>,
        scope: &Env<'a>,
        span: Span,
    ) -> Eval<Vec<(Arc<str>, Value<'a>)>> {
        let operands = self.match_arguments(callee, parameters, piped, args, env, span)?;
        let mut bound = vec![];
        // Every argument is looked at, for mistakes of its own.
        let mut failed = false;
        for (parameter, operand) in parameters.iter().zip(operands) {
            let value = match operand {
                Some(operand) => self.argument(parameter, &operand, scope),
                None => {
                    let default = parameter.default.as_ref().expect("missing arguments were refused");
                    // A default that does not fit here is shown at the call that relies on it.
                    self.calls.push(span);
                    let value = self.argument(parameter, &Operand::Expr(default, scope.clone()), scope);
                    self.calls.pop();
                    value
                }
            };
            let value = match value {
                Ok(value) => value,
                Err(Failed) => {
                    self.bind(scope, &parameter.name, Value::Failed);
                    failed = true;
                    continue;
                }
            };
            self.bind(scope, &parameter.name, value.clone());
            bound.push((parameter.name.text.clone(), value));
        }
        if failed { Err(Failed) } else { Ok(bound) }
    }

    /// Which operand belongs to which parameter. `None`: its default.
    pub(crate) fn match_arguments(
        &mut self,
        callee: &ast::Name,
        parameters: &'a [Parameter],
        piped: &[Operand<'a>],
        args: &'a [Arg],
        env: &Env<'a>,
        span: Span,
    ) -> Eval<Vec<Option<Operand<'a>>>> {
        let mut operands: Vec<Option<Operand<'a>>> = vec![None; parameters.len()];
        let mut next = 0;
        for operand in piped {
            self.place_operand(callee, parameters, &mut operands, next, operand.clone())?;
            next += 1;
        }
        for arg in args {
            let operand = Operand::Expr(&arg.value, env.clone());
            let Some(label) = &arg.label else {
                self.place_operand(callee, parameters, &mut operands, next, operand)?;
                next += 1;
                continue;
            };
            let word = label_word(label);
            let found = parameters.iter().position(|p| Some(&p.name.text) == word.as_ref());
            match found {
                Some(i) => self.place_operand(callee, parameters, &mut operands, i, operand)?,
                None => return Err(self.no_parameter(callee, parameters, label)),
            }
        }
        for (parameter, operand) in parameters.iter().zip(&operands) {
            if operand.is_none() && parameter.default.is_none() {
                let message = format!("`{}` lacks its argument `{}`", callee.text, parameter.name.text);
                let names = names::listed(parameters.iter().map(|p| &*p.name.text));
                let diagnostic = Diagnostic::new(Code::E0404, span, message);
                return Err(self.error(match parameters {
                    [_] => diagnostic,
                    _ => diagnostic.help(format!("its arguments are {names}")),
                }));
            }
        }
        Ok(operands)
    }

    fn place_operand(
        &mut self,
        callee: &ast::Name,
        parameters: &[Parameter],
        operands: &mut [Option<Operand<'a>>],
        i: usize,
        operand: Operand<'a>,
    ) -> Eval<()> {
        let span = operand.span();
        match operands.get_mut(i) {
            Some(slot @ None) => {
                *slot = Some(operand);
                Ok(())
            }
            Some(Some(_)) => {
                let message = format!("the argument `{}` is given twice", parameters[i].name.text);
                Err(self.fail(Code::E0404, span, message))
            }
            None => {
                let names = names::listed(parameters.iter().map(|p| &*p.name.text));
                let message = match parameters.len() {
                    0 => format!("`{}` takes no arguments", callee.text),
                    1 => format!("`{}` takes one argument: {names}", callee.text),
                    n => format!("`{}` takes {n} arguments at most: {names}", callee.text),
                };
                Err(self.fail(Code::E0404, span, message))
            }
        }
    }

    fn no_parameter(&mut self, callee: &ast::Name, parameters: &[Parameter], label: &ast::AxisRef) -> Failed {
        let word = label_word(label).unwrap_or_else(|| "taps".into());
        let message = format!("`{}` has no argument `{word}`", callee.text);
        let diagnostic = Diagnostic::new(Code::E0404, label.span, message);
        let names = parameters.iter().map(|p| &*p.name.text);
        self.error(habits::instead(diagnostic, &word, label.span, names))
    }

    /// An argument as its parameter's type wants it.
    fn argument(
        &mut self,
        parameter: &'a Parameter,
        operand: &Operand<'a>,
        scope: &Env<'a>,
    ) -> Eval<Value<'a>> {
        let Some(ty) = &parameter.ty else {
            return match (self.place, operand) {
                (Context::Data, Operand::Expr(e, env)) => Ok(Value::Lazy(e, env.clone())),
                _ => Ok(self.operand(operand)?.value),
            };
        };
        if let (TypeKind::Static(StaticType::Axis | StaticType::Axes), Operand::Expr(e, env)) =
            (&ty.kind, operand)
        {
            let axes = self.axis_set(e, env, Naming::Old)?;
            let value = Spanned { value: Value::Axes(axes), span: e.span };
            return self.coerce(value, ty, &parameter.name.text, scope);
        }
        if let (TypeKind::Static(StaticType::Series), Operand::Expr(e, env)) = (&ty.kind, operand) {
            return self.series(e, env);
        }
        let value = self.operand(operand)?;
        let span = value.span;
        let value = self.coerce(value, ty, &parameter.name.text, scope)?;
        let Some(domain) = &parameter.domain else { return Ok(value) };
        let allowed = self.eval(domain, scope)?;
        if let Value::List(allowed) = &allowed
            && !allowed.iter().any(|v| arith::equal(v, &value) == Some(true))
        {
            let shown: Vec<String> = allowed.iter().filter_map(show).collect();
            let message = format!("`{}` is one of {}", parameter.name.text, shown.join(", "));
            return Err(self.fail(Code::E0404, span, message));
        }
        Ok(value)
    }

    /// A static value as a declared type wants it.
    pub(crate) fn coerce(
        &mut self,
        value: Spanned<'a>,
        ty: &'a ast::Type,
        name: &str,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        let span = value.span;
        let value = value.value.plain();
        let wanted = match (&ty.kind, &value) {
            (TypeKind::Static(kind), _) => match self.coerce_static(*kind, &value, span)? {
                Some(value) => return Ok(value),
                None => format!("`{}`", kind.text()),
            },
            (TypeKind::Tensor { dtype: Some(DType::Bool), shape: None, .. }, Value::Bool(_)) => {
                return Ok(value);
            }
            (TypeKind::Tensor { dtype: Some(DType::Bool), shape: None, .. }, Value::Tensor(_)) => {
                return Ok(value);
            }
            (TypeKind::Tensor { dtype: Some(DType::Bool), shape: None, .. }, _) => "`bool`".into(),
            (TypeKind::Tensor { .. } | TypeKind::Record(_), _) => return Ok(value),
            (TypeKind::List(inner), Value::List(elements)) => {
                let mut out = vec![];
                for e in elements.iter() {
                    out.push(self.coerce(Spanned { value: e.clone(), span }, inner, name, env)?);
                }
                return Ok(Value::list(out));
            }
            (TypeKind::List(_), _) => "a list".into(),
            (TypeKind::Each(_), Value::Record(entries)) => return self.by_axis(entries, span, env),
            (TypeKind::Each(_), Value::ByAxis(_)) => return Ok(value),
            (TypeKind::Each(inner), _) => return self.coerce(Spanned { value, span }, inner, name, env),
        };
        let message = format!("`{name}` takes {wanted}, this is {}", value.kind());
        let diagnostic = Diagnostic::new(Code::E0403, span, message);
        // `Linear(3, 4)`
        Err(self.error(match (&ty.kind, &value) {
            (TypeKind::Tensor { dtype: Some(DType::Bool), .. }, Value::Int(_)) => diagnostic.help(
                "write `true` or `false`; a layer is told what it makes, what comes in is read off the tensor",
            ),
            (TypeKind::Static(StaticType::Int), Value::Float(x)) if x.fract() == 0.0 => {
                diagnostic.help(format!("a whole number has no point: `{x}`"))
            }
            (TypeKind::Static(StaticType::Int | StaticType::Float | StaticType::Rate), Value::Str(text))
                if text.parse::<f64>().is_ok() =>
            {
                diagnostic.help(format!("a number has no quotes: `{text}`"))
            }
            (TypeKind::Static(StaticType::Int | StaticType::Float), Value::List(_)) => {
                diagnostic.help("each value of a list: `[for x in list => …]`; by axis: `{ row: 3, col: 3 }`")
            }
            (TypeKind::Static(StaticType::Rate), Value::Schedule(decl, _)) => {
                diagnostic.help(format!("with its settings: `{}(…)`", decl.name.text))
            }
            (TypeKind::List(_), value) if value.number().is_some() => diagnostic.help("a list has brackets: `[8]`"),
            _ => diagnostic,
        }))
    }

    /// `None`: the value is not of the type.
    fn coerce_static(&mut self, kind: StaticType, value: &Value<'a>, span: Span) -> Eval<Option<Value<'a>>> {
        let same = Some(value.clone());
        Ok(match (kind, value) {
            (StaticType::Int, Value::Int(_)) => same,
            (StaticType::Int, Value::ByAxis(_)) => same,
            (StaticType::Float, Value::Int(i)) => Some(Value::Float(*i as f64)),
            (StaticType::Float, Value::Float(_) | Value::Percent(_)) => same,
            // A schedule is usable as any scalar.
            (StaticType::Float | StaticType::Rate, Value::Host(_)) => same,
            (StaticType::Rate, v) if v.number().is_some() => {
                Some(Value::Float(v.number().expect("it is one")))
            }
            (StaticType::String, Value::Str(_)) => same,
            (StaticType::Date, Value::Date(..)) => same,
            (StaticType::Axis, Value::Axes(axes)) => {
                self.single(axes, span)?;
                same
            }
            (StaticType::Axes, Value::Axes(_)) => same,
            (StaticType::Duration, Value::Percent(p)) => match self.length {
                Some(length) => Some(Value::Float(p * length.steps as f64)),
                None => same,
            },
            // A duration in steps is a number once the run's length is known.
            (StaticType::Duration, Value::Float(_) | Value::Host(_) | Value::Quantity(..)) => same,
            (StaticType::Duration, Value::Int(i)) => {
                let diagnostic =
                    Diagnostic::new(Code::E0403, span, format!("{i} of what? a duration has a unit"));
                return Err(self.error(diagnostic.help(format!("`{i} epochs`, `{i} steps`"))));
            }
            (StaticType::Layer, Value::Layer(_) | Value::List(_) | Value::Fn(_) | Value::Builtin(_)) => same,
            (StaticType::Layer, Value::LayerDecl(decl, unit)) => {
                let env = self.tops[*unit].clone();
                Some(Value::Layer(self.construct(decl, *unit, &[], &env, span)?))
            }
            (StaticType::Fn, Value::Fn(_) | Value::Builtin(_) | Value::Layer(_) | Value::LayerDecl(..)) => {
                same
            }
            (StaticType::Record, Value::Record(_)) => same,
            _ => None,
        })
    }

    /// `{ lat: 3, lon: 1 }` by the axes that its keys name.
    fn by_axis(&mut self, entries: &[(Arc<str>, Value<'a>)], span: Span, env: &Env<'a>) -> Eval<Value<'a>> {
        let mut by = vec![];
        for (name, value) in entries {
            let name = ast::Name { text: name.clone(), span };
            for axis in self.axis_word(&name, env, Naming::Old)? {
                by.push((axis, value.clone()));
            }
        }
        Ok(Value::ByAxis(Rc::new(by)))
    }

    /// A layer with its settings.
    pub(crate) fn construct(
        &mut self,
        decl: &'a ast::LayerDecl,
        unit: usize,
        args: &'a [Arg],
        env: &Env<'a>,
        span: Span,
    ) -> Eval<Rc<Layer<'a>>> {
        let top = self.tops[unit].clone();
        let scope = Scope::body(&top, &self.path());
        let settings = self.bind_parameters(&decl.name, &decl.settings, &[], args, env, &scope, span)?;
        Ok(Rc::new(Layer { decl, unit, settings, overrides: vec![], place: None }))
    }

    // ------------------------------------------------------------ indexing

    /// `base[args]`.
    pub(crate) fn index_expr(
        &mut self,
        base: &'a ast::Expr,
        args: &'a [Arg],
        span: Span,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        if self.place == Context::Data {
            return self.data_index(base, args, span, env);
        }
        match self.eval(base, env)?.plain() {
            Value::List(list) => self.index_list(&list, args, span, env),
            Value::Tensor(t) => self.index_tensor(t, args, env).map(Value::Tensor),
            other => {
                let message = format!("{} cannot be indexed", other.kind());
                Err(self.fail(Code::E0403, base.span, message))
            }
        }
    }

    /// `run[-1]`, `list[1 .. 3]`.
    pub(crate) fn index_list(
        &mut self,
        list: &[Value<'a>],
        args: &'a [Arg],
        span: Span,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        let [Arg { label: None, value, .. }] = args else {
            return Err(self.fail(Code::E0404, span, "a list is indexed by one number"));
        };
        match self.eval(value, env)? {
            Value::Int(i) => {
                let at = self.position(i, list.len(), "the list", value.span)?;
                Ok(list[at].clone())
            }
            Value::Range(a, b) => {
                let (start, len) = self.bounds((a, b), list.len(), "the list", value.span)?;
                Ok(Value::list(list[start..start + len].to_vec()))
            }
            other => Err(self.wrong_kind(&other, "a whole number", value.span)),
        }
    }

    /// `x[time: -1, row: 0 .. 2]`.
    pub(crate) fn index_tensor(
        &mut self,
        mut tensor: Tensor,
        args: &'a [Arg],
        env: &Env<'a>,
    ) -> Eval<Tensor> {
        for arg in args {
            let Some(label) = &arg.label else {
                let diagnostic =
                    Diagnostic::new(Code::E0404, arg.span, "which axis? a tensor's axes have no order");
                return Err(self.error(diagnostic.help("`x[time: 0]`")));
            };
            let at = self.spanned(&arg.value, env)?;
            for axis in self.axis_ref(label, env, Naming::Old)? {
                tensor = self.index_axis(tensor, axis, &at, label.span)?;
            }
        }
        Ok(tensor)
    }

    /// `x[axis: at]`.
    pub(crate) fn index_axis(
        &mut self,
        tensor: Tensor,
        axis: AxisId,
        at: &Spanned<'a>,
        span: Span,
    ) -> Eval<Tensor> {
        let extent = self.extent(tensor, axis, span)?;
        let name = format!("`{}`", self.axis_name(axis));
        match at.value.clone().plain() {
            Value::Int(i) => {
                let start = self.position(i, extent, &name, at.span)?;
                let slice = self.emit(Op::Slice(Slice::range(axis, start, 1)), &[tensor], at.span)?;
                // A sum over one step drops the axis.
                self.drop_axis(slice, axis, at.span)
            }
            Value::Range(a, b) => {
                let (start, len) = self.bounds((a, b), extent, &name, at.span)?;
                if len == extent {
                    return Ok(tensor);
                }
                self.emit(Op::Slice(Slice::range(axis, start, len)), &[tensor], at.span)
            }
            Value::Tensor(i) => self.look_up(tensor, axis, i, at.span),
            other => Err(self.wrong_kind(&other, "a whole number, a range or an i32 tensor", at.span)),
        }
    }

    /// `x[axis: i]` with a tensor of indices.
    fn look_up(&mut self, tensor: Tensor, axis: AxisId, index: Tensor, span: Span) -> Eval<Tensor> {
        let dtype = self.ty(index).dtype;
        if dtype == stmc_ir::DType::I32 {
            return self.emit(Op::Gather(Gather { axis }), &[tensor, index], span);
        }
        let message = format!("an index is i32, this is {}", dtype.name());
        let help = match dtype {
            stmc_ir::DType::Bool => "`i32(x)` is 1 where it holds",
            _ => "`i32(round(i))` is the nearest step; `interpolate` looks between steps",
        };
        Err(self.error(Diagnostic::new(Code::E0408, span, message).help(help)))
    }

    /// Removes an axis of extent 1.
    pub(crate) fn drop_axis(&mut self, tensor: Tensor, axis: AxisId, span: Span) -> Eval<Tensor> {
        let kind =
            if self.ty(tensor).dtype == stmc_ir::DType::Bool { Reduction::Max } else { Reduction::Sum };
        self.emit(Op::Reduce(Reduce::new(kind, &[axis])), &[tensor], span)
    }

    /// A static position; negative ones count from the end.
    fn position(&mut self, i: i64, extent: usize, what: &str, span: Span) -> Eval<usize> {
        let n = extent as i64;
        if (-n..n).contains(&i) {
            return Ok(if i < 0 { i + n } else { i } as usize);
        }
        let message = format!("{i} is out of range: {what} has {extent} steps, counted from 0");
        let help = format!("the last is {}, or -1", extent - 1);
        Err(self.error(Diagnostic::new(Code::E0208, span, message).help(help)))
    }

    /// Start and length of a static range.
    pub(crate) fn bounds(
        &mut self,
        range: (Option<i64>, Option<i64>),
        extent: usize,
        what: &str,
        span: Span,
    ) -> Eval<(usize, usize)> {
        let n = extent as i64;
        let from_end = |i: i64| if i < 0 { i + n } else { i };
        let (start, end) = (from_end(range.0.unwrap_or(0)), from_end(range.1.unwrap_or(n)));
        if start < 0 || end > n {
            let message = format!("{start} .. {end} leaves {what}, which has {extent} steps");
            let help = format!("all of it is `0 .. {extent}`");
            return Err(self.error(Diagnostic::new(Code::E0208, span, message).help(help)));
        }
        if start >= end {
            return Err(self.fail(
                Code::E0208,
                span,
                format!("{start} .. {end} is empty: ends are exclusive"),
            ));
        }
        Ok((start as usize, (end - start) as usize))
    }

    // ------------------------------------------------------------ members

    /// `base.member`.
    pub(crate) fn member(
        &mut self,
        base: &'a ast::Expr,
        member: &'a Member,
        span: Span,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        let value = match &base.kind {
            // A tuple or alias of axes: `over.0`.
            ast::ExprKind::Name(name) if env.find(name).is_none() && env.find_axes(name).is_some() => {
                Value::Axes(env.find_axes(name).expect("it was found"))
            }
            // What is static of a field needs no reading.
            ast::ExprKind::Name(name) if matches!(env.find(name), Some(Value::Field(_))) => {
                env.find(name).expect("it was found")
            }
            _ => self.eval(base, env)?,
        };
        match member {
            Member::Position(n, at) => self.nth(&value.plain(), *n, *at),
            Member::Name(name) => self.named(value, name, span, env),
        }
    }

    fn nth(&mut self, value: &Value<'a>, n: u32, span: Span) -> Eval<Value<'a>> {
        let n = n as usize;
        let (found, count) = match value {
            Value::List(l) => (l.get(n).cloned(), l.len()),
            Value::Axes(axes) => (axes.get(n).map(|a| Value::Axes(vec![*a])), axes.len()),
            Value::ByAxis(by) => (by.get(n).map(|(_, v)| v.clone()), by.len()),
            other => return Err(self.wrong_kind(other, "a list", span)),
        };
        match found {
            Some(value) => Ok(value),
            None => Err(self.fail(Code::E0208, span, format!("there are {count} elements, counted from 0"))),
        }
    }

    fn named(&mut self, value: Value<'a>, name: &ast::Name, span: Span, env: &Env<'a>) -> Eval<Value<'a>> {
        match value {
            Value::Run(run) => match self.run_member(&run, name) {
                Some(value) => Ok(value),
                None if run.yields.is_some() => self.named(Value::Run(run).plain(), name, span, env),
                None => {
                    Err(self.fail(Code::E0401, name.span, format!("the loop has no carry `{}`", name.text)))
                }
            },
            Value::Record(entries) => match entries.iter().find(|(n, _)| *n == name.text) {
                Some((_, Value::Lazy(expr, inner))) => self.lazily(expr, inner),
                Some((_, value)) => Ok(value.clone()),
                None => {
                    let message = format!("there is no `{}` here", name.text);
                    let diagnostic = Diagnostic::new(Code::E0401, name.span, message);
                    let known = entries.iter().map(|(n, _)| n.as_ref());
                    let help = names::near_or_all(&name.text, "the record has", known);
                    Err(self.error(diagnostic.help_at(name.span, help)))
                }
            },
            Value::Module(unit) => {
                let binding = self.resolved.units[unit].names.get(&name.text).copied();
                match binding {
                    Some(_) => self.name(&name.text, name.span, &self.tops[unit].clone()),
                    None => {
                        Err(self.fail(Code::E0401, name.span, format!("the module has no `{}`", name.text)))
                    }
                }
            }
            Value::Tensor(tensor) => self.extents(tensor, name, span, env),
            Value::Data => self.field_of_data(name),
            Value::Field(field) => self.fact_of_field(field, name),
            v @ (Value::Int(_) | Value::Float(_) | Value::ByAxis(_)) if self.is_axis(&name.text, env) => {
                let axes = self.axis_word(name, env, Naming::Old)?;
                let axis = self.single(&axes, name.span)?;
                self.for_axis(&v, axis, name.span)
            }
            other => {
                let message = format!("{} has no `{}`", other.kind(), name.text);
                let diagnostic = Diagnostic::new(Code::E0403, name.span, message);
                Err(self.error(match other {
                    Value::Layer(_) | Value::LayerDecl(..) => {
                        diagnostic.help("a layer is applied: `x |> layer`")
                    }
                    _ => diagnostic,
                }))
            }
        }
    }

    /// `x.channel`: an extent; of an alias, one for each axis.
    fn extents(&mut self, tensor: Tensor, name: &ast::Name, span: Span, env: &Env<'a>) -> Eval<Value<'a>> {
        if let Some(help) = habits::of_member(&name.text).filter(|_| !self.is_axis(&name.text, env)) {
            let message = format!("a tensor has no `{}`", name.text);
            return Err(self.error(Diagnostic::new(Code::E0104, name.span, message).help(help)));
        }
        let axes = self.axis_word(name, env, Naming::Old)?;
        let mut by = vec![];
        for axis in axes {
            by.push((axis, Value::Int(self.extent(tensor, axis, span)? as i64)));
        }
        Ok(if by.len() == 1 { by.remove(0).1 } else { Value::ByAxis(Rc::new(by)) })
    }
}
