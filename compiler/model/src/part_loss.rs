//! The loss over a part. Where it is made of sums it is a metric like others, of all samples at once. Where it is not (it weights
//! values by their quantiles, or takes the mean from each), it is the mean of the batches' losses, each as training would
//! have it; a last batch that is not full repeats its last sample.
use crate::elab::{Elab, Eval, FrameKind};
use crate::reduce::Sort;
use crate::train::{Named, terms};
use crate::value::Tensor;
use std::sync::Arc;
use stmc_base::Code;
use stmc_ir::{Dim, Type};
use stmc_syntax::ast;

/// The terms of the loss over the part, by name.
pub(crate) fn terms_over_the_part<'a>(
    elab: &mut Elab<'a>,
    loss: &'a ast::Expr,
    named: &Named<'a>,
) -> Eval<Vec<(Arc<str>, Tensor)>> {
    let (before, outputs) = (elab.diagnostics.len(), elab.outputs.len());
    let used = partials(elab).len();
    let whole = terms(elab, loss, named).and_then(|terms| {
        let mut finished = vec![];
        for (name, term) in terms {
            finished.push((name, elab.finished(&term)?.stored()));
        }
        Ok(finished)
    });
    let new = &elab.diagnostics[before..];
    if whole.is_ok() || new.is_empty() || new.iter().any(|d| d.code != Code::E0803) {
        return whole;
    }
    elab.diagnostics.truncate(before);
    elab.outputs.truncate(outputs);
    partials(elab).truncate(used);
    of_batches(elab, loss, named)
}

fn partials<'e>(elab: &'e mut Elab<'_>) -> &'e mut Vec<usize> {
    match &mut elab.frames[1].kind {
        FrameKind::Finish(partials) => partials,
        _ => unreachable!("the loss is evaluated where metrics are"),
    }
}

/// The mean of the batches' losses, each counted as often as it has samples.
fn of_batches<'a>(
    elab: &mut Elab<'a>,
    loss: &'a ast::Expr,
    named: &Named<'a>,
) -> Eval<Vec<(Arc<str>, Tensor)>> {
    let finish = elab.frames.pop().expect("the finishing graph is there");
    let terms = terms(elab, loss, named);
    let mut tensors = vec![];
    for (name, term) in terms.iter().flatten() {
        tensors.push(elab.tensor(term, None).map(|t| (name.clone(), t.stored(), term.span)));
    }
    elab.frames.push(finish);
    terms?;
    let mut means = vec![];
    for tensor in tensors {
        let (name, tensor, span) = tensor?;
        let (batch, part) = (elab.batch_extent(), elab.part);
        let ty = Type::new(elab.ty(tensor).dtype, vec![Dim { axis: part, extent: batch }]).expect("one axis");
        let each = elab.expand_to(tensor, &ty, span)?;
        means.push((name, elab.reduce_part(each, Sort::Mean, &[part], span)?));
    }
    Ok(means)
}
