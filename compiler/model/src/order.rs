//! Built-in functions that look at the order of elements along axes: the place of the largest, sums up to each, sorting, quantiles.
//! All are written in the ops that there are; none takes work that grows with the square of an extent.
use crate::builtins::Bound;
use crate::elab::{Elab, Eval};
use crate::value::{Spanned, Tensor, Value};
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::ops::leaf::to_bits;
use stmc_ir::ops::{Cast, Gather, Pad, Reduce, Reduction, Scalar, Scan, ScanResult, Slice, Windows};
use stmc_ir::{AxisId, Builder, DType, Dim, NodeId, Op, Type};

/// `argmax(x, over: a)`: where the largest stands, i32; of several axes the row-major place. Of equals the first.
pub(crate) fn argmax<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let span = bound.span;
    let x = elab.comparable(bound.value(0), span)?;
    let over = elab.whole_axes(x, bound.axes(1), bound)?;
    let most = elab.reduced(Reduction::Max, x, &over, span)?;
    let hit = elab.scalar(Scalar::Equal, &[x, most], span)?;
    let mut place = elab.number(0.0, DType::I32);
    for axis in &over {
        let extent = elab.extent(x, *axis, span)?;
        let (index, factor) = (elab.index(*axis, extent, span), elab.number(extent as f64, DType::I32));
        let row = elab.scalar(Scalar::Mul, &[place, factor], span)?;
        place = elab.scalar(Scalar::Add, &[row, index], span)?;
    }
    // Where all is NaN nothing is equal to the largest; a place that exists is given all the same.
    let last = elab.number(elab.count_over(x, &over) as f64 - 1.0, DType::I32);
    let found = elab.scalar(Scalar::Where, &[hit, place, last], span)?;
    elab.reduced(Reduction::Min, found, &over, span).map(Value::Tensor)
}

/// Steps that one round of `cumsum` adds up.
const ROUND: usize = 8;

/// `cumsum(x, over: a)[i]` is the sum of x up to and with step i. Each round adds up windows eight times as wide as those before.
pub(crate) fn cumsum<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let span = bound.span;
    let mut x = elab.tensor_of(bound.value(0))?;
    if elab.ty(x).dtype == DType::Bool {
        x = elab.emit(Op::Cast(Cast { to: DType::I32 }), &[x], span)?;
    }
    let axis = elab.one_whole_axis(x, bound)?;
    let sums = elab.running_sums(x.stored(), axis, span)?;
    if x.missing.is_none() {
        return Ok(Value::Tensor(sums));
    }
    // What is missing is skipped: a sum is missing as long as nothing was there.
    let present = elab.present(x, span)?;
    let seen = elab.running_sums(present, axis, span)?;
    let zero = elab.number(0.0, DType::F32);
    let none = elab.scalar(Scalar::Equal, &[seen, zero], span)?;
    elab.missing_where(none, sums, span).map(Value::Tensor)
}

/// `sort(x, over: a)`: ascending, NaN last, and what is missing after all that is there. The gradient goes back to where each element came from.
pub(crate) fn sort<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let span = bound.span;
    let x = elab.comparable(bound.value(0), span)?;
    let axis = elab.one_whole_axis(x, bound)?;
    let order = elab.sorting(x, axis, span)?;
    elab.emit(Op::Gather(Gather { axis }), &[x, order], span).map(Value::Tensor)
}

/// `quantile(x, q, over: a)`, `q` in 0 .. 1 a number or a tensor: linear between the two nearest elements, the gradient is theirs.
pub(crate) fn quantile<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let span = bound.span;
    let x = elab.tensor_of(bound.value(0))?;
    let x = elab.float(x, span)?;
    let over = elab.whole_axes(x, bound.axes(2), bound)?;
    let q = elab.share(bound.value(1), x, &over)?;
    let none = x.missing.map(|_| elab.is_all_missing(x, &over, span)).transpose()?;
    // The place among the sorted elements, counted from 0: k, and how far from there to the next.
    let last = elab.last_place(x, &over, span)?;
    let place = elab.scalar(Scalar::Mul, &[q, last], span)?;
    let low = elab.scalar(Scalar::Floor, &[place], span)?;
    let part = elab.scalar(Scalar::Sub, &[place, low], span)?;
    let k = elab.emit(Op::Cast(Cast { to: DType::I32 }), &[low], span)?;
    let mut key = elab.scalar(Scalar::Order, &[x.stored()], span)?;
    // What is missing comes after all that is there, and no place leads to it.
    if let Some(mask) = x.mask() {
        key = elab.replaced(key, mask, f64::from(i32::MAX), span)?;
    }
    let x = x.stored();
    let low = elab.kth_key(key, k, &over, span)?;
    let high = elab.next_key(key, low, (k, part), &over, span)?;
    let (low, high) = (elab.of_key(x, key, low, &over, span)?, elab.of_key(x, key, high, &over, span)?);
    let step = elab.scalar(Scalar::Sub, &[high, low], span)?;
    let step = elab.scalar(Scalar::Mul, &[step, part], span)?;
    let value = elab.scalar(Scalar::Add, &[low, step], span)?;
    match none {
        Some(none) => elab.missing_where(none, value, span).map(Value::Tensor),
        None => Ok(Value::Tensor(value)),
    }
}

impl<'a> Elab<'a> {
    /// Sums up to and with each step.
    fn running_sums(&mut self, mut x: Tensor, axis: AxisId, span: Span) -> Eval<Tensor> {
        let (extent, dtype) = (self.extent(x, axis, span)?, self.ty(x).dtype);
        let tap = self.axes.borrow_mut().fresh("tap");
        let mut dilation = 1;
        while dilation < extent {
            let size = ROUND.min(extent.div_ceil(dilation));
            let low = dilation * (size - 1);
            let pad = Pad { axis, low, high: 0, gap: 0, fill: to_bits(0.0, dtype) };
            let wide = self.emit(Op::Pad(pad), &[x], span)?;
            let windows =
                self.emit(Op::Windows(Windows { axis, tap, size, stride: 1, dilation }), &[wide], span)?;
            x = self.reduced(Reduction::Sum, windows, &[tap], span)?;
            dilation *= ROUND;
        }
        Ok(x)
    }

    /// A tensor of numbers.
    fn comparable(&mut self, value: &Spanned<'a>, span: Span) -> Eval<Tensor> {
        let x = self.tensor_of(value)?;
        match self.ty(x).dtype {
            DType::Bool => self.emit(Op::Cast(Cast { to: DType::I32 }), &[x], span),
            _ => Ok(x),
        }
    }

    /// The axes that an order is over: all of them must be there at once.
    fn whole_axes(
        &mut self,
        x: Tensor,
        axes: Option<(&[AxisId], Span)>,
        bound: &Bound<'a>,
    ) -> Eval<Vec<AxisId>> {
        let over = crate::reduce::over(self, x, bound.name, axes, bound.span)?;
        if self.over_the_part(x, &over) {
            let (part, name) = (self.axis_name(self.part), bound.name);
            let message = format!(
                "`{name}` over `{part}` needs all of the part at once; a metric reads it batch by batch"
            );
            let help = "over the part there are sum, mean, count, min, max, any, all and dot";
            return Err(self.error(Diagnostic::new(Code::E0803, bound.span, message).help(help)));
        }
        if over.is_empty() {
            return Err(self.fail(Code::E0203, bound.span, format!("`{}` over no axis", bound.name)));
        }
        Ok(over)
    }

    fn one_whole_axis(&mut self, x: Tensor, bound: &Bound<'a>) -> Eval<AxisId> {
        let over = self.whole_axes(x, bound.axes(1), bound)?;
        let place = bound.axes(1).map_or(bound.span, |(_, place)| place);
        self.single(&over, place)
    }

    /// A share of the elements: a number between 0 and 1, or a tensor that lacks the axes that go.
    fn share(&mut self, q: &Spanned<'a>, x: Tensor, over: &[AxisId]) -> Eval<Tensor> {
        if let Some(number) = q.value.number().filter(|n| !(0.0..=1.0).contains(n)) {
            let message = format!("a quantile lies between 0 and 1, this is {number}");
            return Err(
                self.error(Diagnostic::new(Code::E0404, q.span, message).help("the median is at 0.5"))
            );
        }
        let share = self.tensor_of(q)?;
        let share = self.float(share, q.span)?;
        if let Some(axis) = over.iter().find(|a| self.ty(share).has(**a)) {
            let message = format!("`{}` goes, so the shares cannot have it", self.axis_name(*axis));
            return Err(self.fail(Code::E0204, q.span, message));
        }
        let rest = self.ty(x).without(over);
        self.same_extents(&(rest, q.span), &(self.ty(share), q.span))?;
        let (zero, one) = (self.number(0.0, DType::F32), self.number(1.0, DType::F32));
        let above = self.scalar(Scalar::Max, &[share, zero], q.span)?;
        self.scalar(Scalar::Min, &[above, one], q.span)
    }

    /// The place of the last element that is there, counted from 0.
    fn last_place(&mut self, x: Tensor, over: &[AxisId], span: Span) -> Eval<Tensor> {
        if x.missing.is_none() {
            return Ok(self.number(self.count_over(x, over) as f64 - 1.0, DType::F32));
        }
        let present = self.present(x, span)?;
        let count = self.reduced(Reduction::Sum, present, over, span)?;
        let (zero, one) = (self.number(0.0, DType::F32), self.number(1.0, DType::F32));
        let last = self.scalar(Scalar::Sub, &[count, one], span)?;
        self.scalar(Scalar::Max, &[last, zero], span)
    }

    /// How many keys a comparison with others holds for.
    fn count_keys(&mut self, op: Scalar, key: [Tensor; 2], over: &[AxisId], span: Span) -> Eval<Tensor> {
        let holds = self.scalar(op, &key, span)?;
        let ones = self.emit(Op::Cast(Cast { to: DType::I32 }), &[holds], span)?;
        self.reduced(Reduction::Sum, ones, over, span)
    }

    /// The key at place k among the sorted ones, found bit by bit: it is the largest number that at most k keys are below of.
    fn kth_key(&mut self, key: Tensor, k: Tensor, over: &[AxisId], span: Span) -> Eval<Tensor> {
        let (zero, least) = (self.number(0.0, DType::I32), self.number(f64::from(i32::MIN), DType::I32));
        let below = self.count_keys(Scalar::Less, [key, zero], over, span)?;
        let reached = self.scalar(Scalar::LessEqual, &[below, k], span)?;
        let first = self.scalar(Scalar::Where, &[reached, zero, least], span)?;
        let bits: Vec<u32> = (0..31).rev().map(|bit| 1 << bit).collect();
        let axis = self.axes.borrow_mut().fresh("bit");
        let ty = Type::new(DType::I32, vec![Dim { axis, extent: bits.len() }]).expect("one axis");
        let bits = self.emit(Op::Constant { data: bits.into(), ty }, &[], span)?;
        let rounds = Rounds { axis, carries: vec![first], slices: vec![bits], captures: vec![key, k] };
        let over = over.to_vec();
        let found = self.rounds(rounds, span, &|b, carries, slices, captures| {
            let next = b.plus(carries[0], slices[0]);
            let less = b.scalar(Scalar::Less, &[captures[0], next]);
            let ones = b.must(Op::Cast(Cast { to: DType::I32 }), &[less]);
            let below = b.must(Op::Reduce(Reduce::new(Reduction::Sum, &over)), &[ones]);
            let reached = b.scalar(Scalar::LessEqual, &[below, captures[1]]);
            vec![b.scalar(Scalar::Where, &[reached, next, carries[0]])]
        })?;
        Ok(found[0])
    }

    /// The key at place k + 1, given that at k; the same one if no part of the way to it is gone.
    fn next_key(
        &mut self,
        key: Tensor,
        low: Tensor,
        (k, part): (Tensor, Tensor),
        over: &[AxisId],
        span: Span,
    ) -> Eval<Tensor> {
        let most = self.number(f64::from(i32::MAX), DType::I32);
        let above = self.scalar(Scalar::Less, &[low, key], span)?;
        let above = self.scalar(Scalar::Where, &[above, key, most], span)?;
        let next = self.reduced(Reduction::Min, above, over, span)?;
        let (one, zero) = (self.number(1.0, DType::I32), self.number(0.0, DType::F32));
        let up_to = self.count_keys(Scalar::LessEqual, [key, low], over, span)?;
        let second = self.scalar(Scalar::Add, &[k, one], span)?;
        let again = self.scalar(Scalar::Less, &[second, up_to], span)?;
        let there = self.scalar(Scalar::Equal, &[part, zero], span)?;
        let same = self.scalar(Scalar::Or, &[again, there], span)?;
        self.scalar(Scalar::Where, &[same, low, next], span)
    }

    /// The element of a key. Equal elements share its gradient.
    fn of_key(&mut self, x: Tensor, keys: Tensor, key: Tensor, over: &[AxisId], span: Span) -> Eval<Tensor> {
        let hit = self.scalar(Scalar::Equal, &[keys, key], span)?;
        let nothing = self.number(f64::NEG_INFINITY, DType::F32);
        let found = self.scalar(Scalar::Where, &[hit, x, nothing], span)?;
        self.reduced(Reduction::Max, found, over, span)
    }

    /// The places of the elements in ascending order, i32 with x's axes: Batcher's bitonic network, whose every stage is one
    /// pointwise step over all elements. Equal elements keep their order.
    fn sorting(&mut self, x: Tensor, axis: AxisId, span: Span) -> Eval<Tensor> {
        let extent = self.extent(x, axis, span)?;
        let size = extent.next_power_of_two();
        let mut key = match self.ty(x).dtype {
            DType::F32 => self.scalar(Scalar::Order, &[x.stored()], span)?,
            _ => x.stored(),
        };
        if let Some(mask) = x.mask() {
            key = self.replaced(key, mask, f64::from(i32::MAX), span)?;
        }
        let pad = Pad { axis, low: 0, high: size - extent, gap: 0, fill: i32::MAX as u32 };
        let key = if size == extent { key } else { self.emit(Op::Pad(pad), &[key], span)? };
        let place = self.index(axis, size, span);
        let place = self.expand_to(place, &self.ty(key), span)?;
        let (stage, constants) = self.stages(size, span)?;
        if constants.is_empty() {
            return Ok(place);
        }
        let rounds = Rounds { axis: stage, carries: vec![key, place], slices: constants, captures: vec![] };
        let sorted = self.rounds(rounds, span, &|b, carries, slices, _| {
            let (key, place) = (carries[0], carries[1]);
            let index = b.must(Op::Index { axis, extent: size }, &[]);
            let zero = b.fill(0.0, &Type::scalar(DType::I32));
            let two = b.fill(2.0, &Type::scalar(DType::I32));
            let even = |by: NodeId| {
                let bit = b.scalar(Scalar::FloorMod, &[b.scalar(Scalar::FloorDiv, &[index, by]), two]);
                b.scalar(Scalar::Equal, &[bit, zero])
            };
            let (upward, first) = (even(slices[0]), even(slices[1]));
            let (after, before) = (b.plus(index, slices[1]), b.minus(index, slices[1]));
            let partner = b.scalar(Scalar::Where, &[first, after, before]);
            let of = |x: NodeId| b.must(Op::Gather(Gather { axis }), &[x, partner]);
            let (other, elsewhere) = (of(key), of(place));
            let less = b.scalar(Scalar::Less, &[other, key]);
            let equal = b.scalar(Scalar::Equal, &[other, key]);
            let earlier = b.scalar(Scalar::Less, &[elsewhere, place]);
            let smaller = b.scalar(Scalar::Or, &[less, b.scalar(Scalar::And, &[equal, earlier])]);
            // The first of a pair wants the smaller one if the pair is to ascend, the second the larger one.
            let down = b.scalar(Scalar::Not, &[upward]);
            let wants = b.scalar(Scalar::Where, &[first, upward, down]);
            let take = b.scalar(Scalar::Where, &[wants, smaller, b.scalar(Scalar::Not, &[smaller])]);
            vec![
                b.scalar(Scalar::Where, &[take, other, key]),
                b.scalar(Scalar::Where, &[take, elsewhere, place]),
            ]
        })?;
        if size == extent {
            return Ok(sorted[1]);
        }
        self.emit(Op::Slice(Slice::range(axis, 0, extent)), &[sorted[1]], span)
    }

    /// The axis of the stages that sort so many elements, and for each the length of a run and the distance within a pair.
    fn stages(&mut self, size: usize, span: Span) -> Eval<(AxisId, Vec<Tensor>)> {
        let axis = self.axes.borrow_mut().fresh("stage");
        let (mut runs, mut distances) = (vec![], vec![]);
        for bit in 1..=size.trailing_zeros() {
            for within in (0..bit).rev() {
                runs.push(1u32 << bit);
                distances.push(1u32 << within);
            }
        }
        let mut constants = vec![];
        for data in [runs, distances].into_iter().filter(|d| !d.is_empty()) {
            let ty = Type::new(DType::I32, vec![Dim { axis, extent: data.len() }]).expect("one axis");
            constants.push(self.emit(Op::Constant { data: data.into(), ty }, &[], span)?);
        }
        Ok((axis, constants))
    }

    /// Runs a body once for each step of the slices; gives the last values of the carries.
    fn rounds(&mut self, rounds: Rounds, span: Span, body: Round<'_>) -> Eval<Vec<Tensor>> {
        let Rounds { axis, carries, slices, captures } = rounds;
        let extent = self.ty(slices[0]).extent(axis).expect("slices have the axis");
        let b = self.frames[0].builder.sub();
        b.at(&[span]);
        let mut count = 0;
        let mut inputs = |elab: &Elab<'a>, tensors: &[Tensor], gone: &[AxisId]| -> Vec<NodeId> {
            let input = |t: &Tensor| {
                count += 1;
                b.input(count, elab.ty(*t).without(gone))
            };
            tensors.iter().map(input).collect()
        };
        let inside =
            [inputs(self, &carries, &[]), inputs(self, &slices, &[axis]), inputs(self, &captures, &[])];
        let next = body(&b, &inside[0], &inside[1], &inside[2]);
        let (count, slice_count) = (carries.len(), slices.len());
        let scan =
            Scan { axis, extent, reverse: false, carries: count, slices: slice_count, body: b.finish(next) };
        let types: Vec<Type> = (0..count).map(|i| scan.result(i)).collect();
        let args = [carries, slices, captures].concat();
        let node = self.emit(Op::Scan(Arc::new(scan)), &args, span)?;
        let mut results = vec![];
        for (index, ty) in types.into_iter().enumerate() {
            results.push(self.emit(Op::ScanResult(ScanResult { index, ty }), &[node], span)?);
        }
        Ok(results)
    }
}

/// A loop of ours.
struct Rounds {
    axis: AxisId,
    carries: Vec<Tensor>,
    slices: Vec<Tensor>,
    captures: Vec<Tensor>,
}

/// The next values of the carries, from the carries, the slices and the captures.
type Round<'b> = &'b dyn Fn(&Builder, &[NodeId], &[NodeId], &[NodeId]) -> Vec<NodeId>;
