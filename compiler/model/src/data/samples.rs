//! The `sample` line: its variables and parts.
use super::predicate::predicate;
use crate::axis::Naming;
use crate::elab::{Elab, Eval};
use std::sync::Arc;
use stmc_base::Code;
use stmc_ir::data::Binder;
use stmc_syntax::ast::{self, DataKind};

/// The line. `None`: the block has none.
pub(super) fn sample(decl: &ast::DataDecl) -> Option<&ast::Sample> {
    decl.statements.iter().find_map(|s| match &s.kind {
        DataKind::Sample(sample) => Some(sample),
        _ => None,
    })
}

/// The parts of a sample, in order.
pub(crate) fn sample_parts(decl: &ast::DataDecl) -> Vec<(Arc<str>, &ast::Expr)> {
    sample(decl).map_or(vec![], |s| s.parts.entries.iter().map(|e| (e.key.text.clone(), &e.value)).collect())
}

/// The sample variables.
pub(super) fn binders<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<()> {
    let Some(sample) = sample(decl) else {
        let message = format!("`{}` has no `sample`", decl.name.text);
        return Err(elab.fail(Code::E0905, decl.name.span, message));
    };
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
    if let Some(condition) = &sample.condition {
        let scope = elab.sample_scope();
        let condition = predicate(elab, condition, &scope)?;
        elab.open_data_mut().plan.condition = Some(condition);
    }
    Ok(())
}
