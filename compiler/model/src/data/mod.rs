//! The data block: sources, fields, samples, splits; and what a sample's part reads.
//!
//! Expressions of the block are evaluated where they are used, under the index that stands around them: a field becomes
//! a slab of just what is read, and what is pointwise becomes nodes over slabs.
mod fields;
mod read;
mod samples;
mod sources;
mod split;

pub(crate) use read::Indexed;
pub(crate) use samples::sample_parts;
pub(crate) use sources::sources;

use crate::elab::{Context, Elab, Eval, Failed};
use crate::fit::Fitted;
use crate::scope::{Env, Scope};
use crate::value::Value;
use stmc_base::Schema;
use stmc_ir::AxisId;
use stmc_ir::data::{DataPlan, FieldOrigin, Slab};
use stmc_syntax::ast::{self, DataKind};

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

/// Binds the fields, reads the sample's parts once, and evaluates the split.
pub(crate) fn plan<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl, schema: &Schema) -> Eval<()> {
    let mut plan =
        DataPlan { name: decl.name.text.to_string(), sources: sources(elab, decl)?, ..DataPlan::default() };
    let mut failed = false;
    let mut current: Option<usize> = None;
    for statement in &decl.statements {
        match &statement.kind {
            DataKind::From(_) => current = Some(current.map_or(0, |c| c + 1)),
            DataKind::Field(f) => match fields::bind(elab, f, current, schema) {
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
    samples::binders(elab, decl)?;
    split::split(elab, decl)?;
    samples::augment(elab, decl)?;
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
    let split_axis = split::axis(decl, elab.resolved);
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
