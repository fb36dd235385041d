//! Built-in functions that move elements: names, order, windows.
use crate::axis::Naming;
use crate::builtins::Bound;
use crate::elab::{Elab, Eval, Failed};
use crate::value::{Spanned, Tensor, Value};
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::ops::leaf::to_bits;
use stmc_ir::ops::{Concat, Flatten, Flip, Fold, Pad, Rename, Scalar, Slice, Unflatten, Windows};
use stmc_ir::{AxisId, DType, Dim, Op, Type};
use stmc_syntax::ast::{self, ExprKind};

/// `rename(x, time -> key)`
pub(crate) fn rename<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = elab.tensor_of(bound.value(0))?;
    let mut pairs = vec![];
    for arg in arrows(elab, bound)? {
        let (from, to) = (&arg.value, arg.arrow.as_ref().expect("checked"));
        let old = elab.axis_set(from, &bound.env, Naming::Old)?;
        let new = elab.axis_set(to, &bound.env, Naming::New)?;
        if old.len() != new.len() {
            let message = format!("{} axes become {}", old.len(), new.len());
            return Err(elab.fail(Code::E0403, arg.span, message));
        }
        for (old, new) in old.into_iter().zip(new) {
            elab.extent(x, old, from.span)?;
            if elab.ty(x).has(new) && old != new {
                return Err(there_already(elab, x, new, to.span));
            }
            if old != new {
                pairs.push((old, new));
            }
        }
    }
    if pairs.is_empty() {
        return Ok(Value::Tensor(x));
    }
    elab.emit(Op::Rename(Rename { pairs }), &[x], bound.span).map(Value::Tensor)
}

fn arrows<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Vec<&'a ast::Arg>> {
    if bound.raws.is_empty() {
        return Err(elab.fail(Code::E0404, bound.span, format!("`{}` lacks its `old -> new`", bound.name)));
    }
    for arg in &bound.raws {
        if arg.arrow.is_none() {
            let diagnostic =
                Diagnostic::new(Code::E0404, arg.span, format!("`{}` takes `old -> new`", bound.name));
            return Err(elab.error(diagnostic.help("axes have an arrow between them: `time -> channel`")));
        }
    }
    Ok(bound.raws.clone())
}

fn there_already(elab: &mut Elab<'_>, x: Tensor, axis: AxisId, span: Span) -> Failed {
    let (name, ty) = (elab.axis_name(axis), elab.ty(x));
    let message = format!("`{name}` is there already in {}", elab.show_type(&ty));
    elab.fail(Code::E0204, span, message)
}

/// `flatten(x, (channel, row) -> channel)`: the first is the slowest.
pub(crate) fn flatten<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let mut x = elab.tensor_of(bound.value(0))?;
    for arg in arrows(elab, bound)? {
        let to = arg.arrow.as_ref().expect("checked");
        let axes = elab.axis_set(&arg.value, &bound.env, Naming::Old)?;
        let into = elab.one_axis(to, &bound.env, Naming::New)?;
        for axis in &axes {
            elab.extent(x, *axis, arg.value.span)?;
        }
        if elab.ty(x).has(into) && !axes.contains(&into) {
            return Err(there_already(elab, x, into, to.span));
        }
        if axes != [into] {
            x = elab.emit(Op::Flatten(Flatten { axes, into }), &[x], bound.span)?;
        }
    }
    Ok(Value::Tensor(x))
}

/// `unflatten(x, channel -> (head: 8, depth))`: at most one extent may be left out.
pub(crate) fn unflatten<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let mut x = elab.tensor_of(bound.value(0))?;
    for arg in arrows(elab, bound)? {
        let to = arg.arrow.as_ref().expect("checked");
        let axis = elab.one_axis(&arg.value, &bound.env, Naming::Old)?;
        let extent = elab.extent(x, axis, arg.value.span)?;
        let parts = unflattened(elab, to, bound)?;
        let known: usize = parts.iter().filter_map(|p| p.1).product();
        let left_out = parts.iter().filter(|p| p.1.is_none()).count();
        if left_out > 1 {
            return Err(elab.fail(Code::E0404, to.span, "at most one extent may be left out"));
        }
        if !extent.is_multiple_of(known) || (left_out == 0 && known != extent) {
            let name = elab.axis_name(axis);
            let message = format!("`{name}` is {extent}, which {known} does not divide into these parts");
            return Err(elab.error(
                Diagnostic::new(Code::E0207, to.span, message)
                    .label(bound.value(0).span, format!("{name}: {extent}")),
            ));
        }
        let into: Vec<Dim> =
            parts.iter().map(|(a, e)| Dim { axis: *a, extent: e.unwrap_or(extent / known) }).collect();
        for part in &into {
            if elab.ty(x).has(part.axis) && part.axis != axis {
                return Err(there_already(elab, x, part.axis, to.span));
            }
        }
        x = elab.emit(Op::Unflatten(Unflatten { axis, into }), &[x], bound.span)?;
    }
    Ok(Value::Tensor(x))
}

/// The axes of `(head: 8, depth)` with the extents that are given.
fn unflattened<'a>(
    elab: &mut Elab<'a>,
    to: &'a ast::Expr,
    bound: &Bound<'a>,
) -> Eval<Vec<(AxisId, Option<usize>)>> {
    let ExprKind::Tuple(args) = &to.kind else {
        let axes = elab.axis_set(to, &bound.env, Naming::New)?;
        return Ok(axes.into_iter().map(|a| (a, None)).collect());
    };
    let mut parts = vec![];
    for arg in args {
        match &arg.label {
            None => {
                let axes = elab.axis_set(&arg.value, &bound.env, Naming::New)?;
                parts.extend(axes.into_iter().map(|a| (a, None)));
            }
            Some(label) => {
                let value = elab.eval(&arg.value, &bound.env)?;
                for axis in elab.axis_ref(label, &bound.env, Naming::New)? {
                    parts.push((axis, Some(elab.extent_of(&value, axis, arg.value.span)?)));
                }
            }
        }
    }
    Ok(parts)
}

/// How an axis can be split.
fn equal_parts(extent: usize) -> String {
    let parts: Vec<String> =
        (2..=extent).filter(|n| extent.is_multiple_of(*n)).take(4).map(|n| format!("`{n}`")).collect();
    if parts.is_empty() {
        return "it has a single step".into();
    }
    format!(
        "{} equal parts are possible, and a list gives unequal ones: `[1, {}]`",
        parts.join(", "),
        extent - 1
    )
}

/// `split(x, channel, 4)`, `split(x, channel, [8, 24])`: a list.
pub(crate) fn split<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = elab.tensor_of(bound.value(0))?;
    let (axes, place) = bound.axes(1).expect("required arguments are there");
    let axis = elab.single(axes, place)?;
    let extent = elab.extent(x, axis, place)?;
    let parts = bound.value(2);
    let name = elab.axis_name(axis);
    let sizes: Vec<usize> = match &parts.value {
        Value::Int(n) if *n >= 1 && extent.is_multiple_of(*n as usize) => {
            vec![extent / *n as usize; *n as usize]
        }
        Value::Int(n) => {
            let message = format!("`{name}` is {extent}, but `split` needs a multiple of {n}");
            let diagnostic = Diagnostic::new(Code::E0207, parts.span, message)
                .here(format!("{extent} is not divisible by {n}"))
                .help(equal_parts(extent));
            return Err(elab.error(diagnostic.label(bound.value(0).span, format!("{name}: {extent}"))));
        }
        Value::List(list) => {
            let mut sizes = vec![];
            for size in list.iter() {
                sizes.push(elab.extent_of(size, axis, parts.span)?);
            }
            if sizes.iter().sum::<usize>() != extent {
                let message =
                    format!("`{name}` is {extent}, but the parts add up to {}", sizes.iter().sum::<usize>());
                return Err(elab.fail(Code::E0207, parts.span, message));
            }
            sizes
        }
        other => return Err(elab.wrong_kind(other, "a whole number or a list of them", parts.span)),
    };
    let (mut out, mut start) = (vec![], 0);
    for len in sizes {
        out.push(Value::Tensor(elab.emit(Op::Slice(Slice::range(axis, start, len)), &[x], bound.span)?));
        start += len;
    }
    Ok(Value::list(out))
}

/// Drops axes of extent 1.
pub(crate) fn squeeze<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let mut x = elab.tensor_of(bound.value(0))?;
    let (axes, place) = bound.axes(1).expect("required arguments are there");
    for axis in axes {
        let extent = elab.extent(x, *axis, place)?;
        if extent != 1 {
            let name = elab.axis_name(*axis);
            let message = format!("`{name}` is {extent}: only an extent of 1 can be squeezed");
            return Err(elab.error(
                Diagnostic::new(Code::E0206, place, message)
                    .help(format!("`x[{name}: 0]` takes one step of it")),
            ));
        }
        x = elab.drop_axis(x, *axis, bound.span)?;
    }
    Ok(Value::Tensor(x))
}

/// Adds axes of extent 1.
pub(crate) fn unsqueeze<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let mut x = elab.tensor_of(bound.value(0))?;
    let (axes, place) = bound.axes(1).expect("required arguments are there");
    for axis in axes {
        if elab.ty(x).has(*axis) {
            return Err(there_already(elab, x, *axis, place));
        }
        x = elab.repeat(x, *axis, 1, bound.span)?;
    }
    Ok(Value::Tensor(x))
}

/// `expand(x, lat: n)` repeats along a new axis, or checks the one that is there.
pub(crate) fn expand<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let mut x = elab.tensor_of(bound.value(0))?;
    for (axis, value, place) in &bound.by_axis {
        let extent = elab.extent_of(&value.value, *axis, value.span)?;
        match elab.ty(x).extent(*axis) {
            None => x = elab.repeat(x, *axis, extent, bound.span)?,
            Some(found) if found == extent => {}
            Some(found) => {
                let name = elab.axis_name(*axis);
                let message = format!("`{name}` is there already and is {found}, not {extent}");
                return Err(elab.fail(Code::E0206, *place, message));
            }
        }
    }
    Ok(Value::Tensor(x))
}

/// Reverses axes.
pub(crate) fn flip<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let mut x = elab.tensor_of(bound.value(0))?;
    let (axes, place) = bound.axes(1).expect("required arguments are there");
    for axis in axes {
        elab.extent(x, *axis, place)?;
        x = elab.emit(Op::Flip(Flip { axis: *axis }), &[x], bound.span)?;
    }
    Ok(Value::Tensor(x))
}

/// `shift(x, time: k)[i] = x[i - k]`, 0 outside.
pub(crate) fn shift<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let mut x = elab.tensor_of(bound.value(0))?;
    for (axis, value, place) in &bound.by_axis {
        let extent = elab.extent(x, *axis, *place)?;
        let by = elab.int_for(&value.value, *axis, value.span)?;
        let mut far = by.unsigned_abs() as usize;
        if elab.is_ring(x, *axis) {
            far %= extent;
        }
        let (low, high, start) = if by > 0 { (far, 0, 0) } else { (0, far, far) };
        let is_ring = elab.is_ring(x, *axis);
        let wide = continued(elab, x, *axis, (low, high), 0.0, bound.span)?;
        x = elab.emit(Op::Slice(Slice::range(*axis, start, extent)), &[wide], bound.span)?;
        if is_ring {
            x = elab.with_ring(x, *axis);
        }
    }
    Ok(Value::Tensor(x))
}

/// With cells at both sides: from the other end of a periodic axis, else `fill`.
fn continued(
    elab: &mut Elab<'_>,
    x: Tensor,
    axis: AxisId,
    margins: (usize, usize),
    fill: f64,
    span: Span,
) -> Eval<Tensor> {
    match elab.is_ring(x, axis) {
        true => elab.wrapped(x, axis, margins, span),
        false => padded(elab, x, axis, margins, fill, span),
    }
}

fn padded(
    elab: &mut Elab<'_>,
    x: Tensor,
    axis: AxisId,
    (low, high): (usize, usize),
    fill: f64,
    span: Span,
) -> Eval<Tensor> {
    if (low, high) == (0, 0) {
        return Ok(x);
    }
    let fill = to_bits(fill, elab.ty(x).dtype);
    elab.emit(Op::Pad(Pad { axis, low, high, gap: 0, fill }), &[x], span)
}

/// `pad(x, lat: 2, lon: (0, 1), mode: "reflect")`
pub(crate) fn pad<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let mut x = elab.tensor_of(bound.value(0))?;
    let chosen: Option<Arc<str>> = match bound.optional(1).map(|m| (m.value.clone(), m.span)) {
        None => None,
        Some((Value::Str(s), _)) => Some(s),
        Some((other, span)) => return Err(elab.wrong_kind(&other, "a string", span)),
    };
    for (axis, value, place) in &bound.by_axis {
        let extent = elab.extent(x, *axis, *place)?;
        let (low, high) = margins(elab, value, *axis)?;
        let mode = match &chosen {
            Some(mode) => &**mode,
            None if elab.is_ring(x, *axis) => "wrap",
            None => "zero",
        };
        x = match mode {
            "zero" => padded(elab, x, *axis, (low, high), 0.0, bound.span)?,
            "wrap" => {
                elab.must_be_whole(x, *axis, *place)?;
                elab.wrapped(x, *axis, (low, high), bound.span)?
            }
            "reflect" | "replicate" => {
                let limit = extent - 1;
                if mode == "reflect" && low.max(high) > limit {
                    let message =
                        format!("`{mode}` has {limit} cells to give, {} are asked for", low.max(high));
                    return Err(elab.fail(Code::E0208, value.span, message));
                }
                let before = margin(elab, x, *axis, low, mode, Side::Before, bound.span)?;
                let after = margin(elab, x, *axis, high, mode, Side::After, bound.span)?;
                let parts: Vec<Tensor> = before.into_iter().chain([x]).chain(after).collect();
                if parts.len() == 1 {
                    x
                } else {
                    elab.emit(Op::Concat(Concat { axis: *axis }), &parts, bound.span)?
                }
            }
            other => {
                let message = format!("there is no mode \"{other}\"");
                let span = bound.optional(1).expect("it was given").span;
                let diagnostic = Diagnostic::new(Code::E0404, span, message);
                return Err(elab
                    .error(diagnostic.help("modes are \"zero\", \"reflect\", \"replicate\" and \"wrap\"")));
            }
        };
    }
    Ok(Value::Tensor(x))
}

fn margins<'a>(elab: &mut Elab<'a>, value: &Spanned<'a>, axis: AxisId) -> Eval<(usize, usize)> {
    let sides = match elab.for_axis(&value.value, axis, value.span)? {
        Value::Int(n) => (n, n),
        Value::List(l) => match l.as_slice() {
            [Value::Int(a), Value::Int(b)] => (*a, *b),
            _ => {
                return Err(elab.fail(
                    Code::E0403,
                    value.span,
                    "two whole numbers are needed: `(before, after)`",
                ));
            }
        },
        other => return Err(elab.wrong_kind(&other, "a whole number or two of them", value.span)),
    };
    match (usize::try_from(sides.0), usize::try_from(sides.1)) {
        (Ok(low), Ok(high)) => Ok((low, high)),
        _ => Err(elab.fail(Code::E0208, value.span, "a margin is not negative")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// The cells that a mode puts at one side. `None`: there are none.
fn margin(
    elab: &mut Elab<'_>,
    x: Tensor,
    axis: AxisId,
    n: usize,
    mode: &str,
    side: Side,
    span: Span,
) -> Eval<Option<Tensor>> {
    if n == 0 {
        return Ok(None);
    }
    let extent = elab.extent(x, axis, span)?;
    let start = match (mode, side) {
        ("reflect", Side::Before) => 1,
        ("reflect", Side::After) => extent - 1 - n,
        (_, Side::Before) => 0,
        (_, Side::After) => extent - 1,
    };
    let len = if mode == "replicate" { 1 } else { n };
    let slice = elab.emit(Op::Slice(Slice::range(axis, start, len)), &[x], span)?;
    if mode == "reflect" {
        return elab.emit(Op::Flip(Flip { axis }), &[slice], span).map(Some);
    }
    let one = elab.drop_axis(slice, axis, span)?;
    elab.repeat(one, axis, n, span).map(Some)
}

/// `concat(a, b, along: channel)`: other axes are aligned as in arithmetic.
pub(crate) fn concat<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (axes, place) = bound.axes(0).expect("required arguments are there");
    let axis = elab.single(axes, place)?;
    let mut parts = vec![];
    for value in spread(&bound.values) {
        parts.push((elab.tensor_of(&value)?, value.span));
    }
    match parts.iter().position(|(t, _)| !elab.ty(*t).has(axis)) {
        Some(lacking) => Err(lacks_axis(elab, &parts, lacking, axis)),
        None => joined(elab, &parts, axis, bound),
    }
}

/// A part of `concat` is without the axis: what would give it one, as far as the others tell.
fn lacks_axis(elab: &mut Elab<'_>, parts: &[(Tensor, Span)], lacking: usize, axis: AxisId) -> Failed {
    let (part, span) = parts[lacking];
    let (diagnostic, name) = (elab.without_axis(part, axis, span), elab.axis_name(axis));
    if diagnostic.help.is_some() {
        return elab.error(diagnostic);
    }
    let Some((other, _)) = parts.iter().find(|(t, _)| elab.ty(*t).has(axis)) else {
        return elab.error(diagnostic.help(format!("`stack(…, along: {name})` joins along a new axis")));
    };
    let others = elab.axes_of(*other);
    let own: Vec<AxisId> = elab.axes_of(part).into_iter().filter(|a| !others.contains(a)).collect();
    elab.error(match own[..] {
        [] => diagnostic.help(format!("`unsqueeze(x, {name})` makes it one step of `{name}`")),
        [one] => {
            let one = elab.axis_name(one);
            diagnostic.help(format!(
                "`rename(x, {one} -> {name})`, if its `{one}` is what the others call `{name}`"
            ))
        }
        _ => diagnostic,
    })
}

/// `stack(a, b, along: channel)`: each becomes a step of a new axis.
pub(crate) fn stack<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (axes, place) = bound.axes(0).expect("required arguments are there");
    let axis = elab.single(axes, place)?;
    let mut parts = vec![];
    for value in spread(&bound.values) {
        let t = elab.tensor_of(&value)?;
        if elab.ty(t).has(axis) {
            return Err(there_already(elab, t, axis, value.span));
        }
        parts.push((elab.repeat(t, axis, 1, bound.span)?, value.span));
    }
    joined(elab, &parts, axis, bound)
}

/// A list among the values stands for its elements.
fn spread<'a>(values: &[Spanned<'a>]) -> Vec<Spanned<'a>> {
    let each = |v: &Spanned<'a>| match v.value.clone().plain() {
        Value::List(l) => l.iter().map(|e| Spanned { value: e.clone(), span: v.span }).collect(),
        _ => vec![v.clone()],
    };
    values.iter().flat_map(each).collect()
}

fn joined<'a>(
    elab: &mut Elab<'a>,
    parts: &[(Tensor, Span)],
    axis: AxisId,
    bound: &Bound<'a>,
) -> Eval<Value<'a>> {
    let Some((first, rest)) = parts.split_first() else {
        return Err(elab.fail(Code::E0404, bound.span, format!("`{}` of nothing", bound.name)));
    };
    let dtype = elab.ty(first.0).dtype;
    // Aligned as in arithmetic, but for the axis itself.
    let others: Vec<(Type, Span)> =
        parts.iter().map(|(t, span)| (elab.ty(*t).without(&[axis]), *span)).collect();
    elab.align_types(bound.name, &others, bound.span)?;
    for (t, span) in rest {
        if elab.ty(*t).dtype != dtype {
            let message = format!("this is {}, the first is {}", elab.ty(*t).dtype.name(), dtype.name());
            return Err(elab.error(Diagnostic::new(Code::E0408, *span, message).label(first.1, dtype.name())));
        }
    }
    if rest.is_empty() {
        return Ok(Value::Tensor(first.0));
    }
    let tensors: Vec<Tensor> = parts.iter().map(|p| p.0).collect();
    elab.emit(Op::Concat(Concat { axis }), &tensors, bound.span).map(Value::Tensor)
}

/// `index(time: n)` is 0 … n - 1.
pub(crate) fn index<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let [(axis, value, _)] = bound.by_axis.as_slice() else {
        return Err(elab.fail(Code::E0404, bound.span, "`index` takes one axis: `index(time: 12)`"));
    };
    let extent = elab.extent_of(&value.value, *axis, value.span)?;
    Ok(Value::Tensor(elab.index(*axis, extent, bound.span)))
}

/// `tensor([1, 2], along: sigma)`
pub(crate) fn tensor<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let list = bound.value(0);
    let (axes, place) = bound.axes(1).expect("required arguments are there");
    let axis = elab.single(axes, place)?;
    let numbers: Option<Vec<f64>> = match &list.value {
        Value::List(l) => l.iter().map(Value::number).collect(),
        _ => None,
    };
    match numbers {
        Some(numbers) if !numbers.is_empty() => {
            let data: Vec<u32> = numbers.iter().map(|x| to_bits(*x, DType::F32)).collect();
            let ty = Type::new(DType::F32, vec![Dim { axis, extent: numbers.len() }]).expect("one axis");
            elab.emit(Op::Constant { data: data.into(), ty }, &[], bound.span).map(Value::Tensor)
        }
        _ => Err(elab.fail(Code::E0403, list.span, "a list of numbers is needed here")),
    }
}

/// `one_hot(label, class: n)`: 1 where the new axis' index is the label.
pub(crate) fn one_hot<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let label = elab.tensor_of(bound.value(0))?;
    let [(axis, value, place)] = bound.by_axis.as_slice() else {
        return Err(elab.fail(
            Code::E0404,
            bound.span,
            "`one_hot` takes one new axis: `one_hot(label, class: 5)`",
        ));
    };
    if elab.ty(label).has(*axis) {
        return Err(there_already(elab, label, *axis, *place));
    }
    let extent = elab.extent_of(&value.value, *axis, value.span)?;
    let index = Spanned { value: Value::Tensor(elab.index(*axis, extent, bound.span)), span: bound.span };
    let label = Spanned { value: Value::Tensor(label), span: bound.value(0).span };
    let hit = elab.pointwise(Scalar::Equal, "one_hot", &[index, label], bound.span)?;
    elab.float(hit, bound.span).map(Value::Tensor)
}

/// A setting by axis, or its default.
fn setting<'a>(
    elab: &mut Elab<'a>,
    bound: &Bound<'a>,
    i: usize,
    axis: AxisId,
    default: i64,
    least: i64,
) -> Eval<usize> {
    let Some(value) = bound.optional(i) else { return Ok(default as usize) };
    let n = elab.int_for(&value.value, axis, value.span)?;
    if n < least {
        return Err(elab.fail(
            Code::E0404,
            value.span,
            format!("at least {least} is needed here, this is {n}"),
        ));
    }
    Ok(n as usize)
}

/// `y[a: i, tap(a): j] = x[a: s i - p + d j]`
pub(crate) fn windows<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let mut x = elab.tensor_of(bound.value(0))?;
    let (over, place) = bound.axes(1).expect("required arguments are there");
    let fill = match bound.optional(6).map(|f| (f.value.number(), f.span)) {
        None => 0.0,
        Some((Some(fill), _)) => fill,
        Some((None, span)) => return Err(elab.fail(Code::E0406, span, "`fill` is a static number")),
    };
    for axis in over {
        let extent = elab.extent(x, *axis, place)?;
        let tap = elab.tap(*axis);
        if elab.ty(x).has(tap) {
            return Err(there_already(elab, x, tap, place));
        }
        let size = setting(elab, bound, 2, *axis, 1, 1)?;
        let stride = setting(elab, bound, 3, *axis, 1, 1)?;
        let dilation = setting(elab, bound, 4, *axis, 1, 1)?;
        let pad = setting(elab, bound, 5, *axis, 0, 0)?;
        let reach = dilation * (size - 1) + 1;
        if extent + 2 * pad < reach {
            let name = elab.axis_name(*axis);
            let message =
                format!("a window of {reach} is wider than `{name}`, which is {extent} with a pad of {pad}");
            return Err(elab.fail(Code::E0206, bound.span, message));
        }
        let is_ring = elab.is_ring(x, *axis);
        let wide = continued(elab, x, *axis, (pad, pad), fill, bound.span)?;
        x = elab.emit(
            Op::Windows(Windows { axis: *axis, tap, size, stride, dilation }),
            &[wide],
            bound.span,
        )?;
        // Once around in whole strides: the windows' neighbours are neighbours again.
        if is_ring && elab.extent(x, *axis, place)? * stride == extent {
            x = elab.with_ring(x, *axis);
        }
    }
    Ok(Value::Tensor(x))
}

/// The exact adjoint of `windows`; `extra` cells at the far end.
pub(crate) fn fold<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let mut x = elab.tensor_of(bound.value(0))?;
    let (over, place) = bound.axes(1).expect("required arguments are there");
    for axis in over {
        let tap = elab.tap(*axis);
        let (count, taps) = (elab.extent(x, *axis, place)?, elab.extent(x, tap, place)?);
        let stride = setting(elab, bound, 2, *axis, 1, 1)?;
        let dilation = setting(elab, bound, 3, *axis, 1, 1)?;
        let pad = setting(elab, bound, 4, *axis, 0, 0)?;
        let extra = setting(elab, bound, 5, *axis, 0, 0)?;
        let covered = (count - 1) * stride + dilation * (taps - 1) + 1;
        if covered + extra <= 2 * pad {
            let name = elab.axis_name(*axis);
            let message = format!("a pad of {pad} leaves nothing of `{name}`");
            return Err(elab.fail(Code::E0206, bound.span, message));
        }
        let len = covered + extra - 2 * pad;
        let extent = covered.max(pad + len);
        let is_ring = elab.is_ring(x, *axis) && len == count * stride;
        x = elab.emit(Op::Fold(Fold { axis: *axis, tap, stride, dilation, extent }), &[x], bound.span)?;
        if is_ring {
            x = elab.wound(x, *axis, (pad, len), bound.span)?;
        } else if len != extent {
            x = elab.emit(Op::Slice(Slice::range(*axis, pad, len)), &[x], bound.span)?;
        }
    }
    Ok(Value::Tensor(x))
}
