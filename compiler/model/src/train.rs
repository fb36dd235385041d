//! The `train` block: its settings, its losses and metrics.
use crate::elab::{Context, Elab, Eval, Failed, RunLength};
use crate::scope::{Env, Scope};
use crate::value::{Spanned, Tensor, Value};
use crate::watch::{self, Watched};
use crate::{groups, names, part_loss, vocabulary};
use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::NodeId;
use stmc_ir::host::{HostBinary, HostExpr, LOSS_SCALE};
use stmc_ir::module::{Clip, InputRole, LossScale, Metric, OutputRole, Stalled, Start, Watch};
use stmc_ir::ops::Scalar;
use stmc_ir::{Op, Precision};
use stmc_syntax::ast::{self, ExprKind};

/// What the block sets, but for what needs the model.
pub(crate) struct Plan {
    pub batch: usize,
    pub accumulate: usize,
    pub epochs: usize,
    pub length: RunLength,
    pub steps: usize,
    pub seed: u64,
    pub clip: Option<Clip>,
    pub ema: Option<f64>,
    pub precision: Precision,
    pub start: Option<Start>,
    pub save_every: Option<usize>,
    pub stop: Option<Watched<Stalled>>,
    pub keep: Option<Watched<Watch>>,
}

/// Names in the losses and metrics: the model's outputs and the sample's parts.
pub(crate) struct Named<'a> {
    pub outputs: Vec<(Arc<str>, Tensor)>,
    pub parts: Vec<(Arc<str>, Value<'a>)>,
}

/// A key's expression, as written or as `--set` replaces it.
pub(crate) fn key<'a>(elab: &Elab<'a>, train: &'a ast::TrainDecl, name: &str) -> Option<&'a ast::Expr> {
    let settings: &'a crate::Settings = elab.settings;
    let written = train.keys.iter().find(|k| &*k.name.text == name).map(|k| &k.value);
    settings.set.get(&format!("train.{name}")).or(written)
}

/// Unknown keys and keys given twice.
pub(crate) fn check_keys<'a>(elab: &mut Elab<'a>, keys: &'a [ast::Key]) -> Eval<()> {
    let before = elab.diagnostics.len();
    for key in keys {
        let name = &*key.name.text;
        let first = keys.iter().find(|k| k.name.text == key.name.text).expect("the key itself is one");
        if first.name.span != key.name.span {
            elab.report(crate::resolve::twice(&key.name, first.name.span).help("a key is given once"));
        }
        if !vocabulary::train().any(|k| k.0 == name) {
            let message = format!("`train` has no setting `{name}`");
            let diagnostic = Diagnostic::new(Code::E0802, key.name.span, message);
            elab.report(match crate::habits::of_setting(name) {
                Some(help) => diagnostic.help(help),
                None => {
                    let help = names::near_or_all(name, "settings are", vocabulary::train().map(|k| k.0));
                    diagnostic.help_at(key.name.span, help)
                }
            });
        }
    }
    if elab.diagnostics.len() > before { Err(Failed) } else { Ok(()) }
}

/// The settings. `samples` is the size of the train part.
pub(crate) fn plan<'a>(elab: &mut Elab<'a>, train: &'a ast::TrainDecl, samples: Option<usize>) -> Eval<Plan> {
    check_keys(elab, &train.keys)?;
    let batch = count(elab, train, "batch", 32)?;
    let accumulate = count(elab, train, "accumulate", 1)?;
    // Without the data's size one step an epoch stands for any number.
    let steps_per_epoch = samples.map_or(1, |n| n / (batch * accumulate)).max(1);
    warn_of_partial_batch(elab, train, samples.unwrap_or(0), batch * accumulate);
    one_length(elab, train)?;
    let epochs = count(elab, train, "epochs", 10)?;
    let steps = count(elab, train, "steps", epochs.saturating_mul(steps_per_epoch))?;
    // Schedules that go on from phase to phase see them as one run.
    let length = RunLength { steps_per_epoch, steps: elab.settings.run.unwrap_or(steps) };
    elab.length = Some(length);
    let seed = seed(elab, train)?;
    let precision = precision(elab, train)?;
    // There is nothing to choose: sums have one order.
    one_of(elab, train, "math", &["exact", "fast"])?;
    let clip = key(elab, train, "clip").map(|e| clip(elab, e)).transpose()?;
    let ema = key(elab, train, "ema").map(|e| ema(elab, e)).transpose()?;
    let start = key(elab, train, "start").map(|e| start(elab, e)).transpose()?;
    let save_every = key(elab, train, "save_every").map(|e| span_of_steps(elab, e)).transpose()?;
    let stop = key(elab, train, "stop").map(|e| watch::stalled(elab, train, e)).transpose()?;
    let keep = key(elab, train, "keep").map(|e| watch::best(elab, train, e)).transpose()?;
    Ok(Plan {
        batch,
        accumulate,
        epochs,
        length,
        steps,
        seed,
        clip,
        ema,
        precision,
        start,
        save_every,
        stop,
        keep,
    })
}

/// `steps` stands in place of `epochs`. A `--set` of one goes before the other in the file.
fn one_length<'a>(elab: &mut Elab<'a>, train: &'a ast::TrainDecl) -> Eval<()> {
    let written = |name: &str| train.keys.iter().find(|k| &*k.name.text == name).map(|k| k.name.span);
    let (Some(epochs), Some(steps)) = (written("epochs"), written("steps")) else { return Ok(()) };
    let diagnostic = Diagnostic::new(Code::E0804, steps, "the length of training is given twice");
    Err(elab.error(diagnostic.label(epochs, "here first").help("keep either `epochs` or `steps`")))
}

/// Training uses whole batches.
fn warn_of_partial_batch<'a>(elab: &mut Elab<'a>, train: &'a ast::TrainDecl, samples: usize, update: usize) {
    let left = samples % update;
    if samples > update && left > 0 {
        let span = key(elab, train, "batch").map_or(train.model.span, |e| e.span);
        let message =
            format!("{left} of {samples} samples do not fill a batch, and each epoch leaves so many out");
        let help = format!("evaluation uses every sample; an update takes {update}");
        elab.report(Diagnostic::new(Code::W0801, span, message).help(help));
    }
}

/// The run's seed, as far as it is set.
pub(crate) fn seed<'a>(elab: &mut Elab<'a>, train: &'a ast::TrainDecl) -> Eval<u64> {
    Ok(number(elab, train, "seed")?.map_or(0, |(n, _)| n as u64))
}

fn number<'a>(elab: &mut Elab<'a>, train: &'a ast::TrainDecl, name: &str) -> Eval<Option<(i64, Span)>> {
    let Some(expr) = key(elab, train, name) else { return Ok(None) };
    let top = elab.tops[0].clone();
    match elab.eval(expr, &top)? {
        Value::Int(i) => Ok(Some((i, expr.span))),
        other => {
            let message = format!("`{name}` is a whole number, this is {}", other.kind());
            let diagnostic = Diagnostic::new(Code::E0804, expr.span, message);
            Err(elab.error(match other {
                Value::Quantity(x, _) => diagnostic.help(format!("without a unit: `{x}`")),
                _ => diagnostic,
            }))
        }
    }
}

fn count<'a>(elab: &mut Elab<'a>, train: &'a ast::TrainDecl, name: &str, default: usize) -> Eval<usize> {
    match number(elab, train, name)? {
        None => Ok(default),
        Some((n, _)) if (1..=1 << 24).contains(&n) => Ok(n as usize),
        Some((n, span)) if n > 1 => {
            Err(elab.fail(Code::E0804, span, format!("`{name}` is at most {}, this is {n}", 1 << 24)))
        }
        Some((n, span)) => Err(elab.fail(Code::E0804, span, format!("`{name}` is at least 1, this is {n}"))),
    }
}

/// `"bf16"`
fn precision<'a>(elab: &mut Elab<'a>, train: &'a ast::TrainDecl) -> Eval<Precision> {
    let names: Vec<&str> = Precision::ALL.iter().map(|p| p.name()).collect();
    let chosen = one_of(elab, train, "precision", &names)?;
    Ok(chosen.map_or(Precision::default(), |n| Precision::ALL[n]))
}

/// Which of these words a key has. `None`: it is not given.
fn one_of<'a>(
    elab: &mut Elab<'a>,
    train: &'a ast::TrainDecl,
    name: &str,
    words: &[&str],
) -> Eval<Option<usize>> {
    let Some(expr) = key(elab, train, name) else { return Ok(None) };
    let bare = expr.name().filter(|n| words.contains(&&*n.text));
    let top = elab.tops[0].clone();
    let found = match bare {
        Some(_) => None,
        None => match elab.eval(expr, &top)? {
            Value::Str(s) => words.iter().position(|w| **w == *s),
            _ => None,
        },
    };
    match found {
        Some(n) => Ok(Some(n)),
        None => {
            let quoted: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
            let all = names::listed(quoted.iter().map(String::as_str));
            let diagnostic = Diagnostic::new(Code::E0804, expr.span, format!("`{name}` is one of {all}"));
            Err(elab.error(match bare {
                Some(word) => {
                    let quoted = format!("\"{}\"", word.text);
                    diagnostic.help(format!("it stands in quotes: `{quoted}`")).fix(expr.span, quoted)
                }
                None => diagnostic,
            }))
        }
    }
}

/// What f16 needs so that small gradients do not become 0.
pub(crate) fn loss_scale(elab: &mut Elab<'_>, precision: Precision) -> Option<LossScale> {
    if precision != Precision::F16 {
        return None;
    }
    let scale = HostExpr::var(LOSS_SCALE);
    let inverse = HostExpr::binary(HostBinary::Div, HostExpr::Const(1.0), scale.clone());
    Some(LossScale { scale: elab.host_scalar(scale), inverse: elab.host_scalar(inverse) })
}

/// `0.999`
fn ema<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<f64> {
    let top = elab.tops[0].clone();
    match elab.eval(expr, &top)?.number() {
        Some(x) if x > 0.0 && x < 1.0 => Ok(x),
        _ => Err(elab.fail(
            Code::E0804,
            expr.span,
            "`ema` is what of the average stays in an update: a number between 0 and 1 such as `0.999`",
        )),
    }
}

/// `"weights.safetensors"`
fn start<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<Start> {
    let top = elab.tops[0].clone();
    match elab.eval(expr, &top)? {
        Value::Str(path) => Ok(Start { path: path.to_string(), span: expr.span }),
        _ => Err(elab.fail(
            Code::E0804,
            expr.span,
            "`start` is a file of weights or a run directory: `\"weights.safetensors\"`",
        )),
    }
}

/// `500 steps`, `2 epochs`, `10%`: a number of updates.
fn span_of_steps<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<usize> {
    let top = elab.tops[0].clone();
    let outer = std::mem::replace(&mut elab.place, Context::Schedule);
    let value = elab.eval(expr, &top);
    elab.place = outer;
    match value? {
        Value::Float(x) if x >= 1.0 => Ok(x as usize),
        _ => Err(elab.fail(
            Code::E0804,
            expr.span,
            "`save_every` is at least one update: `500 steps`, `2 epochs` or `10%`",
        )),
    }
}

/// `norm(1.0)`, `value(0.5)`
fn clip<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<Clip> {
    if let ExprKind::Call { callee, args } = &expr.kind
        && let ([arg], Some(name)) = (args.as_slice(), callee.name())
    {
        let top = elab.tops[0].clone();
        let limit = elab.eval(&arg.value, &top)?.number().filter(|x| *x > 0.0);
        match (&*name.text, limit) {
            ("norm", Some(x)) => return Ok(Clip::Norm(x)),
            ("value", Some(x)) => return Ok(Clip::Value(x)),
            _ => {}
        }
    }
    Err(elab.fail(Code::E0804, expr.span, "`clip` is `norm(1.0)` or `value(0.5)`, with a positive number"))
}

// ---------------------------------------------------------------- losses and metrics

/// The scope of losses and metrics.
fn scope<'a>(elab: &mut Elab<'a>, named: &Named<'a>) -> Env<'a> {
    let scope = Scope::body(&elab.tops[0].clone(), "");
    let train = elab.resolved.train().expect("a train block is being read");
    let span = train.model.span;
    elab.ambiguous.clear();
    let both = |name: &Arc<str>, parts: &[(Arc<str>, Value<'a>)]| parts.iter().any(|(n, _)| n == name);
    for (name, tensor) in &named.outputs {
        if both(name, &named.parts) {
            elab.ambiguous.push(name.clone());
        } else {
            scope.define(name, Value::Tensor(*tensor), span);
        }
    }
    for (name, value) in &named.parts {
        if !elab.ambiguous.contains(name) {
            scope.define(name, value.clone(), span);
        }
    }
    let outputs = named.outputs.iter().map(|(n, t)| (n.clone(), Value::Tensor(*t))).collect();
    scope.define("out", Value::record(outputs), span);
    scope.define("sample", Value::record(named.parts.clone()), span);
    scope
}

/// Tells the mistakes of losses and metrics that have nothing to do with the model, which has mistakes of its own.
pub(crate) fn look_over<'a>(
    elab: &mut Elab<'a>,
    train: &'a ast::TrainDecl,
    model: &'a ast::ModelDecl,
    parts: &[(Arc<str>, Value<'a>)],
) {
    let scope = Scope::body(&elab.tops[0].clone(), "");
    for (name, value) in parts {
        scope.define(name, value.clone(), train.model.span);
    }
    if let ast::TypeKind::Record(outputs) = &model.outputs.kind {
        for output in outputs {
            scope.define(&output.name.text, Value::Failed, output.name.span);
        }
    }
    scope.define("out", Value::Failed, train.model.span);
    scope.define("sample", Value::record(parts.to_vec()), train.model.span);
    for key in ["loss", "metrics"] {
        let Some(expr) = self::key(elab, train, key) else { continue };
        let ExprKind::Record(record) = &expr.kind else {
            let _ = elab.eval(expr, &scope);
            continue;
        };
        for l in record.lets.iter().filter(|l| elab.let_statement(l, &scope).is_err()).collect::<Vec<_>>() {
            l.pattern.names().iter().for_each(|n| scope.define(&n.text, Value::Failed, n.span));
        }
        for entry in &record.entries {
            let _ = elab.eval(&entry.value, &scope);
            scope.define(&entry.key.text, Value::Failed, entry.key.span);
        }
    }
}

/// The terms of the loss, each a scalar: outputs of the entry.
pub(crate) fn losses<'a>(elab: &mut Elab<'a>, train: &'a ast::TrainDecl, named: &Named<'a>) -> Eval<()> {
    let Some(expr) = key(elab, train, "loss") else {
        let message = "`train` has no `loss`";
        let diagnostic = Diagnostic::new(Code::E0802, train.model.span, message);
        return Err(elab.error(diagnostic.help("`loss = mse(forecast, future)`")));
    };
    let mut failed = false;
    for (name, term) in terms(elab, expr, named)? {
        failed |= loss_term(elab, &name, &term).is_err();
    }
    if failed { Err(Failed) } else { Ok(()) }
}

fn loss_term<'a>(elab: &mut Elab<'a>, name: &str, term: &Spanned<'a>) -> Eval<()> {
    let tensor = elab.tensor(term, None)?;
    let tensor = elab.float(tensor, term.span)?;
    if !elab.ty(tensor).dims().is_empty() {
        let ty = elab.ty(tensor);
        let message = format!("a loss is one number, this is {}", elab.show_type(&ty));
        return Err(
            elab.error(Diagnostic::new(Code::E0804, term.span, message).help("`mean(…)` reduces all axes"))
        );
    }
    if !reaches_a_weight(elab, tensor.node) {
        let message = format!("the term `{name}` has no path to any weight");
        let help = "what trains nothing belongs in `metrics`; `stop_gradient`, comparisons and rounding let no gradient through";
        return Err(elab.error(Diagnostic::new(Code::E0801, term.span, message).help(help)));
    }
    // A missing loss is 0, which is what is stored there.
    elab.output(tensor.node, OutputRole::Loss { name: name.to_string(), span: term.span });
    Ok(())
}

/// The loss, or the entries of a record of terms, with their places.
pub(crate) fn terms<'a>(
    elab: &mut Elab<'a>,
    expr: &'a ast::Expr,
    named: &Named<'a>,
) -> Eval<Vec<(Arc<str>, Spanned<'a>)>> {
    let scope = scope(elab, named);
    let value = elab.eval(expr, &scope)?.plain();
    let Value::Record(entries) = &value else {
        return Ok(vec![("loss".into(), Spanned { value, span: expr.span })]);
    };
    let place = |name: &Arc<str>| match &expr.kind {
        ExprKind::Record(r) => {
            r.entries.iter().find(|e| e.key.text == *name).map_or(expr.span, |e| e.value.span)
        }
        _ => expr.span,
    };
    Ok(entries.iter().map(|(n, v)| (n.clone(), Spanned { value: v.clone(), span: place(n) })).collect())
}

/// Whether a gradient could flow from a node to a weight.
fn reaches_a_weight(elab: &Elab<'_>, node: NodeId) -> bool {
    let graph = elab.frames[0].builder.graph();
    let weights: Vec<bool> = elab.inputs.iter().map(|(r, _)| matches!(r, InputRole::Param(_))).collect();
    let mut reached = vec![false; graph.nodes.len()];
    reached[node.index()] = true;
    for i in (0..=node.index()).rev() {
        if !reached[i] {
            continue;
        }
        let node = &graph.nodes[i];
        match &node.op {
            Op::Input { index, .. } if weights[*index as usize] => return true,
            op if groups::stops(op) => {}
            _ => node.args.iter().for_each(|a| reached[a.index()] = true),
        }
    }
    false
}

/// The loss and the metrics over a part.
pub(crate) fn metrics<'a>(
    elab: &mut Elab<'a>,
    train: &'a ast::TrainDecl,
    named: &Named<'a>,
) -> Eval<Vec<Metric>> {
    elab.begin_part();
    let results = metric_values(elab, train, named)?;
    let units = elab.units(&results.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    let mut metrics = elab.end_part(results);
    for (metric, unit) in metrics.iter_mut().zip(units) {
        metric.unit = unit.text();
    }
    Ok(metrics)
}

fn metric_values<'a>(
    elab: &mut Elab<'a>,
    train: &'a ast::TrainDecl,
    named: &Named<'a>,
) -> Eval<Vec<(Arc<str>, Tensor)>> {
    let mut results = vec![];
    if let Some(expr) = key(elab, train, "loss") {
        let mut sum: Option<Tensor> = None;
        let mut several = vec![];
        for (name, tensor) in part_loss::terms_over_the_part(elab, expr, named)? {
            several.push((format!("loss.{name}").into(), tensor));
            sum = Some(match sum {
                None => tensor,
                Some(sum) => elab.scalar(Scalar::Add, &[sum, tensor], expr.span)?,
            });
        }
        results.extend(sum.map(|s| ("loss".into(), s)));
        if several.len() > 1 {
            results.extend(several);
        }
    }
    let Some(expr) = key(elab, train, "metrics") else { return Ok(results) };
    let ExprKind::Record(record) = &expr.kind else {
        let message = "`metrics` is a record: `{ error: rmse(forecast, future) }`";
        return Err(elab.fail(Code::E0804, expr.span, message));
    };
    let scope = scope(elab, named);
    let mut failed = false;
    for l in &record.lets {
        elab.let_statement(l, &scope)?;
    }
    for (n, entry) in record.entries.iter().enumerate() {
        if let Some(first) = record.entries[..n].iter().find(|e| e.key.text == entry.key.text) {
            elab.report(crate::resolve::twice(&entry.key, first.key.span));
            failed = true;
        }
        let value = elab.spanned(&entry.value, &scope).and_then(|v| elab.finished(&v));
        match value {
            Ok(tensor) => {
                scope.define(&entry.key.text, Value::Tensor(tensor), entry.key.span);
                results.push((entry.key.text.clone(), elab.written(tensor, entry.value.span)?));
            }
            Err(Failed) => {
                scope.define(&entry.key.text, Value::Failed, entry.key.span);
                failed = true;
            }
        }
    }
    if failed { Err(Failed) } else { Ok(results) }
}

/// Whether the inputs of a model are parts of the sample.
pub(crate) fn check_inputs<'a>(
    elab: &mut Elab<'a>,
    model: &'a ast::ModelDecl,
    parts: &[Arc<str>],
) -> Eval<()> {
    let before = elab.diagnostics.len();
    for input in &model.inputs {
        if parts.contains(&input.name.text) {
            continue;
        }
        let message =
            format!("the sample has no part `{}`, an input of `{}`", input.name.text, model.name.text);
        let diagnostic = Diagnostic::new(Code::E0805, input.name.span, message);
        let help = names::near_or_all(&input.name.text, "its parts are", parts.iter().map(|p| p.as_ref()));
        elab.report(diagnostic.help(help));
    }
    if elab.diagnostics.len() > before { Err(Failed) } else { Ok(()) }
}

/// Model inputs by name.
pub(crate) type Inputs<'a> = BTreeMap<Arc<str>, Spanned<'a>>;
