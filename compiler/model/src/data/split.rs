//! The `split` line: predicates over positions.
use super::samples::sample;
use crate::axis::Naming;
use crate::elab::{Elab, Eval};
use crate::resolve::Resolved;
use crate::scope::Env;
use stmc_base::{Code, Diagnostic};
use stmc_ir::HostExpr;
use stmc_ir::data::Part;
use stmc_ir::host::{HostBinary, HostUnary};
use stmc_syntax::ast::{self, DataKind, ExprKind};

/// The axis whose positions the split tells apart: the first that a predicate names, else the first sample variable's.
pub(super) fn axis(decl: &ast::DataDecl, resolved: &Resolved) -> String {
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
