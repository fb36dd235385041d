//! What `stop`, `keep` and schedules watch: a value of a part, and which way it is better.
//!
//! The loss and its terms are better small. A metric that is a call of a function has that function's direction, which the file
//! that declares the function says, beside it: `let higher_is_better = [csi, r2]`, `let lower_is_better = [rmse]`. Of anything
//! else only the program's author knows it: `best(valid.skill, prefer: high)`.
use crate::builtins::Bound;
use crate::elab::{Elab, Eval};
use crate::names;
use crate::train::key;
use crate::value::{Closure, Value};
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::module::{Metric, Stalled, Watch};
use stmc_syntax::ast::{self, ExprKind, Member};

/// Where functions whose values are better large, or small, are listed.
const LISTS: [(&str, bool); 2] = [("higher_is_better", true), ("lower_is_better", false)];

/// The sum of the loss' terms, of any part.
const LOSS: &str = "loss";

/// Which values are better.
const HIGH: &str = "high";
const LOW: &str = "low";

/// What is watched, with its place.
pub(crate) type Watched<T> = (T, Span);

/// `stalled(valid.loss, for: 5 epochs, by: 1e-6, after: 10 epochs, gap: 0.1)`
pub(crate) fn stalled<'a>(
    elab: &mut Elab<'a>,
    train: &'a ast::TrainDecl,
    expr: &'a ast::Expr,
) -> Eval<Watched<Stalled>> {
    if let Some((watched, more)) = call(expr, "stalled")
        && more.iter().all(|arg| ["for", "prefer", "by", "after", "gap"].contains(&&*label(arg)))
        && let Some(Some(patience)) = labelled(more, "for").map(|value| epochs(elab, value)).transpose()?
        && let Some(by) = labelled(more, "by").map_or(Ok(Some(0.0)), |value| margin(elab, value))?
        && let Some(after) = labelled(more, "after").map_or(Ok(Some(0)), |value| epochs(elab, value))?
    {
        let gap = labelled(more, "gap").map(|value| Ok((margin(elab, value)?, value.span))).transpose()?;
        let watch = watch(elab, train, watched, more, "stalled")?;
        let gap = match gap {
            None => None,
            Some((Some(gap), _)) if watch.metric == LOSS => Some(gap),
            Some((_, span)) => {
                let message = "`gap` is how far a loss may lie above that of training";
                return Err(elab.fail(Code::E0804, span, message));
            }
        };
        return Ok((Stalled { watch, epochs: patience, by, after, gap }, watched.span));
    }
    Err(elab.fail(Code::E0804, expr.span, "`stop` is `stalled(valid.loss, for: 5 epochs)`"))
}

/// `best(valid.loss)`
pub(crate) fn best<'a>(
    elab: &mut Elab<'a>,
    train: &'a ast::TrainDecl,
    expr: &'a ast::Expr,
) -> Eval<Watched<Watch>> {
    if let Some((watched, more)) = call(expr, "best")
        && more.iter().all(|arg| &*label(arg) == "prefer")
    {
        return Ok((watch(elab, train, watched, more, "best")?, watched.span));
    }
    Err(elab.fail(Code::E0804, expr.span, "`keep` is `best(valid.loss)`"))
}

/// What a call of that name is given first, and the rest.
fn call<'a>(expr: &'a ast::Expr, name: &str) -> Option<(&'a ast::Expr, &'a [ast::Arg])> {
    let ExprKind::Call { callee, args } = &expr.kind else { return None };
    callee.name().filter(|n| &*n.text == name)?;
    args.split_first().filter(|(first, _)| first.label.is_none()).map(|(first, rest)| (&first.value, rest))
}

/// The label of an argument; empty where it has none.
fn label(arg: &ast::Arg) -> Arc<str> {
    arg.label.as_ref().and_then(|l| l.word()).map_or("".into(), |w| w.text.clone())
}

/// The value of the argument of that label.
fn labelled<'a>(args: &'a [ast::Arg], name: &str) -> Option<&'a ast::Expr> {
    args.iter().find(|arg| &*label(arg) == name).map(|arg| &arg.value)
}

/// A number that is not below 0. `None`: it is none.
fn margin<'a>(elab: &mut Elab<'a>, value: &'a ast::Expr) -> Eval<Option<f64>> {
    let top = elab.tops[0].clone();
    Ok(match elab.eval(value, &top)? {
        Value::Float(by) => Some(by),
        Value::Int(by) => Some(by as f64),
        _ => None,
    }
    .filter(|by| *by >= 0.0))
}

/// `5 epochs`, or what comes to so many. `None`: it does not.
fn epochs<'a>(elab: &mut Elab<'a>, value: &'a ast::Expr) -> Eval<Option<usize>> {
    let epochs = match &value.kind {
        ExprKind::Quantity { value, unit } => {
            Some(*value).filter(|_| matches!(&*unit.text, "epoch" | "epochs"))
        }
        _ => {
            let top = elab.tops[0].clone();
            let steps = match elab.eval(value, &top)? {
                Value::Float(steps) => Some(steps),
                _ => None,
            };
            steps.zip(elab.length).map(|(steps, length)| steps / length.steps_per_epoch as f64)
        }
    };
    Ok(epochs.filter(|n| *n >= 1.0 && n.fract() == 0.0).map(|n| n as usize))
}

/// `valid.loss`: a part of the split and a value.
fn watch<'a>(
    elab: &mut Elab<'a>,
    train: &'a ast::TrainDecl,
    expr: &'a ast::Expr,
    more: &'a [ast::Arg],
    caller: &str,
) -> Eval<Watch> {
    let (part, metric) = target(elab, train, expr)?;
    let prefer = more.iter().find(|arg| &*label(arg) == "prefer");
    let maximize = match prefer.map(|arg| (arg.value.name(), arg.value.span)) {
        Some((Some(word), _)) if &*word.text == HIGH => true,
        Some((Some(word), _)) if &*word.text == LOW => false,
        Some((_, span)) => {
            return Err(elab.fail(Code::E0804, span, "`prefer` is `high` or `low`"));
        }
        None => match direction(elab, train, &metric) {
            Some(maximize) => maximize,
            None => {
                let patience = if caller == "stalled" { ", for: …" } else { "" };
                let help = format!("`{caller}({part}.{metric}{patience}, prefer: high)`, or `prefer: low`");
                return Err(elab.error(nobody_says(&metric, expr.span).help(help)));
            }
        },
    };
    Ok(Watch { part, metric, maximize })
}

fn nobody_says(metric: &str, span: Span) -> Diagnostic {
    let message = format!("whether a high or a low `{metric}` is better is not known");
    Diagnostic::new(Code::E0808, span, message)
}

/// `preference(watch)` in a schedule: which values of what it watches are better.
pub(crate) fn preference<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let series = bound.value(0);
    let (Some(watch), Some(train)) = (elab.watched(&series.value).cloned(), elab.resolved.train()) else {
        return Err(elab.wrong_kind(&series.value, "a series that a schedule watches", series.span));
    };
    match direction(elab, train, &watch.metric) {
        Some(maximize) => Ok(Value::Str(if maximize { HIGH } else { LOW }.into())),
        None => {
            let help = format!(
                "say it in the call, `prefer: \"{HIGH}\"`, or of a function in its file: `let higher_is_better = […]`"
            );
            Err(elab.error(nobody_says(&watch.metric, bound.span).help(help)))
        }
    }
}

/// The part and the value that `valid.loss` or `valid.loss.term` names.
pub(crate) fn target<'a>(
    elab: &mut Elab<'a>,
    train: &'a ast::TrainDecl,
    expr: &'a ast::Expr,
) -> Eval<(String, String)> {
    let mut words = vec![];
    let mut base = expr;
    while let ExprKind::Member { base: inner, member: Member::Name(name) } = &base.kind {
        words.insert(0, name.clone());
        base = inner;
    }
    let (Some(part), false) = (base.name(), words.is_empty()) else {
        let message = "a part of the split and a metric are watched: `valid.loss`";
        return Err(elab.fail(Code::E0804, expr.span, message));
    };
    let parts: Vec<String> =
        elab.data.as_ref().map_or(vec![], |d| d.plan.split.iter().map(|p| p.name.clone()).collect());
    if !parts.is_empty() && !parts.contains(&part.text.to_string()) {
        let message = format!("the split has no part `{}`", part.text);
        let diagnostic = Diagnostic::new(Code::E0804, base.span, message);
        let all = names::listed(parts.iter().map(String::as_str));
        return Err(elab.error(diagnostic.help(format!("it has {all}"))));
    }
    let metric = words.iter().map(|w| w.text.as_ref()).collect::<Vec<_>>().join(".");
    let known = metric_names(elab, train);
    if !known.contains(&metric) {
        let message = format!("there is no metric `{metric}`");
        let span = words[words.len() - 1].span;
        let diagnostic = Diagnostic::new(Code::E0804, span, message);
        let help = names::near_or_all(&metric, "metrics are", known.iter().map(String::as_str));
        return Err(elab.error(diagnostic.help_at(span, help)));
    }
    Ok((part.text.to_string(), metric))
}

/// `loss`, its terms where it has several, and the metrics.
fn metric_names<'a>(elab: &Elab<'a>, train: &'a ast::TrainDecl) -> Vec<String> {
    let mut names = vec![LOSS.to_string()];
    let entries = |name: &str| match key(elab, train, name).map(|e| &e.kind) {
        Some(ExprKind::Record(record)) => record.entries.iter().map(|e| e.key.text.to_string()).collect(),
        _ => vec![],
    };
    names.extend(entries(LOSS).iter().map(|term| format!("loss.{term}")));
    names.extend(entries("metrics"));
    names
}

/// Whether larger is better. `None`: nobody says.
fn direction<'a>(elab: &mut Elab<'a>, train: &'a ast::TrainDecl, metric: &str) -> Option<bool> {
    if metric == LOSS || metric.starts_with("loss.") {
        return Some(false);
    }
    let ExprKind::Record(record) = &key(elab, train, "metrics")?.kind else { return None };
    let entry = record.entries.iter().find(|e| &*e.key.text == metric)?;
    let ExprKind::Call { callee, .. } = &entry.value.kind else { return None };
    let top = elab.tops[0].clone();
    // What is wrong with the entry is told where metrics are read.
    let told = elab.diagnostics.len();
    let callee = elab.eval(callee, &top).ok();
    elab.diagnostics.truncate(told);
    let Some(Value::Fn(function)) = callee else { return None };
    LISTS.iter().find(|(list, _)| lists(elab, list, &function)).map(|(_, maximize)| *maximize)
}

/// Whether the file that declares a function has it in its list of that name.
fn lists<'a>(elab: &mut Elab<'a>, list: &str, function: &Closure<'a>) -> bool {
    let unit = function.env.unit;
    if !elab.resolved.units[unit].names.contains_key(list) {
        return false;
    }
    let top = elab.tops[unit].clone();
    let Ok(Value::List(all)) = elab.name(&list.into(), function.decl.name.span, &top) else { return false };
    all.iter().any(|f| matches!(f, Value::Fn(f) if std::ptr::eq(f.decl, function.decl)))
}

/// What is watched is one number.
pub(crate) fn check_number(elab: &mut Elab<'_>, watch: &Watch, span: Span, metrics: &[Metric]) -> Eval<()> {
    let Some(metric) = metrics.iter().find(|m| m.name == watch.metric && !m.axes.is_empty()) else {
        return Ok(());
    };
    let axes: Vec<String> = metric.axes.iter().map(|a| elab.axis_name(*a)).collect();
    let message = format!(
        "`{}` is not one number: it keeps {}",
        watch.metric,
        names::listed(axes.iter().map(String::as_str))
    );
    let diagnostic = Diagnostic::new(Code::E0804, span, message);
    Err(elab.error(diagnostic.help("watch another metric that reduces all axes")))
}
