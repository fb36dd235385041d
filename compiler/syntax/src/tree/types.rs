//! Types, axis references, parameters.
use super::{Builder, doc_lines};
use crate::ast::{
    AxisRef, AxisRefKind, DType, Dim, Extent, Parameter, RecordField, StaticType, Type, TypeKind,
};
use crate::grammar::{Pair, Parts, Rule};

impl Builder<'_> {
    /// A `type_`.
    pub(super) fn ty(&mut self, pair: Pair) -> Type {
        let inner = Parts::of(pair).next().expect("a type is of some kind");
        self.type_of(inner)
    }

    fn type_of(&mut self, pair: Pair) -> Type {
        let span = self.span(&pair);
        let nothing = TypeKind::Tensor { dtype: None, missing: false, shape: None };
        let kind = self.nested(1, span, |b| b.type_kind(pair)).unwrap_or(nothing);
        Type { kind, span }
    }

    fn type_kind(&mut self, pair: Pair) -> TypeKind {
        match pair.as_rule() {
            Rule::list_type => {
                let element = Parts::of(pair).next().expect("a list type has an element type");
                TypeKind::List(Box::new(self.type_of(element)))
            }
            Rule::record_type => TypeKind::Record(Parts::of(pair).map(|p| self.record_field(p)).collect()),
            Rule::each_type => TypeKind::Each(Box::new(self.ty(Parts::of(pair).need(Rule::type_)))),
            Rule::tensor_type => self.tensor_type(pair),
            Rule::bool_type => TypeKind::Tensor { dtype: Some(DType::Bool), missing: false, shape: None },
            Rule::static_type => {
                TypeKind::Static(StaticType::find(pair.as_str()).expect("the grammar knows the static types"))
            }
            rule => unreachable!("{rule:?} is not a type"),
        }
    }

    fn tensor_type(&mut self, pair: Pair) -> TypeKind {
        let mut parts = Parts::of(pair);
        let dtype =
            parts.maybe(Rule::dtype).map(|p| DType::find(p.as_str()).expect("the grammar knows the dtypes"));
        let missing = parts.maybe(Rule::question).is_some();
        let shape = parts.maybe(Rule::shape).map(|p| Parts::of(p).map(|d| self.dim(d)).collect());
        TypeKind::Tensor { dtype, missing, shape }
    }

    fn record_field(&mut self, pair: Pair) -> RecordField {
        let mut parts = Parts::of(pair);
        let doc = doc_lines(&mut parts, Rule::doc);
        let name = self.name(&parts.need(Rule::label));
        let ty = self.ty(parts.need(Rule::type_));
        let span = name.span.to(ty.span);
        RecordField { doc, name, ty, span }
    }

    fn dim(&mut self, pair: Pair) -> Dim {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let axis = self.axis_ref(parts.need(Rule::axis_ref));
        let extent = match parts.next() {
            None => Extent::Bare,
            Some(p) if p.as_rule() == Rule::any_extent => Extent::Any,
            Some(p) => Extent::Expr(self.expr(p)),
        };
        Dim { axis, extent, span }
    }

    /// An `axis_ref`.
    pub(super) fn axis_ref(&mut self, pair: Pair) -> AxisRef {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let word = self.name(&parts.need(Rule::label));
        let kind = match parts.next() {
            None => AxisRefKind::Word(word),
            Some(p) if p.as_rule() == Rule::position => AxisRefKind::Position(word, self.position(&p)),
            Some(p) => AxisRefKind::Taps(word, Parts::of(p).map(|n| self.name(&n)).collect()),
        };
        AxisRef { kind, span }
    }

    /// `parameters`.
    pub(super) fn parameters(&mut self, pair: Pair) -> Vec<Parameter> {
        Parts::of(pair).map(|p| self.parameter(p)).collect()
    }

    fn parameter(&mut self, pair: Pair) -> Parameter {
        let end = self.span(&pair);
        let mut parts = Parts::of(pair);
        let doc = doc_lines(&mut parts, Rule::doc);
        let name = self.take_name(&mut parts);
        let span = name.span.to(end_of(end));
        let ty = parts.maybe(Rule::type_).map(|p| self.ty(p));
        let default = parts.maybe(Rule::default).map(|p| self.expr(p));
        let domain = parts.maybe(Rule::domain).map(|p| self.expr(Parts::of(p).need(Rule::expr)));
        Parameter { doc, name, ty, default, domain, span }
    }
}

/// The empty span at the end of a span.
fn end_of(span: stmc_base::Span) -> stmc_base::Span {
    stmc_base::Span { start: span.end, ..span }
}
