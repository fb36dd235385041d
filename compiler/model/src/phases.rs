//! `phases`: parts of a run, each compiled with settings of its own. A phase becomes a copy of the run's settings in which its
//! arguments stand as if `--set` had given them; what the loop around it binds stands before them as a `let`.
use crate::elab::{Elab, Eval, Failed};
use crate::elaborate::run;
use crate::resolve::Resolved;
use crate::scope::Scope;
use crate::settings::Settings;
use crate::value::Value;
use crate::{names, vocabulary};
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::Module;
use stmc_ir::module::Resets;
use stmc_syntax::ast::{self, Block, Expr, ExprKind, ItemKind, Let, Pattern, Stmt, StmtKind};

/// What `reset` may name.
const RESETS: &[&str] = &["optimizer", "schedule"];

/// The settings of each phase; those of the run where it has none.
pub fn phases(resolved: &Resolved, settings: &Settings) -> Result<Vec<Settings>, Vec<Diagnostic>> {
    let Some(train) = resolved.train() else { return Ok(vec![settings.clone()]) };
    if !train.keys.iter().any(|k| &*k.name.text == "phases") && !settings.set.contains_key("train.phases") {
        return Ok(vec![settings.clone()]);
    }
    run(resolved, settings, |elab| {
        let train = elab.resolved.train().expect("it was just there");
        let expr = crate::train::key(elab, train, "phases").expect("it was just there");
        all(elab, expr)
    })
    .map(|(phases, _)| phases)
}

/// Whether weights can go from each phase to the next one.
pub fn check_phases(phases: &[(&Module, &Settings)]) -> Vec<Diagnostic> {
    phases.windows(2).filter_map(|pair| misfit(pair[0].0, pair[1].0, pair[1].1)).collect()
}

fn misfit(before: &Module, after: &Module, settings: &Settings) -> Option<Diagnostic> {
    let span = settings.phase?;
    for (old, new) in
        before.params.iter().filter_map(|p| Some((p, after.params.iter().find(|q| q.path == p.path)?)))
    {
        let extents = |p: &stmc_ir::module::Param| -> Vec<usize> {
            p.disk.iter().filter_map(|a| p.ty.extent(*a)).collect()
        };
        let (was, is) = (extents(old), extents(new));
        if was != is {
            let message = format!("`{}` changes its shape between phases", old.path);
            let label = format!("{was:?} before this phase, {is:?} from it on");
            let diagnostic = Diagnostic::new(Code::E0809, span, message).label(span, label);
            return Some(
                diagnostic
                    .label(new.span, "declared here")
                    .help("phases share weights: change what makes no weight larger"),
            );
        }
    }
    let paths = |m: &Module| m.params.iter().map(|p| p.path.clone()).collect::<Vec<_>>();
    let (was, is) = (paths(before), paths(after));
    let missing = |a: &[String], b: &[String]| a.iter().find(|p| !b.contains(p)).cloned();
    if let Some(path) = missing(&is, &was).or_else(|| missing(&was, &is)) {
        let message = format!("`{path}` is not there in every phase");
        return Some(Diagnostic::new(Code::E0809, span, message).help("phases go on with the same weights"));
    }
    let (old, new) = (before.train.as_ref()?, after.train.as_ref()?);
    let rules = |m: &Module, t: &stmc_ir::module::Train| -> Vec<Option<(String, Vec<String>)>> {
        let rule = |n: usize| (t.optimizers[n].name.clone(), t.optimizers[n].states.clone());
        m.params.iter().map(|p| p.optimizer.map(rule)).collect()
    };
    if !new.resets.rules && rules(before, old) != rules(after, new) {
        let message =
            "this phase has another optimizer than the one before, whose state it cannot go on with";
        return Some(Diagnostic::new(Code::E0809, span, message).help("`reset: [optimizer]`"));
    }
    None
}

fn all<'a>(elab: &mut Elab<'a>, expr: &'a Expr) -> Eval<Vec<Settings>> {
    let top = elab.tops[0].clone();
    let mut phases = vec![];
    let mut failed = false;
    match &expr.kind {
        ExprKind::List(elements) => {
            for element in elements {
                let there =
                    element.guard.as_ref().map_or(Ok(true), |g| elab.condition(&g.condition, &top))?;
                if there {
                    phases.push(phase(elab, &element.value, &[]));
                }
            }
        }
        ExprKind::Comprehension { binder, iterable, body } => {
            for (i, element) in elab.elements(iterable, &top)?.into_iter().enumerate() {
                let lets = bound(elab, binder, i, element)?;
                phases.push(phase(elab, body, &lets));
            }
        }
        _ => return Err(not_phases(elab, expr.span)),
    }
    let phases: Vec<Settings> = phases
        .into_iter()
        .filter_map(|p| {
            failed |= p.is_err();
            p.ok()
        })
        .collect();
    match phases.first() {
        _ if failed => Err(Failed),
        None => Err(elab.fail(Code::E0804, expr.span, "`phases` has no phase")),
        Some(_) => Ok(phases),
    }
}

fn not_phases(elab: &mut Elab<'_>, span: Span) -> Failed {
    let diagnostic = Diagnostic::new(Code::E0804, span, "`phases` is a list of phases");
    elab.error(diagnostic.help("`[for n in 2 .. 10 => phase(frames: n, epochs: 1)]`"))
}

/// What a loop binds, as statements.
fn bound<'a>(
    elab: &mut Elab<'a>,
    binder: &'a ast::LoopBinder,
    i: usize,
    element: Value<'a>,
) -> Eval<Vec<Stmt>> {
    let scope = Scope::block(&elab.tops[0].clone());
    elab.bind_loop(binder, i, element, &scope)?;
    let names = binder.index.iter().chain(binder.element.names());
    let mut lets = vec![];
    for name in names {
        let value = scope.find(&name.text).expect("the loop binds its names");
        let Some(value) = literal(&value, name.span) else {
            return Err(elab.wrong_kind(&value, "a number, a text or a list of them", name.span));
        };
        let (pattern, span) = (Pattern::Name(name.clone()), name.span);
        lets.push(Stmt { doc: None, kind: StmtKind::Let(Let { pattern, ty: None, value, span }), span });
    }
    Ok(lets)
}

/// A static value as the text that gives it. `None`: it has none.
fn literal(value: &Value<'_>, span: Span) -> Option<Expr> {
    let negative =
        |kind: ExprKind| ExprKind::Unary { op: ast::UnaryOp::Neg, operand: Box::new(Expr { kind, span }) };
    let kind = match value {
        Value::Int(i) if *i < 0 => negative(ExprKind::Int(i.checked_neg()?)),
        Value::Int(i) => ExprKind::Int(*i),
        Value::Float(x) if *x < 0.0 => negative(ExprKind::Float(-x)),
        Value::Float(x) => ExprKind::Float(*x),
        Value::Percent(x) => ExprKind::Percent(*x),
        Value::Bool(b) => ExprKind::Bool(*b),
        Value::Str(s) => ExprKind::Str(s.clone()),
        Value::List(all) => {
            let element = |v| Some(ast::Element { value: literal(v, span)?, guard: None, span });
            ExprKind::List(all.iter().map(element).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    Some(Expr { kind, span })
}

/// `phase(frames: n, epochs: 1, reset: [optimizer])`
fn phase<'a>(elab: &mut Elab<'a>, expr: &'a Expr, lets: &[Stmt]) -> Eval<Settings> {
    let ExprKind::Call { callee, args } = &expr.kind else { return Err(not_phases(elab, expr.span)) };
    if callee.name().is_none_or(|n| &*n.text != "phase") {
        return Err(not_phases(elab, expr.span));
    }
    let mut settings = Settings { phase: Some(expr.span), ..elab.settings.clone() };
    settings.set.remove("train.phases");
    let hypers: Vec<&str> = elab.resolved.hypers().collect();
    for arg in args {
        let Some(label) = arg.label.as_ref().and_then(|l| l.word()) else {
            let diagnostic = Diagnostic::new(Code::E0804, arg.span, "a phase's settings have names");
            return Err(elab.error(diagnostic.help("`phase(epochs: 2)`")));
        };
        let name = &*label.text;
        if name == "reset" {
            settings.resets = resets(elab, &arg.value)?;
        } else if hypers.contains(&name) {
            settings.set.insert(name.to_string(), within(lets, &arg.value));
        } else if vocabulary::of_a_phase().any(|key| key == name) {
            // A phase has one length.
            if let Some(other) = [("epochs", "steps"), ("steps", "epochs")].iter().find(|(a, _)| *a == name) {
                settings.set.remove(&format!("train.{}", other.1));
            }
            settings.set.insert(format!("train.{name}"), within(lets, &arg.value));
        } else {
            let message = format!("a phase has no setting `{name}`");
            let diagnostic = Diagnostic::new(Code::E0802, label.span, message);
            let known = hypers.iter().copied().chain(vocabulary::of_a_phase()).chain(["reset"]);
            let help = names::near_or_all(name, "it sets hypers, and of `train`", known);
            return Err(elab.error(diagnostic.help_at(label.span, help)));
        }
    }
    Ok(settings)
}

/// An expression that sees what the loop binds. What is read by its form keeps it, `{ a: … }`, `norm(…)` and `valid.loss`: there the
/// parts see it.
fn within(lets: &[Stmt], expr: &Expr) -> Expr {
    let kind = match &expr.kind {
        _ if lets.is_empty() => expr.kind.clone(),
        ExprKind::Record(record) => {
            let bound =
                lets.iter().filter_map(|s| if let StmtKind::Let(l) = &s.kind { Some(l) } else { None });
            let lets = bound.chain(&record.lets).cloned().collect();
            ExprKind::Record(ast::Record { lets, ..record.clone() })
        }
        ExprKind::Call { callee, args } => {
            ExprKind::Call { callee: callee.clone(), args: args_within(lets, args) }
        }
        ExprKind::Tuple(args) => ExprKind::Tuple(args_within(lets, args)),
        ExprKind::Name(name) if !lets.iter().any(|s| binds(s, name)) => expr.kind.clone(),
        ExprKind::Member { member: ast::Member::Name(_), .. }
        | ExprKind::Quantity { .. }
        | ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Str(_)
        | ExprKind::Bool(_) => expr.kind.clone(),
        _ => {
            let block = Block { statements: lets.to_vec(), result: Some(expr.clone()), span: expr.span };
            ExprKind::Block(Box::new(block))
        }
    };
    Expr { kind, span: expr.span }
}

fn args_within(lets: &[Stmt], args: &[ast::Arg]) -> Vec<ast::Arg> {
    args.iter().map(|arg| ast::Arg { value: within(lets, &arg.value), ..arg.clone() }).collect()
}

fn binds(statement: &Stmt, name: &str) -> bool {
    matches!(&statement.kind, StmtKind::Let(l) if l.pattern.names().iter().any(|n| &*n.text == name))
}

/// `[optimizer, schedule]`
fn resets(elab: &mut Elab<'_>, expr: &Expr) -> Eval<Resets> {
    let ExprKind::List(elements) = &expr.kind else {
        return Err(elab.fail(Code::E0804, expr.span, "`reset` is a list: `[optimizer, schedule]`"));
    };
    let mut resets = Resets::default();
    for element in elements {
        match element.value.name().as_ref().map(|n| &*n.text) {
            Some("optimizer") => resets.rules = true,
            Some("schedule") => resets.schedules = true,
            _ => {
                let message = format!("`reset` takes {}", names::listed(RESETS.iter().copied()));
                return Err(elab.fail(Code::E0804, element.span, message));
            }
        }
    }
    Ok(resets)
}

impl Resolved {
    /// The names of the main file's hypers.
    pub(crate) fn hypers(&self) -> impl Iterator<Item = &str> {
        self.main_items()
            .filter_map(|i| if let ItemKind::Hyper(h) = &i.kind { Some(&*h.name.text) } else { None })
    }
}
