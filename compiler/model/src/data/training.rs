//! What is done to samples of the train part alone: `augment` and `balance`.
use super::samples::sample_parts;
use crate::axis::Naming;
use crate::elab::{Elab, Eval};
use crate::names;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::DType;
use stmc_ir::data::{Balance, FieldOrigin, Smote};
use stmc_syntax::ast::{self, DataKind, ExprKind};

/// Flips and turns.
pub(super) fn augment<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<()> {
    for statement in &decl.statements {
        let DataKind::Augment(calls) = &statement.kind else { continue };
        for call in calls {
            one_augmentation(elab, call)?;
        }
    }
    Ok(())
}

fn one_augmentation<'a>(elab: &mut Elab<'a>, call: &'a ast::Expr) -> Eval<()> {
    let ExprKind::Call { callee, args } = &call.kind else {
        return Err(elab.fail(Code::E0905, call.span, "an augmentation is called: `flip(row)`"));
    };
    let env = elab.open_data().env.clone();
    let mut axes = vec![];
    for arg in args {
        for axis in elab.axis_set(&arg.value, &env, Naming::Old)? {
            axes.push(elab.axis_name(axis));
        }
    }
    match callee.name().as_ref().map(|n| &*n.text) {
        Some("flip") if !axes.is_empty() => elab.open_data_mut().plan.flips.extend(axes),
        Some("rotate90") if axes.len() == 2 => {
            let (second, first) = (axes.remove(1), axes.remove(0));
            elab.open_data_mut().plan.turns.push((first, second));
        }
        Some("flip" | "rotate90") => {
            let message = "a flip is along axes, a rotation in the plane of two";
            return Err(elab.error(
                Diagnostic::new(Code::E0905, call.span, message).help("`flip(row)`, `rotate90(row, col)`"),
            ));
        }
        _ => {
            let diagnostic =
                Diagnostic::new(Code::E0905, callee.span, "there is no augmentation of this name");
            return Err(elab.error(diagnostic.help("there are `flip(row)` and `rotate90(row, col)`")));
        }
    }
    Ok(())
}

/// What is turned is square. The samples' parts have been read.
pub(super) fn check_turns<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<()> {
    let statement = decl.statements.iter().find(|s| matches!(s.kind, DataKind::Augment(_)));
    let Some(span) = statement.map(|s| s.span) else { return Ok(()) };
    let plan = &elab.open_data().plan;
    for (first, second) in &plan.turns {
        for slab in plan.slabs.iter().filter(|s| s.is_moved()) {
            let field = &plan.fields[slab.field];
            let kept = |axis: &String| {
                let found = field.axes.iter().zip(&slab.range).find(|((name, _), _)| name == axis);
                found.filter(|(_, range)| range.keep).map(|(_, range)| range.len)
            };
            if kept(first) != kept(second) {
                let extent =
                    |axis, n: Option<usize>| n.map_or(format!("no `{axis}`"), |n| format!("`{axis}`: {n}"));
                let (a, b) = (extent(first, kept(first)), extent(second, kept(second)));
                let message = format!("what is read of `{}` is not square: {a}, {b}", field.name);
                return Err(elab.fail(Code::E0905, span, message));
            }
        }
    }
    Ok(())
}

/// `balance oversample by label`, `balance smote(x, k: 5) by label`. The samples' parts have been read.
pub(super) fn balance<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<()> {
    for statement in &decl.statements {
        let DataKind::Balance { method, by } = &statement.kind else { continue };
        if elab.open_data().plan.balance.is_some() {
            return Err(elab.fail(Code::E0905, statement.span, "classes are balanced in one way only"));
        }
        let label = label_slab(elab, decl, by)?;
        let smote = smote(elab, decl, method)?;
        elab.open_data_mut().plan.balance = Some(Balance { label, smote, span: statement.span });
    }
    Ok(())
}

/// The slab behind a part that is one class per sample.
fn label_slab<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl, by: &'a ast::Expr) -> Eval<usize> {
    let slabs = part_slabs(elab, decl, by)?;
    let plan = &elab.open_data().plan;
    let class = |slab: &&usize| {
        let (slab, field) = (&plan.slabs[**slab], &plan.fields[plan.slabs[**slab].field]);
        slab.is_moved() && slab.shape().is_empty() && field.dtype == DType::I32
    };
    match slabs.iter().find(class) {
        Some(slab) if slabs.len() == 1 => Ok(*slab),
        _ => {
            let message = "classes are balanced by a part that has one category a sample";
            Err(elab.fail(Code::E0905, by.span, message))
        }
    }
}

/// `None`: samples are repeated.
fn smote<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl, method: &'a ast::Expr) -> Eval<Option<Smote>> {
    let wrong = |elab: &mut Elab<'a>, span: Span, message: &str| {
        let help = "`balance oversample by label` or `balance smote(x, k: 5) by label`";
        Err(elab.error(Diagnostic::new(Code::E0905, span, message).help(help)))
    };
    let (callee, args) = match &method.kind {
        ExprKind::Name(name) if &**name == "oversample" => return Ok(None),
        ExprKind::Call { callee, args } if callee.name().is_some_and(|n| &*n.text == "smote") => {
            (callee, args)
        }
        _ => return wrong(elab, method.span, "classes are not balanced like this"),
    };
    let (mut slabs, mut neighbours) = (vec![], 5);
    for arg in args {
        let label = arg.label.as_ref().and_then(|l| l.word());
        match label.as_ref().map(|l| &*l.text) {
            None => slabs.extend(part_slabs(elab, decl, &arg.value)?),
            Some("k") => {
                let env = elab.open_data().env.clone();
                neighbours = elab.int(&arg.value, &env)?;
            }
            _ => return wrong(elab, arg.span, "`smote` has no such argument"),
        }
    }
    let plan = &elab.open_data().plan;
    slabs.retain(|s| {
        let field = &plan.fields[plan.slabs[*s].field];
        plan.slabs[*s].is_moved()
            && field.dtype == DType::F32
            && !matches!(field.origin, FieldOrigin::Values(_))
    });
    slabs.sort_unstable();
    slabs.dedup();
    if slabs.is_empty() || neighbours < 1 {
        return wrong(elab, callee.span, "`smote` mixes the numbers of parts, and needs a neighbour");
    }
    Ok(Some(Smote { slabs, neighbours: neighbours as usize }))
}

/// What is read for a part of the sample.
fn part_slabs<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl, part: &'a ast::Expr) -> Eval<Vec<usize>> {
    let parts = sample_parts(decl);
    let name = part.name().filter(|n| parts.iter().any(|(p, _)| *p == n.text));
    let Some(name) = name else {
        let known: Vec<&str> = parts.iter().map(|(p, _)| &**p).collect();
        let word = part.name().map_or(String::new(), |n| n.text.to_string());
        let diagnostic = Diagnostic::new(Code::E0905, part.span, "a part of the sample is needed here");
        return Err(elab.error(diagnostic.help(names::near_or_all(&word, "they are", known))));
    };
    elab.open_data_mut().touched.clear();
    elab.sample_part(&name.text)?;
    Ok(std::mem::take(&mut elab.open_data_mut().touched))
}
