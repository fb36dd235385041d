//! The lines of a `data` block.
use super::{Builder, doc_lines};
use crate::ast::*;
use crate::grammar::{Pair, Parts, Rule};
use stmc_base::{Code, Diagnostic, Span};

impl Builder<'_> {
    /// A `data_decl`.
    pub(super) fn data(&mut self, pair: Pair) -> DataDecl {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let mut lines = Parts::of(parts.need(Rule::data_block));
        let mut statements = vec![];
        loop {
            let doc = doc_lines(&mut lines, Rule::doc);
            let Some(pair) = lines.next() else { break };
            let first = statements.len();
            self.data_line(pair, &mut statements);
            statements[first].doc = doc;
        }
        DataDecl { name, statements }
    }

    fn data_line(&mut self, pair: Pair, out: &mut Vec<DataStmt>) {
        let span = self.span(&pair);
        let mut add = |kind, span| out.push(DataStmt { doc: None, kind, span });
        match pair.as_rule() {
            Rule::let_decl => self.bindings(pair).into_iter().for_each(|l| {
                let span = l.span;
                add(DataKind::Let(l), span);
            }),
            Rule::axis_decl => self.axis_names(pair).into_iter().for_each(|a| {
                let span = a.name.span;
                add(DataKind::Axis(a), span);
            }),
            Rule::from => add(DataKind::From(self.expr(Parts::of(pair).need(Rule::expr))), span),
            Rule::field => add(DataKind::Field(self.field(pair)), span),
            Rule::assert_decl => add(DataKind::Assert(self.assert_decl(pair)), span),
            Rule::sample => add(DataKind::Sample(self.sample(pair)), span),
            Rule::split => {
                let parts = self.record_braces(Parts::of(pair).need(Rule::braces), "split");
                add(DataKind::Split(parts), span);
            }
            Rule::balance => {
                let mut parts = Parts::of(pair);
                let method = self.expr(parts.need(Rule::expr));
                let by = self.expr(parts.need(Rule::expr));
                add(DataKind::Balance { method, by }, span);
            }
            Rule::augment => add(DataKind::Augment(Parts::of(pair).map(|p| self.expr(p)).collect()), span),
            rule => unreachable!("{rule:?} is not a line of a data block"),
        }
    }

    fn field(&mut self, pair: Pair) -> Field {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let source = parts.maybe(Rule::expr).map(|p| self.expr(p));
        let ty = self.ty(parts.need(Rule::type_));
        let (mut unit, mut missing) = (None, None);
        for clause in parts {
            let span = self.span(&clause);
            let twice = match clause.as_rule() {
                Rule::field_unit => unit.replace(self.text(&Parts::of(clause).need(Rule::string))).is_some(),
                _ => missing.replace(self.expr(Parts::of(clause).need(Rule::expr))).is_some(),
            };
            if twice {
                self.refuse_second(span, &name);
            }
        }
        Field { name, source, ty, unit, missing }
    }

    fn refuse_second(&mut self, clause: Span, field: &Name) {
        let word = self.snippet(clause).split(' ').next().unwrap_or_default();
        let message = format!("the field `{}` has its `{word}` already", field.text);
        self.refuse(Diagnostic::new(Code::E0101, clause, message).help("keep one of them"));
    }

    fn sample(&mut self, pair: Pair) -> Sample {
        let mut parts = Parts::of(pair);
        let mut binders = vec![];
        while let Some(binder) = parts.maybe(Rule::binder) {
            binders.push(self.binder(binder));
        }
        let condition = parts.maybe(Rule::sample_if).map(|p| self.expr(Parts::of(p).need(Rule::expr)));
        let parts = self.record_braces(parts.need(Rule::braces), "sample");
        Sample { binders, condition, parts }
    }

    fn binder(&mut self, pair: Pair) -> SampleBinder {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let over = self.slot(parts.need(Rule::slot));
        let step = parts.maybe(Rule::binder_step).map(|p| self.expr(Parts::of(p).need(Rule::expr)));
        SampleBinder { name, over, step, span }
    }
}
