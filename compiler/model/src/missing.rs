//! Values that may be missing, `f32?`: a value and a mask, true where it is missing; the value there is 0.
//!
//! Every op on such values is made here, out of the op on the values and what becomes of the masks. No NaN stands behind a
//! mask, neither in the value nor in a gradient: the operands of an op that has no finite value or slope at 0 are 1
//! where its result is missing.
use crate::builtins::Bound;
use crate::elab::{Elab, Eval};
use crate::value::{Spanned, Tensor, Value};
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::ops::{Cast, Pad, Reduce, Reduction, Scalar};
use stmc_ir::{AxisId, DType, Op, Type};

/// `is_missing(x)`
pub(crate) fn is_missing<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let x = elab.tensor_of(bound.value(0))?;
    elab.full_mask(x, bound.span).map(Value::Tensor)
}

/// `fill(x, v)`: v where x is missing.
pub(crate) fn fill<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (x, instead) = (bound.value(0), bound.value(1));
    let tensor = elab.tensor_of(x)?;
    let Some(mask) = tensor.mask() else { return Ok(x.value.clone()) };
    let mask = Spanned { value: Value::Tensor(mask), span: x.span };
    let stored = Spanned { value: Value::Tensor(tensor.stored()), span: x.span };
    elab.pointwise(Scalar::Where, "fill", &[mask, instead.clone(), stored], bound.span).map(Value::Tensor)
}

impl<'a> Elab<'a> {
    /// A tensor that is missing where `mask` holds. `x` is 0 there.
    pub(crate) fn with_mask(&mut self, x: Tensor, mask: Tensor, span: Span) -> Eval<Tensor> {
        Ok(Tensor { missing: Some(self.bring(mask, x.level, span)?), ..x })
    }

    /// Values as they are read, NaN where they are missing.
    pub(crate) fn read_missing(&mut self, raw: Tensor, span: Span) -> Eval<Tensor> {
        // No comparison with itself, of which not every device gives that NaN differs.
        let order = self.scalar(Scalar::Order, &[raw], span)?;
        let last = self.number(f64::from(i32::MAX), DType::I32);
        let mask = self.scalar(Scalar::Equal, &[order, last], span)?;
        self.missing_where(mask, raw, span)
    }

    /// Values as they are written, NaN where they are missing.
    pub(crate) fn written(&mut self, x: Tensor, span: Span) -> Eval<Tensor> {
        let Some(mask) = x.mask() else { return Ok(x) };
        let x = self.float(x.stored(), span)?;
        let nan = self.number(f64::NAN, DType::F32);
        self.scalar(Scalar::Where, &[mask, nan, x], span)
    }

    /// `x`, made missing where `mask` holds.
    pub(crate) fn missing_where(&mut self, mask: Tensor, x: Tensor, span: Span) -> Eval<Tensor> {
        let value = self.replaced(x, mask, 0.0, span)?;
        self.with_mask(value, mask, span)
    }

    /// A number where the mask holds, else the value.
    pub(crate) fn replaced(&mut self, x: Tensor, mask: Tensor, by: f64, span: Span) -> Eval<Tensor> {
        let by = self.number(by, self.ty(x).dtype);
        self.scalar(Scalar::Where, &[mask, by, x.stored()], span)
    }

    /// Where a value is missing, with all its axes.
    pub(crate) fn full_mask(&mut self, x: Tensor, span: Span) -> Eval<Tensor> {
        let ty = self.ty(x).with_dtype(DType::Bool);
        match x.mask() {
            Some(mask) => self.expand_to(mask, &ty, span),
            None => self.emit_at(x.level, Op::Fill { bits: 0f64.to_bits(), ty }, &[], span),
        }
    }

    /// 1 where a value is there, else 0, with all its axes.
    pub(crate) fn present(&mut self, x: Tensor, span: Span) -> Eval<Tensor> {
        let mask = self.full_mask(x, span)?;
        let (zero, one) = (self.number(0.0, DType::F32), self.number(1.0, DType::F32));
        self.scalar(Scalar::Where, &[mask, zero, one], span)
    }

    /// Remembers that a value is a sum, or a count of what is nowhere missing.
    pub(crate) fn noted_sum(&mut self, value: Value<'a>) -> Value<'a> {
        if let Value::Tensor(t) = &value {
            self.sums.insert((t.node.0, t.level));
        }
        value
    }

    /// A mean is the sum over some cells divided by a sum over the same ones: the numerator skips what is missing.
    pub(crate) fn check_same_cells(&mut self, [top, bottom]: &[Spanned<'a>; 2], span: Span) {
        let is_sum = |t: &Tensor| self.sums.contains(&(t.node.0, t.level));
        let (Value::Tensor(numerator), Value::Tensor(denominator)) = (&top.value, &bottom.value) else {
            return;
        };
        if numerator.missing.is_none() || denominator.missing.is_some() {
            return;
        }
        if is_sum(numerator) && is_sum(denominator) {
            let message = "the numerator skips missing cells, the denominator does not";
            let diagnostic = Diagnostic::new(Code::W0702, span, message)
                .label(top.span, "only where all of it is there")
                .label(bottom.span, "everywhere");
            self.report(diagnostic.help("`mean(…, weight: w)` takes both over the same cells"));
        }
    }

    /// Missing values where none may be.
    pub(crate) fn refuse_missing(&mut self, x: Tensor, what: &str, span: Span) -> Eval<()> {
        if x.missing.is_none() {
            return Ok(());
        }
        let message = format!("{what} takes no missing values, and these may be missing");
        Err(self.error(
            Diagnostic::new(Code::E0701, span, message).help("`fill(x, 0)` puts a value in their place"),
        ))
    }

    /// An op on values of which some may be missing.
    pub(crate) fn emit_masked(&mut self, level: usize, op: Op, args: &[Tensor], span: Span) -> Eval<Tensor> {
        match &op {
            Op::Scalar(scalar) => self.masked_scalar(level, *scalar, args, span),
            Op::Cast(_) => {
                let value = self.emit_at(level, op, &[args[0].stored()], span)?;
                let mask = args[0].mask().expect("an operand may be missing");
                self.with_mask(value, mask, span)
            }
            Op::Reduce(reduce) => self.masked_reduce(level, reduce, args[0], span),
            Op::Gather(_) => self.masked_gather(level, op, args, span),
            _ if op.rule().moves() => self.masked_move(level, op, args, span),
            _ => {
                let what = format!("`{}`", op.rule().name());
                let missing = args.iter().find(|t| t.missing.is_some()).expect("an operand may be missing");
                self.refuse_missing(*missing, &what, span)?;
                unreachable!("it was refused")
            }
        }
    }

    fn masked_scalar(&mut self, level: usize, op: Scalar, args: &[Tensor], span: Span) -> Eval<Tensor> {
        let mask = self.joint_mask(op, args, span)?;
        let rule = op.rule();
        let mut stored: Vec<Tensor> = args.iter().map(|t| t.stored()).collect();
        // What the op makes of the values that stand where its result is missing, as far as they are known.
        let mut known: Vec<Option<f64>> = args.iter().map(|t| self.known_under(*t, mask)).collect();
        let last = stored.len() - 1;
        let regular = rule.domain.0 <= 0.0 || known[last].is_some_and(|x| x != 0.0);
        if !regular {
            let safe = self.replaced(stored[last], mask, 1.0, span)?;
            self.quantities.same.push((safe, stored[last]));
            stored[last] = safe;
            known[last] = Some(1.0);
        }
        let mut value = self.emit_at(level, Op::Scalar(op), &stored, span)?;
        let known: Option<Vec<f64>> = known.into_iter().collect();
        if known.is_none_or(|x| (rule.eval)(&x) != 0.0) {
            value = self.replaced(value, mask, 0.0, span)?;
        }
        self.with_mask(value, mask, span)
    }

    /// Where the result of an elementwise op is missing: where any operand is. A choice is missing where the chosen one
    /// is, or where it is not known which that is.
    fn joint_mask(&mut self, op: Scalar, args: &[Tensor], span: Span) -> Eval<Tensor> {
        if op == Scalar::Where && args[1].missing != args[2].missing {
            let never = self.number(0.0, DType::Bool);
            let sides = [args[1].mask().unwrap_or(never), args[2].mask().unwrap_or(never)];
            let chosen = self.scalar(Scalar::Where, &[args[0].stored(), sides[0], sides[1]], span)?;
            return match args[0].mask() {
                Some(unknown) => self.scalar(Scalar::Or, &[unknown, chosen], span),
                None => Ok(chosen),
            };
        }
        let mut joint: Option<Tensor> = None;
        for mask in args.iter().filter_map(|t| t.mask()) {
            joint = Some(match joint {
                None => mask,
                Some(known) if known == mask => known,
                Some(known) => self.scalar(Scalar::Or, &[known, mask], span)?,
            });
        }
        Ok(joint.expect("an operand may be missing"))
    }

    /// The number that an operand is where `mask` holds. `None`: it depends.
    fn known_under(&self, x: Tensor, mask: Tensor) -> Option<f64> {
        match x.mask() {
            Some(own) if own == mask => Some(0.0),
            _ => self.frames[x.level].builder.constant(x.node),
        }
    }

    /// Masks are moved as the values are; what is put beside them is present.
    fn masked_move(&mut self, level: usize, op: Op, args: &[Tensor], span: Span) -> Eval<Tensor> {
        let stored: Vec<Tensor> = args.iter().map(|t| t.stored()).collect();
        let value = self.emit_at(level, op.clone(), &stored, span)?;
        let mut masks = vec![];
        for arg in args {
            masks.push(self.full_mask(*arg, span)?);
        }
        let op = match op {
            Op::Pad(pad) => Op::Pad(Pad { fill: 0, ..pad }),
            op => op,
        };
        let mask = self.emit_at(level, op, &masks, span)?;
        self.with_mask(value, mask, span)
    }

    /// A missing index leads nowhere.
    fn masked_gather(&mut self, level: usize, op: Op, args: &[Tensor], span: Span) -> Eval<Tensor> {
        let stored = [args[0].stored(), args[1].stored()];
        let value = self.emit_at(level, op.clone(), &stored, span)?;
        let found = match args[0].missing {
            Some(_) => {
                let mask = self.full_mask(args[0], span)?;
                Some(self.emit_at(level, op, &[mask, stored[1]], span)?)
            }
            None => None,
        };
        match (found, args[1].mask()) {
            (Some(found), None) => self.with_mask(value, found, span),
            (None, Some(index)) => self.missing_where(index, value, span),
            (Some(found), Some(index)) => {
                let mask = self.scalar(Scalar::Or, &[found, index], span)?;
                self.missing_where(mask, value, span)
            }
            (None, None) => unreachable!("an operand may be missing"),
        }
    }

    /// What is missing is skipped; the result is missing where nothing was left.
    fn masked_reduce(&mut self, level: usize, reduce: &Reduce, x: Tensor, span: Span) -> Eval<Tensor> {
        let mask = x.mask().expect("the operand may be missing");
        let none = self.all_hold(mask, &reduce.axes, span)?;
        let op = Op::Reduce(reduce.clone());
        let least = match self.ty(x).dtype {
            DType::I32 => f64::from(i32::MIN),
            _ => f64::NEG_INFINITY,
        };
        let most = if least.is_finite() { f64::from(i32::MAX) } else { f64::INFINITY };
        let skipped = match reduce.kind {
            Reduction::Sum => {
                let sum = self.emit_at(level, op, &[x.stored()], span)?;
                return self.with_mask(sum, none, span);
            }
            Reduction::Max | Reduction::FirstMax => self.replaced(x, mask, least, span)?,
            Reduction::Min => self.replaced(x, mask, most, span)?,
        };
        let extreme = self.emit_at(level, op, &[skipped], span)?;
        self.missing_where(none, extreme, span)
    }

    /// Where all along some axes is missing.
    pub(crate) fn is_all_missing(&mut self, x: Tensor, over: &[AxisId], span: Span) -> Eval<Tensor> {
        let mask = self.full_mask(x, span)?;
        self.all_hold(mask, over, span)
    }

    /// Whether a mask holds all along some axes, as far as it has them.
    fn all_hold(&mut self, mask: Tensor, over: &[AxisId], span: Span) -> Eval<Tensor> {
        let ty: Type = self.ty(mask);
        let over: Vec<AxisId> = over.iter().copied().filter(|a| ty.has(*a)).collect();
        if over.is_empty() {
            return Ok(mask);
        }
        let ints = self.emit(Op::Cast(Cast { to: DType::I32 }), &[mask], span)?;
        let least = self.emit(Op::Reduce(Reduce::new(Reduction::Min, &over)), &[ints], span)?;
        let zero = self.number(0.0, DType::I32);
        self.scalar(Scalar::Less, &[zero, least], span)
    }
}
