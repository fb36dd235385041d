//! The data block: sources, fields, samples, splits; and what a sample's part reads.
//!
//! Expressions of the block are evaluated where they are used, under the index that stands around them: a field becomes
//! a slab of just what is read, and what is pointwise becomes nodes over slabs.
mod along;
mod around;
mod fields;
mod physical;
mod predicate;
mod read;
mod regrid;
mod samples;
mod sources;
mod split;
mod training;

pub(crate) use along::along;
pub(crate) use around::{Around, around};
pub(crate) use fields::{cast, categories};
pub(crate) use physical::{physical, predicted, standard};
pub(crate) use read::Indexed;
pub(crate) use samples::sample_parts;
pub(crate) use sources::sources;

use crate::elab::{Context, Elab, Eval, Failed};
use crate::fit::Fitted;
use crate::names;
use crate::scope::{Env, Scope};
use crate::value::Value;
use stmc_base::{Code, Diagnostic, Schema};
use stmc_ir::AxisId;
use stmc_ir::data::{DataPlan, Slab};
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
    /// The axes that a fit streams. Empty: samples are read.
    pub stream: Vec<AxisId>,
    /// Whose positions the split tells apart; at least one.
    pub split_axes: Vec<String>,
    /// Samples per run.
    pub batch: usize,
    /// The axes of the fields. Empty once the plan is given: what they say is in its fields.
    pub bound: fields::BoundAxes,
    /// Slabs read since it was emptied, each once.
    pub touched: Vec<usize>,
    /// Patches around points, in whose expression we are. `None`: in none.
    pub around: Option<Around>,
    /// `None`: nobody asks.
    pub transforms: Option<physical::Transforms<'a>>,
}

/// Binds the fields, reads the sample's parts once, and evaluates the split.
pub(crate) fn plan<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl, schema: &Schema) -> Eval<()> {
    let mut plan =
        DataPlan { name: decl.name.text.to_string(), sources: sources(elab, decl)?, ..DataPlan::default() };
    let mut failed = false;
    let mut current: Option<usize> = None;
    let mut bound = fields::BoundAxes::default();
    for statement in &decl.statements {
        match &statement.kind {
            DataKind::From(_) => current = Some(current.map_or(0, |c| c + 1)),
            DataKind::Field(f) => match fields::bind(elab, f, current, schema, &mut bound) {
                Ok(field) => plan.fields.push(field),
                Err(Failed) => failed = true,
            },
            _ => {}
        }
    }
    if failed {
        return Err(Failed);
    }
    open(elab, decl, plan);
    elab.open_data_mut().bound = bound;
    samples::binders(elab, decl)?;
    let data = elab.open_data();
    let differing: Vec<_> =
        data.plan.binders.iter().filter_map(|b| data.bound.differs(&b.axis)).cloned().collect();
    if !differing.is_empty() {
        differing.into_iter().for_each(|d| elab.report(d));
        return Err(Failed);
    }
    split::split(elab, decl)?;
    training::augment(elab, decl)?;
    for (name, _) in sample_parts(decl) {
        failed |= elab.sample_part(&name).is_err();
    }
    if !failed {
        training::check_turns(elab, decl)?;
        training::balance(elab, decl)?;
    }
    failed |= assertions(elab, decl).is_err();
    let data = elab.open_data_mut();
    for (i, fitted) in data.fits.iter().enumerate() {
        data.plan.fits[i] = fitted.plan.clone();
    }
    if failed { Err(Failed) } else { Ok(()) }
}

/// Begins to read a block whose plan has its fields.
pub(crate) fn open<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl, plan: DataPlan) {
    let env = Scope::body(&elab.top_of(decl.name.span), "");
    for (i, field) in plan.fields.iter().enumerate() {
        if field.origin.is_read() {
            env.define(&field.name, Value::Field(i), field.span);
        }
    }
    for statement in &decl.statements {
        if let DataKind::Let(l) = &statement.kind {
            read::define_lazily(&env, l);
        }
    }
    let split_axes = split::axes(decl, elab.resolved, &plan);
    elab.data = Some(DataState {
        plan,
        decl,
        env,
        index: vec![],
        fits: vec![],
        fit_slabs: vec![],
        stream: vec![],
        split_axes,
        batch: 1,
        bound: fields::BoundAxes::default(),
        touched: vec![],
        around: None,
        transforms: None,
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

impl<'a> Elab<'a> {
    /// `ocean.sst`
    pub(crate) fn field_of_data(&mut self, name: &ast::Name) -> Eval<Value<'a>> {
        let Some(data) = &self.data else {
            return Err(self.fail(Code::E0406, name.span, "the data are not bound yet where this is needed"));
        };
        if let Some(field) = data.plan.fields.iter().position(|f| *f.name == *name.text) {
            return Ok(Value::Field(field));
        }
        let message = format!("`{}` has no field `{}`", data.plan.name, name.text);
        let diagnostic = Diagnostic::new(Code::E0401, name.span, message);
        let fields: Vec<String> = data.plan.fields.iter().map(|f| f.name.clone()).collect();
        Err(self.error(diagnostic.help(names::near_or_all(
            &name.text,
            "it has",
            fields.iter().map(String::as_str),
        ))))
    }

    /// `crop.count`, `sst.lat`
    pub(crate) fn fact_of_field(&mut self, field: usize, name: &ast::Name) -> Eval<Value<'a>> {
        let field = &self.open_data().plan.fields[field];
        let extent = field.axes.iter().find(|(axis, _)| **axis == *name.text).map(|(_, extent)| *extent);
        let count = field.reading.categories.as_ref().map(Vec::len).filter(|_| &*name.text == "count");
        if let Some(fact) = count.or(extent) {
            return Ok(Value::Int(fact as i64));
        }
        let message = format!("`{}` has no `{}`", field.name, name.text);
        let help = match &*name.text {
            "count" => "only a `category` has a count".to_string(),
            _ => format!("it has {}", names::listed(field.axes.iter().map(|(axis, _)| axis.as_str()))),
        };
        Err(self.error(Diagnostic::new(Code::E0401, name.span, message).help(help)))
    }
}
