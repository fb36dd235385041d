//! The `split` line: predicates over positions.
use super::predicate::predicate;
use super::samples::sample;
use crate::elab::{Elab, Eval};
use crate::names;
use crate::resolve::Resolved;
use crate::scope::Env;
use crate::value::Value;
use stmc_base::{Code, Diagnostic, date};
use stmc_ir::data::{DataPlan, Part};
use stmc_syntax::ast::{self, DataKind, ExprKind};

/// The axes whose positions the split tells apart: those that its predicates name, else the first sample variable's.
pub(super) fn axes(decl: &ast::DataDecl, resolved: &Resolved, plan: &DataPlan) -> Vec<String> {
    let mut found = vec![];
    for statement in &decl.statements {
        if let DataKind::Split(record) = &statement.kind {
            for entry in record.entries.iter().filter(|e| !matches!(&*e.key.text, "gap" | "together")) {
                find_axes(&entry.value, resolved, plan, &mut found);
            }
        }
    }
    if found.is_empty() {
        let first = sample(decl).and_then(|s| s.binders.first()).and_then(|b| b.over.name());
        found.push(first.map_or("batch".into(), |n| n.text.to_string()));
    }
    found
}

fn find_axes(expr: &ast::Expr, resolved: &Resolved, plan: &DataPlan, found: &mut Vec<String>) {
    let mut add = |axis: &str| {
        if !found.iter().any(|f| f == axis) {
            found.push(axis.into());
        }
    };
    match &expr.kind {
        ExprKind::Name(name) => match plan.fields.iter().find(|f| *f.name == **name) {
            Some(field) => field.axes.iter().for_each(|(axis, _)| add(axis)),
            None if resolved.axes.contains_key(name) => add(name),
            None => {}
        },
        ExprKind::Binary { left, right, .. } => {
            find_axes(left, resolved, plan, found);
            find_axes(right, resolved, plan, found);
        }
        ExprKind::Unary { operand, .. } => find_axes(operand, resolved, plan, found),
        ExprKind::Call { args, .. } => args.iter().for_each(|a| find_axes(&a.value, resolved, plan, found)),
        _ => {}
    }
}

/// The parts.
pub(super) fn split<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<()> {
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
                gap(elab, &entry.value, &env)?;
            }
            "together" => {
                let message = "groups are kept together where they are drawn";
                let diagnostic = Diagnostic::new(Code::E0905, entry.span, message);
                return Err(elab.error(diagnostic.help("`shuffled(row, together: plant) < 10%`")));
            }
            name => {
                let later = record.entries.iter().filter(|e| e.span.start > entry.span.start);
                if entry.value.name().is_some_and(|n| &*n.text == "rest")
                    && let Some(next) =
                        later.into_iter().find(|e| !matches!(&*e.key.text, "gap" | "together"))
                {
                    let message = format!("`rest` leaves nothing for `{}`", next.key.text);
                    let diagnostic = Diagnostic::new(Code::E0905, entry.value.span, message);
                    let help =
                        format!("move `{name}: rest` to the end: the first part that holds takes a sample");
                    return Err(elab.error(diagnostic.help(help)));
                }
                let predicate = predicate(elab, &entry.value, &env)?;
                let part = Part { name: name.to_string(), predicate, span: entry.span };
                elab.open_data_mut().plan.split.push(part);
            }
        }
    }
    let parts = &elab.open_data().plan.split;
    if !parts.iter().any(|p| p.name == "train") {
        let meant = record.entries.iter().find(|e| names::nearest(&e.key.text, ["train"]).is_some());
        let place = meant.map_or(record.span, |e| e.key.span);
        let diagnostic = Diagnostic::new(Code::E0905, place, "a split has a part `train`");
        return Err(elab.error(match meant {
            Some(_) => diagnostic.help_at(place, stmc_base::Help::did_you_mean("train")),
            None => diagnostic.help("`split { train: shuffled(time) < 80%, test: rest }`"),
        }));
    }
    Ok(())
}

/// Steps or time that lies between two parts.
fn gap<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<()> {
    match elab.eval(expr, env)? {
        Value::Int(steps) if steps >= 0 => {
            elab.open_data_mut().plan.gap = steps as usize;
            Ok(())
        }
        Value::Float(steps) if steps >= 0.0 && steps.fract() == 0.0 => {
            elab.open_data_mut().plan.gap = steps as usize;
            Ok(())
        }
        Value::Quantity(x, unit) => match time_before(x, &unit) {
            Some(before) => gap_in_time(elab, expr, &before),
            None => {
                let diagnostic =
                    Diagnostic::new(Code::E0905, expr.span, format!("`{unit}` is no unit of time"));
                Err(elab.error(
                    diagnostic.help("hours, days, weeks, months or years; a plain number counts steps"),
                ))
            }
        },
        other => Err(elab.wrong_kind(&other, "a number of steps, or a time such as `12 months`", expr.span)),
    }
}

/// The moment so much before another. `None`: the unit is not one of time.
fn time_before(x: f64, unit: &str) -> Option<Box<dyn Fn(f64) -> f64>> {
    let days = |length: f64| -> Option<Box<dyn Fn(f64) -> f64>> { Some(Box::new(move |t| t - x * length)) };
    let months = |each: f64| -> Option<Box<dyn Fn(f64) -> f64>> {
        Some(Box::new(move |t| date::months_later(t, -(x * each) as i64)))
    };
    match unit {
        "hour" | "hours" => days(1.0 / 24.0),
        "day" | "days" => days(1.0),
        "week" | "weeks" => days(7.0),
        "month" | "months" => months(1.0),
        "year" | "years" => months(12.0),
        _ => None,
    }
}

fn gap_in_time(elab: &mut Elab<'_>, expr: &ast::Expr, before: &dyn Fn(f64) -> f64) -> Eval<()> {
    let name = elab.open_data().split_axes[0].clone();
    let coordinates = elab.open_data().bound.coordinates(&name);
    let moments = coordinates.filter(|(c, _)| c.is_time()).and_then(|(c, extent)| c.values(extent));
    let Some(moments) = moments else {
        let message = format!("the split is along `{name}`, which has no dates in the data");
        let help = "a plain number counts steps";
        return Err(elab.error(Diagnostic::new(Code::E0905, expr.span, message).help(help)));
    };
    // Steps of a monthly mean may lie on the first or the middle of their months: half a day is no difference.
    let near = |i: usize| {
        let bound = before(moments[i]) - 0.5;
        moments[..i].iter().position(|t| *t >= bound).unwrap_or(i)
    };
    elab.open_data_mut().plan.near = (0..moments.len()).map(near).collect();
    Ok(())
}
