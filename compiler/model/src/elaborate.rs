//! From a resolved file to a module: the entries of its model, its data, its training.
use crate::data;
use crate::elab::{Context, Elab, Eval, Failed};
use crate::facts::Facts;
use crate::groups::{self, Rules};
use crate::live::live;
use crate::periodic::Rings;
use crate::resolve::Resolved;
use crate::settings::Settings;
use crate::train::{self, Inputs, Named};
use crate::units::Unit;
use crate::value::{Spanned, Tensor, Value};
use crate::{tune, watch};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use stmc_base::schema::VariableRef;
use stmc_base::{Code, Diagnostic, Help, Schema, Severity, Span};
use stmc_ir::data::{DataPlan, SourceSpec};
use stmc_ir::module::{EntryGraph, InputRole, Metric, Module, OutputRole, ParamId, Train};
use stmc_ir::ops::Cast;
use stmc_ir::{Axes, AxisId, DType, NodeId, Op, Type};
use stmc_syntax::ast::{self, ItemKind};

/// Samples of each part of the split, from the readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By the part's name.
    pub parts: BTreeMap<String, usize>,
}

/// What a module is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Request {
    /// `train`, `eval`, `predict`, `show` and the fits, whichever the file has.
    #[default]
    Train,
    /// `train` alone, for one given batch: the sample's parts are inputs by name, random masks are inputs too, and the
    /// model's outputs are outputs of the entry.
    Step,
}

/// Samples of a batch where no `train` block says.
const BATCH: usize = 1;

/// Elaboration recurses as deeply as the program nests: layers in layers, each a handful of Rust frames.
const STACK: usize = 512 << 20;

/// The `from` lines of the data block. Empty: the file has none.
pub fn data_sources(resolved: &Resolved, settings: &Settings) -> Result<Vec<SourceSpec>, Vec<Diagnostic>> {
    let work = |elab: &mut Elab<'_>| match elab.resolved.data() {
        Some(decl) => data::sources(elab, decl),
        None => Ok(vec![]),
    };
    run(resolved, settings, work).map(|(specs, _)| specs)
}

/// Variables whose names the schema must list, because a field of the data makes categories of them: the number of the
/// source, and which variable.
pub fn data_categories(resolved: &Resolved) -> Vec<(usize, VariableRef)> {
    resolved.data().map_or(vec![], data::categories)
}

/// What the readers are to do: the data block bound to what its sources hold.
pub fn data_plan(
    resolved: &Resolved,
    settings: &Settings,
    schema: &Schema,
) -> Result<DataPlan, Vec<Diagnostic>> {
    let work = |elab: &mut Elab<'_>| {
        let Some(decl) = elab.resolved.data() else { return Ok(DataPlan::default()) };
        data::plan(elab, decl, schema)?;
        let mut plan = elab.data.take().expect("the plan was made").plan;
        // A part that only a fit reads is no slab of the samples.
        plan.slabs.dedup();
        Ok(plan)
    };
    run(resolved, settings, work).map(|(plan, _)| plan)
}

/// The run's seed: shuffled splits are drawn from it.
pub fn seed(resolved: &Resolved, settings: &Settings) -> Result<u64, Vec<Diagnostic>> {
    let work = |elab: &mut Elab<'_>| match elab.resolved.train() {
        Some(train) => train::seed(elab, train),
        None => Ok(0),
    };
    run(resolved, settings, work).map(|(seed, _)| seed)
}

/// The module, and warnings.
pub fn elaborate(
    resolved: &Resolved,
    settings: &Settings,
    plan: Option<&DataPlan>,
    counts: &Counts,
    request: Request,
) -> Result<(Module, Vec<Diagnostic>), Vec<Diagnostic>> {
    run(resolved, settings, |elab| {
        let made = module(elab, plan, counts, request)?;
        elab.diagnostics.extend(resolved.warnings.iter().cloned());
        Ok(made)
    })
}

/// Elaborates for an editor: the messages of `elaborate`, and what the places in the text turned out to be.
pub fn inspect(
    resolved: &Resolved,
    settings: &Settings,
    plan: Option<&DataPlan>,
    counts: &Counts,
) -> (Vec<Diagnostic>, Facts) {
    let mut facts = Facts::default();
    let work = |elab: &mut Elab<'_>| {
        elab.notes = Some(vec![]);
        let made = module(elab, plan, counts, Request::Train);
        note_the_rest(elab, plan);
        elab.notes.take().into_iter().flatten().for_each(|(span, fact)| facts.add(span, fact));
        made.map(|_| elab.diagnostics.extend(resolved.warnings.iter().cloned()))
    };
    let diagnostics = match run(resolved, settings, work) {
        Ok(((), warnings)) => warnings,
        Err(errors) => errors,
    };
    (diagnostics, facts)
}

/// What no entry needs: fields as a whole, and top-level values that nothing uses. Their mistakes are not told.
fn note_the_rest(elab: &mut Elab<'_>, plan: Option<&DataPlan>) {
    let told = elab.diagnostics.len();
    elab.begin_entry(false);
    for field in plan.map_or(&[][..], |p| &p.fields) {
        let axes: Vec<String> = field.axes.iter().map(|(n, extent)| format!("{n}: {extent}")).collect();
        let optional = if field.reading.optional { "?" } else { "" };
        let dtype = elab.data.as_ref().and_then(|d| data::cast(d.decl, &field.name)).unwrap_or(field.dtype);
        elab.note_text(field.span, format!("{}{optional}[{}]", dtype.name(), axes.join(", ")));
    }
    let resolved: &Resolved = elab.resolved;
    let top = elab.tops[0].clone();
    for item in resolved.main_items() {
        let names = match &item.kind {
            ItemKind::Hyper(h) => std::slice::from_ref(&h.name),
            ItemKind::Let(l) => l.pattern.names(),
            _ => &[],
        };
        for name in names {
            if let Ok(value) = elab.name(&name.text, name.span, &top) {
                elab.note(name.span, &value);
            }
        }
    }
    elab.diagnostics.truncate(told);
}

/// Runs a phase on a stack of its own; its errors, or its result and warnings.
pub(crate) fn run<'a, T: Send>(
    resolved: &'a Resolved,
    settings: &'a Settings,
    work: impl FnOnce(&mut Elab<'a>) -> Eval<T> + Send,
) -> Result<(T, Vec<Diagnostic>), Vec<Diagnostic>> {
    let unknown = settings.check(resolved);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let phase = move || {
        let mut elab = Elab::new(resolved, settings, Rc::new(RefCell::new(Axes::default())));
        let result = work(&mut elab);
        elab.tops.iter().for_each(|top| top.end());
        elab.diagnostics.sort_by_key(|d| d.labels[0].span);
        let (errors, warnings): (Vec<_>, Vec<_>) =
            elab.diagnostics.drain(..).partition(|d| d.severity() == Severity::Error);
        match result {
            Ok(value) if errors.is_empty() => Ok((value, warnings)),
            _ => Err(errors),
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, phase);
        let result = thread.expect("a thread can be started").join();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn module<'a>(
    elab: &mut Elab<'a>,
    plan: Option<&DataPlan>,
    counts: &Counts,
    request: Request,
) -> Eval<Module> {
    let train = elab.resolved.train();
    if let (Some(plan), Some(decl)) = (plan, elab.resolved.data()) {
        data::open(elab, decl, plan.clone());
    }
    let model = model(elab, train)?;
    let tuned = tune::check(elab);
    let settings = train.map(|t| train::plan(elab, t, counts.parts.get("train").copied())).transpose();
    let batch = settings.as_ref().ok().and_then(Option::as_ref).map_or(BATCH, |s| s.batch);
    let mut work = Work::new(batch, request);
    if let (Some(decl), true) = (elab.resolved.data(), elab.data.is_some()) {
        elab.open_data_mut().batch = batch;
        part_types(elab, decl, &mut work)?;
    }
    let Ok(settings) = tuned.and(settings) else {
        // The model, the loss and the metrics have mistakes of their own, if any: all are told in one run.
        let told = elab.diagnostics.len();
        if let Some(model) = model {
            let _ = entries(elab, model, train, request, &mut work);
        }
        let _ = rules_of_broken(elab, train);
        // A setting that seems to lack is perhaps the one that is misspelt.
        let found = elab.diagnostics.split_off(told);
        elab.diagnostics.extend(found.into_iter().filter(|d| d.code != Code::E0802));
        return Err(Failed);
    };
    let made = match model {
        Some(model) => entries(elab, model, train, request, &mut work),
        None => Ok(Ok(vec![])),
    };
    let rules = match made.is_ok() {
        true => train.map(|t| groups::rules(elab, t)).transpose(),
        false => rules_of_broken(elab, train),
    };
    let (metrics, rules) = (made?, rules?);
    let trained = work.entries.iter().find(|e| e.name == "train");
    trained.map_or(Ok(()), |entry| groups::check_terms(elab, entry))?;
    elab.counted = model.map(|m| m.name.text.to_string());
    let asserted = assertions(elab);
    let metrics = metrics.and_then(|metrics| asserted.map(|()| metrics))?;
    if let Some(plan) = &settings {
        check_watched(elab, plan, &metrics)?;
    }
    if train.is_some() {
        warn_of_dead_weights(elab, &work);
    }
    let loss_scale = settings.as_ref().and_then(|s| train::loss_scale(elab, s.precision));
    let train = settings.zip(rules).map(|(s, Rules { optimizers, rate })| Train {
        batch: s.batch,
        epochs: s.epochs,
        steps_per_epoch: s.length.steps_per_epoch,
        steps: s.steps,
        seed: s.seed,
        accumulate: s.accumulate,
        clip: s.clip,
        optimizers,
        ema: s.ema,
        start: s.start,
        save_every: s.save_every,
        precision: s.precision,
        loss_scale,
        resets: elab.settings.resets,
        rate,
        metrics,
        stop: s.stop.map(|s| s.0),
        keep: s.keep.map(|k| k.0),
        watched: elab.watched.iter().map(|(watch, _)| watch.clone()).collect(),
    });
    Ok(assemble(elab, model, train, plan, work))
}

fn check_watched(elab: &mut Elab<'_>, plan: &train::Plan, metrics: &[Metric]) -> Eval<()> {
    if let Some((stop, span)) = &plan.stop {
        watch::check_number(elab, &stop.watch, *span, metrics)?;
    }
    if let Some((keep, span)) = &plan.keep {
        watch::check_number(elab, keep, *span, metrics)?;
    }
    for (watch, span) in elab.watched.clone() {
        watch::check_number(elab, &watch, span, metrics)?;
    }
    Ok(())
}

/// The optimizers of a model with mistakes: which weights it has is not known, so no group is held against them.
fn rules_of_broken<'a>(elab: &mut Elab<'a>, train: Option<&'a ast::TrainDecl>) -> Eval<Option<Rules>> {
    let told = elab.diagnostics.len();
    let rules = train.map(|t| groups::rules(elab, t)).transpose();
    let found = elab.diagnostics.split_off(told);
    elab.diagnostics.extend(found.into_iter().filter(|d| d.code != Code::E0807));
    rules
}

/// The model's entries, as far as they are asked for and the file has what they need. The metrics' mistakes are given
/// apart: more of the file can be checked in spite of them.
fn entries<'a>(
    elab: &mut Elab<'a>,
    model: &'a ast::ModelDecl,
    train: Option<&'a ast::TrainDecl>,
    request: Request,
    work: &mut Work,
) -> Eval<Eval<Vec<Metric>>> {
    let (mut trained, mut metrics) = (Ok(()), Ok(vec![]));
    if let Some(train) = train
        && (elab.data.is_some() || work.named)
    {
        let parts = part_names(elab);
        train::check_inputs(elab, model, &parts)?;
        trained = training(elab, model, train, work);
        if request == Request::Train {
            metrics = evaluation(elab, model, train, work);
        }
    }
    if request == Request::Train {
        prediction(elab, model, work)?;
    }
    trained.map(|()| metrics)
}

/// What is made on the way.
struct Work {
    /// Samples of a batch.
    batch: usize,
    /// The sample's parts are inputs by name.
    named: bool,
    /// The sample's parts, for a batch of any size.
    parts: BTreeMap<Arc<str>, Part>,
    entries: Vec<EntryGraph>,
    /// Weights that a loss reaches.
    live: Vec<ParamId>,
}

impl Work {
    fn new(batch: usize, request: Request) -> Work {
        let named = request == Request::Step;
        Work { batch, named, parts: BTreeMap::new(), entries: vec![], live: vec![] }
    }

    /// The entry under construction is complete.
    fn finish(&mut self, elab: &Elab<'_>, name: &str) {
        self.entries.push(EntryGraph { batch: self.batch, ..elab.entry_graph(name) });
    }
}

/// What is known of a part of the sample, or of a model's input.
#[derive(Clone)]
struct Part {
    ty: Type,
    /// It may be missing.
    optional: bool,
    rings: Rings,
}

impl Part {
    fn of(elab: &Elab<'_>, tensor: Tensor) -> Part {
        Part { ty: elab.ty(tensor), optional: tensor.missing.is_some(), rings: tensor.rings }
    }
}

/// The chosen model, held against what its `train` block says.
fn model<'a>(elab: &mut Elab<'a>, train: Option<&'a ast::TrainDecl>) -> Eval<Option<&'a ast::ModelDecl>> {
    let resolved: &'a Resolved = elab.resolved;
    let Some(train) = train else { return Ok(resolved.model()) };
    if resolved.data_named(&train.data.text).is_none() {
        let message = format!("there is no data `{}`", train.data.text);
        let diagnostic = Diagnostic::new(Code::E0401, train.data.span, message);
        return Err(elab.error(match resolved.data() {
            Some(data) => diagnostic.help_at(train.data.span, Help::did_you_mean(&data.name.text)),
            None => diagnostic,
        }));
    }
    if let Some(model) = resolved.model() {
        return Ok(Some(model));
    }
    let message = format!("there is no model `{}`", train.model.text);
    let diagnostic = Diagnostic::new(Code::E0401, train.model.span, message);
    Err(elab.error(match crate::names::did_you_mean(&train.model.text, resolved.model_names()) {
        Some(near) => diagnostic.help_at(train.model.span, near),
        None => diagnostic,
    }))
}

/// The types of the sample's parts; on the way every fit is met, in the order of the plan.
fn part_types<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl, work: &mut Work) -> Eval<()> {
    elab.begin_entry(false);
    let (mut failed, mut read) = (false, vec![]);
    for (name, _) in data::sample_parts(decl) {
        match elab.sample_part(&name) {
            Ok(tensor) => {
                work.parts.insert(name.clone(), Part::of(elab, tensor));
                read.push((name, tensor));
            }
            Err(Failed) => failed = true,
        }
    }
    let tensors: Vec<Tensor> = read.iter().map(|(_, tensor)| *tensor).collect();
    let units = elab.units(&tensors);
    elab.quantities.parts = read.into_iter().map(|(name, _)| name).zip(units).collect();
    if failed { Err(Failed) } else { Ok(()) }
}

fn part_names(elab: &Elab<'_>) -> Vec<Arc<str>> {
    elab.resolved.data().map_or(vec![], |d| data::sample_parts(d).into_iter().map(|(n, _)| n).collect())
}

/// A part's type for a batch of `n`.
fn batched(elab: &Elab<'_>, ty: &Type, n: usize) -> Type {
    let batch = elab.batch();
    match ty.has(batch) {
        true => ty.without(&[batch]).with(batch, n).expect("it was taken out"),
        false => ty.clone(),
    }
}

/// The sample's parts as values: what they read, or inputs by name.
fn parts<'a>(elab: &mut Elab<'a>, work: &Work) -> Eval<Vec<(Arc<str>, Value<'a>)>> {
    let Some(decl) = elab.resolved.data() else { return Ok(vec![]) };
    if elab.data.is_none() {
        return Ok(vec![]);
    }
    let scope = elab.sample_scope();
    let mut out = vec![];
    for (name, expr) in data::sample_parts(decl) {
        let value = match work.parts.get(&name) {
            Some(part) if work.named => Value::Tensor(named_input(elab, &name, part, work.batch, expr.span)?),
            _ => Value::Lazy(expr, scope.clone()),
        };
        out.push((name, value));
    }
    Ok(out)
}

/// An input by name, `batch` first, its other axes as the part has them; NaN where it is missing.
fn named_input(elab: &mut Elab<'_>, name: &str, part: &Part, batch: usize, span: Span) -> Eval<Tensor> {
    let dtype = part.ty.dtype;
    let ty = batched(elab, &part.ty, batch);
    let ty = if part.optional { ty.with_dtype(DType::F32) } else { ty };
    let sample = elab.batch();
    let mut axes: Vec<AxisId> = ty.dims().iter().map(|d| d.axis).filter(|a| *a != sample).collect();
    if let Some(order) = declared_order(elab, name) {
        axes.sort_by_key(|a| order.iter().position(|o| o == a).unwrap_or(usize::MAX));
    }
    if ty.has(sample) {
        axes.insert(0, sample);
    }
    let raw = elab.input(InputRole::Named { name: name.to_string(), axes }, ty);
    let raw = Tensor { rings: part.rings, ..raw };
    if !part.optional {
        return Ok(raw);
    }
    let read = elab.read_missing(raw, span)?;
    if dtype == DType::F32 { Ok(read) } else { elab.emit(Op::Cast(Cast { to: dtype }), &[read], span) }
}

/// The order of axes in which a model declares its input, or the data their field.
fn declared_order(elab: &Elab<'_>, name: &str) -> Option<Vec<AxisId>> {
    let words = |ty: &ast::Type| -> Option<Vec<AxisId>> {
        let ast::TypeKind::Tensor { shape: Some(dims), .. } = &ty.kind else { return None };
        Some(dims.iter().filter_map(|d| d.axis.word()).map(|w| elab.program_axis(&w.text)).collect())
    };
    let input = elab.resolved.model().and_then(|m| m.inputs.iter().find(|p| &*p.name.text == name));
    input.and_then(|p| p.ty.as_ref().and_then(words)).or_else(|| {
        let plan = &elab.data.as_ref()?.plan;
        let own = plan.fields.iter().find(|f| f.name == name);
        let field = own.or_else(|| plan.fields.iter().max_by_key(|f| f.axes.len()))?;
        Some(field.axes.iter().map(|(n, _)| elab.program_axis(n)).collect())
    })
}

/// The model on the sample's parts.
fn applied<'a>(elab: &mut Elab<'a>, model: &'a ast::ModelDecl, work: &Work) -> Eval<Named<'a>> {
    let parts = parts(elab, work)?;
    let mut inputs = Inputs::new();
    for input in &model.inputs {
        let name = &input.name.text;
        let Some((_, value)) = parts.iter().find(|(n, _)| n == name) else {
            return Err(elab.fail(Code::E0805, input.name.span, format!("the sample has no part `{name}`")));
        };
        let value = match value {
            Value::Lazy(expr, scope) => elab.lazily(expr, scope)?,
            value => value.clone(),
        };
        inputs.insert(name.clone(), Spanned { value, span: input.span });
    }
    let outputs = elab.apply_model(model, &inputs)?;
    for (name, tensor) in &outputs {
        // An output with a part's name is that quantity.
        let part = elab.quantities.parts.get(name).filter(|unit| **unit != Unit::Unknown);
        let unit = part.cloned().unwrap_or(Unit::Open);
        elab.quantities.outputs.push((tensor.node, unit));
    }
    Ok(Named { outputs, parts })
}

/// The entry `train`: the terms of the loss.
fn training<'a>(
    elab: &mut Elab<'a>,
    model: &'a ast::ModelDecl,
    train: &'a ast::TrainDecl,
    work: &mut Work,
) -> Eval<()> {
    elab.begin_entry(true);
    elab.masks = work.named;
    let Ok(named) = applied(elab, model, work) else {
        let parts = parts(elab, work)?;
        train::look_over(elab, train, model, &parts);
        return Err(Failed);
    };
    train::losses(elab, train, &named)?;
    work.live = live_weights(elab);
    if work.named {
        for (name, tensor) in &named.outputs {
            named_output(elab, model, name, name, *tensor);
        }
    }
    elab.masks = false;
    elab.store_buffers();
    work.finish(elab, "train");
    Ok(())
}

/// The entries `eval` (metrics over a part) and `show` (outputs beside the sample's parts).
fn evaluation<'a>(
    elab: &mut Elab<'a>,
    model: &'a ast::ModelDecl,
    train: &'a ast::TrainDecl,
    work: &mut Work,
) -> Eval<Vec<Metric>> {
    elab.begin_entry(false);
    let named = applied(elab, model, work)?;
    let metrics = train::metrics(elab, train, &named)?;
    work.finish(elab, "eval");
    show(elab, model, work)?;
    Ok(metrics)
}

fn show<'a>(elab: &mut Elab<'a>, model: &'a ast::ModelDecl, work: &mut Work) -> Eval<()> {
    elab.begin_entry(false);
    let named = applied(elab, model, work)?;
    for (name, tensor) in &named.outputs {
        named_output(elab, model, name, &format!("out.{name}"), *tensor);
    }
    for (name, value) in &named.parts {
        let Value::Lazy(expr, scope) = value else { continue };
        let value = elab.lazily(expr, scope)?;
        let tensor = elab.tensor(&Spanned { value, span: expr.span }, None)?;
        if elab.ty(tensor).has(elab.batch()) {
            let axes = order(elab, tensor, declared_order(elab, name));
            let tensor = elab.written(tensor, expr.span)?;
            elab.output(tensor.node, OutputRole::Named { name: format!("sample.{name}"), axes });
        }
    }
    work.finish(elab, "show");
    Ok(())
}

/// The entry `predict`: named inputs to named outputs.
fn prediction<'a>(elab: &mut Elab<'a>, model: &'a ast::ModelDecl, work: &mut Work) -> Eval<()> {
    elab.begin_entry(false);
    let mut inputs = Inputs::new();
    for input in &model.inputs {
        let part = match work.parts.get(&input.name.text) {
            Some(part) => part.clone(),
            None => declared_part(elab, input)?,
        };
        let tensor = named_input(elab, &input.name.text, &part, work.batch, input.span)?;
        inputs.insert(input.name.text.clone(), Spanned { value: Value::Tensor(tensor), span: input.span });
    }
    for (name, tensor) in elab.apply_model(model, &inputs)? {
        let tensor = data::predicted(elab, &name, tensor, model.name.span)?;
        named_output(elab, model, &name, &name, tensor);
    }
    work.finish(elab, "predict");
    Ok(())
}

/// The number of weights of a model that is not the one being compiled. Inputs that are parts of the sample have their types.
pub(crate) fn count<'a>(elab: &mut Elab<'a>, model: &'a ast::ModelDecl) -> Eval<usize> {
    let parts = part_names(elab);
    let weights = std::mem::take(&mut elab.weights);
    elab.begin_entry(false);
    let mut inputs = Inputs::new();
    let mut failed = None;
    for input in &model.inputs {
        let known = elab.data.is_some() && parts.contains(&input.name.text);
        let part = match known {
            true => elab.sample_part(&input.name.text).map(|t| Part::of(elab, t)),
            false => declared_part(elab, input),
        };
        match part {
            Ok(part) => {
                let tensor = named_input(elab, &input.name.text, &part, BATCH, input.span)?;
                let value = Value::Tensor(tensor);
                inputs.insert(input.name.text.clone(), Spanned { value, span: input.span });
            }
            Err(error) => failed = Some(error),
        }
    }
    let applied = match failed {
        Some(error) => Err(error),
        None => elab.apply_model(model, &inputs).map(|_| ()),
    };
    let counted = std::mem::replace(&mut elab.weights, weights);
    elab.begin_entry(false);
    applied.map(|()| counted.trained())
}

/// Without data a model's inputs have the extents that they declare, and periodic axes are there as a whole.
fn declared_part<'a>(elab: &mut Elab<'a>, input: &'a ast::Parameter) -> Eval<Part> {
    let Some(ty) = &input.ty else {
        return Err(elab.fail(
            Code::E0507,
            input.span,
            format!("the input `{}` needs a type", input.name.text),
        ));
    };
    if matches!(ty.kind, ast::TypeKind::Tensor { missing: true, .. }) {
        return Err(elab.missing_input(input));
    }
    let top = elab.top_of(ty.span);
    let (ty, _) = elab.closed_type(ty, &top)?;
    let batch = elab.batch();
    let ty = ty.with(batch, BATCH).unwrap_or(ty);
    let rings = elab.declared_rings(&ty);
    Ok(Part { ty, optional: false, rings })
}

/// An output of the model, its axes as declared, `batch` first.
fn named_output<'a>(
    elab: &mut Elab<'a>,
    model: &'a ast::ModelDecl,
    output: &str,
    name: &str,
    tensor: Tensor,
) {
    let mut declared = None;
    if let ast::TypeKind::Record(fields) = &model.outputs.kind
        && let Some(field) = fields.iter().find(|f| &*f.name.text == output)
        && let ast::TypeKind::Tensor { shape: Some(dims), .. } = &field.ty.kind
    {
        declared =
            Some(dims.iter().filter_map(|d| d.axis.word()).map(|w| elab.program_axis(&w.text)).collect());
    }
    let axes = order(elab, tensor, declared);
    elab.output(tensor.node, OutputRole::Named { name: name.to_string(), axes });
}

/// A tensor's axes, `batch` first, then as declared.
fn order(elab: &Elab<'_>, tensor: Tensor, declared: Option<Vec<AxisId>>) -> Vec<AxisId> {
    let batch = elab.batch();
    let mut axes = elab.axes_of(tensor);
    let declared = declared.unwrap_or_default();
    axes.sort_by_key(|a| (*a != batch, declared.iter().position(|d| d == a).unwrap_or(usize::MAX)));
    axes
}

// ---------------------------------------------------------------- weights, assertions, assembly

/// The weights that the losses' graph reads.
fn live_weights(elab: &Elab<'_>) -> Vec<ParamId> {
    let graph = elab.frames[0].builder.graph();
    let mut live = vec![false; graph.nodes.len()];
    elab.outputs.iter().for_each(|o| live[o.0.index()] = true);
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if live[i] && !groups::stops(&node.op) {
            node.args.iter().for_each(|a| live[a.index()] = true);
        }
    }
    let of = |(role, node): &(InputRole, NodeId)| match role {
        InputRole::Param(id) if live[node.index()] => Some(*id),
        _ => None,
    };
    elab.inputs.iter().filter_map(of).collect()
}

fn warn_of_dead_weights(elab: &mut Elab<'_>, work: &Work) {
    let mut dead: Vec<(Span, Vec<String>)> = vec![];
    for (i, (param, place)) in elab.weights.params.iter().zip(&elab.weights.places).enumerate() {
        if param.buffer || !param.is_trained() || work.live.contains(&ParamId::from_index(i)) {
            continue;
        }
        match dead.iter_mut().find(|(span, _)| span == place) {
            Some((_, paths)) => paths.push(param.path.clone()),
            None => dead.push((*place, vec![param.path.clone()])),
        }
    }
    for (place, paths) in dead {
        let what = crate::names::listed(paths.iter().map(String::as_str));
        let message = match paths.len() {
            1 => format!("{what} never reaches the loss: it counts, but is not trained"),
            _ => format!("{what} never reach the loss: they count, but are not trained"),
        };
        elab.report(Diagnostic::new(Code::W0501, place, message));
    }
}

/// The file's assertions, once the weights are counted.
fn assertions(elab: &mut Elab<'_>) -> Eval<()> {
    elab.begin_entry(false);
    elab.place = Context::Plain;
    let mut failed = false;
    for (u, unit) in elab.resolved.units.iter().enumerate() {
        for item in &unit.file.items {
            if let ItemKind::Assert(a) = &item.kind {
                let top = elab.tops[u].clone();
                failed |= elab.assertion(a, &top).is_err();
            }
        }
    }
    if failed { Err(Failed) } else { Ok(()) }
}

fn assemble<'a>(
    elab: &mut Elab<'a>,
    model: Option<&'a ast::ModelDecl>,
    train: Option<Train>,
    plan: Option<&DataPlan>,
    work: Work,
) -> Module {
    let (params, ids) = elab.weights.ordered();
    let mut entries = work.entries;
    let mut fits = vec![];
    let fitted = elab.data.as_mut().map(|d| std::mem::take(&mut d.fits)).unwrap_or_default();
    for fit in fitted {
        entries.push(fit.entry);
        fits.push(fit.metric);
    }
    for entry in &mut entries {
        for role in &mut entry.inputs {
            if let InputRole::Param(id) = role {
                *id = ids[id.index()];
            }
        }
        for role in &mut entry.outputs {
            if let OutputRole::Buffer(id) = role {
                *id = ids[id.index()];
            }
        }
    }
    Module {
        hypers: hypers(elab),
        name: model.map_or(String::new(), |m| m.name.text.to_string()),
        axes: elab.axes.borrow().clone(),
        params,
        scalars: elab.scalars.clone(),
        states: elab.host_states(),
        entries,
        fits,
        train,
        data: plan.cloned(),
    }
}

/// The hypers as they are.
fn hypers(elab: &mut Elab<'_>) -> BTreeMap<String, String> {
    let resolved: &Resolved = elab.resolved;
    let all = resolved.all_hypers().into_iter();
    let shown = all.filter_map(|(name, at)| Some((name, crate::value::show(&elab.item_value(at).ok()?)?)));
    shown.collect()
}

impl<'a> Elab<'a> {
    /// The entry under construction, with only the inputs that an output depends on.
    pub(crate) fn entry_graph(&self, name: &str) -> EntryGraph {
        let outputs: Vec<NodeId> = self.outputs.iter().map(|o| o.0).collect();
        let mut inputs = vec![];
        let graph = live(&self.frames[0].builder, outputs, |index| {
            inputs.push(self.inputs[index].0.clone());
            inputs.len() - 1
        });
        let roles = self.outputs.iter().map(|o| o.1.clone()).collect();
        let batch = self.data.as_ref().map_or(BATCH, |d| d.batch);
        EntryGraph { name: name.to_string(), graph, inputs, outputs: roles, batch }
    }
}
