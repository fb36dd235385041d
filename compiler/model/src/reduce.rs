//! Built-in functions that remove axes, and statics about axes. In a metric, reductions over `batch` go to `metric.rs`.
use crate::builtins::Bound;
use crate::elab::{Context, Elab, Eval, Failed};
use crate::value::{Spanned, Tensor, Value};
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::ops::{Dot, Reduce, Reduction, Scalar};
use stmc_ir::{AxisId, DType, Op};
use stmc_syntax::ast::{BinaryOp, ExprKind};

/// What is made of the elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sort {
    Sum,
    Mean,
    Max,
    Min,
    Any,
    All,
}

/// `sum(x, over: a)`, or of a static list.
pub(crate) fn sum<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let sum = reduce_or_fold(elab, bound, Sort::Sum, BinaryOp::Add)?;
    Ok(elab.noted_sum(sum))
}

/// `mean(x, over: a, weight: w)` is Σwx / Σw; 0 where Σw is.
pub(crate) fn mean<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = bound.value(0).clone();
    let weight = bound.optional(2).cloned().filter(|w| w.value.number().is_none());
    let Some(weight) = weight else {
        return reduction(elab, bound, &x, Sort::Mean, bound.axes(1));
    };
    let span = bound.span;
    let (x, w) = (elab.tensor_of(&x)?, elab.tensor_of(&weight)?);
    let (x, w) = (elab.float(x, span)?, elab.float(w, span)?);
    let weighted = [
        Spanned { value: Value::Tensor(x), span: bound.value(0).span },
        Spanned { value: Value::Tensor(w), span: weight.span },
    ];
    let product = elab.pointwise(Scalar::Mul, "mean", &weighted, span)?;
    let ty = elab.ty(product);
    let mut wide = elab.expand_to(w, &ty, span)?;
    // Only the cells that the numerator takes.
    if let Some(mask) = product.mask() {
        wide = elab.replaced(wide, mask, 0.0, span)?;
    }
    let over = over(elab, product, bound.name, bound.axes(1), span)?;
    let top = elab.reduce(product.stored(), Sort::Sum, &over, span)?;
    let bottom = elab.reduce(wide, Sort::Sum, &over, span)?;
    let zero = elab.number(0.0, DType::F32);
    let none = elab.scalar(Scalar::Equal, &[bottom, zero], span)?;
    let one = elab.number(1.0, DType::F32);
    // The division is by 1 where nothing has weight, so that no NaN stands behind the choice.
    let safe = elab.scalar(Scalar::Where, &[none, one, bottom], span)?;
    elab.quantities.same.push((safe, bottom));
    let quotient = elab.scalar(Scalar::Div, &[top, safe], span)?;
    let mean = elab.scalar(Scalar::Where, &[none, zero, quotient], span)?;
    match product.missing {
        Some(_) => elab.with_mask(mean, none, span).map(Value::Tensor),
        None => Ok(Value::Tensor(mean)),
    }
}

/// `max(x, y)` element by element, or `max(x, over: a)`.
pub(crate) fn max<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    extreme(elab, bound, Sort::Max)
}

/// `min(x, y)` element by element, or `min(x, over: a)`.
pub(crate) fn min<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    extreme(elab, bound, Sort::Min)
}

fn extreme<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>, sort: Sort) -> Eval<Value<'a>> {
    let x = bound.value(0);
    let Some(y) = bound.optional(1) else {
        if let Value::List(list) = &x.value {
            return fold_list(elab, list, x.span, |elab, a, b| two(elab, sort, &a, &b, x.span));
        }
        return reduction(elab, bound, x, sort, bound.axes(2));
    };
    two(elab, sort, x, y, bound.span)
}

fn two<'a>(elab: &mut Elab<'a>, sort: Sort, x: &Spanned<'a>, y: &Spanned<'a>, span: Span) -> Eval<Value<'a>> {
    use stmc_ir::host::HostBinary;
    let (on_host, op, name) = match sort {
        Sort::Max => (HostBinary::Max, Scalar::Max, "max"),
        _ => (HostBinary::Min, Scalar::Min, "min"),
    };
    match (&x.value, &y.value) {
        (Value::Int(a), Value::Int(b)) => {
            Ok(Value::Int(if sort == Sort::Max { *a.max(b) } else { *a.min(b) }))
        }
        (a, b) if a.host().is_some() && b.host().is_some() => {
            let (a, b) = (a.host().expect("checked"), b.host().expect("checked"));
            Ok(crate::host::folded(stmc_ir::HostExpr::binary(on_host, a, b)))
        }
        _ => elab.pointwise(op, name, &[x.clone(), y.clone()], span).map(Value::Tensor),
    }
}

/// Whether any holds.
pub(crate) fn any<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    reduce_or_fold(elab, bound, Sort::Any, BinaryOp::Or)
}

/// Whether all hold.
pub(crate) fn all<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    reduce_or_fold(elab, bound, Sort::All, BinaryOp::And)
}

/// How many elements there are.
pub(crate) fn count<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = bound.value(0);
    if let Value::List(list) = &x.value {
        return Ok(Value::Int(list.len() as i64));
    }
    if let Some(watch) = elab.watched(&x.value) {
        return Ok(Value::Host(stmc_ir::HostExpr::Var(watch.count_variable())));
    }
    let t = elab.tensor_of(x)?;
    let ones = match t.missing {
        Some(_) => elab.present(t, bound.span)?,
        None => {
            let ty = elab.ty(t).with_dtype(DType::F32);
            elab.emit(Op::Fill { bits: 1f64.to_bits(), ty }, &[], bound.span)?
        }
    };
    let over = over(elab, t, bound.name, bound.axes(1), bound.span)?;
    let count = elab.reduce(ones, Sort::Sum, &over, bound.span)?;
    let count = Value::Tensor(count);
    Ok(if t.missing.is_some() { count } else { elab.noted_sum(count) })
}

fn reduce_or_fold<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>, sort: Sort, op: BinaryOp) -> Eval<Value<'a>> {
    let x = bound.value(0);
    if let Value::List(list) = &x.value {
        if list.is_empty() {
            return Ok(if op == BinaryOp::Add { Value::Int(0) } else { Value::Bool(op == BinaryOp::And) });
        }
        return fold_list(elab, list, x.span, |elab, a, b| elab.binary(op, x.span, a, b));
    }
    reduction(elab, bound, x, sort, bound.axes(1))
}

fn fold_list<'a>(
    elab: &mut Elab<'a>,
    list: &[Value<'a>],
    span: Span,
    mut step: impl FnMut(&mut Elab<'a>, Spanned<'a>, Spanned<'a>) -> Eval<Value<'a>>,
) -> Eval<Value<'a>> {
    let Some((first, rest)) = list.split_first() else {
        return Err(elab.fail(Code::E0403, span, "the list is empty"));
    };
    let mut sum = first.clone();
    for value in rest {
        sum = step(elab, Spanned { value: sum, span }, Spanned { value: value.clone(), span })?;
    }
    Ok(sum)
}

fn reduction<'a>(
    elab: &mut Elab<'a>,
    bound: &Bound<'a>,
    x: &Spanned<'a>,
    sort: Sort,
    axes: Option<(&[AxisId], Span)>,
) -> Eval<Value<'a>> {
    if x.value.host().is_some() && axes.is_none_or(|(a, _)| a.is_empty()) {
        return Ok(x.value.clone());
    }
    let t = elab.tensor_of(x)?;
    let over = over(elab, t, bound.name, axes, bound.span)?;
    elab.reduce(t, sort, &over, bound.span).map(Value::Tensor)
}

/// The axes that go: those named, or all where that is allowed.
pub(crate) fn over(
    elab: &mut Elab<'_>,
    x: Tensor,
    name: &str,
    axes: Option<(&[AxisId], Span)>,
    span: Span,
) -> Eval<Vec<AxisId>> {
    match axes {
        Some((axes, place)) => {
            let axes = elab.streamed_axes(x, axes, place)?;
            for axis in &axes {
                elab.extent(x, *axis, place)?;
            }
            Ok(axes)
        }
        // A data block speaks of one sample: `batch` comes only when they are gathered.
        None if elab.place == Context::Data => {
            let batch = elab.batch();
            Ok(elab.axes_of(x).into_iter().filter(|a| *a != batch).collect())
        }
        None if elab.instances.is_empty() => Ok(elab.axes_of(x)),
        None => Err(bare(elab, x, name, span)),
    }
}

/// A reduction of everything in a model.
fn bare(elab: &mut Elab<'_>, x: Tensor, name: &str, span: Span) -> Failed {
    let batch = elab.batch();
    let axes = elab.axes_of(x);
    let others: Vec<String> = axes.iter().filter(|a| **a != batch).map(|a| elab.axis_name(*a)).collect();
    let verb = match name {
        "mean" => "average over",
        "sum" | "count" => "sum over",
        _ => "reduce",
    };
    let message = if axes.contains(&batch) {
        format!("`{name}` without `over:` would {verb} `batch` as well: samples would mix")
    } else {
        format!("`{name}` in a model names the axes that go")
    };
    let over = if others.len() == 1 { others[0].clone() } else { format!("({})", others.join(", ")) };
    let diagnostic = Diagnostic::new(Code::E0301, span, message).help(format!("`over: {over}`"));
    // The place is `mean(x)`, or `mean()` or `mean` after a pipe.
    let (end, beyond) = (span.end, span.end - span.start - name.len() as u32);
    let (at, text) = match beyond {
        0 => (end, format!("(over: {over})")),
        1 | 2 => (end - 1, format!("over: {over}")),
        _ => (end - 1, format!(", over: {over}")),
    };
    elab.error(diagnostic.fix(Span { start: at, end: at, ..span }, text))
}

impl<'a> Elab<'a> {
    /// Removes axes that `x` has.
    pub(crate) fn reduce(&mut self, x: Tensor, sort: Sort, over: &[AxisId], span: Span) -> Eval<Tensor> {
        if over.is_empty() {
            return Ok(x);
        }
        if x.level > 1 && over.contains(&self.part) && self.in_metric() {
            let message = "this reduces the part within a scan, step by step";
            let diagnostic = Diagnostic::new(Code::E0803, span, message);
            return Err(self.error(diagnostic.help("reduce what the scan gives: `mean(run)`")));
        }
        let x = match (x.mask(), sort) {
            // What is missing settles nothing.
            (Some(_), Sort::Any) => x.stored(),
            (Some(mask), Sort::All) => self.scalar(Scalar::Or, &[x.stored(), mask], span)?,
            _ => x,
        };
        if self.over_the_part(x, over) {
            return self.reduce_part(x, sort, over, span);
        }
        let dtype = self.ty(x).dtype;
        match sort {
            Sort::Sum if dtype == DType::Bool => {
                let ints = self.emit(Op::Cast(stmc_ir::ops::Cast { to: DType::I32 }), &[x], span)?;
                self.reduced(Reduction::Sum, ints, over, span)
            }
            Sort::Sum => self.reduced(Reduction::Sum, x, over, span),
            Sort::Mean => {
                let floats = self.float(x, span)?;
                let sum = self.reduced(Reduction::Sum, floats, over, span)?;
                let count = match x.missing {
                    Some(_) => {
                        let present = self.present(x, span)?;
                        self.reduced(Reduction::Sum, present, over, span)?
                    }
                    None => self.number(self.count_over(x, over) as f64, DType::F32),
                };
                self.scalar(Scalar::Div, &[sum, count], span)
            }
            Sort::Max | Sort::Min if dtype == DType::Bool => {
                let message = "the largest of truth values is `any`, the smallest `all`";
                Err(self.fail(Code::E0408, span, message))
            }
            // Pooling: of equals in a window the first has the gradient.
            Sort::Max if self.all_taps(over) => self.reduced(Reduction::FirstMax, x, over, span),
            Sort::Max => self.reduced(Reduction::Max, x, over, span),
            Sort::Min => self.reduced(Reduction::Min, x, over, span),
            Sort::Any | Sort::All => {
                if dtype != DType::Bool {
                    return Err(self.fail(
                        Code::E0408,
                        span,
                        format!("this takes truth values, not {}", dtype.name()),
                    ));
                }
                let ints = self.emit(Op::Cast(stmc_ir::ops::Cast { to: DType::I32 }), &[x], span)?;
                let kind = if sort == Sort::Any { Reduction::Max } else { Reduction::Min };
                let extreme = self.reduced(kind, ints, over, span)?;
                let zero = self.number(0.0, DType::I32);
                self.scalar(Scalar::Less, &[zero, extreme], span)
            }
        }
    }

    pub(crate) fn reduced(
        &mut self,
        kind: Reduction,
        x: Tensor,
        over: &[AxisId],
        span: Span,
    ) -> Eval<Tensor> {
        if over.is_empty() {
            return Ok(x);
        }
        self.emit(Op::Reduce(Reduce::new(kind, over)), &[x], span)
    }

    /// How many elements go into one of the result's.
    pub(crate) fn count_over(&self, x: Tensor, over: &[AxisId]) -> usize {
        let ty = self.ty(x);
        over.iter().filter_map(|a| ty.extent(*a)).product()
    }

    fn all_taps(&self, over: &[AxisId]) -> bool {
        over.iter().all(|a| self.axis_name(*a).starts_with("tap("))
    }
}

/// `dot(a, b, over: depth)`
pub(crate) fn dot<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (over, _) = bound.axes(2).expect("required arguments are there");
    let mut sides = vec![];
    for i in 0..2 {
        let value = bound.value(i);
        let tensor = elab.tensor_of(value)?;
        for axis in over {
            elab.extent(tensor, *axis, value.span)?;
        }
        elab.refuse_missing(tensor, "`dot`", value.span)?;
        sides.push((elab.float(tensor, value.span)?, value.span));
    }
    let (a, b) = (sides[0], sides[1]);
    let (ta, tb) = (elab.ty(a.0), elab.ty(b.0));
    for d in ta.dims() {
        let Some(extent) = tb.extent(d.axis).filter(|e| *e != d.extent) else { continue };
        let diagnostic = elab.two_extents(d.axis, (d.extent, a.1), (extent, b.1));
        return Err(elab.error(diagnostic));
    }
    if over.is_empty() {
        return elab.scalar(Scalar::Mul, &[a.0, b.0], bound.span).map(Value::Tensor);
    }
    if elab.over_the_part(a.0, over) {
        let product = elab.scalar(Scalar::Mul, &[a.0, b.0], bound.span)?;
        return elab.reduce_part(product, Sort::Sum, over, bound.span).map(Value::Tensor);
    }
    elab.emit(Op::Dot(Dot::new(over)), &[a.0, b.0], bound.span).map(Value::Tensor)
}

/// Whether two values have the same axes; a loss that compares others is a mistake.
pub(crate) fn aligned<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (a, b) = (bound.value(0), bound.value(1));
    let (Value::Tensor(x), Value::Tensor(y)) = (&a.value, &b.value) else { return Ok(Value::Bool(true)) };
    let (tx, ty) = (elab.ty(*x), elab.ty(*y));
    let batch = elab.batch();
    // What has no `batch` is the same for every sample: a mean image, a map of areas.
    if tx.without(&[batch]).dims() == ty.without(&[batch]).dims() {
        return Ok(Value::Bool(true));
    }
    let only = |x: &stmc_ir::Type, y: &stmc_ir::Type| x.dims().iter().any(|d| !y.has(d.axis));
    if tx.has(batch) && ty.has(batch) && only(&tx, &ty) && only(&ty, &tx) {
        elab.align("-", &[(*x, a.span), (*y, b.span)], bound.span)?;
    }
    let differing = tx.dims().iter().find(|d| ty.extent(d.axis).is_some_and(|e| e != d.extent)).copied();
    let (code, message) = match differing {
        Some(d) => {
            let other = ty.extent(d.axis).expect("it differs");
            (Code::E0201, format!("`{}` is {} here and {other} there", elab.axis_name(d.axis), d.extent))
        }
        None => (
            Code::E0202,
            "these two do not have the same axes, so places would be paired by accident".to_string(),
        ),
    };
    let diagnostic = Diagnostic::new(code, bound.span, message)
        .here(format!("{} and {}", elab.show_type(&tx), elab.show_type(&ty)))
        .help("`expand` the one that lacks an axis if it is meant for every step of it");
    Err(elab.error(diagnostic))
}

/// The number of elements over some axes.
pub(crate) fn size<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (over, place) = bound.axes(1).expect("required arguments are there");
    let t = elab.tensor_of(bound.value(0))?;
    let mut product = 1;
    for axis in over {
        product *= elab.extent(t, *axis, place)?;
    }
    Ok(Value::Int(product as i64))
}

/// The product of a setting by axis over some axes.
pub(crate) fn product<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (over, _) = bound.axes(1).expect("required arguments are there");
    let value = bound.value(0).clone();
    let mut product = 1i64;
    for axis in over {
        product = product.saturating_mul(elab.int_for(&value.value, *axis, value.span)?);
    }
    Ok(Value::Int(product))
}

/// Elements of a list, or axes of a set.
pub(crate) fn len<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = bound.value(0);
    match &x.value {
        Value::List(l) => Ok(Value::Int(l.len() as i64)),
        Value::Axes(a) => Ok(Value::Int(a.len() as i64)),
        other => Err(elab.wrong_kind(other, "a list or axes", x.span)),
    }
}

/// All axes of a tensor, `batch` included.
pub(crate) fn axes<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = bound.value(0);
    match &x.value {
        Value::Tensor(t) => Ok(Value::Axes(elab.axes_of(*t))),
        v if v.host().is_some() => Ok(Value::Axes(vec![])),
        other => Err(elab.wrong_kind(other, "a tensor", x.span)),
    }
}

/// The number of trained numbers of a model, known once it is elaborated.
pub(crate) fn params<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let expr = bound.raw(0);
    let ExprKind::Name(_) = &expr.kind else {
        return Err(elab.fail(Code::E0403, expr.span, "`params` takes a model's name"));
    };
    match elab.eval(expr, &bound.env)? {
        Value::Model(model) if elab.counted.as_deref() == Some(&*model.name.text) => {
            Ok(Value::Int(elab.weights.trained() as i64))
        }
        Value::Model(_) if elab.counted.is_none() => {
            let message = "weights are counted once all models are there";
            let diagnostic = Diagnostic::new(Code::E0403, bound.span, message);
            Err(elab.error(diagnostic.help("in an `assert` of its own, outside of the model")))
        }
        Value::Model(model) => Ok(Value::Int(crate::elaborate::count(elab, model)? as i64)),
        other => Err(elab.wrong_kind(&other, "a model", expr.span)),
    }
}
