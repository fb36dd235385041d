//! The data block: sources, fields, samples, splits; and what a sample's part reads.
//!
//! Expressions of the block are evaluated where they are used, under the index that stands around them: a field becomes
//! a slab of just what is read, and what is pointwise becomes nodes over slabs.
use crate::axis::Naming;
use crate::builtins::Builtin;
use crate::elab::{Context, Elab, Eval, Failed};
use crate::fit::{Fitted, as_streamed};
use crate::names;
use crate::resolve::Resolved;
use crate::scope::{Env, Scope};
use crate::settings::Settings;
use crate::value::{Tensor, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Schema, Span};
use stmc_ir::data::{Binder, DataPlan, Field, FieldOrigin, Part, Slab, SlabRange, SourceSpec};
use stmc_ir::host::{HostBinary, HostUnary};
use stmc_ir::module::InputRole;
use stmc_ir::{AxisId, DType, Dim, HostExpr, Type};
use stmc_syntax::ast::{self, DataKind, ExprKind};

/// The block being read.
pub(crate) struct DataState<'a> {
    /// Complete but for slabs and fits while it is made; given afterwards.
    pub plan: DataPlan,
    pub decl: &'a ast::DataDecl,
    /// Fields and `let`s.
    pub env: Env<'a>,
    /// Indices around the expression being evaluated.
    pub index: Vec<Indexed>,
    pub fits: Vec<Fitted>,
    /// Slabs of the fit being elaborated.
    pub fit_slabs: Vec<Slab>,
    /// The axis that a fit streams. `None`: samples are read.
    pub stream: Option<AxisId>,
    /// Whose positions the split tells apart.
    pub split_axis: String,
    /// Samples per run.
    pub batch: usize,
}

/// An index around an expression.
pub(crate) struct Indexed {
    axis: AxisId,
    at: At,
    span: Span,
    used: bool,
}

/// Positions along an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// A sample variable plus a number.
    Binder(usize, i64),
    /// `t - 12 .. t`: binder, first, length.
    Span(usize, i64, usize),
    Fixed(i64),
    Range(Option<i64>, Option<i64>),
}

// ---------------------------------------------------------------- sources

/// The `from` lines, their settings evaluated.
pub(crate) fn sources<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<Vec<SourceSpec>> {
    let mut specs = vec![];
    let mut failed = false;
    let settings: &'a Settings = elab.settings;
    let set = |name: String| settings.set.get(&name);
    let written = decl.statements.iter().filter_map(|s| match &s.kind {
        DataKind::From(expr) => Some(expr),
        _ => None,
    });
    for (n, written) in written.enumerate() {
        // `DATA.from` is the first source.
        let first = || set(format!("{}.from", decl.name.text)).filter(|_| n == 0);
        let expr = set(format!("{}.from.{n}", decl.name.text)).or_else(first).unwrap_or(written);
        match source(elab, expr) {
            Ok(spec) => specs.push(spec),
            Err(Failed) => failed = true,
        }
    }
    if specs.is_empty() && !failed {
        let message = format!("`{}` has no `from`", decl.name.text);
        let diagnostic = Diagnostic::new(Code::E0905, decl.name.span, message);
        return Err(
            elab.error(diagnostic.help("`from \"folder/*.npy\"`, or a generator: `from storms(size: 32)`"))
        );
    }
    if failed { Err(Failed) } else { Ok(specs) }
}

fn source<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<SourceSpec> {
    match &expr.kind {
        ExprKind::Str(path) => Ok(SourceSpec::File { path: path.to_string(), span: expr.span }),
        ExprKind::Call { callee, args } => {
            let Some(name) = callee.name() else {
                return Err(elab.fail(Code::E0905, expr.span, "a source is a path or a generator"));
            };
            let top = elab.tops[0].clone();
            let mut numbers = BTreeMap::new();
            for arg in args {
                let Some(label) = arg.label.as_ref().and_then(|l| l.word()) else {
                    return Err(elab.fail(
                        Code::E0905,
                        arg.span,
                        "a generator's arguments have names: `size: 32`",
                    ));
                };
                match elab.eval(&arg.value, &top)?.scalar() {
                    Some(x) => numbers.insert(label.text.to_string(), x),
                    None => return Err(elab.fail(Code::E0905, arg.value.span, "a number is needed here")),
                };
            }
            Ok(SourceSpec::Generator { name: name.text.to_string(), args: numbers, span: expr.span })
        }
        _ => Err(elab.fail(
            Code::E0905,
            expr.span,
            "a source is a path in quotes or a generator: `storms(size: 32)`",
        )),
    }
}

// ---------------------------------------------------------------- plan

/// Binds the fields, reads the sample's parts once, and evaluates the split.
pub(crate) fn plan<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl, schema: &Schema) -> Eval<()> {
    let mut plan =
        DataPlan { name: decl.name.text.to_string(), sources: sources(elab, decl)?, ..DataPlan::default() };
    let mut failed = false;
    let mut current: Option<usize> = None;
    for statement in &decl.statements {
        match &statement.kind {
            DataKind::From(_) => current = Some(current.map_or(0, |c| c + 1)),
            DataKind::Field(f) => match bind_field(elab, f, current, schema) {
                Ok(field) => plan.fields.push(field),
                Err(Failed) => failed = true,
            },
            DataKind::Let(l) if matches!(l.pattern, ast::Pattern::Tuple(..)) => {
                elab.unbuilt(l.pattern.span(), "several names for one expression of the data");
                failed = true;
            }
            DataKind::Balance { method, .. } => {
                elab.unbuilt(method.span, "`balance`");
                failed = true;
            }
            _ => {}
        }
    }
    if failed {
        return Err(Failed);
    }
    open(elab, decl, plan);
    sample_binders(elab, decl)?;
    split(elab, decl)?;
    augment(elab, decl)?;
    for (name, _) in sample_parts(decl) {
        failed |= elab.sample_part(&name).is_err();
    }
    failed |= assertions(elab, decl).is_err();
    let data = elab.open_data_mut();
    for (i, fitted) in data.fits.iter().enumerate() {
        data.plan.fits[i].slabs = fitted.slabs.clone();
    }
    if failed { Err(Failed) } else { Ok(()) }
}

/// Begins to read a block whose plan has its fields.
pub(crate) fn open<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl, plan: DataPlan) {
    let env = Scope::body(&elab.tops[0].clone(), "");
    for (i, field) in plan.fields.iter().enumerate() {
        if matches!(field.origin, FieldOrigin::Source { .. }) {
            env.define(&field.name, Value::Field(i), field.span);
        }
    }
    for statement in &decl.statements {
        if let DataKind::Let(l) = &statement.kind {
            for name in l.pattern.names() {
                env.define(&name.text, Value::Lazy(&l.value, env.clone()), name.span);
            }
        }
    }
    let split_axis = split_axis(decl, elab.resolved);
    elab.data = Some(DataState {
        plan,
        decl,
        env,
        index: vec![],
        fits: vec![],
        fit_slabs: vec![],
        stream: None,
        split_axis,
        batch: 1,
    });
}

fn assertions<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<()> {
    let env = elab.open_data().env.clone();
    for statement in &decl.statements {
        if let DataKind::Assert(a) = &statement.kind {
            let outer = std::mem::replace(&mut elab.place, Context::Data);
            let result = elab.assertion(a, &env);
            elab.place = outer;
            result?;
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- fields

fn bind_field<'a>(
    elab: &mut Elab<'a>,
    field: &'a ast::Field,
    current: Option<usize>,
    schema: &Schema,
) -> Eval<Field> {
    let Some(source) = current else {
        return Err(elab.fail(Code::E0905, field.name.span, "a field belongs to the `from` before it"));
    };
    if let Some(missing) = &field.missing {
        return Err(elab.unbuilt(missing.span, "a number that stands for missing values"));
    }
    let variable = field_variable(elab, field)?;
    let source_schema = schema.sources.get(source).cloned().unwrap_or_default();
    let variables = &source_schema.variables;
    let found = match variables.as_slice() {
        // Formats without names have one variable.
        [only] if only.name.is_empty() => Some(only),
        _ => variables.iter().find(|v| v.name == *variable),
    };
    let Some(found) = found else {
        let names: Vec<&str> = variables.iter().map(|v| v.name.as_str()).collect();
        let message = format!("{} has no variable `{variable}`", source_schema.origin);
        let diagnostic = Diagnostic::new(Code::E0901, field.name.span, message);
        return Err(elab.error(diagnostic.help(names::near_or_all(&variable, "it has", names))));
    };
    let (dtype, axes) = field_type(elab, field, found)?;
    Ok(Field {
        name: field.name.text.to_string(),
        origin: FieldOrigin::Source { source, variable: found.name.clone() },
        dtype,
        axes,
        unit: field.unit.as_ref().map(|u| u.value.to_string()).or_else(|| found.unit.clone()),
        span: field.name.span,
    })
}

/// The variable that a field is read from: its own name, or the one in quotes.
fn field_variable<'a>(elab: &mut Elab<'a>, field: &'a ast::Field) -> Eval<Arc<str>> {
    match field.source.as_ref().map(|s| (&s.kind, s.span)) {
        None => Ok(field.name.text.clone()),
        Some((ExprKind::Str(name), _)) => Ok(name.clone()),
        Some((_, span)) => Err(elab.unbuilt(span, "a field that is not a variable by its name")),
    }
}

fn field_type<'a>(
    elab: &mut Elab<'a>,
    field: &'a ast::Field,
    variable: &stmc_base::schema::Variable,
) -> Eval<(DType, Vec<(String, usize)>)> {
    let ast::TypeKind::Tensor { dtype, missing, shape } = &field.ty.kind else {
        return Err(elab.fail(
            Code::E0902,
            field.ty.span,
            "a field has a tensor's type: `f32[time, row, col]`",
        ));
    };
    if *missing {
        return Err(elab.unbuilt(field.ty.span, "a field with missing values"));
    }
    let dtype = match dtype {
        None | Some(ast::DType::F32) => DType::F32,
        Some(ast::DType::I32) => DType::I32,
        Some(other) => {
            return Err(elab.unbuilt(field.ty.span, &format!("a field of the type `{}`", other.text())));
        }
    };
    let mut declared = vec![];
    for dim in shape.as_deref().unwrap_or_default() {
        let Some(word) = dim.axis.word() else {
            return Err(elab.fail(Code::E0902, dim.span, "a field's axes are plain names"));
        };
        let extent = match &dim.extent {
            ast::Extent::Expr(e) => {
                let axis = elab.program_axis(&word.text);
                let top = elab.tops[0].clone();
                Some(elab.axis_extent(e, axis, &top)?)
            }
            _ => None,
        };
        declared.push((word.text.to_string(), extent, dim.span));
    }
    let names: Vec<&str> = variable.axes.iter().map(|a| a.name.as_str()).collect();
    let listed: Vec<String> = variable.axes.iter().map(|a| format!("{}: {}", a.name, a.extent)).collect();
    if declared.len() != variable.axes.len() {
        let message = format!(
            "`{}` has {} axes in the data, but {} are declared",
            field.name.text,
            variable.axes.len(),
            declared.len()
        );
        return Err(elab.error(
            Diagnostic::new(Code::E0902, field.ty.span, message)
                .help(format!("the data have [{}]", listed.join(", "))),
        ));
    }
    let by_order = names.iter().all(|n| n.is_empty());
    let mut axes = vec![];
    for (i, on_disk) in variable.axes.iter().enumerate() {
        let found =
            if by_order { declared.get(i) } else { declared.iter().find(|(n, _, _)| *n == on_disk.name) };
        let Some((name, extent, span)) = found else {
            let message = format!("the data have the axis `{}`, which is not declared", on_disk.name);
            let help = format!("the data have [{}]", listed.join(", "));
            return Err(elab.error(Diagnostic::new(Code::E0902, field.ty.span, message).help(help)));
        };
        if let Some(extent) = extent.filter(|e| *e != on_disk.extent) {
            let message = format!("`{name}` is {} in the data, but {extent} is declared", on_disk.extent);
            return Err(elab.fail(Code::E0902, *span, message));
        }
        axes.push((name.clone(), on_disk.extent));
    }
    Ok((dtype, axes))
}

// ---------------------------------------------------------------- samples

fn sample(decl: &ast::DataDecl) -> Option<&ast::Sample> {
    decl.statements.iter().find_map(|s| match &s.kind {
        DataKind::Sample(sample) => Some(sample),
        _ => None,
    })
}

/// The parts of a sample, in order.
pub(crate) fn sample_parts(decl: &ast::DataDecl) -> Vec<(Arc<str>, &ast::Expr)> {
    sample(decl).map_or(vec![], |s| s.parts.entries.iter().map(|e| (e.key.text.clone(), &e.value)).collect())
}

fn sample_binders<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<()> {
    let Some(sample) = sample(decl) else {
        let message = format!("`{}` has no `sample`", decl.name.text);
        return Err(elab.fail(Code::E0905, decl.name.span, message));
    };
    if let Some(condition) = &sample.condition {
        return Err(elab.unbuilt(condition.span, "a condition on samples"));
    }
    for binder in &sample.binders {
        let env = elab.open_data().env.clone();
        let axis = elab.one_axis(&binder.over, &env, Naming::Old)?;
        let name = elab.axis_name(axis);
        let plan = &elab.open_data().plan;
        let extent = plan.fields.iter().flat_map(|f| &f.axes).find(|(n, _)| *n == name).map(|(_, e)| *e);
        let Some(stop) = extent else {
            let message = format!("no field has the axis `{name}`");
            return Err(elab.fail(Code::E0203, binder.over.span, message));
        };
        let step = match &binder.step {
            None => 1,
            Some(e) => elab.int(e, &env)?,
        };
        if step < 1 {
            return Err(elab.fail(Code::E0905, binder.span, "a step is at least 1"));
        }
        let plan = &mut elab.open_data_mut().plan;
        plan.binders.push(Binder {
            name: binder.name.text.to_string(),
            axis: name,
            start: 0,
            stop,
            step: step as usize,
        });
    }
    Ok(())
}

/// Flips of training samples.
fn augment<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<()> {
    for statement in &decl.statements {
        let DataKind::Augment(calls) = &statement.kind else { continue };
        for call in calls {
            let ExprKind::Call { callee, args } = &call.kind else {
                return Err(elab.fail(Code::E0905, call.span, "an augmentation is called: `flip(row)`"));
            };
            match callee.name() {
                Some(name) if &*name.text == "flip" => {}
                _ => return Err(elab.unbuilt(callee.span, "an augmentation other than `flip`")),
            }
            for arg in args {
                let env = elab.open_data().env.clone();
                for axis in elab.axis_set(&arg.value, &env, Naming::Old)? {
                    let name = elab.axis_name(axis);
                    elab.open_data_mut().plan.flips.push(name);
                }
            }
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- split

/// The axis whose positions the split tells apart: the first that a predicate names, else the first sample variable's.
fn split_axis(decl: &ast::DataDecl, resolved: &Resolved) -> String {
    let mut found = None;
    for statement in &decl.statements {
        if let DataKind::Split(record) = &statement.kind {
            for entry in &record.entries {
                find_axis(&entry.value, resolved, &mut found);
            }
        }
    }
    let first = || {
        sample(decl).and_then(|s| s.binders.first()).and_then(|b| b.over.name()).map(|n| n.text.to_string())
    };
    found.or_else(first).unwrap_or_else(|| "batch".into())
}

fn find_axis(expr: &ast::Expr, resolved: &Resolved, found: &mut Option<String>) {
    if found.is_some() {
        return;
    }
    match &expr.kind {
        ExprKind::Name(name) if resolved.axes.contains_key(name) => *found = Some(name.to_string()),
        ExprKind::Binary { left, right, .. } => {
            find_axis(left, resolved, found);
            find_axis(right, resolved, found);
        }
        ExprKind::Unary { operand, .. } => find_axis(operand, resolved, found),
        ExprKind::Call { args, .. } => args.iter().for_each(|a| find_axis(&a.value, resolved, found)),
        _ => {}
    }
}

fn split<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<()> {
    let record = decl.statements.iter().find_map(|s| match &s.kind {
        DataKind::Split(record) => Some(record),
        _ => None,
    });
    let Some(record) = record else {
        let message = format!("`{}` has no `split`", decl.name.text);
        let diagnostic = Diagnostic::new(Code::E0905, decl.name.span, message);
        return Err(elab.error(diagnostic.help("`split { train: shuffled(time) < 80%, test: rest }`")));
    };
    let env = elab.open_data().env.clone();
    for entry in &record.entries {
        match &*entry.key.text {
            "gap" => {
                let gap = elab.int(&entry.value, &env)?;
                elab.open_data_mut().plan.gap = usize::try_from(gap).unwrap_or(0);
            }
            "together" => return Err(elab.unbuilt(entry.span, "`together`")),
            name => {
                let predicate = predicate(elab, &entry.value, &env)?;
                let part = Part { name: name.to_string(), predicate, span: entry.span };
                elab.open_data_mut().plan.split.push(part);
            }
        }
    }
    let parts = &elab.open_data().plan.split;
    if !parts.iter().any(|p| p.name == "train") {
        return Err(elab.fail(Code::E0905, record.span, "a split has a part `train`"));
    }
    Ok(())
}

/// A predicate over positions.
fn predicate<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<HostExpr> {
    match &expr.kind {
        ExprKind::Name(name) if &**name == "rest" => Ok(HostExpr::Const(1.0)),
        ExprKind::Name(name) if elab.resolved.axes.contains_key(name) => Ok(HostExpr::var(name)),
        ExprKind::Call { callee, args } if callee.name().is_some_and(|n| &*n.text == "shuffled") => {
            if let Some(extra) = args.get(1) {
                return Err(elab.unbuilt(extra.span, "drawing within groups"));
            }
            let Some(arg) = args.first() else {
                return Err(elab.fail(
                    Code::E0905,
                    expr.span,
                    "`shuffled` draws from an axis: `shuffled(time) < 80%`",
                ));
            };
            let axis = elab.one_axis(&arg.value, env, Naming::Old)?;
            Ok(HostExpr::Var(format!("shuffled({})", elab.axis_name(axis))))
        }
        ExprKind::Unary { op: ast::UnaryOp::Not, operand } => {
            Ok(HostExpr::unary(HostUnary::Not, predicate(elab, operand, env)?))
        }
        ExprKind::Binary { op: ast::BinaryOp::In, left, right, .. } => {
            let value = predicate(elab, left, env)?;
            let mut any = HostExpr::Const(0.0);
            for element in elab.elements(right, env)? {
                let Some(x) = element.scalar() else {
                    return Err(elab.unbuilt(right.span, "a split by names"));
                };
                let same = HostExpr::binary(HostBinary::Eq, value.clone(), HostExpr::Const(x));
                any = HostExpr::binary(HostBinary::Or, any, same);
            }
            Ok(any)
        }
        ExprKind::Binary { op, left, right, .. } => {
            let op = crate::host::operator(*op).expect("`in` was handled");
            Ok(HostExpr::binary(op, predicate(elab, left, env)?, predicate(elab, right, env)?))
        }
        _ => match elab.eval(expr, env)?.host() {
            Some(host) => Ok(host),
            None => Err(elab.unbuilt(expr.span, "a split by anything but positions along axes")),
        },
    }
}

// ---------------------------------------------------------------- reading

/// Besides the functions of one number, what may stand under an index: it works element by element, or reads each of its
/// arguments under the same index.
const BY_ELEMENT: &[&str] = &[
    "where",
    "div",
    "mod",
    "log10",
    "radians",
    "f32",
    "i32",
    "stop_gradient",
    "zeros",
    "ones",
    "one_hot",
    "concat",
    "stack",
    "len",
    "fit",
];

impl<'a> Elab<'a> {
    /// The block being read.
    pub(crate) fn open_data(&self) -> &DataState<'a> {
        self.data.as_ref().expect("a data block is being read")
    }

    /// The block being read, to be changed.
    pub(crate) fn open_data_mut(&mut self) -> &mut DataState<'a> {
        self.data.as_mut().expect("a data block is being read")
    }

    /// A part of the sample.
    pub(crate) fn sample_part(&mut self, name: &str) -> Eval<Tensor> {
        let data = self.open_data();
        let decl = data.decl;
        let (expr, scope) = (part_expr(decl, name), self.sample_scope());
        let value = self.lazily(expr, &scope)?;
        self.tensor(&crate::value::Spanned { value, span: expr.span }, None)
    }

    /// The scope of a sample's parts: the block's, the sample variables and the `let`s of the sample.
    pub(crate) fn sample_scope(&self) -> Env<'a> {
        let data = self.open_data();
        let scope = Scope::block(&data.env);
        let Some(sample) = sample(data.decl) else { return scope };
        for (i, binder) in sample.binders.iter().enumerate() {
            scope.define(&binder.name.text, Value::Position(i, 0), binder.name.span);
        }
        for l in &sample.parts.lets {
            for name in l.pattern.names() {
                scope.define(&name.text, Value::Lazy(&l.value, scope.clone()), name.span);
            }
        }
        scope
    }

    /// Evaluates an expression of the data block.
    pub(crate) fn lazily(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Value<'a>> {
        let outer = std::mem::replace(&mut self.place, Context::Data);
        let instances = std::mem::take(&mut self.instances);
        let value = self.eval(expr, env);
        self.instances = instances;
        self.place = outer;
        value
    }

    /// `base[time: t - 12 .. t]` in a data block.
    pub(crate) fn data_index(
        &mut self,
        base: &'a ast::Expr,
        args: &'a [ast::Arg],
        span: Span,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        if args.iter().any(|a| a.label.is_none()) {
            return match self.eval(base, env)?.plain() {
                Value::List(list) => self.index_list(&list, args, span, env),
                _ => {
                    let diagnostic =
                        Diagnostic::new(Code::E0404, span, "which axis? a field's axes have names");
                    Err(self.error(diagnostic.help("`rain[time: 0]`")))
                }
            };
        }
        let mut more = vec![];
        for arg in args {
            let label = arg.label.as_ref().expect("checked above");
            let at = self.position_of(&arg.value, env)?;
            for axis in self.axis_ref(label, env, Naming::Old)? {
                more.push(Indexed { axis, at, span: label.span, used: false });
            }
        }
        let data = self.open_data_mut();
        if let Some(twice) = more.iter().find(|m| data.index.iter().any(|i| i.axis == m.axis)) {
            let span = twice.span;
            return Err(self.unbuilt(span, "indexing an axis that is indexed already"));
        }
        let before = data.index.len();
        data.index.extend(more);
        let value = self.eval(base, env);
        let indices: Vec<Indexed> = self.open_data_mut().index.drain(before..).collect();
        let value = value?;
        if let (Some(unused), Value::Tensor(t)) = (indices.iter().find(|i| !i.used), value.clone().plain()) {
            return Err(self.no_axis(t, unused.axis, unused.span));
        }
        Ok(value)
    }

    /// What an index says.
    fn position_of(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<At> {
        let ExprKind::Range { start, end } = &expr.kind else {
            return match self.eval(expr, env)? {
                Value::Int(i) => Ok(At::Fixed(i)),
                Value::Position(binder, k) => Ok(At::Binder(binder, k)),
                Value::Tensor(_) => Err(self.unbuilt(expr.span, "looking data up by data")),
                other => Err(self.wrong_kind(&other, "a position or a range", expr.span)),
            };
        };
        let mut end_of = |e: &'a Option<Box<ast::Expr>>| e.as_deref().map(|e| self.eval(e, env)).transpose();
        match (end_of(start)?, end_of(end)?) {
            (Some(Value::Position(a, first)), Some(Value::Position(b, last))) if a == b => {
                if last <= first {
                    return Err(self.fail(Code::E0208, expr.span, "this range is empty: ends are exclusive"));
                }
                Ok(At::Span(a, first, (last - first) as usize))
            }
            (None | Some(Value::Int(_)), None | Some(Value::Int(_))) => match self.eval(expr, env)? {
                Value::Range(a, b) => Ok(At::Range(a, b)),
                _ => unreachable!("a range is a range"),
            },
            _ => {
                let message = "both ends are numbers, or one sample variable plus numbers";
                Err(self.fail(Code::E0905, expr.span, message))
            }
        }
    }

    /// Only what works element by element can stand under an index.
    pub(crate) fn check_index_context(&mut self, builtin: &Builtin, span: Span) -> Eval<()> {
        let elementwise = BY_ELEMENT.contains(&builtin.name) || crate::host::function(builtin.name).is_some();
        let data = self.open_data();
        if !elementwise && !data.index.is_empty() {
            return Err(
                self.unbuilt(span, &format!("`{}` under an index (index its operand instead)", builtin.name))
            );
        }
        Ok(())
    }

    /// A field, as far as it is read here.
    pub(crate) fn field(&mut self, number: usize, span: Span) -> Eval<Tensor> {
        let data = self.open_data_mut();
        let field = data.plan.fields[number].clone();
        let mut ranges = vec![];
        let mut dims = vec![];
        let mut moved = false;
        for (name, extent) in &field.axes {
            let axis = self.program_axis(name);
            let range = self.field_range(axis, name, *extent, &field.origin)?;
            moved |= range.binder.is_some();
            if range.keep {
                dims.push(Dim { axis, extent: range.len });
            }
            ranges.push(range);
        }
        let batch = self.batch();
        let data = self.open_data_mut();
        let slab = Slab { field: number, range: ranges };
        let slabs = if data.stream.is_some() { &mut data.fit_slabs } else { &mut data.plan.slabs };
        let place = slabs.iter().position(|s| *s == slab).unwrap_or_else(|| {
            slabs.push(slab);
            slabs.len() - 1
        });
        let samples = Dim { axis: batch, extent: data.batch };
        let order: Vec<Dim> = moved.then_some(samples).into_iter().chain(dims).collect();
        let axes = order.iter().map(|d| d.axis).collect();
        let Some(ty) = Type::new(field.dtype, order) else {
            return Err(self.fail(Code::E0204, span, "a field has an axis twice"));
        };
        let tensor = self.input(InputRole::Slab { slab: place, axes }, ty);
        Ok(as_streamed(self, tensor))
    }

    fn field_range(
        &mut self,
        axis: AxisId,
        name: &str,
        extent: usize,
        origin: &FieldOrigin,
    ) -> Eval<SlabRange> {
        let whole = SlabRange { binder: None, offset: 0, len: extent, keep: true };
        let data = self.open_data_mut();
        if data.stream == Some(axis) && matches!(origin, FieldOrigin::Source { .. }) {
            return Ok(SlabRange { binder: Some(0), offset: 0, len: 1, keep: false });
        }
        let Some(indexed) = data.index.iter_mut().rev().find(|i| i.axis == axis) else { return Ok(whole) };
        indexed.used = true;
        let (at, span) = (indexed.at, indexed.span);
        let what = format!("`{name}`");
        match at {
            At::Binder(binder, k) => {
                Ok(SlabRange { binder: Some(binder), offset: k as isize, len: 1, keep: false })
            }
            At::Span(binder, first, len) => {
                Ok(SlabRange { binder: Some(binder), offset: first as isize, len, keep: true })
            }
            At::Fixed(i) => {
                let start = if i < 0 { i + extent as i64 } else { i };
                let (start, _) = self.bounds((Some(start), Some(start + 1)), extent, &what, span)?;
                Ok(SlabRange { binder: None, offset: start as isize, len: 1, keep: false })
            }
            At::Range(a, b) => {
                let (start, len) = self.bounds((a, b), extent, &what, span)?;
                Ok(SlabRange { binder: None, offset: start as isize, len, keep: true })
            }
        }
    }
}

fn part_expr<'a>(decl: &'a ast::DataDecl, name: &str) -> &'a ast::Expr {
    let found = sample_parts(decl).into_iter().find(|(n, _)| **n == *name);
    found.map(|(_, e)| e).expect("the caller knows the parts")
}
