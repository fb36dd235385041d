//! `standard(x, shift, scale)` is a transform that can be undone, and `physical(out.sst)` undoes those of the part `sst`:
//! an output with a part's name is that quantity.
use crate::builtins::Bound;
use crate::elab::{Elab, Eval};
use crate::names;
use crate::value::{Spanned, Tensor, Value};
use stmc_base::{Code, Diagnostic, Span};
use stmc_syntax::ast::{self, BinaryOp, ExprKind, Member};

/// The transforms of a part, noted while it is read again.
pub(crate) struct Transforms<'a> {
    /// How many transforms stand around the expression being read.
    depth: usize,
    /// In the order in which they are applied.
    found: Vec<Transform<'a>>,
}

struct Transform<'a> {
    depth: usize,
    /// What is transformed.
    of: Value<'a>,
    shift: Spanned<'a>,
    scale: Spanned<'a>,
}

/// (x - shift) / scale
pub(crate) fn standard<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    enter(elab, 1);
    let x = elab.spanned(bound.raw(0), &bound.env);
    enter(elab, -1);
    let (x, shift, scale) = (x?, bound.value(1).clone(), bound.value(2).clone());
    if let Some(transforms) = elab.data.as_mut().and_then(|d| d.transforms.as_mut()) {
        let depth = transforms.depth;
        let of = x.value.clone();
        transforms.found.push(Transform { depth, of, shift: shift.clone(), scale: scale.clone() });
    }
    let moved = combine(elab, BinaryOp::Sub, x, shift, bound.span)?;
    if scale.value.number() == Some(1.0) {
        return Ok(moved.value);
    }
    combine(elab, BinaryOp::Div, moved, scale, bound.span).map(|s| s.value)
}

fn enter(elab: &mut Elab<'_>, by: isize) {
    if let Some(transforms) = elab.data.as_mut().and_then(|d| d.transforms.as_mut()) {
        transforms.depth = transforms.depth.wrapping_add_signed(by);
    }
}

fn combine<'a>(
    elab: &mut Elab<'a>,
    op: BinaryOp,
    left: Spanned<'a>,
    right: Spanned<'a>,
    span: Span,
) -> Eval<Spanned<'a>> {
    Ok(Spanned { value: elab.binary(op, span, left, right)?, span })
}

/// `physical(out.sst)`
pub(crate) fn physical<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let part = part(elab, bound.raw(0))?;
    let value = elab.spanned(bound.raw(0), &bound.env)?;
    match transforms_of(elab, &part)? {
        Some(transforms) => {
            let of = transforms.first().map(|t| t.of.clone());
            let value = undone(elab, value, transforms, bound.span)?.value;
            if let (Value::Tensor(value), Some(Value::Tensor(of))) = (&value, of) {
                elab.quantities.same.push((*value, of));
            }
            Ok(value)
        }
        None => {
            let message =
                format!("`{part}` is put together of several transformed fields: there is no one way back");
            Err(elab.fail(Code::E0905, bound.span, message))
        }
    }
}

/// An output of `predict` with the name of a part: in the part's units, if there is one way back. What that way needs of the sample (its
/// calendar month) becomes an input of the entry, as a slab.
pub(crate) fn predicted<'a>(elab: &mut Elab<'a>, name: &str, output: Tensor, span: Span) -> Eval<Tensor> {
    let is_part =
        |d: &super::DataState<'_>| super::sample_parts(d.decl).iter().any(|(part, _)| **part == *name);
    if !elab.data.as_ref().is_some_and(is_part) {
        return Ok(output);
    }
    let Some(transforms) = transforms_of(elab, name)? else { return Ok(output) };
    let value = Spanned { value: Value::Tensor(output), span };
    let value = undone(elab, value, transforms, span)?;
    let physical = elab.tensor(&value, None)?;
    elab.written(physical, span)
}

/// What is done to a part, innermost first. `None`: there is no one way back.
fn transforms_of<'a>(elab: &mut Elab<'a>, part: &str) -> Eval<Option<Vec<Transform<'a>>>> {
    elab.open_data_mut().transforms = Some(Transforms { depth: 0, found: vec![] });
    let read = elab.sample_part(part);
    let found = elab.open_data_mut().transforms.take().map_or(vec![], |t| t.found);
    read?;
    let mut all: Vec<Transform<'a>> = vec![];
    for transform in found {
        if all.iter().any(|t| t.depth == transform.depth && same(&t.shift, &transform.shift)) {
            continue;
        }
        if all.iter().any(|t| t.depth == transform.depth) {
            return Ok(None);
        }
        all.push(transform);
    }
    Ok(Some(all))
}

fn undone<'a>(
    elab: &mut Elab<'a>,
    mut value: Spanned<'a>,
    transforms: Vec<Transform<'a>>,
    span: Span,
) -> Eval<Spanned<'a>> {
    // The outermost was applied last.
    for Transform { shift, scale, .. } in transforms.into_iter().rev() {
        if scale.value.number() != Some(1.0) {
            value = combine(elab, BinaryOp::Mul, value, scale, span)?;
        }
        value = combine(elab, BinaryOp::Add, value, shift, span)?;
    }
    Ok(value)
}

/// Whether a transform was met twice because its expression is used twice.
fn same(a: &Spanned<'_>, b: &Spanned<'_>) -> bool {
    match (&a.value, &b.value) {
        (Value::Tensor(a), Value::Tensor(b)) => a == b,
        (a, b) => a.number().is_some() && a.number() == b.number(),
    }
}

/// The part whose quantity an expression is: `out.sst`, `sample.sst`, `sst`.
fn part(elab: &mut Elab<'_>, expr: &ast::Expr) -> Eval<std::sync::Arc<str>> {
    let word = match &expr.kind {
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Member { base, member: Member::Name(name) }
            if base.name().is_some_and(|b| matches!(&*b.text, "out" | "sample")) =>
        {
            Some(name.text.clone())
        }
        _ => None,
    };
    let parts: Vec<_> = match &elab.data {
        Some(data) => super::sample_parts(data.decl).into_iter().map(|(name, _)| name).collect(),
        None => vec![],
    };
    if let Some(word) = word.clone().filter(|w| parts.contains(w)) {
        return Ok(word);
    }
    let message = "`physical` takes an output, or a part of the sample, whose name is a part's";
    let known = parts.iter().map(|p| &**p).collect::<Vec<_>>();
    let help = names::near_or_all(word.as_deref().unwrap_or_default(), "the parts are", known);
    Err(elab.error(Diagnostic::new(Code::E0905, expr.span, message).help(help)))
}
