//! Operators: on statics while compiling, on host scalars as expressions, on tensors as nodes.
use crate::elab::{Context, Elab, Eval, Failed};
use crate::host;
use crate::value::{Spanned, Tensor, Value};
use std::rc::Rc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::host::{HostBinary, HostUnary};
use stmc_ir::ops::{Cast, Scalar};
use stmc_ir::{AxisId, DType, HostExpr, Op, Type};
use stmc_syntax::ast::{BinaryOp, UnaryOp};

impl<'a> Elab<'a> {
    /// `left op right`.
    pub(crate) fn binary(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        left: Spanned<'a>,
        right: Spanned<'a>,
    ) -> Eval<Value<'a>> {
        let left = Spanned { value: left.value.plain(), ..left };
        let right = Spanned { value: right.value.plain(), ..right };
        let span = if left.span.source == right.span.source { left.span.to(right.span) } else { op_span };
        match (&left.value, &right.value) {
            (_, Value::List(list)) if op == BinaryOp::In => {
                Ok(Value::Bool(list.iter().any(|v| equal(&left.value, v) == Some(true))))
            }
            (Value::Axes(a), Value::Axes(b)) => self.axes_binary(op, op_span, a, b),
            (Value::ByAxis(_) | Value::Record(_), _) | (_, Value::ByAxis(_) | Value::Record(_)) => {
                self.by_axis_binary(op, op_span, &left, &right)
            }
            (Value::Position(binder, k), Value::Int(i)) if op == BinaryOp::Add => {
                Ok(Value::Position(*binder, far(k.saturating_add(*i))))
            }
            (Value::Int(i), Value::Position(binder, k)) if op == BinaryOp::Add => {
                Ok(Value::Position(*binder, far(k.saturating_add(*i))))
            }
            (Value::Position(binder, k), Value::Int(i)) if op == BinaryOp::Sub => {
                Ok(Value::Position(*binder, far(k.saturating_sub(*i))))
            }
            (Value::Tensor(_), _) | (_, Value::Tensor(_)) => {
                self.tensor_binary(op, op_span, &left, &right, span).map(Value::Tensor)
            }
            (Value::Host(_), _) | (_, Value::Host(_)) => self.host_binary(op, op_span, &left, &right),
            _ => self.static_binary(op, op_span, &left, &right),
        }
    }

    fn does_not_fit(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        left: &Spanned<'a>,
        right: &Spanned<'a>,
    ) -> Failed {
        let message =
            format!("`{}` does not take {} and {}", op.text(), left.value.kind(), right.value.kind());
        let mut diagnostic = Diagnostic::new(Code::E0403, op_span, message)
            .label(left.span, left.value.kind())
            .label(right.span, right.value.kind());
        if matches!(left.value, Value::LayerDecl(..) | Value::Layer(_) | Value::Fn(_) | Value::Builtin(_)) {
            diagnostic = diagnostic.help("apply it first: `x |> f`");
        } else if matches!((op, &left.value), (BinaryOp::Mul, Value::List(_))) {
            diagnostic = diagnostic.help("so many of them: `[for i in 0 .. n => …]`");
        }
        self.error(diagnostic)
    }

    fn axes_binary(&mut self, op: BinaryOp, op_span: Span, a: &[AxisId], b: &[AxisId]) -> Eval<Value<'a>> {
        match op {
            BinaryOp::Sub => Ok(Value::Axes(a.iter().copied().filter(|x| !b.contains(x)).collect())),
            BinaryOp::Add => {
                Ok(Value::Axes(a.iter().chain(b.iter().filter(|x| !a.contains(x))).copied().collect()))
            }
            BinaryOp::Eq => Ok(Value::Bool(a == b)),
            BinaryOp::Ne => Ok(Value::Bool(a != b)),
            _ => Err(self.fail(Code::E0403, op_span, format!("`{}` does not take axes", op.text()))),
        }
    }

    /// Values by axis combine axis by axis.
    fn by_axis_binary(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        left: &Spanned<'a>,
        right: &Spanned<'a>,
    ) -> Eval<Value<'a>> {
        let ((Value::ByAxis(by), _) | (_, Value::ByAxis(by))) = (&left.value, &right.value) else {
            return Err(self.does_not_fit(op, op_span, left, right));
        };
        let axes: Vec<AxisId> = by.iter().map(|(a, _)| *a).collect();
        let mut out = vec![];
        for axis in axes {
            let l = Spanned { value: self.for_axis(&left.value, axis, left.span)?, span: left.span };
            let r = Spanned { value: self.for_axis(&right.value, axis, right.span)?, span: right.span };
            out.push((axis, self.binary(op, op_span, l, r)?));
        }
        Ok(Value::ByAxis(Rc::new(out)))
    }

    fn static_binary(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        left: &Spanned<'a>,
        right: &Spanned<'a>,
    ) -> Eval<Value<'a>> {
        if let (Value::Int(a), Value::Int(b)) = (&left.value, &right.value)
            && !matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::In)
        {
            if *b == 0 && op == BinaryOp::Div {
                return Err(self.fail(Code::E0403, right.span, "this divides by 0"));
            }
            return Ok(int_binary(op, *a, *b));
        }
        if matches!(op, BinaryOp::Eq | BinaryOp::Ne)
            && let Some(same) = equal(&left.value, &right.value)
        {
            return Ok(Value::Bool(same == (op == BinaryOp::Eq)));
        }
        if let (Value::Quantity(a, u), Value::Quantity(b, v)) = (&left.value, &right.value)
            && u == v
        {
            return Ok(match host::operator(op) {
                Some(o) if op.is_comparison() => Value::Bool(o.eval(*a, *b) != 0.0),
                Some(HostBinary::Div) => Value::Float(a / b),
                Some(o) => Value::Quantity(o.eval(*a, *b), u.clone()),
                None => return Err(self.does_not_fit(op, op_span, left, right)),
            });
        }
        let truths = matches!((&left.value, &right.value), (Value::Bool(_), Value::Bool(_)));
        let logic = matches!(op, BinaryOp::And | BinaryOp::Or);
        let both = if logic == truths { left.value.scalar().zip(right.value.scalar()) } else { None };
        match (both, host::operator(op)) {
            (Some((a, b)), Some(o)) if op.is_comparison() || logic => Ok(Value::Bool(o.eval(a, b) != 0.0)),
            (Some((a, b)), Some(o)) => Ok(Value::Float(o.eval(a, b))),
            _ => Err(self.does_not_fit(op, op_span, left, right)),
        }
    }

    fn host_binary(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        left: &Spanned<'a>,
        right: &Spanned<'a>,
    ) -> Eval<Value<'a>> {
        match (left.value.host(), right.value.host(), host::operator(op)) {
            (Some(a), Some(b), Some(o)) => Ok(host::folded(HostExpr::binary(o, a, b))),
            _ => Err(self.does_not_fit(op, op_span, left, right)),
        }
    }

    fn tensor_binary(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        left: &Spanned<'a>,
        right: &Spanned<'a>,
        span: Span,
    ) -> Eval<Tensor> {
        if op == BinaryOp::Pow {
            return self.power(left, right, span);
        }
        let args = [left.clone(), right.clone()];
        let swapped = [right.clone(), left.clone()];
        let name = op.text();
        match op {
            BinaryOp::Add => self.pointwise(Scalar::Add, name, &args, span),
            BinaryOp::Sub => self.pointwise(Scalar::Sub, name, &args, span),
            BinaryOp::Mul => self.pointwise(Scalar::Mul, name, &args, span),
            BinaryOp::Div => self.divide(&args, span),
            BinaryOp::And => self.pointwise(Scalar::And, name, &args, span),
            BinaryOp::Or => self.pointwise(Scalar::Or, name, &args, span),
            BinaryOp::Lt => self.pointwise(Scalar::Less, name, &args, span),
            BinaryOp::Le => self.pointwise(Scalar::LessEqual, name, &args, span),
            BinaryOp::Gt => self.pointwise(Scalar::Less, name, &swapped, span),
            BinaryOp::Ge => self.pointwise(Scalar::LessEqual, name, &swapped, span),
            BinaryOp::Eq => self.same(name, &args, span),
            BinaryOp::Ne => {
                let same = self.same(name, &args, span)?;
                self.scalar(Scalar::Not, &[same], span)
            }
            BinaryOp::In => Err(self.does_not_fit(op, op_span, left, right)),
            BinaryOp::Pow => unreachable!("handled above"),
        }
    }

    /// `a == b`; truth values are compared as 0 and 1.
    fn same(&mut self, name: &str, args: &[Spanned<'a>; 2], span: Span) -> Eval<Tensor> {
        let truth = |elab: &Elab<'a>, v: &Spanned<'a>| match &v.value {
            Value::Bool(_) => true,
            Value::Tensor(t) => elab.ty(*t).dtype == DType::Bool,
            _ => false,
        };
        if !args.iter().all(|v| truth(self, v)) {
            return self.pointwise(Scalar::Equal, name, args, span);
        }
        let mut numbers = vec![];
        for arg in args {
            let t = self.tensor(arg, Some(DType::Bool))?;
            let t = self.emit(Op::Cast(Cast { to: DType::I32 }), &[t], arg.span)?;
            numbers.push(Spanned { value: Value::Tensor(t), span: arg.span });
        }
        self.pointwise(Scalar::Equal, name, &numbers, span)
    }

    /// `/` of integer or bool tensors is f32.
    fn divide(&mut self, args: &[Spanned<'a>; 2], span: Span) -> Eval<Tensor> {
        self.check_same_cells(args, span);
        let mut floats = vec![];
        for arg in args {
            let value = match &arg.value {
                Value::Tensor(t) => Value::Tensor(self.float(*t, arg.span)?),
                other => other.clone(),
            };
            floats.push(Spanned { value, span: arg.span });
        }
        self.pointwise(Scalar::Div, "/", &floats, span)
    }

    /// As f32.
    pub(crate) fn float(&mut self, tensor: Tensor, span: Span) -> Eval<Tensor> {
        if self.ty(tensor).dtype == DType::F32 {
            return Ok(tensor);
        }
        self.emit(Op::Cast(Cast { to: DType::F32 }), &[tensor], span)
    }

    /// `x ^ y`: products for small whole exponents, a root for 0.5; NaN for x below 0 otherwise.
    fn power(&mut self, left: &Spanned<'a>, right: &Spanned<'a>, span: Span) -> Eval<Tensor> {
        if let (Value::Tensor(x), Some(y)) = (&left.value, right.value.number()) {
            if y == 0.5 {
                return self.scalar(Scalar::Sqrt, &[*x], span);
            }
            if y.fract() == 0.0 && y.abs() <= 16.0 && y != 0.0 {
                let product = self.product(*x, y.abs() as u32, span)?;
                if y > 0.0 {
                    return Ok(product);
                }
                let one = self.number(1.0, DType::F32);
                return self.scalar(Scalar::Div, &[one, product], span);
            }
        }
        let exponent = match left.value.number() {
            Some(x) if x > 0.0 => {
                let y = self.tensor(right, None)?;
                let log = self.number(x.ln(), DType::F32);
                self.scalar(Scalar::Mul, &[y, log], span)?
            }
            _ => return self.pointwise(Scalar::Power, "^", &[left.clone(), right.clone()], span),
        };
        self.scalar(Scalar::Exp, &[exponent], span)
    }

    /// x^n by repeated squaring, n at least 1.
    fn product(&mut self, x: Tensor, n: u32, span: Span) -> Eval<Tensor> {
        if n == 1 {
            return Ok(x);
        }
        let half = self.product(x, n / 2, span)?;
        let square = self.scalar(Scalar::Mul, &[half, half], span)?;
        if n.is_multiple_of(2) { Ok(square) } else { self.scalar(Scalar::Mul, &[square, x], span) }
    }

    /// `-x`, `not x`.
    pub(crate) fn unary(&mut self, op: UnaryOp, operand: Spanned<'a>, span: Span) -> Eval<Value<'a>> {
        let operand = Spanned { value: operand.value.plain(), ..operand };
        match (op, &operand.value) {
            (UnaryOp::Neg, Value::Int(i)) => Ok(Value::Int(i.saturating_neg())),
            (UnaryOp::Neg, Value::Float(x) | Value::Percent(x)) => Ok(Value::Float(-x)),
            (UnaryOp::Neg, Value::Host(e)) => Ok(host::folded(HostExpr::unary(HostUnary::Neg, e.clone()))),
            (UnaryOp::Neg, Value::Tensor(t)) => self.scalar(Scalar::Neg, &[*t], span).map(Value::Tensor),
            (UnaryOp::Neg, Value::ByAxis(_)) => {
                let zero = Spanned { value: Value::Int(0), span: operand.span };
                self.binary(BinaryOp::Sub, span, zero, operand)
            }
            (UnaryOp::Not, Value::Bool(b)) => Ok(Value::Bool(!b)),
            (UnaryOp::Not, Value::Host(e)) => Ok(Value::Host(HostExpr::unary(HostUnary::Not, e.clone()))),
            (UnaryOp::Not, Value::Tensor(t)) => self.scalar(Scalar::Not, &[*t], span).map(Value::Tensor),
            (UnaryOp::Neg, other) => Err(self.wrong_kind(other, "a number or a tensor", operand.span)),
            (UnaryOp::Not, other) => Err(self.wrong_kind(other, "a truth value", operand.span)),
        }
    }

    /// An elementwise op: operands are aligned by name, static numbers take the tensors' dtype.
    /// `name` is what the user wrote.
    pub(crate) fn pointwise(
        &mut self,
        op: Scalar,
        name: &str,
        args: &[Spanned<'a>],
        span: Span,
    ) -> Eval<Tensor> {
        let like = self.common_dtype(op, args);
        let mut tensors = vec![];
        for arg in args {
            tensors.push((self.tensor(arg, like)?, arg.span));
        }
        self.align(name, &tensors, span)?;
        let nodes: Vec<Tensor> = tensors.iter().map(|t| t.0).collect();
        self.same_dtypes(op, name, &tensors, span)?;
        self.scalar(op, &nodes, span)
    }

    /// The dtype that static numbers take: that of the first tensor among the operands that must agree.
    pub(crate) fn common_dtype(&self, op: Scalar, args: &[Spanned<'a>]) -> Option<DType> {
        let from = usize::from(op == Scalar::Where);
        args[from..].iter().find_map(|a| match &a.value {
            Value::Tensor(t) => Some(self.ty(*t).dtype),
            Value::Run(_) => match a.value.clone().plain() {
                Value::Tensor(t) => Some(self.ty(t).dtype),
                _ => None,
            },
            _ => None,
        })
    }

    fn same_dtypes(&mut self, op: Scalar, name: &str, args: &[(Tensor, Span)], span: Span) -> Eval<()> {
        let from = usize::from(op == Scalar::Where);
        let first = self.ty(args[from].0).dtype;
        let Some(other) = args[from..].iter().find(|a| self.ty(a.0).dtype != first) else { return Ok(()) };
        let dtype = self.ty(other.0).dtype;
        let message =
            format!("`{name}` takes operands of one type, these are {} and {}", first.name(), dtype.name());
        let diagnostic = Diagnostic::new(Code::E0408, span, message)
            .label(args[from].1, first.name())
            .label(other.1, dtype.name())
            .help(match self.reads_categories() {
                true => "a category's numbers stand for names: `one_hot(kind, channel: kind.count)`; other numbers are cast: `f32(x)`",
                false => "cast one of them: `f32(x)`",
            });
        Err(self.error(diagnostic))
    }

    /// Whether a data block with categories is being read.
    fn reads_categories(&self) -> bool {
        let known = self.data.as_ref().filter(|_| self.place == Context::Data);
        known.is_some_and(|d| d.plan.fields.iter().any(|f| f.reading.categories.is_some()))
    }

    /// One extent per axis, and no accidental outer product.
    pub(crate) fn align(&mut self, name: &str, args: &[(Tensor, Span)], span: Span) -> Eval<()> {
        let types: Vec<(Type, Span)> = args.iter().map(|(t, span)| (self.ty(*t), *span)).collect();
        self.align_types(name, &types, span)
    }

    /// The same for types alone.
    pub(crate) fn align_types(&mut self, name: &str, types: &[(Type, Span)], span: Span) -> Eval<()> {
        for (i, right) in types.iter().enumerate() {
            for left in &types[..i] {
                self.align_pair(name, left, right, span)?;
            }
        }
        Ok(())
    }

    /// One extent for each axis that both have.
    pub(crate) fn same_extents(&mut self, left: &(Type, Span), right: &(Type, Span)) -> Eval<()> {
        let (a, b) = (&left.0, &right.0);
        for d in a.dims() {
            let Some(extent) = b.extent(d.axis).filter(|e| *e != d.extent) else { continue };
            let mut diagnostic = self.two_extents(d.axis, (d.extent, left.1), (extent, right.1));
            if d.extent == 1 || extent == 1 {
                let axis = self.axis_name(d.axis);
                diagnostic.message += "; an extent of 1 does not broadcast";
                let single = if d.extent == 1 { left.1 } else { right.1 };
                diagnostic = diagnostic
                    .help(format!("`squeeze(x, {axis})` on the one that has a single step"))
                    .wrap(single, "squeeze(", format!(", {axis})"));
            }
            return Err(self.error(diagnostic));
        }
        Ok(())
    }

    fn align_pair(&mut self, name: &str, left: &(Type, Span), right: &(Type, Span), span: Span) -> Eval<()> {
        self.same_extents(left, right)?;
        let (a, b) = (&left.0, &right.0);
        let batch = self.batch();
        let lacks = |x: &Type, y: &Type| -> Vec<AxisId> {
            x.dims().iter().map(|d| d.axis).filter(|a| !y.has(*a)).collect()
        };
        let (only_a, only_b) = (lacks(a, b), lacks(b, a));
        if !a.has(batch) || !b.has(batch) || only_a.is_empty() || only_b.is_empty() {
            return Ok(());
        }
        let (first, second) = (self.tuple_of(&only_a), self.tuple_of(&only_b));
        let message = format!(
            "`{name}` would pair every {first} with every {second}: both have `batch`, each has axes that the other lacks"
        );
        let diagnostic = Diagnostic::new(Code::E0202, span, message)
            .label(left.1, self.show_type(a))
            .label(right.1, self.show_type(b))
            .help("`rename` an axis, or `expand` one operand if that is meant");
        Err(self.error(diagnostic))
    }

    /// An axis has one extent in one operand, another in the other.
    pub(crate) fn two_extents(
        &self,
        axis: AxisId,
        (here, span): (usize, Span),
        (there, other): (usize, Span),
    ) -> Diagnostic {
        let axis = self.axis_name(axis);
        Diagnostic::new(Code::E0201, span, format!("`{axis}` is {here} here and {there} there"))
            .here(format!("{axis}: {here}"))
            .label(other, format!("{axis}: {there}"))
    }

    /// `(row, col)`, or `row` alone.
    fn tuple_of(&self, axes: &[AxisId]) -> String {
        let names: Vec<String> = axes.iter().map(|a| self.axis_name(*a)).collect();
        if names.len() == 1 { names[0].clone() } else { format!("({})", names.join(", ")) }
    }
}

/// Where a sample variable points: beyond all data, but far from overflow.
fn far(k: i64) -> i64 {
    const END: i64 = 1 << 40;
    k.clamp(-END, END)
}

fn int_binary<'a>(op: BinaryOp, a: i64, b: i64) -> Value<'a> {
    let exact = match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div => a.checked_rem(b).filter(|r| *r == 0).and_then(|_| a.checked_div(b)),
        BinaryOp::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        _ => None,
    };
    let o = host::operator(op);
    match (exact, o) {
        (Some(i), _) => Value::Int(i),
        (None, Some(o)) if op.is_comparison() => Value::Bool(o.eval(a as f64, b as f64) != 0.0),
        (None, Some(o)) => Value::Float(o.eval(a as f64, b as f64)),
        (None, None) => Value::Bool(false),
    }
}

/// Whether two statics are the same. `None`: they cannot be compared.
pub(crate) fn equal(a: &Value<'_>, b: &Value<'_>) -> Option<bool> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Some(a == b),
        (Value::Bool(a), Value::Bool(b)) => Some(a == b),
        (Value::List(a), Value::List(b)) => {
            let same = |(x, y): (&Value<'_>, &Value<'_>)| equal(x, y) == Some(true);
            Some(a.len() == b.len() && a.iter().zip(b.iter()).all(same))
        }
        _ => Some(a.number()? == b.number()?),
    }
}
