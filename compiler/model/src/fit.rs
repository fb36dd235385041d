//! `fit(e)` in a data block: `e` over the train part alone, computed once before training and kept with the weights.
use crate::builtins::Bound;
use crate::data::{Around, Indexed};
use crate::elab::{Context, Elab, Eval, Frame, FrameKind, Instance};
use crate::units::{Quantities, Unit};
use crate::value::{Spanned, Tensor, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::data::{Field, FieldOrigin, FitPlan, Reading, Slab};
use stmc_ir::module::{EntryGraph, InputRole, Metric, OutputRole};
use stmc_ir::{AxisId, Builder, NodeId, Type};

/// A fit, elaborated.
pub(crate) struct Fitted {
    /// The same expression in the same calls is the same fit.
    key: (Span, Vec<Span>),
    /// Its field.
    pub field: usize,
    pub entry: EntryGraph,
    pub metric: Metric,
    pub plan: FitPlan,
    pub unit: Unit,
}

/// `fit(e)`
pub(crate) fn fit<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let expr = bound.raw(0);
    if elab.place != Context::Data {
        let diagnostic = Diagnostic::new(Code::E0403, bound.span, "`fit` stands in a `data` block");
        return Err(elab.error(diagnostic.help("make it a `let` there and a part of the sample")));
    }
    let data = elab.open_data();
    let key = (expr.span, elab.calls.clone());
    if let Some(known) = data.fits.iter().find(|f| f.key == key) {
        let field = known.field;
        return elab.field(field, bound.span).map(Value::Tensor);
    }
    let outer = Suspended::begin(elab);
    let result = elab.spanned(expr, &bound.env).and_then(|value| finish(elab, &value));
    let slabs = elab.open_data_mut().fit_slabs.drain(..).collect();
    let plan = streamed_plan(&elab.open_data().split_axes, slabs);
    // A fit inside of this one comes first: it has its number already.
    let number = elab.open_data().fits.len();
    let finished = result.map(|(fit, metric)| (fit, metric, elab.entry_graph(&format!("fit{number}"))));
    outer.end(elab);
    let (fit, metric, entry) = finished?;
    let field = define(elab, number, &fit, &plan, bound.span);
    elab.open_data_mut().fits.push(Fitted { key, field, entry, metric, plan, unit: fit.unit });
    elab.field(field, bound.span).map(Value::Tensor)
}

/// What a fit gives.
struct Fit {
    ty: Type,
    /// Nothing may have been left to fit it to.
    optional: bool,
    unit: Unit,
}

fn finish<'a>(elab: &mut Elab<'a>, value: &Spanned<'a>) -> Eval<(Fit, Metric)> {
    let result = elab.finished(value)?;
    let unit = elab.units(&[result]).remove(0);
    let fitted = Fit { ty: elab.ty(result), optional: result.missing.is_some(), unit };
    let written = elab.written(result, value.span)?;
    let metric = elab.end_part(vec![("fit".into(), written)]).remove(0);
    Ok((fitted, metric))
}

/// Only those axes of the split are streamed that some field has.
fn streamed_plan(split: &[String], mut slabs: Vec<Slab>) -> FitPlan {
    let moved =
        |axis: usize, slabs: &[Slab]| slabs.iter().any(|s| s.range.iter().any(|r| r.binder == Some(axis)));
    let used: Vec<usize> = (0..split.len()).filter(|axis| moved(*axis, &slabs)).collect();
    for range in slabs.iter_mut().flat_map(|s| &mut s.range) {
        range.binder = range.binder.and_then(|axis| used.iter().position(|u| *u == axis));
    }
    FitPlan { axes: used.into_iter().map(|axis| split[axis].clone()).collect(), slabs }
}

/// The field that holds a fit's result.
fn define(elab: &mut Elab<'_>, number: usize, fit: &Fit, plan: &FitPlan, span: Span) -> usize {
    let axes = fit.ty.dims().iter().map(|d| (elab.data_axis_name(d.axis), d.extent)).collect();
    let field = Field {
        name: format!("fit{number}"),
        origin: FieldOrigin::Fit { fit: number },
        dtype: fit.ty.dtype,
        axes,
        unit: None,
        reading: Reading { optional: fit.optional, ..Reading::default() },
        span,
    };
    let data = elab.open_data_mut();
    match data.plan.fields.iter().position(|f| f.origin == field.origin) {
        Some(known) => known,
        None => {
            data.plan.fields.push(field);
            data.plan.fits.push(plan.clone());
            data.plan.fields.len() - 1
        }
    }
}

/// The entry that was under construction when a fit came up.
struct Suspended<'a> {
    frames: Vec<Frame>,
    inputs: Vec<(InputRole, NodeId)>,
    outputs: Vec<(NodeId, OutputRole)>,
    index: Vec<Indexed>,
    around: Option<Around>,
    /// Not nothing in a fit inside of a fit.
    slabs: Vec<Slab>,
    stream: Vec<AxisId>,
    part: AxisId,
    instances: Vec<Instance>,
    globals: BTreeMap<(usize, Arc<str>), Option<Value<'a>>>,
    quantities: Quantities,
}

impl<'a> Suspended<'a> {
    fn begin(elab: &mut Elab<'a>) -> Suspended<'a> {
        let entry = Frame { builder: Builder::new(elab.axes.clone()), kind: FrameKind::Entry };
        let split = elab.open_data().split_axes.clone();
        let streamed: Vec<AxisId> = split.iter().map(|axis| elab.program_axis(axis)).collect();
        // Joint positions stand under the name of the first axis.
        let part = streamed[0];
        let outer = std::mem::replace(&mut elab.part, part);
        let data = elab.open_data_mut();
        let stream = std::mem::replace(&mut data.stream, streamed);
        let index = std::mem::take(&mut data.index);
        let (slabs, around) = (std::mem::take(&mut data.fit_slabs), data.around.take());
        let suspended = Suspended {
            frames: std::mem::replace(&mut elab.frames, vec![entry]),
            inputs: std::mem::take(&mut elab.inputs),
            outputs: std::mem::take(&mut elab.outputs),
            index,
            around,
            slabs,
            stream,
            part: outer,
            instances: std::mem::take(&mut elab.instances),
            globals: std::mem::take(&mut elab.globals),
            quantities: std::mem::take(&mut elab.quantities),
        };
        elab.begin_part();
        suspended
    }

    fn end(self, elab: &mut Elab<'a>) {
        elab.part = self.part;
        elab.frames = self.frames;
        elab.inputs = self.inputs;
        elab.outputs = self.outputs;
        elab.instances = self.instances;
        elab.globals = self.globals;
        elab.quantities = self.quantities;
        let data = elab.open_data_mut();
        data.stream = self.stream;
        data.fit_slabs = self.slabs;
        data.index = self.index;
        data.around = self.around;
    }
}

/// A tensor of a fit's entry has the streamed axis in place of `batch`.
pub(crate) fn as_streamed(elab: &mut Elab<'_>, x: Tensor) -> Tensor {
    if elab.ty(x).has(elab.batch()) { elab.streamed(x) } else { x }
}

impl<'a> Elab<'a> {
    /// In a fit that streams the joint positions of several axes, all of them are reduced at once.
    pub(crate) fn streamed_axes(&mut self, x: Tensor, axes: &[AxisId], span: Span) -> Eval<Vec<AxisId>> {
        let Some(data) = self.data.as_ref().filter(|d| d.stream.len() > 1) else { return Ok(axes.to_vec()) };
        let used =
            |place: usize| data.fit_slabs.iter().any(|s| s.range.iter().any(|r| r.binder == Some(place)));
        let missing =
            data.stream.iter().enumerate().find(|(i, a)| used(*i) && !axes.contains(a)).map(|(_, a)| *a);
        let named = axes.iter().any(|a| data.stream.contains(a));
        let mut rest: Vec<AxisId> = axes.iter().copied().filter(|a| !data.stream.contains(a)).collect();
        if !named || !self.ty(x).has(self.part) {
            return Ok(axes.to_vec());
        }
        if let Some(missing) = missing {
            let names: Vec<String> = data.split_axes.iter().map(|a| format!("`{a}`")).collect();
            let message =
                format!("the train part is told by {}: a fit reduces them together", names.join(" and "));
            let missing = self.axis_name(missing);
            let diagnostic = Diagnostic::new(Code::E0905, span, message);
            return Err(self.error(diagnostic.help(format!("add `{missing}` to `over:`"))));
        }
        rest.push(self.part);
        Ok(rest)
    }
}
