//! `interpolate(x, over: (lat, lon), at: [i, j], outside: "clamp")`: x between its steps, linear along each axis.
use crate::builtins::Bound;
use crate::elab::{Elab, Eval};
use crate::value::{Spanned, Tensor, Value};
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::ops::{Cast, Flatten, Gather, Rename, Scalar};
use stmc_ir::{AxisId, DType, Op};

/// What lies beyond the ends of an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    /// 0, corner by corner.
    Zero,
    /// The nearest cell.
    Clamp,
    /// The other end.
    Wrap,
}

/// A neighbour of a place along an axis: its index, and its weight.
type Corner = (Tensor, Tensor);

/// The sum over the neighbours of each place of weight times value; gradients flow to the values and through the weights.
pub(crate) fn interpolate<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let span = bound.span;
    let x = elab.tensor_of(bound.value(0))?;
    let x = elab.float(x, bound.value(0).span)?;
    let (over, place) = bound.axes(1).expect("required arguments are there");
    let at = places(elab, bound, over)?;
    let rest = elab.ty(x).without(over);
    let mut corners: Vec<Corner> = vec![];
    for (axis, at) in over.iter().zip(&at) {
        let extent = elab.extent(x, *axis, place)?;
        elab.same_extents(&(rest.clone(), bound.value(0).span), &(elab.ty(at.0), at.1))?;
        let outside = outside(elab, bound.value(3), x, *axis)?;
        let pair = neighbours(elab, at.0, extent, outside, span)?;
        corners =
            if corners.is_empty() { pair.to_vec() } else { joined(elab, &corners, &pair, extent, span)? };
    }
    let own = elab.axes.borrow_mut().fresh("place");
    let flat = match over {
        [axis] => Op::Rename(Rename::one(*axis, own)),
        _ => Op::Flatten(Flatten { axes: over.to_vec(), into: own }),
    };
    let flat = elab.emit(flat, &[x], span)?;
    let mut sum: Option<Tensor> = None;
    for (index, weight) in corners {
        let value = elab.emit(Op::Gather(Gather { axis: own }), &[flat, index], span)?;
        let term = elab.scalar(Scalar::Mul, &[value, weight], span)?;
        sum = Some(match sum {
            None => term,
            Some(sum) => elab.scalar(Scalar::Add, &[sum, term], span)?,
        });
    }
    Ok(Value::Tensor(sum.expect("there is an axis")))
}

/// The real indices, one tensor for each axis.
fn places<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>, over: &[AxisId]) -> Eval<Vec<(Tensor, Span)>> {
    let at = bound.value(2);
    let values: Vec<Spanned<'a>> = match at.value.clone().plain() {
        Value::List(l) => l.iter().map(|v| Spanned { value: v.clone(), span: at.span }).collect(),
        _ => vec![at.clone()],
    };
    if values.len() != over.len() || over.is_empty() {
        let names: Vec<String> = over.iter().map(|a| elab.axis_name(*a)).collect();
        let message = format!("{} axes take as many indices, here is {}", over.len(), values.len());
        let help = format!("one for each of ({}), in this order: `at: [i, j]`", names.join(", "));
        return Err(elab.error(Diagnostic::new(Code::E0404, at.span, message).help(help)));
    }
    let mut places = vec![];
    for value in values {
        let tensor = elab.tensor_of(&value)?;
        let tensor = (elab.float(tensor, value.span)?, value.span);
        for (earlier, span) in places.clone() {
            elab.same_extents(&(elab.ty(earlier), span), &(elab.ty(tensor.0), tensor.1))?;
        }
        places.push(tensor);
    }
    Ok(places)
}

fn outside<'a>(elab: &mut Elab<'a>, value: &Spanned<'a>, x: Tensor, axis: AxisId) -> Eval<Outside> {
    let mode: Arc<str> = match elab.for_axis(&value.value, axis, value.span)? {
        Value::Str(mode) => mode,
        other => return Err(elab.wrong_kind(&other, "a string", value.span)),
    };
    match &*mode {
        "zero" => Ok(Outside::Zero),
        "clamp" => Ok(Outside::Clamp),
        "wrap" => {
            elab.must_be_whole(x, axis, value.span)?;
            Ok(Outside::Wrap)
        }
        other => {
            let diagnostic =
                Diagnostic::new(Code::E0404, value.span, format!("there is no mode \"{other}\""));
            let help = "outside lies \"zero\", \"clamp\" (the nearest cell) or \"wrap\" (the other end)";
            Err(elab.error(diagnostic.help(help)))
        }
    }
}

/// The two neighbours of each place.
fn neighbours(
    elab: &mut Elab<'_>,
    at: Tensor,
    extent: usize,
    outside: Outside,
    span: Span,
) -> Eval<[Corner; 2]> {
    let (zero, one) = (elab.number(0.0, DType::F32), elab.number(1.0, DType::F32));
    let last = elab.number(extent as f64 - 1.0, DType::F32);
    let within = |elab: &mut Elab<'_>, x: Tensor| {
        let above = elab.scalar(Scalar::Max, &[x, zero], span)?;
        elab.scalar(Scalar::Min, &[above, last], span)
    };
    let at = if outside == Outside::Clamp { within(elab, at)? } else { at };
    let low = elab.scalar(Scalar::Floor, &[at], span)?;
    let part = elab.scalar(Scalar::Sub, &[at, low], span)?;
    let high = elab.scalar(Scalar::Add, &[low, one], span)?;
    let rest = elab.scalar(Scalar::Sub, &[one, part], span)?;
    let mut corner = |place: Tensor, weight: Tensor| -> Eval<Corner> {
        if outside == Outside::Wrap {
            let index = elab.emit(Op::Cast(Cast { to: DType::I32 }), &[place], span)?;
            let extent = elab.number(extent as f64, DType::I32);
            return Ok((elab.scalar(Scalar::FloorMod, &[index, extent], span)?, weight));
        }
        let near = within(elab, place)?;
        let index = elab.emit(Op::Cast(Cast { to: DType::I32 }), &[near], span)?;
        if outside == Outside::Clamp {
            return Ok((index, weight));
        }
        let inside = elab.scalar(Scalar::Equal, &[near, place], span)?;
        Ok((index, elab.scalar(Scalar::Where, &[inside, weight, zero], span)?))
    };
    Ok([corner(low, rest)?, corner(high, part)?])
}

/// Corners of several axes with one more: places row-major, weights multiplied.
fn joined(
    elab: &mut Elab<'_>,
    corners: &[Corner],
    pair: &[Corner; 2],
    extent: usize,
    span: Span,
) -> Eval<Vec<Corner>> {
    let extent = elab.number(extent as f64, DType::I32);
    let mut all = vec![];
    for (index, weight) in corners {
        let row = elab.scalar(Scalar::Mul, &[*index, extent], span)?;
        for (inner, factor) in pair {
            let index = elab.scalar(Scalar::Add, &[row, *inner], span)?;
            all.push((index, elab.scalar(Scalar::Mul, &[*weight, *factor], span)?));
        }
    }
    Ok(all)
}
