//! Metrics and fits: in them an axis (`batch`, or the one that a fit streams) is the whole part. A reduction over it is
//! split in two: partial results of each batch, outputs of the entry, and a finishing graph over their combinations.
//!
//! While one is elaborated, frame 0 is the entry's graph and frame 1 the finishing graph.
use crate::elab::{Elab, Eval, Frame, FrameKind};
use crate::live::live;
use crate::reduce::Sort;
use crate::value::{Spanned, Tensor};
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::module::{Combine, InputRole, Metric};
use stmc_ir::ops::{Reduction, Rename, Scalar};
use stmc_ir::{AxisId, Builder, DType, Dim, NodeId, Op, Type};

impl<'a> Elab<'a> {
    /// Begins the finishing graph.
    pub(crate) fn begin_part(&mut self) {
        let builder = self.frames[0].builder.sub();
        self.frames.push(Frame { builder, kind: FrameKind::Finish(vec![]) });
    }

    /// Ends the finishing graph: one metric for each named result.
    pub(crate) fn end_part(&mut self, results: Vec<(Arc<str>, Tensor)>) -> Vec<Metric> {
        let frame = self.frames.pop().expect("it was begun");
        let FrameKind::Finish(partials) = frame.kind else { unreachable!("it was begun") };
        results.into_iter().map(|(name, t)| metric(&frame.builder, &partials, &name, t.node)).collect()
    }

    /// A metric's value in the finishing graph.
    pub(crate) fn finished(&mut self, value: &Spanned<'a>) -> Eval<Tensor> {
        let tensor = self.tensor(value, None)?;
        if tensor.level == 0 && self.ty(tensor).has(self.part) {
            let axis = self.axis_name(self.part);
            let message = format!("this has a value for every sample: a metric reduces `{axis}`");
            return Err(self.error(Diagnostic::new(Code::E0804, value.span, message).help("`mean(…)`")));
        }
        self.brought(tensor, 1, value.span)
    }

    /// Whether a reduction is over the whole part, batch by batch.
    pub(crate) fn over_the_part(&self, x: Tensor, over: &[AxisId]) -> bool {
        x.level == 0 && over.contains(&self.part) && self.in_metric()
    }

    /// Whether a metric or a fit is being elaborated.
    pub(crate) fn in_metric(&self) -> bool {
        matches!(self.frames.get(1).map(|f| &f.kind), Some(FrameKind::Finish(_)))
    }

    /// A reduction over the part.
    pub(crate) fn reduce_part(&mut self, x: Tensor, sort: Sort, over: &[AxisId], span: Span) -> Eval<Tensor> {
        if x.missing.is_some() {
            return self.reduce_masked_part(x, sort, over, span);
        }
        match sort {
            Sort::Sum => self.part_sum(x, over, span),
            Sort::Mean => {
                let sum = self.part_sum(x, over, span)?;
                let samples = self.valid();
                let part = self.part;
                let samples = self.combined(samples, Reduction::Sum, &[part], Combine::Sum, span)?;
                let rest: Vec<AxisId> = over.iter().copied().filter(|a| *a != part).collect();
                let each = self.number(self.count_over(x, &rest) as f64, DType::F32);
                let count = self.scalar(Scalar::Mul, &[samples, each], span)?;
                self.scalar(Scalar::Div, &[sum, count], span)
            }
            Sort::Max => self.part_extreme(x, over, Reduction::Max, Combine::Max, span),
            Sort::Min => self.part_extreme(x, over, Reduction::Min, Combine::Min, span),
            Sort::Any => {
                let count = self.part_sum(x, over, span)?;
                let zero = self.number(0.0, DType::F32);
                self.scalar(Scalar::Less, &[zero, count], span)
            }
            Sort::All => {
                let not = self.scalar(Scalar::Not, &[x], span)?;
                let count = self.part_sum(not, over, span)?;
                let zero = self.number(0.0, DType::F32);
                self.scalar(Scalar::Equal, &[count, zero], span)
            }
        }
    }

    /// What is missing is skipped; the result is missing where nothing was left.
    fn reduce_masked_part(&mut self, x: Tensor, sort: Sort, over: &[AxisId], span: Span) -> Eval<Tensor> {
        let mask = self.full_mask(x, span)?;
        let present = self.present(x, span)?;
        let count = self.part_sum(present, over, span)?;
        let zero = self.number(0.0, DType::F32);
        let none = self.scalar(Scalar::Equal, &[count, zero], span)?;
        let value = match sort {
            Sort::Sum | Sort::Mean => self.part_sum(x.stored(), over, span)?,
            Sort::Max | Sort::Min => {
                let nothing = if sort == Sort::Max { f64::NEG_INFINITY } else { f64::INFINITY };
                let floats = self.float(x, span)?;
                let skipped = self.replaced(floats, mask, nothing, span)?;
                self.reduce_part(skipped, sort, over, span)?
            }
            Sort::Any | Sort::All => unreachable!("they have no missing operand"),
        };
        let value = self.missing_where(none, value, span)?;
        if sort == Sort::Mean { self.scalar(Scalar::Div, &[value, count], span) } else { Ok(value) }
    }

    fn part_sum(&mut self, x: Tensor, over: &[AxisId], span: Span) -> Eval<Tensor> {
        let masked = self.masked(x, 0.0, span)?;
        self.combined(masked, Reduction::Sum, over, Combine::Sum, span)
    }

    fn part_extreme(
        &mut self,
        x: Tensor,
        over: &[AxisId],
        kind: Reduction,
        combine: Combine,
        span: Span,
    ) -> Eval<Tensor> {
        let nothing = if kind == Reduction::Max { f64::NEG_INFINITY } else { f64::INFINITY };
        let masked = self.masked(x, nothing, span)?;
        self.combined(masked, kind, over, combine, span)
    }

    /// Padding at the end of a part is as if it were not there, whatever is computed of it: no product with 0, which an
    /// infinity would survive.
    fn masked(&mut self, x: Tensor, instead: f64, span: Span) -> Eval<Tensor> {
        let x = self.float(x, span)?;
        let (valid, half) = (self.valid(), self.number(0.5, DType::F32));
        let is_sample = self.scalar(Scalar::Less, &[half, valid], span)?;
        let instead = self.number(instead, DType::F32);
        self.scalar(Scalar::Where, &[is_sample, x, instead], span)
    }

    /// The result of a batch, combined over the batches.
    fn combined(
        &mut self,
        x: Tensor,
        kind: Reduction,
        over: &[AxisId],
        combine: Combine,
        span: Span,
    ) -> Eval<Tensor> {
        let batch = self.reduced(kind, x, over, span)?;
        Ok(Tensor::plain(self.partial(batch.node, combine), 1))
    }

    /// How many samples a batch has.
    pub(crate) fn batch_extent(&self) -> usize {
        self.data.as_ref().map_or(1, |d| d.batch)
    }

    /// 1 for a sample, 0 for padding.
    fn valid(&mut self) -> Tensor {
        let (batch, extent) = (self.batch(), self.batch_extent());
        let ty = Type::new(DType::F32, vec![Dim { axis: batch, extent }]).expect("one axis");
        let valid = self.input(InputRole::Valid, ty);
        self.streamed(valid)
    }

    /// The batch under the name of the axis that a fit streams, of what is just read.
    pub(crate) fn streamed(&mut self, x: Tensor) -> Tensor {
        let (batch, part) = (self.batch(), self.part);
        if batch == part {
            return x;
        }
        let builder = self.frames[0].builder.clone();
        Tensor { node: builder.must(Op::Rename(Rename::one(batch, part)), &[x.node]), ..x }
    }
}

/// The part of the finishing graph that one result needs, its inputs numbered anew.
fn metric(builder: &Builder, partials: &[usize], name: &str, result: NodeId) -> Metric {
    let mut used = vec![];
    let finish = live(builder, vec![result], |index| {
        used.push(partials[index]);
        used.len() - 1
    });
    let axes = finish.ty(finish.outputs[0]).dims().iter().map(|d| d.axis).collect();
    Metric { name: name.to_string(), partials: used, finish, axes, unit: None }
}
