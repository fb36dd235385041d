//! Built-in functions of single elements, and random numbers.
use crate::builtins::Bound;
use crate::elab::{Context, Elab, Eval, FrameKind};
use crate::host;
use crate::value::{Spanned, Tensor, Value};
use stmc_base::{Code, Span};
use stmc_ir::host::HostBinary;
use stmc_ir::module::InputRole;
use stmc_ir::ops::{Cast, Gather, Random, Scalar};
use stmc_ir::{AxisId, DType, HostExpr, Op, Type};

/// `exp`, `sqrt` and the like: of statics, of host scalars, of tensors.
pub(crate) fn function<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = bound.value(0);
    let (on_host, op) = host::function(bound.name).expect("the table of functions has it");
    match &x.value {
        Value::Int(i) if bound.name == "abs" => Ok(Value::Int(i.saturating_abs())),
        Value::Float(f) | Value::Percent(f) if matches!(bound.name, "floor" | "round") && f.is_finite() => {
            Ok(Value::Int(on_host.eval(*f) as i64))
        }
        v if v.number().is_some() => Ok(Value::Float(on_host.eval(v.number().expect("it is one")))),
        Value::Host(e) => Ok(Value::Host(HostExpr::unary(on_host, e.clone()))),
        Value::Tensor(t) => {
            let t = match bound.name {
                "abs" | "sign" => *t,
                _ => elab.float(*t, x.span)?,
            };
            elab.scalar(op, &[t], bound.span).map(Value::Tensor)
        }
        other => Err(elab.wrong_kind(other, "a number or a tensor", x.span)),
    }
}

/// log₁₀ x = ln x / ln 10
pub(crate) fn log10<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = bound.value(0).clone();
    if let Some(number) = x.value.number() {
        return Ok(Value::Float(number.log10()));
    }
    let log = match &x.value {
        Value::Host(e) => Value::Host(HostExpr::unary(stmc_ir::host::HostUnary::Log, e.clone())),
        _ => {
            let t = elab.tensor_of(&x)?;
            Value::Tensor(elab.scalar(Scalar::Log, &[t], bound.span)?)
        }
    };
    scaled(elab, log, 1.0 / std::f64::consts::LN_10, bound.span)
}

/// Degrees to radians.
pub(crate) fn radians<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    scaled(elab, bound.value(0).value.clone(), std::f64::consts::PI / 180.0, bound.span)
}

fn scaled<'a>(elab: &mut Elab<'a>, value: Value<'a>, by: f64, span: Span) -> Eval<Value<'a>> {
    let (value, by) = (Spanned { value, span }, Spanned { value: Value::Float(by), span });
    elab.binary(stmc_syntax::ast::BinaryOp::Mul, span, value, by)
}

/// `where(c, a, b)`
pub(crate) fn choose<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (c, a, b) = (bound.value(0), bound.value(1), bound.value(2));
    match &c.value {
        Value::Bool(true) => return Ok(a.value.clone()),
        Value::Bool(false) => return Ok(b.value.clone()),
        Value::Host(e) if a.value.host().is_some() && b.value.host().is_some() => {
            return elab.host_if(e.clone(), a, b);
        }
        _ => {}
    }
    let condition = elab.tensor_of(c)?;
    if elab.ty(condition).dtype != DType::Bool {
        let found = elab.ty(condition).dtype.name();
        return Err(elab.fail(
            Code::E0408,
            c.span,
            format!("the condition is {found}; a comparison makes it bool"),
        ));
    }
    let condition = Spanned { value: Value::Tensor(condition), span: c.span };
    elab.pointwise(Scalar::Where, "where", &[condition, a.clone(), b.clone()], bound.span).map(Value::Tensor)
}

/// ⌊x / y⌋
pub(crate) fn div<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    floored(elab, bound, HostBinary::IntDiv, Scalar::FloorDiv, i64::div_euclid)
}

/// x - y ⌊x / y⌋
pub(crate) fn modulo<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    floored(elab, bound, HostBinary::Mod, Scalar::FloorMod, i64::rem_euclid)
}

fn floored<'a>(
    elab: &mut Elab<'a>,
    bound: &Bound<'a>,
    on_host: HostBinary,
    op: Scalar,
    ints: fn(i64, i64) -> i64,
) -> Eval<Value<'a>> {
    let (x, y) = (bound.value(0), bound.value(1));
    if y.value.number() == Some(0.0) {
        return Err(elab.fail(Code::E0403, y.span, "this divides by 0"));
    }
    if let (Value::ByAxis(by), _) | (_, Value::ByAxis(by)) = (&x.value, &y.value) {
        let mut out = vec![];
        for (axis, _) in by.iter() {
            let (a, b) = (elab.int_for(&x.value, *axis, x.span)?, elab.int_for(&y.value, *axis, y.span)?);
            out.push((*axis, Value::Int(ints(a, b.max(1)))));
        }
        return Ok(Value::ByAxis(std::rc::Rc::new(out)));
    }
    match (&x.value, &y.value) {
        // With a positive divisor the Euclidean quotient is the floored one.
        (Value::Int(a), Value::Int(b)) if *b > 0 => Ok(Value::Int(ints(*a, *b))),
        (a, b) if a.host().is_some() && b.host().is_some() => {
            let (a, b) = (a.host().expect("checked"), b.host().expect("checked"));
            Ok(host::folded(HostExpr::binary(on_host, a, b)))
        }
        _ if elab.common_dtype(op, &[x.clone(), y.clone()]) == Some(DType::F32) => {
            floored_floats(elab, bound, on_host)
        }
        _ => elab.pointwise(op, bound.name, &[x.clone(), y.clone()], bound.span).map(Value::Tensor),
    }
}

/// The same of f32, by the formulas.
fn floored_floats<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>, which: HostBinary) -> Eval<Value<'a>> {
    let (x, y, span) = (bound.value(0).clone(), bound.value(1).clone(), bound.span);
    let quotient = elab.pointwise(Scalar::Div, bound.name, &[x.clone(), y.clone()], span)?;
    let floor = elab.scalar(Scalar::Floor, &[quotient], span)?;
    if which == HostBinary::IntDiv {
        return Ok(Value::Tensor(floor));
    }
    let floor = Spanned { value: Value::Tensor(floor), span };
    let whole = elab.pointwise(Scalar::Mul, bound.name, &[floor, y], span)?;
    let whole = Spanned { value: Value::Tensor(whole), span };
    elab.pointwise(Scalar::Sub, bound.name, &[x, whole], span).map(Value::Tensor)
}

/// The angle of the point (x, y).
pub(crate) fn atan2<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (y, x) = (bound.value(0), bound.value(1));
    match (y.value.number(), x.value.number()) {
        (Some(y), Some(x)) => Ok(Value::Float(y.atan2(x))),
        _ => elab.pointwise(Scalar::Atan2, "atan2", &[y.clone(), x.clone()], bound.span).map(Value::Tensor),
    }
}

/// `f32(x)`
pub(crate) fn to_f32<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = bound.value(0);
    match x.value.scalar() {
        Some(number) => Ok(Value::Float(number)),
        None if matches!(x.value, Value::Host(_)) => Ok(x.value.clone()),
        None => {
            let t = elab.tensor_of(x)?;
            elab.float(t, x.span).map(Value::Tensor)
        }
    }
}

/// `i32(x)`: towards zero.
pub(crate) fn to_i32<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = bound.value(0);
    if let Some(number) = x.value.scalar() {
        return Ok(Value::Int(number as i64));
    }
    let t = elab.tensor_of(x)?;
    if elab.ty(t).dtype == DType::I32 {
        return Ok(Value::Tensor(t));
    }
    elab.emit(Op::Cast(Cast { to: DType::I32 }), &[t], bound.span).map(Value::Tensor)
}

/// `bool(x)`: whether it is not 0.
pub(crate) fn to_bool<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = bound.value(0);
    if let Some(number) = x.value.scalar() {
        return Ok(Value::Bool(number != 0.0));
    }
    let t = elab.tensor_of(x)?;
    if elab.ty(t).dtype == DType::Bool {
        return Ok(Value::Tensor(t));
    }
    let zero = elab.number(0.0, elab.ty(t).dtype);
    let none = elab.scalar(Scalar::Equal, &[t, zero], bound.span)?;
    elab.scalar(Scalar::Not, &[none], bound.span).map(Value::Tensor)
}

/// The value, but no gradient flows.
pub(crate) fn stop_gradient<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = bound.value(0);
    if x.value.host().is_some() {
        return Ok(x.value.clone());
    }
    let t = elab.tensor_of(x)?;
    elab.scalar(Scalar::Stop, &[t], bound.span).map(Value::Tensor)
}

/// 0, typed as its argument.
pub(crate) fn zeros<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    same(elab, bound, 0.0)
}

/// 1, typed as its argument.
pub(crate) fn ones<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    same(elab, bound, 1.0)
}

fn same<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>, x: f64) -> Eval<Value<'a>> {
    if elab.place == Context::Initializer {
        return Ok(Value::Float(x));
    }
    let Some(like) = bound.optional(0) else {
        return Err(elab.fail(
            Code::E0404,
            bound.span,
            format!("`{}` lacks its argument `like`", bound.name),
        ));
    };
    let like = elab.tensor_of(like)?;
    let ty = elab.ty(like);
    let made = elab.emit(Op::Fill { bits: x.to_bits(), ty }, &[], bound.span)?;
    Ok(Value::Tensor(Tensor { rings: like.rings, ..made }))
}

/// U(0, 1), typed as its argument.
pub(crate) fn random<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    if elab.place == Context::Initializer {
        return Ok(elab.first_draw("random"));
    }
    let like = elab.tensor_of(bound.value(0))?;
    elab.draw(like, bound.span).map(Value::Tensor)
}

/// N(0, 1), typed as its argument: Box-Muller.
pub(crate) fn gaussian<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    if elab.place == Context::Initializer {
        return Ok(elab.first_draw("gaussian"));
    }
    let (like, span) = (elab.tensor_of(bound.value(0))?, bound.span);
    let (u, v) = (elab.draw(like, span)?, elab.draw(like, span)?);
    let number = |elab: &mut Elab<'a>, x: f64| elab.number(x, DType::F32);
    // 1 - u lies in (0, 1]: its logarithm is finite.
    let one = number(elab, 1.0);
    let rest = elab.scalar(Scalar::Sub, &[one, u], span)?;
    let log = elab.scalar(Scalar::Log, &[rest], span)?;
    let two = number(elab, -2.0);
    let square = elab.scalar(Scalar::Mul, &[two, log], span)?;
    let radius = elab.scalar(Scalar::Sqrt, &[square], span)?;
    let turn = number(elab, 2.0 * std::f64::consts::PI);
    let angle = elab.scalar(Scalar::Mul, &[turn, v], span)?;
    let cosine = elab.scalar(Scalar::Cos, &[angle], span)?;
    elab.scalar(Scalar::Mul, &[radius, cosine], span).map(Value::Tensor)
}

/// An element of a random matrix with orthonormal rows or columns.
pub(crate) fn orthonormal<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    if elab.place == Context::Initializer {
        return Ok(elab.first_draw("orthonormal"));
    }
    let message = "an orthonormal matrix gives first values: it stands after `~`";
    Err(elab.fail(Code::E0403, bound.span, message))
}

/// 1 with probability p, else 0, typed as `like`.
pub(crate) fn bernoulli<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (p, span) = (bound.value(0), bound.span);
    if elab.place == Context::Initializer {
        let draw = Spanned { value: elab.first_draw("random"), span };
        let hit = elab.binary(stmc_syntax::ast::BinaryOp::Lt, span, draw, p.clone())?;
        return Ok(hit);
    }
    let like = elab.tensor_of(bound.value(1))?;
    if elab.masks {
        return elab.mask(like, span).map(Value::Tensor);
    }
    let draw = Spanned { value: Value::Tensor(elab.draw(like, span)?), span };
    let hit = elab.pointwise(Scalar::Less, "bernoulli", &[draw, p.clone()], span)?;
    elab.float(hit, span).map(Value::Tensor)
}

impl<'a> Elab<'a> {
    /// Uniform numbers of the next site of this instance, in the innermost scan's step.
    fn draw(&mut self, like: Tensor, span: Span) -> Eval<Tensor> {
        let ty = self.ty(like).with_dtype(DType::F32);
        let site = hash(&self.next_site());
        let step = self.joint_step(span)?;
        // In a metric samples draw in the entry.
        let level = match &self.frames[self.depth()].kind {
            FrameKind::Finish(_) => like.level,
            FrameKind::Entry | FrameKind::Scan(_) => self.depth(),
        };
        self.emit_at(level, Op::Random(Random { site, ty }), &step.into_iter().collect::<Vec<_>>(), span)
    }

    fn next_site(&mut self) -> String {
        let path = self.path();
        let n = self.draws.entry(path.clone()).or_default();
        *n += 1;
        format!("{path}#{}", *n - 1)
    }

    /// One number that tells the steps of all scans around apart. `None`: there is no scan.
    fn joint_step(&mut self, span: Span) -> Eval<Option<Tensor>> {
        let mut joint: Option<Tensor> = None;
        for level in 0..self.frames.len() {
            let FrameKind::Scan(frame) = &self.frames[level].kind else { continue };
            let (node, extent) = frame.step;
            let step = Tensor::plain(node, level);
            joint = Some(match joint {
                None => step,
                Some(outer) => {
                    let extent = self.number(extent as f64, DType::I32);
                    let scaled = self.scalar(Scalar::Mul, &[outer, extent], span)?;
                    self.scalar(Scalar::Add, &[scaled, step], span)?
                }
            });
        }
        Ok(joint)
    }

    /// A mask given from outside: `batch`, the steps of the scans around from the outermost in, then the other axes.
    fn mask(&mut self, like: Tensor, span: Span) -> Eval<Tensor> {
        let ty: Type = self.ty(like).with_dtype(DType::F32);
        let site = self.next_site();
        let scans: Vec<(AxisId, Tensor, usize)> = (0..self.frames.len())
            .filter_map(|level| match &self.frames[level].kind {
                FrameKind::Scan(s) => Some((s.axis, Tensor::plain(s.step.0, level), s.step.1)),
                FrameKind::Entry | FrameKind::Finish(_) => None,
            })
            .collect();
        let (mut whole, mut steps) = (ty.clone(), vec![]);
        for (axis, step, extent) in scans {
            // A tensor may have the axis of a scan as a whole; its steps then have another one of that name.
            let axis = match whole.has(axis) {
                true => self.axes.borrow_mut().axis(&self.axis_name(axis), &format!("#steps{}", steps.len())),
                false => axis,
            };
            whole = whole.with(axis, extent).expect("the type lacks the axis");
            steps.push((axis, step));
        }
        let batch = self.batch();
        let mut axes: Vec<AxisId> = ty.dims().iter().map(|d| d.axis).collect();
        let first = usize::from(axes.first() == Some(&batch));
        axes.splice(first..first, steps.iter().map(|s| s.0));
        let mut mask = self.input(InputRole::Mask { site, axes }, whole);
        for (axis, step) in steps {
            mask = self.emit(Op::Gather(Gather { axis }), &[mask, step], span)?;
        }
        Ok(mask)
    }
}

/// FNV-1a, 32 bits.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}
